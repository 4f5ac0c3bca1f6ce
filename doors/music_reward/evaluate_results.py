"""`python -m music_reward.evaluate_results`: results scored anew, from any folder."""

import sys

from music_reward.benchmark.rescoring import main

if __name__ == "__main__":
    sys.exit(main())
