"""A load run for other programs: one document, a row a request as CSV or Parquet.

id,session,stage,turn,state,due,sent,first_byte,first_token,last_token,done,…
0-17,s5,15/s poisson,2,ok,1.203115,1.203140,1.251093,1.252093,1.744120,1.744620,…

All times are in seconds after the run began, in microseconds as they are stored; an empty cell is what
did not happen or what nobody knows. `spoiled` is 1 where the client, and not the service, was the limit of
the stage.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np

from steelyard.errors import StoreError, need
from steelyard.report.load_contents import WARM_UP, LoadContents, StageContents
from steelyard.timings.columns import Columns
from steelyard.timings.doubts import is_spoiled
from steelyard.timings.objectives import Verdict
from steelyard.timings.rows import COUNTED_BY, STATES, TAKEN_BY

_TEXTS = ("id", "session", "stage", "state", "counted_by", "input_counted_by", "taken_by", "error")
_WHOLE = ("turn", "check", "tokens_in", "tokens_out", "events", "sitting", "worker", "spoiled")
_TIMES = ("due", "sent", "first_byte", "first_token", "last_token", "done", "lag", "held", "connecting",
          "ttft", "tpot", "e2el")  # fmt: skip
FIELDS = ("id", "session", "stage", "turn", "check", "state", *_TIMES, "tokens_in", "tokens_out",
          "counted_by", "input_counted_by", "events", "taken_by", "sitting", "worker", "spoiled",
          "error")  # fmt: skip
_TOGETHER = 10_000


def as_load_document(contents: LoadContents) -> dict[str, Any]:
    """One load run for machines."""
    about = contents.run.about
    return {
        "path": str(contents.run.path),
        "kind": "load",
        "model": about.get("model"),
        "workload": about.get("workload"),
        "created": about.get("created"),
        "state": contents.state,
        "reason": about.get("reason"),
        "spoiled": contents.spoiled,
        "environment": about.get("environment"),
        "requests": contents.requests,
        "failed": contents.failed,
        "search": contents.search,
        "answers": contents.answers,
        "stages": [_stage(contents, stage) for stage in contents.stages],
    }


def write_rows(path: Path, contents: LoadContents) -> None:
    """Write a row a request as CSV."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(FIELDS)
            for block in list_rows(contents):
                columns = [_as_cells(name, block[name]) for name in FIELDS]
                writer.writerows(zip(*columns))
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error


def write_parquet(path: Path, contents: LoadContents) -> None:
    """Write a row a request as Parquet."""
    need("pyarrow", extra="arrow")
    import pyarrow
    from pyarrow import parquet

    kinds = {name: pyarrow.string() for name in _TEXTS}
    kinds.update({name: pyarrow.int64() for name in _WHOLE})
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.float64())) for name in FIELDS])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with parquet.ParquetWriter(path, schema) as writer:
            for block in list_rows(contents):
                plain = {name: plain_column(name, block[name]) for name in FIELDS}
                writer.write_table(pyarrow.table(plain, schema=schema))
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error


def list_rows(contents: LoadContents, *, warmups: bool = False) -> Iterator[dict[str, Any]]:
    """The requests, or those of warm-ups, many at a time, as columns by their names."""
    columns = contents.warmups if warmups else contents.everything
    names = iter(columns.names())
    stages = {WARM_UP: "warm-up", **{stage.number: stage.name for stage in contents.stages}}
    spoiled = [stage.number for stage in contents.stages if is_spoiled(stage.performance)]
    for start in range(0, len(columns), _TOGETHER):
        part = columns.select(np.arange(start, min(start + _TOGETHER, len(columns))))
        # A failed request has the times of what came before it failed, and nothing that is told of answers.
        known = list(islice(names, len(part)))
        yield {
            **_measures(part),
            "id": [name for name, _ in known],
            "session": [session for _, session in known],
            "stage": [stages.get(number, str(number)) for number in part.stage.tolist()],
            "state": _pick(STATES, part.state),
            "counted_by": _pick(COUNTED_BY, part.counted_by),
            "input_counted_by": _pick(COUNTED_BY, part.input_counted_by),
            "taken_by": _pick(TAKEN_BY, part.taken_by),
            "error": [part.errors[code] if code >= 0 else None for code in part.error.tolist()],
            **{
                name: getattr(part, name) for name in ("turn", "tokens_in", "tokens_out", "events", "sitting")
            },
            "worker": part.worker,
            "check": part.check.astype(np.int64),
            "spoiled": np.isin(part.stage, spoiled).astype(np.int64),
        }


def _measures(part: Columns) -> dict[str, Any]:
    ttft, e2el = part.first - part.sent, np.where(part.ok, part.done - part.sent, np.nan)
    several = part.ok & (part.tokens_out > 1) & (part.events > 1)
    tpot = np.where(several, (e2el - ttft) / np.maximum(part.tokens_out - 1, 1), np.nan)
    return {
        **{name: getattr(part, name) for name in ("due", "sent", "first_byte", "done", "held", "connecting")},
        "first_token": part.first,
        "last_token": part.last,
        "lag": part.lag,
        "ttft": ttft,
        "tpot": tpot,
        "e2el": e2el,
    }


def _pick(names: tuple[str, ...], codes: Any) -> list[str]:
    return [names[code] for code in codes.tolist()]


def plain_column(name: str, column: Any) -> Any:
    """A column without what nobody knows: that is None."""
    if name in _TEXTS:
        return column
    if name in _WHOLE:
        return [value if value >= 0 else None for value in column.tolist()]
    return [None if isnan(value) else round(value, 6) for value in column.tolist()]


def _as_cells(name: str, column: Any) -> list[str]:
    """A column as it stands in a CSV file."""
    show: Callable[[Any], str] = (lambda value: f"{value:.6f}") if name in _TIMES else str
    return ["" if value is None else show(value) for value in plain_column(name, column)]


def _stage(contents: LoadContents, stage: StageContents) -> Mapping[str, Any]:
    return {
        "number": stage.number,
        "name": stage.name,
        "state": stage.state,
        "plan": dict(stage.plan),
        "performance": stage.performance.to_dict(),
        "objectives": [_verdict(one) for one in contents.verdicts(stage)],
        "server": dict(stage.server),
    }


def _verdict(one: Verdict) -> Mapping[str, Any]:
    told = {name: getattr(one, name) for name in ("value", "low", "high", "kept", "sure")}
    return {"objective": one.objective.name, "limit": one.objective.limit, **told}
