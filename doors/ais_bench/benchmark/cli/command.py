"""`ais_bench`: the command line read, one sitting run, whatever goes wrong told in a line and an exit code.

0 if every request was answered and every task ended, 1 for failures, 2 for wrong usage.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from ais_bench.benchmark.cli.arguments import read_arguments
from steelyard.cli.screen import printable, tell
from steelyard.errors import Interrupted, SteelyardError, describe

_STOPPED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    try:
        options = read_arguments(words)
        # Configuration files may import what lies beside them, as `python file.py` would.
        if "" not in sys.path:
            sys.path.insert(0, "")
        code: int = import_module("ais_bench.benchmark.cli.modes").run(options, words)
        sys.stdout.flush()
        return code
    except SystemExit as leaving:  # --help, and what argparse refuses
        return int(leaving.code or 0)
    except (SteelyardError, KeyboardInterrupt) as error:
        if debug and not isinstance(error, (Interrupted, KeyboardInterrupt)):
            raise
        if not isinstance(error, SteelyardError):
            _say("stopped")
            return _STOPPED
        _say(str(error.args[0]), hint=error.hint)
        return error.exit_code
    except Exception as error:
        if debug:
            raise
        _say(f"this is a bug: {describe(error)}", hint="run again with --debug and report what it shows")
        return 1


def _say(message: str, *, hint: str = "") -> None:
    tell(f"ais_bench: error: {printable(' '.join(message.split()))}")
    if hint:
        tell(f"hint: {printable(' '.join(hint.split()))}")
