"""The flags of `inference_benchmark.py`."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from steelyard.errors import UsageError

SUBSETS = ("all", "PAM", "MusicEval", "MusicArena", "CMI-Pref")
BACKENDS = ("final", "standard")
MODELS = ("cmi_rm", "cmi_rm_head")
JSON = ("model_init_kwargs_json", "model_score_kwargs_json")

_ABOUT = "Score the music of a benchmark with a reward model, and compare the scores with human judgement."
_EXAMPLES = """\
examples:
  python inference_benchmark.py -c DIR/model.safetensors --dataset_jsonl FILE --dataset_root DIR
  python inference_benchmark.py -c DIR/model.safetensors --dataset_jsonl FILE --dataset_root DIR \\
    --model_class_path custom_models.sample_model:CMIRewardModelBaseline \\
    --model_init_kwargs_json '{"mode": "standard"}'
  python inference_benchmark.py … --output_dir DIR --resume       goes on with a run that was stopped

exit codes: 0 all was scored, 1 some of it was not, 2 wrong usage, 130 stopped
"""


def read_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """What a command line says; wrong usage leaves with 2."""
    parser = argparse.ArgumentParser(
        prog="inference_benchmark.py",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_model(parser)
    _add_data(parser)
    _add_asking(parser)
    _add_results(parser)
    options = parser.parse_args(arguments)
    for name in JSON:
        setattr(options, name, _read_mapping(f"--{name}", getattr(options, name)))
    return options


def _read_mapping(flag: str, text: str) -> Mapping[str, Any]:
    """The JSON object that a flag was given."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{flag} is no JSON: {text}", hint=f"{error}; quote it for the shell") from error
    if not isinstance(found, dict):
        raise UsageError(f"{flag} is no JSON object: {text}", hint='it has the form {"name": value}')
    return found


def _add_model(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("the model").add_argument
    add("-c", "--checkpoint", metavar="FILE", help="model.safetensors, with config.yaml beside it or above")
    add(
        "--model",
        choices=MODELS,
        default="cmi_rm",
        help="cmi_rm: the built-in network; cmi_rm_head: the same, of whose checkpoint only the heads are "
        "taken, and the encoders from the folders that its configuration names (default: cmi_rm)",
    )
    add("--model_class_path", metavar="MODULE:CLASS", help="a class of one's own in the place of --model")
    add(
        "--model_init_kwargs_json",
        default="{}",
        metavar="JSON",
        help="arguments of its constructor, as an object",
    )
    add(
        "--model_score_kwargs_json",
        default="{}",
        metavar="JSON",
        help="arguments of its score_batch, as an object",
    )
    add("--device", metavar="NAME", help="cpu, cuda:0, … (cuda:0 where there is CUDA, else cpu)")
    add(
        "--reward_model_backend",
        "--inference_mode",
        choices=BACKENDS,
        default="final",
        help="final: all of the music in one pass; standard: windows, whose scores are averaged (final)",
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("the data").add_argument
    add("--dataset_jsonl", type=Path, required=True, metavar="FILE", help="a row for each piece or pair")
    add("--dataset_root", type=Path, metavar="DIR", help="where its relative paths begin (that of the file)")
    add("--split", metavar="NAME", help="only rows of this split; all for every row (test)")
    add("--subset", choices=SUBSETS, default="all", help="only rows of this source (all)")


def _add_asking(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("asking").add_argument
    add("--batch_size", type=_count, default=8, metavar="N", help="so many pieces at a time (8)")
    add("--max_dur", type=_seconds, default=120.0, metavar="SECONDS", help="hear so much; none for all (120)")
    add("--workers", type=_count, metavar="N", help="so many threads decode music ahead")
    add(
        "--on_error",
        choices=("stop", "record"),
        default="record",
        help="at a piece that cannot be scored: stop, to be resumed, or write it down and go on (record)",
    )
    add(
        "--check_independence",
        type=_count,
        metavar="N",
        help="see on N rows whether scores depend on company",
    )


def _add_results(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("the results").add_argument
    add("--results_root", type=Path, default=Path("results"), metavar="DIR",
        help="results go to DIR/MODEL/CHECKPOINT_TIME (results)")  # fmt: skip
    add("--output_dir", type=Path, metavar="DIR", help="results go here")
    add(
        "--resume", action="store_true", help="go on in --output_dir, or in the last folder of --results_root"
    )
    add("--run_evaluate", action="store_true", default=True, help="compare with human judgement (as it is)")
    add("--no_run_evaluate", action="store_false", dest="run_evaluate", help="only score")
    add("--eval_yaml", type=Path, metavar="FILE", help="which rows, metrics, groups and files are wanted")
    add("--debug", action="store_true", help="show the whole of an error")


def _count(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError("must be a whole number of at least 1")
    return number


def _seconds(text: str) -> float | None:
    if text.lower() == "none":
        return None
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError("must be more than 0, or none")
    return number
