"""Every verb and flag of the command, and where its verb is written.

A flag that is not given is absent from what the parser returns, so that a resumed run can tell
what is asked for now from what it was asked before.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from steelyard import __version__
from steelyard.cli.values import read_duration, read_failures, read_number
from steelyard.errors import UnknownName, UsageError

_VALUES = "key=value"


class Parser(argparse.ArgumentParser):
    """An argument parser that raises what it has to complain of."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, argument_default=argparse.SUPPRESS, **options)

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing and leaving."""
        raise UsageError(message, hint=f"{self.prog} --help")

    def flags(self) -> Iterator[argparse.Action]:
        """What can be given beside the verb, in the order of the help."""
        for action in self._actions:
            if not isinstance(action, argparse._SubParsersAction):
                yield action


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


def _describe_eval(parser: Parser) -> None:
    add = parser.add_argument_group("what is asked, and whom").add_argument
    add(
        "--model",
        nargs="+",
        action="append",
        metavar=("REF", _VALUES),
        help="a built-in name, folder, org/name, URL, ./file.py:NAME or module, and its options; repeatable",
    )
    add(
        "--task",
        nargs="+",
        action="append",
        metavar=("REF", _VALUES),
        help="a built-in name, task.yaml or ./file.py:NAME, and its options; repeatable",
    )
    add(
        "--data",
        nargs="+",
        action="append",
        metavar=("REF", _VALUES),
        help="a file, pattern, hub:NAME, ./file.py:NAME, - for stdin; input=COLUMN and the like "
        "name columns; repeatable",
    )
    add(
        "--prompt",
        action="append",
        metavar="TEMPLATE",
        help="the question, with {input} and other columns in braces; @FILE reads it from a file; repeatable",
    )
    add("--system", metavar="TEXT", help="a system text before it")
    add(
        "--metric",
        nargs="+",
        action="append",
        metavar=("REF", _VALUES),
        help="how an answer is scored (a judge with model=REF); repeatable",
    )
    add("--extract", metavar="RULE", help="what is taken out of an answer before it is scored; none for all")
    add("--shots", type=read_number(int, 0), metavar="N", help="worked examples before each question")
    add("--shot-data", metavar="REF", help="where the worked examples come from")
    add("--chat", choices=["auto", "yes", "no"], help="ask in the turns of a chat (auto: as the model likes)")
    add = parser.add_argument_group("how much of the data").add_argument
    add("--limit", type=read_number(int, 1), metavar="N", help="only the first N rows")
    add("--offset", type=read_number(int, 0), metavar="N", help="pass over the first N rows")
    add("--sample", type=read_number(int, 1), metavar="N", help="N rows chosen by --seed")
    add("--seed", type=read_number(int), metavar="N", help="seed of every choice (0)")
    add("--repeat", type=read_number(int, 1), metavar="N", help="ask every sample N times")
    add("--on-bad-row", choices=["stop", "skip"], help="what a row that cannot be read does (stop)")
    add(
        "--allow-remote-images",
        action="store_true",
        help="fetch pictures that the data names by http(s) URLs",
    )
    _describe_answers(parser)


def _describe_answers(parser: Parser) -> None:
    add = parser.add_argument_group("how it answers").add_argument
    add("--max-tokens", type=read_number(int, 1), metavar="N", help="the longest answer")
    add("--temperature", type=read_number(float, 0), metavar="T", help="0 is greedy")
    add(
        "--top-p",
        type=read_number(float, 0),
        metavar="P",
        help="sample among the likeliest tokens that sum to P",
    )
    add("--stop", action="append", metavar="TEXT", help="an answer ends before this text; repeatable")
    add("--param", nargs="+", metavar=_VALUES, help="other parameters of each request")
    add("--concurrency", type=read_number(int, 1), metavar="N", help="requests in flight at a time")
    add(
        "--cache",
        nargs="?",
        const=True,
        metavar="FILE",
        help="take answers that were given before from FILE, and keep new ones there "
        "(~/.cache/steelyard/answers.sqlite)",
    )
    add(
        "--deadline",
        type=read_duration,
        metavar="TIME",
        help="stop a run after so many seconds, or 10m, 2h; --resume goes on with it",
    )
    add(
        "--max-failures",
        type=read_failures,
        metavar="N|P%",
        help="stop a run when more than N questions failed, or P%% of them; 100%% for never "
        "(when the first 100 all failed)",
    )
    add = parser.add_argument_group("what becomes of it").add_argument
    add("--out", metavar="DIR", type=Path, help="the folder of the run (runs/TIME-TASK-MODEL)")
    add(
        "--resume",
        metavar="DIR",
        type=Path,
        help="go on with a stored run or a series of them: alone, as it was begun; with other flags, "
        "these must agree with it",
    )
    add("--retry-failed", action="store_true", help="with --resume: ask failed requests again")
    _add_field(add)
    add(
        "--csv",
        action="store_true",
        help="also write each answer to answers.csv in the folder of the run as it comes: id;model_answer",
    )
    _add_prices(add)
    add("--html", metavar="FILE", type=Path, help="also write a page")
    add("--json", action="store_true", help="print one JSON document in the place of a table")
    add("--quiet", action="store_true", help="no progress")


def _describe_report(parser: Parser) -> None:
    _add_runs(parser)
    add = parser.add_argument
    _add_field(add)
    _add_prices(add)
    add("--answers", metavar="FILE", type=Path, help="also write id;model_answer of one run as CSV")
    _add_forms(parser)


def _describe_explain(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="the folder of a run")
    parser.add_argument(
        "id", metavar="ID", help="the id of a sample, or ID#TURN where it was asked several times"
    )
    parser.add_argument("--json", action="store_true", help="print the stored records as JSON")


def _describe_compare(parser: Parser) -> None:
    parser.add_argument("base", metavar="RUN", type=Path, help="the run that others are compared with")
    parser.add_argument("others", metavar="OTHER", nargs="+", type=Path, help="the runs to compare with it")
    parser.add_argument("--metric", action="append", metavar="NAME", help="only these metrics; repeatable")
    parser.add_argument(
        "--flips", type=read_number(int, 0), metavar="N", help="how many changed samples to name (10)"
    )
    _add_forms(parser)


def _describe_score(parser: Parser) -> None:
    add = parser.add_argument
    add("run", metavar="RUN", type=Path, help="the folder of a run")
    add(
        "--metric",
        nargs="+",
        action="append",
        metavar=("REF", _VALUES),
        required=True,
        help="how an answer is scored (a judge with model=REF), in the place of what did; repeatable",
    )
    add("--extract", metavar="RULE", help="what is taken out of an answer before it is scored")
    add("--json", action="store_true", help="print one JSON document in the place of a table")


def _describe_serve(parser: Parser) -> None:
    add = parser.add_argument
    add(
        "--model",
        nargs="+",
        action="append",
        metavar=("REF", _VALUES),
        required=True,
        help="a model as for eval, and its options; name=NAME is what it is asked by; repeatable",
    )
    add(
        "--wires",
        metavar="NAMES",
        help="the protocols, with commas between: openai, tgi, triton, kserve, mindie, plain (all of them)",
    )
    add("--host", metavar="ADDRESS", help="where to listen (127.0.0.1: only this machine can ask)")
    add("--port", type=read_number(int, 0), metavar="N", help="the port (8000); 0 takes any that is free")
    add(
        "--api-key",
        metavar="WHERE",
        help="only who has the key may ask: env:NAME, or file:PATH with a key a line",
    )
    add("--queue", type=read_number(int, 0), metavar="N", help="requests that may wait for a model (1024)")
    add(
        "--concurrency",
        type=read_number(int, 1),
        metavar="N",
        help="requests a model is asked at a time (as many as it likes)",
    )
    add("--max-body", type=read_number(int, 1), metavar="BYTES", help="the largest request (67108864)")
    add(
        "--timeout",
        type=read_number(float, 0),
        metavar="SECONDS",
        help="the longest an answer may take (600)",
    )
    add(
        "--grace",
        type=read_number(float, 0),
        metavar="SECONDS",
        help="how long answers under way are waited for when the server is ended (30)",
    )
    add("--certificate", metavar="FILE", help="serve https: the certificate, with its chain")
    add("--private-key", metavar="FILE", help="the key of the certificate")
    add("--access-log", action="store_true", help="a line on stderr for each request")


def _describe_parity(parser: Parser) -> None:
    add = parser.add_argument
    add("refs", metavar="REF", nargs="*", help="the two models, where they need no options")
    add(
        "--model",
        nargs="+",
        action="append",
        metavar=("REF", _VALUES),
        help="one of the two models as for eval, and its options; given twice",
    )
    add(
        "--data",
        nargs="+",
        metavar=("REF", _VALUES),
        help="prompts of your own beside those that come along; input=COLUMN names theirs",
    )
    add("--limit", type=read_number(int, 1), metavar="N", help="only the first N rows of --data (20)")
    add("--max-tokens", type=read_number(int, 1), metavar="N", help="the longest greedy answer (32)")
    add(
        "--longest",
        type=read_number(int, 1),
        metavar="N",
        help="about the tokens of the longest prompt (4096)",
    )
    add("--out", metavar="DIR", type=Path, help="where findings and answers go (runs/TIME-parity)")
    add("--json", action="store_true", help="print one JSON document in the place of a table")
    add("--quiet", action="store_true", help="no progress")


def _describe_list(parser: Parser) -> None:
    kinds = ["models", "data", "layouts", "tasks", "metrics", "wires", "extractors"]
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


def _add_runs(parser: Parser) -> None:
    parser.add_argument(
        "runs", metavar="RUN", nargs="+", type=Path, help="the folder of a run, or of a series"
    )


def _add_field(add: Callable[..., Any]) -> None:
    add("--by", action="append", metavar="FIELD", help="also the scores by a column of the data; repeatable")


def _add_prices(add: Callable[..., Any]) -> None:
    add(
        "--prices",
        metavar="FILE",
        type=Path,
        help="also what the tokens cost, by a YAML or JSON file of prices for a million of them",
    )


def _add_forms(parser: Parser) -> None:
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write a page")
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--md", action="store_true", help="print Markdown")
    forms.add_argument("--csv", action="store_true", help="print CSV")
    forms.add_argument("--json", action="store_true", help="print one JSON document")


_VERBS: dict[str, tuple[str, str, Callable[[Parser], None]]] = {
    "eval": ("evaluation", "ask a model every sample of a task, score and store the answers", _describe_eval),
    "report": ("reports", "show what stored runs hold", _describe_report),
    "explain": ("explanation", "show one sample of a run whole", _describe_explain),
    "compare": ("comparison", "say which of several runs is better, or that it is noise", _describe_compare),
    "score": ("scores", "score the stored answers of a run anew, without its model", _describe_score),
    "serve": ("serve", "answer requests over HTTP with any models", _describe_serve),
    "parity": ("parity", "ask two ways to the same model the same, and name what differs", _describe_parity),
    "list": ("catalogue", "list what can be named", _describe_list),
    "new": ("scaffold", "write a model, metric, task or data file that runs at once", _describe_new),
    "doctor": ("doctor", "say what is installed, which devices there are and what extras would add",
               _describe_doctor),
    "completion": ("completion", "print a script that completes this command in a shell",
                   _describe_completion),
}  # fmt: skip
