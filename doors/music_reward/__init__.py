"""The working directory of a music reward benchmark: `core`, `custom_models`, `baselines` and `models`.

These are folders and no packages, as they are documented: a folder of one of these names in the folder one
works in is looked at first, and both are one namespace. `benchmark` is what `inference_benchmark.py` opens.
"""

import sys
from pathlib import Path

# The last of all, so that it hides nothing.
if (_here := str(Path(__file__).parent)) not in sys.path:
    sys.path.append(_here)
