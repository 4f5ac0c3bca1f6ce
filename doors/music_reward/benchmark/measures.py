"""Lines of results held against human judgement: a row for each data set and task, and one for each group.

    {"dataset": "PAM", "task": "musicality", "n": 240, "SRCC": 0.61, "LCC": 0.6, "K-Tau": 0.44, "ACC": None}
    {"dataset": "CMI-Pref", "task": "alignment", "group_key": "confidence", "group_value": ">3", "n": 52,
     "ACC": 0.71, "ref_category": "no_ref", …}

Behind the documented columns stand ours: 95 % intervals, how many failed (which count as wrong), how often
the scores of a pair were equal (which counts half), how many have a label that nobody knows or no score of
that name (which are left out).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from music_reward.benchmark.rows import BIN, response_of, seconds_of
from music_reward.benchmark.settings import ALL, GROUPS, Settings
from steelyard.data.layouts.base import Fields, Place
from steelyard.data.layouts.music import make_music
from steelyard.data.rows import BadRow
from steelyard.errors import DataError
from steelyard.metrics.base import Metric, is_about, name_of
from steelyard.metrics.preferences import TIED
from steelyard.metrics.scoring import Scorer
from steelyard.metrics.summary import Result, Summary
from steelyard.tasks.rewards import METRICS
from steelyard.types import Record, Request, Sample

CORRELATIONS = {"SRCC": "srcc", "LCC": "lcc", "K-Tau": "ktau"}
ACCURACY = "ACC"
NUMBERS = (*CORRELATIONS, ACCURACY)
# What of a data set is compared, and by which metrics.
_METRICS: dict[str, Metric] = {name_of(metric): metric for metric in METRICS}
_TASKS: Mapping[str, Mapping[str, str]] = {
    "PAM": {"musicality": "", "alignment": ""},
    "MusicEval": {"musicality": "", "alignment": ""},
    "MusicArena": {"preference": "preference"},
    "CMI-Pref": {"alignment": "preference_alignment", "musicality": "preference_musicality"},
}
_ANY = {
    "musicality": "preference_musicality",
    "alignment": "preference_alignment",
    "preference": "preference",
}


class Cell(NamedTuple):
    """Where a row of results stands; without a group it is of the whole data set."""

    dataset: str
    task: str
    group_key: str = ""
    group_value: str = ""
    ref_category: str = ALL


@dataclass(frozen=True)
class Measures:
    """The rows of both tables, the results of the first by data set and task, and of how many lines."""

    lines: int
    summary: Sequence[Mapping[str, Any]]
    detail: Sequence[Mapping[str, Any]]
    results: Mapping[Cell, Mapping[str, Result]]


def measure_rows(rows: Iterable[Mapping[str, Any]], settings: Settings) -> Measures:
    """Hold the predictions in lines of results against what people said."""
    cells: dict[Cell, Summary] = {}
    lines = 0
    for number, row in enumerate(rows):
        record = _record_of(row, number)
        if settings.split not in (ALL, record.sample.meta.get("split", settings.split)):
            continue
        lines += 1
        for metrics, places in _places_of(record.sample, settings):
            scores, _ = Scorer(metrics).begin(record.sample, record.response)
            for cell in places:
                if cell not in cells:
                    cells[cell] = Summary(metrics)
                cells[cell].add(replace(record, scores=scores))
    results = {
        cell: {result.metric: result for result in cells[cell].results()}
        for cell in sorted(cells, key=_order)
    }
    whole = {cell: found for cell, found in results.items() if not cell.group_key}
    summary = [_summary_row(cell, found) for cell, found in whole.items()]
    detail = [_detail_row(cell, found) for cell, found in results.items() if cell.group_key]
    return Measures(lines, summary, detail, whole)


def columns_of(rows: Sequence[Mapping[str, Any]], *, detail: bool) -> list[str]:
    """The columns of a table, which it has without rows too."""
    make = _detail_row if detail else _summary_row
    return list(rows[0] if rows else make(Cell("", ""), {}))


def _record_of(row: Mapping[str, Any], number: int) -> Record:
    # What was heard of it stands in for how long it is: no file is looked at.
    told = {"duration": seconds_of(row), **row}
    try:
        sample = make_music(Fields(told), Place(number, "", number))
    except BadRow as bad:
        raise DataError(f"row {number + 1} of the results: {bad}", hint=bad.hint) from bad
    meta = {**sample.meta, "dataset": str(row.get("benchmark_dataset") or sample.meta.get("dataset", ""))}
    if BIN in row:
        meta["duration"] = None if row[BIN] is None else str(row[BIN])
    return Record(number, replace(sample, meta=meta), Request(sample.id, ""), response_of(row))


def _places_of(sample: Sample, settings: Settings) -> Iterator[tuple[list[Metric], list[Cell]]]:
    """By which metrics a sample is compared, and where that counts."""
    meta = sample.meta
    for task, preference in _TASKS.get(meta["dataset"], _ANY).items():
        kinds = ("srcc", *["lcc"] * settings.include_lcc, *["ktau"] * settings.include_k_tau)
        names = [*(f"{task}_{kind}" for kind in kinds), preference]
        found = [_METRICS[name] for name in names if name in _METRICS]
        metrics = [metric for metric in found if is_about(metric, sample)]
        if metrics:
            yield metrics, [Cell(meta["dataset"], task), *_groups_of(meta, task, settings)]


def _groups_of(meta: Mapping[str, Any], task: str, settings: Settings) -> Iterator[Cell]:
    for group in settings.groups:
        by_confidence = group == "confidence"
        value = meta.get(f"{GROUPS[group]}_{task}" if by_confidence else GROUPS[group])
        if value is not None:
            for ref in (ALL, meta["ref"]) if by_confidence else (ALL,):
                yield Cell(meta["dataset"], task, group, value, ref)


def _order(cell: Cell) -> tuple[Any, ...]:
    """The known data sets as they are documented, then others by name; durations by their length."""
    datasets, groups = list(_TASKS), list(GROUPS)
    known = datasets.index(cell.dataset) if cell.dataset in datasets else len(datasets)
    group = groups.index(cell.group_key) if cell.group_key else -1
    length = re.search(r"\d+", cell.group_value) if cell.group_key == "duration" else None
    tasks = list(_TASKS.get(cell.dataset, _ANY))
    place = (known, cell.dataset, tasks.index(cell.task), group, int(length[0]) if length else 0)
    return (*place, cell.group_value, cell.ref_category != ALL, cell.ref_category)


def _summary_row(cell: Cell, found: Mapping[str, Result]) -> dict[str, Any]:
    named = _name_results(cell, found)
    head = {"dataset": cell.dataset, "task": cell.task, "n": _count(found)}
    values = {name: result and result.value for name, result in named.items()}
    return {**head, **values, **_beside(cell, found)}


def _detail_row(cell: Cell, found: Mapping[str, Result]) -> dict[str, Any]:
    values = {name: result and result.value for name, result in _name_results(cell, found).items()}
    documented = {
        "dataset": cell.dataset,
        "task": cell.task,
        "group_key": cell.group_key,
        "group_value": cell.group_value,
        "n": _count(found),
        ACCURACY: values.pop(ACCURACY),
        "ref_category": cell.ref_category,
    }
    return {**documented, **values, **_beside(cell, found)}


def _beside(cell: Cell, found: Mapping[str, Result]) -> dict[str, Any]:
    """What stands behind the documented columns."""
    named = _name_results(cell, found)
    bounds = {
        f"{name}_{bound}": result and getattr(result, bound)
        for name, result in named.items()
        for bound in ("low", "high")
    }
    accuracy, outcomes = named[ACCURACY], found.get(f"{_preference_of(cell)}.outcome")
    tied = None if accuracy is None else ((outcomes and outcomes.labels) or {}).get(TIED, 0)
    first = next(iter(found.values()), None)
    failed, dropped = (first.failed, first.undefined) if first else (0, 0)
    return {**bounds, "failed": failed, "ties": tied, "dropped": dropped}


def _name_results(cell: Cell, found: Mapping[str, Result]) -> dict[str, Result | None]:
    """The results of a cell by the columns that they stand in."""
    names = {column: f"{cell.task}_{kind}" for column, kind in CORRELATIONS.items()}
    return {column: found.get(name) for column, name in {**names, ACCURACY: _preference_of(cell)}.items()}


def _preference_of(cell: Cell) -> str:
    return _TASKS.get(cell.dataset, _ANY).get(cell.task, "")


def _count(found: Mapping[str, Result]) -> int:
    """How many rows are compared."""
    return next((result.n for result in found.values() if not result.labels), 0)
