"""Shards with requests made by hand, through the same writer as a load test's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from steelyard.timings.shards import Shard
from steelyard.types import Record, Request, Response, Sample, Timing, Tokens


def make_record(
    index: int,
    *,
    sent: float,
    chunks: Sequence[float] = (),
    done: float | None = None,
    due: float | None = None,
    tokens: tuple[int | None, int | None] | None = None,
    error: str | None = None,
    stage: int = 0,
    turn: int = 0,
    session: str | None = None,
    raw: Mapping[str, Any] | None = None,
    meta: Mapping[str, Any] | None = None,
    **timing: Any,
) -> Record:
    """A record of a load test; an answer ends with its last chunk if nothing else is said."""
    end = done if done is not None else chunks[-1] if chunks else sent
    told = {"stage": stage, "turn": turn, "session": session or str(index), **(meta or {})}
    return Record(
        index=index,
        sample=Sample(id=str(index), input=None, meta=told),
        request=Request(id=str(index), prompt=""),
        response=Response(
            tokens=None if tokens is None else Tokens(*tokens),
            timing=Timing(due=sent if due is None else due, sent=sent, chunks=chunks, done=end, **timing),
            error=error,
            raw=raw,
        ),
    )


def write_shard(
    run: Path,
    records: Sequence[Record],
    *,
    number: int = 0,
    sitting: int = 0,
    worker: int = 0,
    began: float = 1_774_000_000.0,
    zero: float = 0.0,
    notes: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Write one shard of a run."""
    path = run / "shards" / str(number)
    shard = Shard(path, sitting=sitting, worker=worker, began=began, zero=zero)
    shard.add_all(records)
    for note in notes:
        shard.note(**note)
    shard.close()
    return path
