"""`steelyard score`: a reward model held against people, or the answers of a stored run scored anew.

steelyard score --model M --data ROWS       as `steelyard eval --task preference`
steelyard score RUN --metric REF            without the model of the run
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from steelyard.cli import evaluation
from steelyard.cli.pairs import read_pairs, read_value
from steelyard.cli.reports import as_document, describe_run
from steelyard.cli.screen import show, show_json
from steelyard.errors import UsageError
from steelyard.evaluation import rescore
from steelyard.metrics.extraction import extractor
from steelyard.report.contents import read_contents
from steelyard.report.load_contents import is_load
from steelyard.store import Run
from steelyard.tasks.references import open_metric

_TASK = "preference"
_CHOOSING = ("split", "subset")
_OF_RUNS = ("run", "metric", "extract", "json")
_OF_COMMAND = ("verb", "home", "debug")


def run(options: Namespace) -> int:
    """Score and show; 1 where the run is not complete."""
    given = {name: value for name, value in vars(options).items() if value is not None}
    if "run" in given:
        return _score_again(given)
    if "model" not in given and "resume" not in given:
        hint = "score --model M --data ROWS asks a model; score RUN --metric REF scores stored answers anew"
        raise UsageError("neither a model nor a run is named", hint=hint)
    return evaluation.run(Namespace(**_as_evaluation(given)))


def _as_evaluation(options: Mapping[str, Any]) -> dict[str, Any]:
    """The flags of the same evaluation, of a task that chooses among the rows what is wanted."""
    asked = {name: value for name, value in options.items() if name not in _CHOOSING}
    chosen = [f"{name}={_as_text(options[name])}" for name in _CHOOSING if name in options]
    if chosen or "resume" not in options:
        asked["task"] = [[*words, *chosen] for words in asked.get("task", [[_TASK]])]
    return asked


def _as_text(value: str) -> str:
    """A value that is read as a text again, as a year is not."""
    return value if isinstance(read_value(value), str) else json.dumps(value)


def _score_again(given: Mapping[str, Any]) -> int:
    if odd := [name for name in given if name not in (*_OF_RUNS, *_OF_COMMAND)]:
        flag = odd[0].replace("_", "-")
        hint = "name a model and data, or a run and metrics"
        raise UsageError(f"--{flag} is for asking a model, and {given['run']} is a run", hint=hint)
    if "metric" not in given:
        raise UsageError("no metric is named", hint="--metric exact; steelyard list metrics shows them")
    if is_load(Run.open(given["run"])):
        hint = "load --check-answers TASK scores answers under load"
        raise UsageError(f"{given['run']} is a load run, whose answers are not scored anew", hint=hint)
    metrics = [open_metric((ref, read_pairs(words))) for ref, *words in given["metric"]]
    rule = given.get("extract", "none")
    scored = rescore(given["run"], metrics, extract=None if rule == "none" else extractor(rule))
    contents = read_contents(scored)
    if given.get("json"):
        show_json({"runs": [as_document(contents)]})
    else:
        show(describe_run(contents))
    return 0 if contents.complete else 1
