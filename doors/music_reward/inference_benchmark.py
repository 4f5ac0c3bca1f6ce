"""`python -m music_reward.inference_benchmark`: the benchmark, from any folder."""

import sys

from music_reward.benchmark.command import main

if __name__ == "__main__":
    sys.exit(main())
