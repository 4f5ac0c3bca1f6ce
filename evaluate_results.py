"""Results of the music reward benchmark scored anew: `python evaluate_results.py -r results.jsonl`."""

import sys
from pathlib import Path

# The code beside this file, whatever is installed.
sys.path[:0] = [str(Path(__file__).resolve().parent / folder) for folder in ("doors", "src")]

from music_reward.evaluate_results import main  # noqa: E402 - found by the line above

if __name__ == "__main__":
    sys.exit(main())
