"""The folder of results: tables for people and machines beside the stored run."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from music_reward.benchmark.measures import NUMBERS, Measures, columns_of
from music_reward.benchmark.settings import Settings
from steelyard.errors import StoreError
from steelyard.report.leaderboard import Entry, rank_results
from steelyard.report.leaderboard_forms import write_latex
from steelyard.report.tables import Cell, Figure, Table


def write_measures(folder: Path, measures: Measures, settings: Settings, *, model: str) -> None:
    """Write those tables that are wanted: the same rows give the same bytes."""
    document = {
        "config": {"model": model, **settings.to_dict()},
        "summary": measures.summary,
        "detail": measures.detail,
    }
    texts = {
        "summary": _as_csv(columns_of(measures.summary, detail=False), measures.summary),
        "detail": _as_csv(columns_of(measures.detail, detail=True), measures.detail),
        "json": as_json(document),
        "latex": _as_latex(measures, model),
    }
    for kind, name in settings.outputs.items():
        write_text(folder / name, texts[kind])


def tabulate(measures: Measures) -> Table:
    """The summary as it is shown: numbers with their intervals."""
    columns = ["dataset", "task", "n", *NUMBERS, "failed", "ties", "dropped"]
    rows: list[list[Cell]] = []
    for row in measures.summary:
        shown = [_with_interval(row, name) for name in NUMBERS]
        rows.append(
            [row["dataset"], row["task"], row["n"], *shown, row["failed"], row["ties"], row["dropped"]]
        )
    return Table(columns, rows, spare=("dropped", "ties", "LCC"))


def as_json(document: Any) -> str:
    """A document with null where there is no number."""
    return json.dumps(_finite(document), indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write a whole file, or leave what was there."""
    temporary = path.with_name(path.name + ".new")
    try:
        # What is no text is told all the same: half of a surrogate pair.
        temporary.write_text(text, "utf-8", errors="backslashreplace", newline="")
        temporary.replace(path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _as_csv(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_finite(rows))
    return text.getvalue()


def _as_latex(measures: Measures, model: str) -> str:
    entries = [
        Entry(model, cell.dataset, result)
        for cell, found in measures.results.items()
        for result in found.values()
    ]
    return write_latex(rank_results(entries, title="Agreement with human judgement"))


def _with_interval(row: Mapping[str, Any], name: str) -> str | None:
    value, low, high = (row[column] for column in (name, f"{name}_low", f"{name}_high"))
    if value is None:
        return None
    inside = "" if low is None else f" [{Figure(low, 2)}, {Figure(high, 2)}]"
    return f"{Figure(value, 3)}{inside}"


def _finite(value: Any) -> Any:
    """The same with None in the place of what JSON does not know as a number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return value
