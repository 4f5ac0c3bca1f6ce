"""Folders of load runs as they are written, made without any service: a queue before some slots."""

from __future__ import annotations

import heapq
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from steelyard.store import Run
from steelyard.timings.shards import Shard
from steelyard.types import Record, Request, Response, Sample, Timing, Tokens

BEGAN = 1_774_000_000.0
ZERO = 5_000.0


def make_records(
    *, stage: int, start: float, rate: float, count: int, slots: int = 16, tokens: int = 40,
    ttft: float = 0.05, itl: float = 0.012, failed: int = 0, turns: int = 1, seed: int = 0,
    lag: float = 0.00005, first: int = 0,
) -> list[Record]:  # fmt: skip
    """`count` requests that arrive at a rate and wait for one of `slots`; every `failed`-th fails."""
    source = random.Random(seed)
    free = [0.0] * slots
    heapq.heapify(free)
    due, records = ZERO + start, []
    for n in range(count):
        due += source.expovariate(rate)
        sent = due + source.expovariate(1 / lag)
        begins = max(sent, heapq.heappop(free))
        at = begins + ttft * source.lognormvariate(0, 0.25)
        chunks = [at]
        for _ in range(tokens - 1):
            chunks.append(chunks[-1] + itl * source.lognormvariate(0, 0.3))
        heapq.heappush(free, chunks[-1])
        bad = failed and n % failed == failed - 1
        error = source.choice(["status 503: busy", "broken connection <b>!</b>"]) if bad else None
        timing = Timing(
            due=due,
            sent=sent,
            chunks=[] if bad else chunks,
            done=sent + 0.01 if bad else chunks[-1] + 0.0005,
            first_byte=sent + 0.01 if bad else chunks[0] - 0.001,
            taken_by="kernel",
        )
        response = Response(
            tokens=None if bad else Tokens(200, tokens),
            timing=timing,
            error=error,
            raw={} if bad else {"finish_reason": "length", "counted_by": "usage"},
        )
        meta = {"stage": stage, "session": f"s{n // turns}", "turn": n % turns}
        name = f"{stage}-{n}"
        records.append(
            Record(first + n, Sample(name, None, meta=meta), Request(name, "", params={}), response)
        )
    return records


def make_load_run(
    path: Path,
    stages: Sequence[tuple[Mapping[str, Any], Sequence[Record]]],
    *,
    state: str = "done",
    server: bool = False,
    results: Sequence[Mapping[str, Any]] = (),
    **about: Any,
) -> Run:
    """A run of some stages, each with its records; its results are what it would have ended with."""
    run = Run.create(
        path,
        {
            "kind": "load",
            "model": "tiny",
            "workload": {"name": "synthetic"},
            "identity": {"model": {"name": "tiny"}},
            "environment": {"python": "3.11.7", "cpus": 2},
            "stages": [
                {**stage, "state": "done", "sitting": 0, **_span(records)} for stage, records in stages
            ],
            "results": list(results),
            "elsewhere": True,
            "began": BEGAN,
            **about,
        },
    )
    run.close()
    run.log.unlink()
    shard = Shard(path / "shards" / "0", sitting=0, worker=0, began=BEGAN, zero=ZERO)
    everything = sorted((r for _, records in stages for r in records), key=done_of)
    shard.add_all(everything)
    _note_client(shard, everything)
    shard.close()
    if server:
        _write_server(path / "server.jsonl", everything)
    run.update(state=state)
    return run


def done_of(record: Record) -> float:
    assert record.response.timing is not None
    return record.response.timing.done


def _span(records: Sequence[Record]) -> dict[str, float]:
    times = [record.response.timing for record in records if record.response.timing is not None]
    return {"from": min(t.sent for t in times) - ZERO, "to": max(t.done for t in times) - ZERO}


def _note_client(shard: Shard, records: Sequence[Record]) -> None:
    last = int(done_of(records[-1]) - ZERO) + 1
    for second in range(1, last + 1):
        sent = sum(1 for r in records if r.response.timing and r.response.timing.sent <= ZERO + second)
        done = sum(1 for r in records if done_of(r) <= ZERO + second)
        shard.note(
            t=second, stage=records[0].sample.meta["stage"], in_flight=sent - done, sent=sent, done=done,
            failed=0, lag=0.0004, busy=0.2, cpu=0.2 * second, rss=30 << 20,
        )  # fmt: skip


def _write_server(path: Path, records: Sequence[Record]) -> None:
    last = int(done_of(records[-1]) - ZERO) + 1
    lines = []
    for second in range(last + 1):
        now = ZERO + second
        going = sum(1 for r in records if r.response.timing and r.response.timing.sent <= now < done_of(r))
        done = sum(1 for r in records if done_of(r) <= now)
        values = {
            "running": min(going, 16), "waiting": max(going - 16, 0), "requests": done,
            "tokens_out": 40 * done, "kv_cache": min(going, 16) / 20,
            "prefix_queries": 200 * done, "prefix_hits": 90 * done,
        }  # fmt: skip
        lines.append(json.dumps({"t": BEGAN + second, "values": values}))
    path.write_text("\n".join(lines) + "\n")
