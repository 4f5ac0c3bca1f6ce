"""One line of `results.jsonl`: the row, and what the model makes of it.

{"audio-path": "a.wav", "prompt": "jazz", "musicality": 3.5, "text-music alignment": 4.0, "source": "PAM",
 "benchmark_dataset": "PAM", "predicted_text-music alignment": 0.31, "predicted_musicality": -0.2,
 "inference_valid_a": true, "inference_error": null, "audio_seconds": 10.0,
 "duration_bin": "10-30 s"}

Of a pair the predictions of the other piece end in `_b`, and there are predicted preferences: a, b, or
tie where the scores are equal. What could not be scored is null. Such a line tells all that is needed to
compare the scores with human judgement once more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from steelyard.errors import DataError, StoreError
from steelyard.types import Record, Response

# What the engine calls a score, and what the rows call it.
RATED = {"alignment": "text-music alignment", "musicality": "musicality"}
_PREFERENCES = {
    "preference": "musicality",
    "preference-musicality": "musicality",
    "preference-alignment": "alignment",
}
_SIDES = ("", "_b")
_LARGEST = 1e308
_SECONDS = "audio_seconds"
BIN = "duration_bin"


def row_of(record: Record) -> dict[str, Any]:
    """The line of one answer."""
    meta, response = record.sample.meta, record.response
    scores = response.scores if isinstance(response.scores, Mapping) else {}
    raw = response.raw if isinstance(response.raw, Mapping) else {}
    pair = "audio_b" in record.sample.input
    sides = _SIDES if pair else _SIDES[:1]
    valid = raw.get("valid") or [response.error is None] * len(sides)
    seconds = raw.get("seconds") or [None] * len(sides)
    row = {**meta["row"], "benchmark_dataset": meta.get("dataset", "")}
    for side in sides:
        for name, column in RATED.items():
            row[f"predicted_{column}{side}"] = _number(scores.get(name + side))
    if pair:
        for column, name in _PREFERENCES.items():
            row[f"predicted_{column}"] = _prefer(_number(scores.get(name)), _number(scores.get(f"{name}_b")))
    for side, is_valid in zip("ab", valid):
        row[f"inference_valid_{side}"] = bool(is_valid)
    row["inference_error"] = response.error
    row.update({f"{_SECONDS}{side}": _number(long) for side, long in zip(_SIDES, seconds)})
    row[BIN] = meta.get("duration")
    return row


def response_of(row: Mapping[str, Any]) -> Response:
    """The answer that a line tells of."""
    scores = {
        name + side: number
        for side in _SIDES
        for name, column in RATED.items()
        if (number := _number(row.get(f"predicted_{column}{side}"))) is not None
    }
    error = row.get("inference_error")
    sides = [row[f"inference_valid_{side}"] for side in "ab" if f"inference_valid_{side}" in row]
    if error is None and (not scores or not all(sides)):
        error = "there is no score"
    return Response(scores=scores or None, error=None if error is None else str(error))


def seconds_of(row: Mapping[str, Any]) -> float | None:
    """How much of its pieces was heard, of the longer one."""
    heard = [number for side in _SIDES if (number := _number(row.get(_SECONDS + side))) is not None]
    return max(heard, default=None)


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write all lines, or none."""
    temporary = path.with_name(path.name + ".new")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
        temporary.replace(path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file of results."""
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _parse(line, f"{path}:{number}")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _parse(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is no JSON: {error}") from error
    if not isinstance(row, dict):
        raise DataError(f"{where} is no JSON object")
    return row


def _prefer(first: float | None, second: float | None) -> str | None:
    if first is None or second is None:
        return None
    return "tie" if first == second else "a" if first > second else "b"


def _number(value: Any) -> float | None:
    """A number that JSON has, else none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    # A whole number of JSON may be larger than any float.
    return float(value) if abs(value) < _LARGEST else None
