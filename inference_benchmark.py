"""The music reward benchmark, as it is documented: `python inference_benchmark.py --help`."""

import sys
from pathlib import Path

# The code beside this file, whatever is installed.
sys.path[:0] = [str(Path(__file__).resolve().parent / folder) for folder in ("doors", "src")]

from music_reward.inference_benchmark import main  # noqa: E402 - found by the line above

if __name__ == "__main__":
    sys.exit(main())
