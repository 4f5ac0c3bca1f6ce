"""A file of one's own questions, with or without a file that tells what is to be known of it.

    {"question": "2 + 2?", "A": "3", "B": "4", "answer": "B"}        mcq: with options
    {"question": "2 + 2?", "answer": "4"}                            qa: without

NAME.meta.json beside the file, or the one that is named:

    {"abbr": "sums", "data_type": "qa", "human_prompt": "Solve: {question}", "request_count": 10}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steelyard.data.source import Data
from steelyard.errors import DataError, UnknownName, UsageError

_TYPES = ("mcq", "qa")
_COLUMNS = {
    "input_columns": "input", "output_column": "target", "options": "choices", "on_bad_row": "on_bad_row"
}  # fmt: skip
_KEYS = (
    "abbr", "data_type", "infer_method", "human_prompt", "template", "bot_prompt", "max_out_len",
    "request_count", "sampling_mode", "seed", "output_config", "dataset_type", *_COLUMNS,
)  # fmt: skip


def custom_entry(path: Path, *, meta: Path | None = None, kind: str | None = None) -> dict[str, Any]:
    """The entry of a data set that a file is."""
    if not path.exists():
        raise UsageError(f"there is no file {str(path)!r}", hint="--custom-dataset-path FILE")
    told = _read_meta(path, meta)
    kind = kind or told.get("data_type") or told.get("dataset_type") or _kind_of(path)
    method = told.get("infer_method", "gen")
    if kind not in _TYPES or method not in ("gen", "ppl"):
        hint = "data_type is mcq or qa, infer_method is gen or ppl"
        raise UsageError(f"{path.name} is asked as {kind!r} by {method!r}", hint=hint)
    template = told.get("human_prompt") or told.get("template")
    entry: dict[str, Any] = {
        "abbr": str(told.get("abbr") or path.name.partition(".")[0]),
        "task": kind,
        "path": str(path.resolve()),
        "mode": method,
        "options": {"data_options": _rows(told)},
    }
    if template:
        # Its fields are the columns of the file, which is how the engine fills a template too.
        entry["template"] = str(template)
    entry |= {key: told[key] for key in ("max_out_len", "output_config") if told.get(key)}
    return entry


def _rows(told: Mapping[str, Any]) -> dict[str, Any]:
    """Which rows are taken, and which column is what."""
    columns = {option: told[key] for key, option in _COLUMNS.items() if told.get(key)}
    if isinstance(named := columns.get("input"), list):
        # All of them can stand in the prompt; the first is what is asked where there is none.
        columns["input"] = named[0]
    count, way = told.get("request_count"), told.get("sampling_mode", "default")
    if way not in ("default", "random", "shuffle"):
        raise UnknownName("sampling_mode", str(way), ("default", "random", "shuffle"))
    if count is None:
        return columns
    rows = {"limit": count} if way == "default" else {"sample": count, "seed": told.get("seed", 0)}
    return {**columns, **rows}


def _read_meta(path: Path, meta: Path | None) -> dict[str, Any]:
    beside = [path.with_suffix(".meta.json"), path.with_name(path.name + ".meta.json")]
    file = meta or next((place for place in beside if place.is_file()), None)
    if file is None:
        return {}
    try:
        told = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise DataError(f"{file} is no JSON: {error}") from error
    if not isinstance(told, dict):
        raise DataError(f"{file} is no mapping", hint='{"abbr": …, "data_type": "qa"}')
    for key in told:
        if key not in _KEYS:
            raise UnknownName(f"key in {file}", str(key), _KEYS)
    return told


def _kind_of(path: Path) -> str:
    """Whether the first row has options."""
    first = next(iter(Data(path)))
    return "mcq" if first.choices or {"A", "B"} <= first.meta.keys() else "qa"
