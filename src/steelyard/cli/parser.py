"""Every verb and flag of the command, and where its verb is written.

A flag that is not given is absent from what the parser returns, so that a resumed run can tell
what is asked for now from what it was asked before.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from steelyard import __version__
from steelyard.cli.flags.base import Parser
from steelyard.cli.flags.evaluation import describe_eval, describe_score
from steelyard.cli.flags.load import describe_load
from steelyard.cli.flags.runs import describe_compare, describe_explain, describe_report
from steelyard.cli.flags.services import describe_parity, describe_serve
from steelyard.errors import UnknownName, UsageError


def build_parser() -> tuple[Parser, dict[str, Parser]]:
    """The parser of the whole command, and those of its verbs."""
    parser = Parser(
        prog="steelyard",
        description="Weigh any model: evaluate it, read and compare what came out.",
        epilog="steelyard VERB --help tells all about a verb.",
    )
    parser.add_argument("--version", action="version", version=f"steelyard {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", dest="verb")
    made: dict[str, Parser] = {}
    for name, (home, about, describe_flags) in _VERBS.items():
        made[name] = verbs.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
        made[name].set_defaults(home=home)
        describe_flags(made[name])
        made[name].add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser, made


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read a command line; whatever is wrong with it is a UsageError."""
    parser, verbs = build_parser()
    if not arguments:
        arguments = ["--help"]
    if not arguments[0].startswith("-") and arguments[0] not in verbs:
        raise UnknownName("verb", arguments[0], verbs)
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        verb = verbs.get(getattr(options, "verb", ""), parser)
        if unknown[0].startswith("-"):
            known = [name for action in verb.flags() for name in action.option_strings]
            raise UnknownName(f"flag of {verb.prog}", unknown[0].partition("=")[0], known)
        raise UsageError(f"{verb.prog} has no use for {unknown[0]!r}", hint=f"{verb.prog} --help")
    return options


def _describe_list(parser: Parser) -> None:
    kinds = ["models", "data", "layouts", "tasks", "metrics", "wires", "extractors", "workloads"]
    parser.add_argument(
        "kind",
        nargs="?",
        default=None,
        choices=kinds,
        metavar="KIND",
        help=", ".join(kinds) + " (all of them)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _describe_new(parser: Parser) -> None:
    kinds = ["model", "metric", "task", "data"]
    parser.add_argument("kind", choices=kinds, metavar="KIND", help=", ".join(kinds))
    parser.add_argument("name", metavar="NAME", help="what it is called: NAME.py is written here")


def _describe_doctor(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _describe_completion(parser: Parser) -> None:
    shells = ["bash", "zsh", "fish"]
    parser.add_argument("shell", choices=shells, metavar="SHELL", help=", ".join(shells))


_VERBS: dict[str, tuple[str, str, Callable[[Parser], None]]] = {
    "eval": ("evaluation", "ask a model every sample of a task, score and store the answers", describe_eval),
    "load": ("load", "measure how a model performs under a load", describe_load),
    "report": ("reports", "show what stored runs hold", describe_report),
    "explain": ("explanation", "show one sample of a run whole", describe_explain),
    "compare": ("comparison", "say which of several runs is better, or that it is noise", describe_compare),
    "score": ("scores", "hold the scores of a reward model against people, or score a stored run anew",
              describe_score),
    "serve": ("serve", "answer requests over HTTP with any models", describe_serve),
    "parity": ("parity", "ask two ways to the same model the same, and name what differs", describe_parity),
    "list": ("catalogue", "list what can be named", _describe_list),
    "new": ("scaffold", "write a model, metric, task or data file that runs at once", _describe_new),
    "doctor": ("doctor", "say what is installed, which devices there are and what extras would add",
               _describe_doctor),
    "completion": ("completion", "print a script that completes this command in a shell",
                   _describe_completion),
}  # fmt: skip
