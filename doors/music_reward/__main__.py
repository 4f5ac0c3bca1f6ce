"""`python -m music_reward`: the benchmark, from any folder."""

import sys

from music_reward.benchmark.command import main

sys.exit(main())
