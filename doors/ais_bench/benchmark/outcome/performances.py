"""The files of a load test, as users of such tools know them, made of the run.

performances/MODEL/DATASET.csv             how times and tokens are spread, numbers joined with their units
performances/MODEL/DATASET.json            what it came to as a whole
performances/MODEL/DATASET_details.jsonl   a line a request, times in seconds
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ais_bench.benchmark.outcome.performance_tables import Stages, collect_metrics, tabulate_parameters
from steelyard.errors import StoreError
from steelyard.timings.columns import MICRO, Columns
from steelyard.timings.measures import take_measure
from steelyard.timings.rows import COUNTED_BY, STATES, TAKEN_BY

MOST_EVENTS = 1_000_000
"""Of how many token events each gap is written; where there are more, only the run has them."""

_TIMES = (("due", "due"), ("start_time", "sent"), ("first_byte", "first_byte"), ("end_time", "done"))
_SPANS = ("lag", "held", "connecting")
_MEASURES = {"latency": "e2el", "ttft": "ttft", "tpot": "tpot"}
_encode = msgspec.json.Encoder().encode


def write_performance(
    place: Callable[[str], Path], stages: Stages, columns: Columns, *, name: str, statistics: Sequence[str]
) -> None:
    """Write the files of one load test, each where `place` says for its suffix."""
    metrics = collect_metrics(stages)
    if any(one.doubts for one in stages.values()):
        metrics["Doubts"] = {stage: list(one.doubts) for stage, one in stages.items()}
    with told(place(".csv")) as path:
        path.write_text(tabulate_parameters(stages, statistics).csv() + "\n", "utf-8")
    with told(place(".json")) as path:
        path.write_bytes(msgspec.json.format(_encode(metrics), indent=4) + b"\n")
    with told(place("_details.jsonl")) as path, path.open("wb") as file:
        for line in _details(columns, name):
            file.write(_encode(line) + b"\n")


def _details(columns: Columns, name: str) -> Iterator[dict[str, Any]]:
    """A line a request."""
    itl = _gaps_of(columns) if int(columns.events.sum()) <= MOST_EVENTS else None
    numbers = {label: getattr(columns, field).tolist() for label, field in _TIMES}
    numbers |= {field: getattr(columns, field).tolist() for field in _SPANS}
    numbers |= {label: take_measure(columns, name).tolist() for label, name in _MEASURES.items()}
    counts = {"input_tokens": columns.tokens_in.tolist(), "output_tokens": columns.tokens_out.tolist()}
    for row, (sample, session) in enumerate(columns.names()):
        times = {label: values[row] for label, values in numbers.items()}
        state = STATES[columns.state[row]]
        line: dict[str, Any] = {
            "data_abbr": name, "id": int(columns.index[row]), "sample": sample, "session": session,
            "turn": int(columns.turn[row]), "success": state == "ok", "state": state,
        }  # fmt: skip
        if columns.error[row] >= 0:
            line["error_info"] = columns.errors[columns.error[row]]
        # What did not happen is NaN, which equals nothing, itself included.
        line |= {label: round(value, 7) for label, value in times.items() if value == value}  # noqa: PLR0124
        line |= {label: values[row] for label, values in counts.items() if values[row] >= 0}
        line["tokens_counted_by"] = COUNTED_BY[columns.counted_by[row]]
        line["times_taken_by"] = TAKEN_BY[columns.taken_by[row]]
        if itl is not None:
            line["itl"] = itl.get(row, [])
        yield line


def _gaps_of(columns: Columns) -> dict[int, list[float]]:
    """The gaps between the token events of each request."""
    found: dict[int, list[float]] = {}
    for block in columns.blocks():
        ends = [*block.starts[1:].tolist(), len(block.values)]
        for row, start, end in zip(block.rows.tolist(), block.starts.tolist(), ends):
            found[row] = [round(gap * MICRO, 6) for gap in block.values[start + 1 : end].tolist()]
    return found


@contextlib.contextmanager
def told(path: Path) -> Iterator[Path]:
    """A file to be written; what prevents it is told in a line."""
    try:
        yield path
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
