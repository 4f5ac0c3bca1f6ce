"""The flags of the verbs that read stored runs: report, explain, compare, and leaderboard."""

from __future__ import annotations

from pathlib import Path

from steelyard.cli.flags.base import Parser, add_field, add_forms, add_prices
from steelyard.cli.values import read_number


def describe_report(parser: Parser) -> None:
    """What `steelyard report` takes."""
    _add_runs(parser)
    add = parser.add_argument
    add_field(add)
    add_prices(add)
    add(
        "--leaderboard",
        metavar="FILE",
        type=Path,
        help="also write the runs' models as a table by --by: .csv, .md, .tex (LaTeX) or .html",
    )
    add("--answers", metavar="FILE", type=Path, help="also write id;model_answer of one run as CSV")
    add("--stage", dest="stage_name", metavar="NAME", help="of a load run: this stage, by name or number")
    add("--steady", action="store_true", help="of a load run: while the load stood still, if it did")
    add("--rows", metavar="FILE", type=Path, help="of a load run: also a row a request, as CSV or .parquet")
    add("--push", metavar="URL", help="of a load run: also send the figures to a Prometheus push gateway")
    add_forms(parser)


def describe_explain(parser: Parser) -> None:
    """What `steelyard explain` takes."""
    parser.add_argument("run", metavar="RUN", type=Path, help="the folder of a run")
    parser.add_argument(
        "id", metavar="ID", help="the id of a sample, or ID#TURN where it was asked several times"
    )
    parser.add_argument("--json", action="store_true", help="print the stored records as JSON")


def describe_compare(parser: Parser) -> None:
    """What `steelyard compare` takes."""
    parser.add_argument("base", metavar="RUN", type=Path, help="the run that others are compared with")
    parser.add_argument("others", metavar="OTHER", nargs="+", type=Path, help="the runs to compare with it")
    parser.add_argument("--metric", action="append", metavar="NAME", help="only these metrics; repeatable")
    add_field(parser.add_argument)
    parser.add_argument(
        "--flips", type=read_number(int, 0), metavar="N", help="how many changed samples to name (10)"
    )
    add_forms(parser)


def _add_runs(parser: Parser) -> None:
    parser.add_argument(
        "runs", metavar="RUN", nargs="+", type=Path, help="the folder of a run, or of a series"
    )
