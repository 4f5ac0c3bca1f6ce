"""The flags of `steelyard eval`."""

from __future__ import annotations

from pathlib import Path

from steelyard.cli.flags.base import VALUES, Parser, add_field, add_prices
from steelyard.cli.values import read_duration, read_failures, read_number


def describe_eval(parser: Parser) -> None:
    """What `steelyard eval` takes."""
    add = parser.add_argument_group("what is asked, and whom").add_argument
    add(
        "--model",
        nargs="+",
        action="append",
        metavar=("REF", VALUES),
        help="a built-in name, folder, org/name, URL, ./file.py:NAME or module, and its options; repeatable",
    )
    add(
        "--task",
        nargs="+",
        action="append",
        metavar=("REF", VALUES),
        help="a built-in name, task.yaml or ./file.py:NAME, and its options; repeatable",
    )
    add(
        "--data",
        nargs="+",
        action="append",
        metavar=("REF", VALUES),
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
        metavar=("REF", VALUES),
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


def describe_score(parser: Parser) -> None:
    """What `steelyard score` takes: a run to be scored anew, or what eval takes."""
    parser.add_argument("run", nargs="?", default=None, metavar="RUN", type=Path, help="the folder of a run")
    describe_eval(parser)
    add = parser.add_argument_group("which judgements").add_argument
    add("--split", metavar="NAME", help="only rows of this split")
    add("--subset", metavar="NAME", help="only rows of this data set, section or subset; several with commas")


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
    add("--param", nargs="+", metavar=VALUES, help="other parameters of each request")
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
    add(
        "--on-error",
        choices=["stop", "record"],
        help="what a failed question does: stop the run, which --resume goes on with, or be recorded and "
        "count as 0, however many there are (recorded, until the first 100 all failed)",
    )
    add(
        "--check-independence",
        type=read_number(int, 1),
        metavar="N",
        help="before, ask the first N questions alone, in threes, together and in other orders, and say "
        "whether an answer depends on what is asked beside it, and why",
    )
    _describe_end(parser)


def _describe_end(parser: Parser) -> None:
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
    add_field(add)
    add(
        "--csv",
        action="store_true",
        help="also write each answer to answers.csv in the folder of the run as it comes: id;model_answer",
    )
    add_prices(add)
    add("--html", metavar="FILE", type=Path, help="also write a page")
    add("--json", action="store_true", help="print one JSON document in the place of a table")
    add("--quiet", action="store_true", help="no progress")
