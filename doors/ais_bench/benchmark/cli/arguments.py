"""The flags of `ais_bench`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MODES = ("all", "infer", "eval", "viz", "perf", "perf_viz")
LATEST = "latest"

_ABOUT = "Ask models the questions of data sets and score their answers."
_EXAMPLES = """\
examples:
  ais_bench --models vllm_api_general_chat host_port=8000 --datasets demo_gsm8k_gen_4_shot_cot_chat_prompt
  ais_bench my_evaluation.py --num-prompts 100
  ais_bench --models my_custom_api --datasets gsm8k_gen --reuse
  ais_bench --datasets 'mmlu*' --search
"""


def read_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """What a command line says; wrong usage leaves with 2."""
    parser = argparse.ArgumentParser(
        prog="ais_bench",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_what(parser)
    _add_how(parser)
    _add_own_data(parser)
    _add_load(parser)
    return parser.parse_args(arguments)


def _add_what(parser: argparse.ArgumentParser) -> None:
    what = parser.add_argument_group("what")
    named: dict[str, Any] = {"nargs": "+", "action": "extend", "default": [], "metavar": "NAME"}
    what.add_argument("config", nargs="?", type=Path, help="a configuration file with models and datasets")
    what.add_argument("--models", **named, help="models; KEY=VALUE behind one changes a field of it")
    what.add_argument("--datasets", **named, help="data sets, likewise")
    what.add_argument("--summarizer", metavar="NAME", help="how results are put together")
    what.add_argument("--config-dir", type=Path, metavar="DIR", help="where NAME.py is looked for first")


def _add_how(parser: argparse.ArgumentParser) -> None:
    how = parser.add_argument_group("how")
    add = how.add_argument
    add("--mode", choices=MODES, default="all", help="all; only ask; only score; only draw the results")
    add("-s", "--search", action="store_true", help="show what the names stand for, and end")
    add("--dry-run", action="store_true", help="show what would be asked, and end")
    add("-r", "--reuse", nargs="?", const=LATEST, metavar="TIME", help="go on with the last run, or this")
    add("-w", "--work-dir", type=Path, metavar="DIR", help="where runs are kept (outputs/default)")
    add("--max-num-workers", type=_at_least_one, metavar="N", help="so many tasks at a time (1)")
    add("--num-prompts", type=_at_least_one, metavar="N", help="only the first N questions of a data set")
    add("--merge-ds", action="store_true", help="ask data sets of one kind together")
    add("--dump-eval-details", action="store_true", help="keep what was scored with the results")
    add("--debug", action="store_true", help="show the whole of an error")


def _add_own_data(parser: argparse.ArgumentParser) -> None:
    own = parser.add_argument_group("data of one's own")
    own.add_argument("--custom-dataset-path", type=Path, metavar="FILE", help="questions in JSONL or CSV")
    own.add_argument(
        "--custom-dataset-meta-path", type=Path, metavar="FILE", help="what is to be known of it"
    )
    own.add_argument("--custom-dataset-data-type", choices=("mcq", "qa"), help="with options, or without")


def _add_load(parser: argparse.ArgumentParser) -> None:
    load = parser.add_argument_group("load tests (--mode perf)")
    load.add_argument("--num-warmups", type=int, default=1, metavar="N", help="questions before the first")
    load.add_argument("--pressure", action="store_true", help="clients that ask again and again")
    load.add_argument("--pressure-time", type=int, default=15, metavar="SECONDS", help="for so long")


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
