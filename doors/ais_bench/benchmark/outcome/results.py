"""The scores of a data set as one JSON file: all that a table is drawn from.

    {"accuracy": 62.5, "accuracy_stderr": 18.3, "n": 8, "failed": 0, "version": "401e4c", "mode": "gen", …}

Numbers are of a hundred where they are shares.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ais_bench.benchmark.datasets.entries import AskedSet
from ais_bench.benchmark.datasets.merging import FIELD
from ais_bench.benchmark.datasets.readers import gold_of, said_of
from steelyard.errors import StoreError
from steelyard.metrics.summary import Result, Summary
from steelyard.store import Run
from steelyard.types import Record

_OF_A_HUNDRED = ("bleu", "chrf")


def results_of(run: Run, sets: Sequence[AskedSet], *, details: bool = False) -> dict[str, dict[str, Any]]:
    """What each data set of a run comes to, by its name."""
    if len(sets) == 1 and not (sets[0].subsets or details) and run.about.get("state") == "done":
        stored = msgspec.convert(run.about.get("results", []), list[Result])
        return {sets[0].abbr: _document(run, sets[0], stored)}
    parts = {one.abbr: _Part(one, details=details) for one in sets}
    for record in run.records():
        abbr = str(record.sample.meta[FIELD]) if len(sets) > 1 else sets[0].abbr
        parts[abbr].add(record)
    return {abbr: part.document(run) for abbr, part in parts.items()}


def write_results(path: Path, document: Mapping[str, Any]) -> None:
    """Put results into their file."""
    text = msgspec.json.format(msgspec.json.encode(document, enc_hook=str), indent=4)
    try:
        path.write_bytes(text + b"\n")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error


def read_results(path: Path) -> dict[str, Any] | None:
    """The results in a file; None where there is none."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read", hint="--mode eval makes it anew") from error
    return found if isinstance(found, dict) else None


class _Part:
    """The records of one data set."""

    def __init__(self, one: AskedSet, *, details: bool) -> None:
        self.one = one
        fields = [one.subsets] if one.subsets else []
        self.summary = Summary(one.task.metrics, extract=one.task.extract, fields=fields)
        self.details: list[dict[str, Any]] | None = [] if details else None

    def add(self, record: Record) -> None:
        self.summary.add(record)
        if self.details is not None:
            self.details.append(_detail(record, self.one))

    def document(self, run: Run) -> dict[str, Any]:
        field = self.one.subsets
        subsets = self.summary.by(field) if field else {}
        found = _document(run, self.one, self.summary.results())
        if len(subsets) > 1:
            found["subsets"] = {
                name: _figure(results[0], self.one) for name, results in subsets.items() if results
            }
        if self.details is not None:
            found["details"] = self.details
        return found


def _document(run: Run, one: AskedSet, results: Sequence[Result]) -> dict[str, Any]:
    numbers = [result for result in results if not (result.labels and result.value is None)]
    figures = [_figure(result, one, first=place == 0) for place, result in enumerate(numbers)]
    document: dict[str, Any] = {}
    for figure in figures:
        document[figure["metric"]] = figure["value"]
        document[f"{figure['metric']}_stderr"] = figure["stderr"]
    head = figures[0] if figures else {"n": 0, "failed": 0}
    about = {"n": head["n"], "failed": head["failed"], "version": one.version, "mode": one.mode}
    return {**document, **about, "state": run.about.get("state"), "metrics": figures}


def _figure(result: Result, one: AskedSet, *, first: bool = True) -> dict[str, Any]:
    """A result in numbers of a hundred."""
    metric = next((m for m in one.task.metrics if getattr(m, "name", "") == result.metric), None)
    whole = result.metric.startswith(_OF_A_HUNDRED) or getattr(metric, "percent", False)
    numbers = {name: getattr(result, name) for name in ("value", "stderr", "low", "high", "answered")}
    scaled = {name: number if number is None or whole else 100 * number for name, number in numbers.items()}
    return {
        "metric": one.label_of(result.metric, first=first),
        "name": result.metric,
        **scaled,
        "n": result.n,
        "failed": result.failed,
    }


def _detail(record: Record, one: AskedSet) -> dict[str, Any]:
    """One answer as it was scored."""
    response, taken = record.response, None
    if one.task.extract is not None and response.error is None:
        taken = one.task.extract(response.text, record.sample).value
    found = {
        "id": record.index,
        "prediction": said_of(record),
        "extracted": taken,
        "gold": gold_of(record.sample),
    }
    first = next(iter(record.scores.values()), None)
    correct = first if isinstance(first, bool) else None
    error = {"error_info": response.error} if response.error is not None else {}
    return {**found, "correct": correct, "scores": record.scores, **error}
