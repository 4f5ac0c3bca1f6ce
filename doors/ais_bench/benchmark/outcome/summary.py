"""The table of a sitting: a row for each data set and metric, a column for each model, groups below.

dataset     version  metric    mode  my_custom_api  stderr  failed
demo_gsm8k  401e4c   accuracy  gen           62.50   18.30       0
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from steelyard.errors import UsageError
from steelyard.report.tables import Cell, Figure, Table

Results = Mapping[tuple[str, str], Mapping[str, Any]]
"""What was found, by model and data set."""


@dataclass
class _Row:
    dataset: str
    metric: str
    version: str = "-"
    mode: str = "-"
    figures: dict[str, Mapping[str, Any]] = field(default_factory=dict)


def tabulate(
    results: Results, models: Sequence[str], sets: Sequence[str], summarizer: Mapping[str, Any]
) -> Table:
    """All results as one table; a summarizer may choose its rows, and groups of them."""
    rows = [row for name in sets for row in _rows_of(name, results, models)]
    for group in summarizer.get("summary_groups") or ():
        rows += _group(group, rows, models)
    if wanted := summarizer.get("dataset_abbrs"):
        rows = [_chosen(given, rows) for given in wanted]
    beside = len(models) > 1
    extra = [f"{model} {word}" if beside else word for model in models for word in ("stderr", "failed")]
    columns = ["dataset", "version", "metric", "mode", *models, *extra]
    return Table(columns, [_cells(row, models) for row in rows])


def write_csv(table: Table) -> str:
    """The table as comma-separated values, with two decimals as it is shown."""
    shown = [[str(cell) if isinstance(cell, Figure) else cell for cell in row] for row in table.rows]
    return Table(table.columns, shown).csv()


def _rows_of(name: str, results: Results, models: Sequence[str]) -> Iterator[_Row]:
    """The rows of one data set: of its subjects first, where it has several."""
    found = {model: results[model, name] for model in models if (model, name) in results}
    if not found:
        yield _Row(name, "-")
        return
    about = next(iter(found.values()))
    told = {"version": str(about.get("version", "-")), "mode": str(about.get("mode", "-"))}
    subsets = list(dict.fromkeys(subset for one in found.values() for subset in one.get("subsets", ())))
    for subset in subsets:
        figures = {
            model: one["subsets"][subset] for model, one in found.items() if subset in one.get("subsets", ())
        }
        yield _Row(f"{name}-{subset}", _metric_of(figures), **told, figures=figures)
    if subsets:
        figures = {
            model: _average(list(one["subsets"].values()))
            for model, one in found.items()
            if one.get("subsets")
        }
        yield _Row(name, "naive_average", **told, figures=figures)
    metrics = list(dict.fromkeys(figure["metric"] for one in found.values() for figure in one["metrics"]))
    for place, metric in enumerate(metrics):
        figures = {model: f for model, one in found.items() for f in one["metrics"] if f["metric"] == metric}
        weighted = bool(subsets) and place == 0
        label = "weighted_average" if weighted else metric
        yield _Row(f"{name}-weighted" if weighted else name, label, **told, figures=figures)


def _group(group: Mapping[str, Any], rows: Sequence[_Row], models: Sequence[str]) -> Iterator[_Row]:
    """The rows of a group: the average of its parts, weighted where it says so."""
    if "name" not in group or not group.get("subsets"):
        raise UsageError(
            "a group of a summarizer has no name or no subsets", hint="dict(name=…, subsets=[…])"
        )
    parts = [(_name_of(given), _find(given, rows, group.get("metric"))) for given in group["subsets"]]
    weights = group.get("weights")
    figures: dict[str, Mapping[str, Any]] = {}
    for model in models:
        known = [
            (name, row.figures[model]) for name, row in parts if row is not None and model in row.figures
        ]
        if len(known) == len(parts):
            shares = None if weights is None else [float(weights.get(name, 0)) for name, _ in known]
            figures[model] = _average([figure for _, figure in known], shares)
    metric = "naive_average" if weights is None else "weighted_average"
    modes = {row.mode for _, row in parts if row is not None}
    yield _Row(str(group["name"]), metric, mode=modes.pop() if len(modes) == 1 else "-", figures=figures)


def _average(figures: Sequence[Mapping[str, Any]], weights: Sequence[float] | None = None) -> dict[str, Any]:
    """The mean of independent figures, with its error."""
    shares = [1.0] * len(figures) if weights is None else weights
    total = math.fsum(shares)
    values, errors = ([figure[name] for figure in figures] for name in ("value", "stderr"))
    value = stderr = None
    if total and None not in values:
        value = math.fsum(share * number for share, number in zip(shares, values)) / total
        if None not in errors:
            stderr = (
                math.sqrt(math.fsum((share * error) ** 2 for share, error in zip(shares, errors))) / total
            )
    return {"value": value, "stderr": stderr, "failed": sum(figure["failed"] for figure in figures)}


def _chosen(given: Any, rows: Sequence[_Row]) -> _Row:
    """A row that a summarizer names; what names none stands as a line between them."""
    return _find(given, rows, None) or _Row(_name_of(given), "-")


def _find(given: Any, rows: Sequence[_Row], metric: Any) -> _Row | None:
    name = _name_of(given)
    wanted = given[1] if isinstance(given, (list, tuple)) and len(given) > 1 else metric
    return next((row for row in rows if row.dataset == name and wanted in (None, row.metric)), None)


def _name_of(given: Any) -> str:
    return str(given[0] if isinstance(given, (list, tuple)) and given else given)


def _metric_of(figures: Mapping[str, Mapping[str, Any]]) -> str:
    return str(next(iter(figures.values()))["metric"])


def _cells(row: _Row, models: Sequence[str]) -> list[Cell]:
    shown: list[Cell] = [row.dataset, row.version, row.metric, row.mode]
    figures = [row.figures.get(model, {}) for model in models]
    shown += [Figure(figure.get("value"), 2) for figure in figures]
    for figure in figures:
        shown += [Figure(figure.get("stderr"), 2), figure.get("failed")]
    return shown
