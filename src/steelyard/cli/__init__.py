"""The command `steelyard`: flags in, one call, one table out.

`main` reads the command line, imports the one module that its verb lives in, and turns whatever
goes wrong into one line and an exit code.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from steelyard.cli.interruption import stopped_like_an_interrupt
from steelyard.cli.parser import parse_arguments
from steelyard.cli.screen import printable, tell
from steelyard.errors import Interrupted, ModelError, SteelyardError, describe

_STOPPED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    try:
        with stopped_like_an_interrupt():
            options = parse_arguments(arguments)
            code: int = import_module(f"steelyard.cli.{options.home}").run(options)
            sys.stdout.flush()
            return code
    except SystemExit as leaving:  # --help and --version
        return int(leaving.code or 0)
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain once more when it leaves.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (SteelyardError, KeyboardInterrupt) as error:
        if debug:
            raise
        if isinstance(error, (Interrupted, KeyboardInterrupt)):
            # All is stored: a second Ctrl-C need not wait for a model to end its last answer.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        return _tell(error)
    except Exception as error:
        if debug:
            raise
        _say(f"this is a bug: {describe(error)}", hint="run again with --debug and report what it shows")
        return 1


def _tell(error: BaseException) -> int:
    """One line on what went wrong, and one on what mends it; the exit code."""
    if not isinstance(error, SteelyardError):
        _say("stopped")
        return _STOPPED
    foreign = isinstance(error, ModelError) and error.__cause__ is not None
    _say(str(error.args[0]), hint=error.hint or ("--debug shows where" if foreign else ""))
    return error.exit_code


def _say(message: str, *, hint: str = "") -> None:
    tell(f"steelyard: error: {_one_line(message)}")
    if hint:
        tell(f"hint: {_one_line(hint)}")


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))
