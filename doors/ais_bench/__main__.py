"""`python -m ais_bench` is the command `ais_bench`."""

import sys

from ais_bench.benchmark.cli.command import main

sys.exit(main())
