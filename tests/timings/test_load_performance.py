"""A Performance: every number equal to a plain computation from the stored records."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shard_maker import make_record, write_shard

from steelyard.timings.columns import Columns
from steelyard.timings.performance import MEASURES, Performance, measure
from steelyard.timings.steady import find_steady
from steelyard.types import Record, Response


def serve(
    count: int, *, clients: int, ttft: float = 0.25, itl: float = 0.125, tokens: int = 7
) -> list[Record]:
    """Clients in step, each asking again as soon as it is answered."""
    took = ttft + itl * (tokens - 1)
    return [
        make_record(
            n,
            sent=(begin := n // clients * took),
            chunks=[begin + ttft + itl * k for k in range(tokens)],
            tokens=(100, tokens),
            first_byte=begin + ttft / 2,
            taken_by="kernel",
        )
        for n in range(count)
    ]


def test_clients_in_step(tmp_path: Path) -> None:
    write_shard(tmp_path, serve(40, clients=4))
    found = measure(Columns.read(tmp_path, stage=0), limits={"ttft": 0.25, "tpot": 0.125})
    assert (found.stage, found.total, found.ok, found.failed, found.cut) == (0, 40, 40, 0, 0)
    assert found.duration == pytest.approx(10)
    assert found.concurrency_mean == pytest.approx(4)
    assert found.concurrency_max == 4
    assert found.request_rate == pytest.approx(4)
    assert found.output_rate == pytest.approx(28)
    assert found.input_rate == pytest.approx(400)
    assert found.total_rate == pytest.approx(428)
    assert found.goodput == pytest.approx(4)
    for name, value in {
        "e2el": 1.0, "ttft": 0.25, "tpot": 0.125, "itl": 0.125, "e2el_due": 1.0, "ttft_due": 0.25,
        "first_byte": 0.125, "output_speed": 7.0, "prefill_speed": 400.0, "input_tokens": 100,
        "output_tokens": 7, "lag": 0.0, "connecting": 0.0, "held": 0.0,
    }.items():  # fmt: skip
        one = found.statistics[name]
        assert one.n == (240 if name == "itl" else 40)
        told = [one.average, one.min, one.max, one.median, one.p75, one.p90, one.p95, one.p99, one.p999]
        assert told == pytest.approx([value] * 9, abs=1e-9)
    assert tuple(found.statistics) == MEASURES
    assert found.taken_by == {"kernel": 40}
    assert found.counted_by == {"usage": 40}


def test_limits_make_requests_good_or_not(tmp_path: Path) -> None:
    records = [
        make_record(0, sent=0.0, chunks=[0.1, 0.2, 0.3], tokens=(1, 3)),
        make_record(1, sent=0.0, chunks=[0.3, 0.4, 0.5], tokens=(1, 3)),
        make_record(2, sent=0.0, chunks=[0.1, 0.5, 0.9], tokens=(1, 3)),
        make_record(3, sent=0.0, done=0.15, tokens=(1, 3)),
        make_record(4, sent=0.0, done=0.9, tokens=(1, 3)),
        make_record(5, sent=0.0, chunks=[0.1], error="broken", done=2.0),
    ]
    write_shard(tmp_path, records)
    columns = Columns.read(tmp_path)
    # An answer that came whole at 0.15 has kept both limits, one at 0.9 has not.
    assert measure(columns, limits={"ttft": 0.2, "tpot": 0.15}).good == 2
    assert measure(columns, limits={"ttft": 0.2}).good == 3
    assert measure(columns, limits={"e2el": 0.4}).goodput == pytest.approx(1.0)
    assert measure(columns).goodput is None


def test_from_due_a_slow_service_cannot_hide_its_queue(tmp_path: Path) -> None:
    # Ten a second are due, but one client alone asks a service that takes 0.2 s.
    records = [
        make_record(n, due=n * 0.1, sent=n * 0.2, chunks=[n * 0.2 + 0.2], held=n * 0.1) for n in range(100)
    ]
    write_shard(tmp_path, records)
    found = measure(Columns.read(tmp_path))
    assert found.statistics["e2el"].max == pytest.approx(0.2)
    assert found.statistics["e2el_due"].max == pytest.approx(0.2 + 99 * 0.1)
    assert found.statistics["lag"].max == pytest.approx(0.0, abs=1e-6)


def test_turns_have_a_performance_each(tmp_path: Path) -> None:
    records = [
        make_record(n, sent=n, chunks=[n + 0.25 * (turn + 1)], turn=turn, session=str(n))
        for n in range(5)
        for turn in range(2)
    ]
    write_shard(tmp_path, records)
    turns = measure(Columns.read(tmp_path)).turns
    assert [turn.total for turn in turns] == [5, 5]
    assert [turn.statistics["ttft"].median for turn in turns] == pytest.approx([0.25, 0.5])


def test_probes_are_in_flight_but_not_in_the_figures(tmp_path: Path) -> None:
    probes = [make_record(99, sent=0.0, done=9.0, tokens=(1, 1000), meta={"check": True})]
    write_shard(tmp_path, serve(8, clients=4) + probes)
    found = measure(Columns.read(tmp_path))
    assert found.total == 8
    assert found.concurrency_max == 5
    assert found.duration == pytest.approx(2)
    assert found.statistics["output_tokens"].max == 7


def test_a_stage_in_two_sittings_is_one(tmp_path: Path) -> None:
    write_shard(tmp_path, serve(20, clients=4), began=1000.0)
    later = [replace(record, index=record.index + 20) for record in serve(20, clients=4)]
    write_shard(tmp_path, later, number=1, sitting=1, began=90_000.0)
    stages = [{"name": "a", "state": "partial"}]
    (tmp_path / "run.json").write_bytes(msgspec.json.encode({"stages": stages, "reason": "worker 1 died"}))
    found = measure(Columns.read(tmp_path, stage=0))
    assert found.sittings == 2
    assert found.duration == pytest.approx(10)
    assert found.request_rate == pytest.approx(4)
    assert found.concurrency_mean == pytest.approx(4)
    assert found.partial
    assert "the stage did not come to its end: worker 1 died" in found.doubts


def test_tokens_of_a_window_are_those_that_arrived_in_it(tmp_path: Path) -> None:
    # Two waves of four requests with 28 tokens: of whole requests one would count none in it, or 56.
    write_shard(tmp_path, serve(8, clients=4))
    found = measure(Columns.read(tmp_path), window=(0.55, 1.55))
    assert found.output_rate == pytest.approx(4 * (4 + 3), rel=1e-5)
    assert found.total == 4
    assert found.request_rate == pytest.approx(4)
    assert found.input_rate == pytest.approx(400)
    assert found.window == (0.55, 1.55)


def test_events_of_several_tokens_count_for_as_many(tmp_path: Path) -> None:
    records = [make_record(0, sent=0.0, chunks=[1.0, 2.0, 3.0, 4.0], tokens=(1, 12))]
    records.append(make_record(1, sent=0.0, done=2.5, tokens=(1, 5)))
    write_shard(tmp_path, records)
    found = measure(Columns.read(tmp_path), window=(1.5, 3.5))
    assert found.output_rate == pytest.approx((2 * 3 + 5) / 2)


def test_what_is_stored_is_read_again(tmp_path: Path) -> None:
    records = serve(40, clients=4)
    records += [make_record(n, sent=n / 40, chunks=[n / 40 + 0.5], turn=1, error="x") for n in range(40)]
    write_shard(tmp_path, records)
    found = measure(Columns.read(tmp_path), window=(0.0, 5.0), limits={"ttft": 1})
    stored = json.loads(json.dumps(found.to_dict()))
    assert Performance.from_dict(stored) == found
    assert Performance.from_dict({**stored, "unknown": 1}).to_dict() == found.to_dict()


def test_nothing_answered_is_no_error(tmp_path: Path) -> None:
    write_shard(tmp_path, [make_record(0, sent=0.0, done=1.0, error="status 500")])
    found = measure(Columns.read(tmp_path), limits={"ttft": 1.0})
    assert (found.total, found.ok, found.failed, found.error) == (1, 0, 1, 1.0)
    assert found.statistics["ttft"].n == 0
    assert found.request_rate == 0
    assert "nothing was answered" in found.doubts
    empty = measure(Columns.read(tmp_path / "nowhere"))
    assert (empty.total, empty.request_rate, empty.concurrency_mean) == (0, None, None)


TIMES = st.integers(0, 4_000_000).map(lambda micro: micro / 1e6)


@st.composite
def records(draw: st.DrawFn) -> list[Record]:
    made = []
    for n in range(draw(st.integers(1, 25))):
        sent = draw(TIMES)
        gaps = draw(st.lists(st.integers(1, 900_000), max_size=6))
        chunks = [round(sent + sum(gaps[: k + 1]) / 1e6, 6) for k in range(len(gaps))]
        done = (chunks[-1] if chunks else sent) + draw(TIMES) + 1e-6
        state = draw(st.sampled_from(["ok", "ok", "failed", "cut"]))
        made.append(
            make_record(
                n,
                sent=sent,
                due=sent - draw(TIMES),
                chunks=chunks,
                done=round(done, 6),
                tokens=(draw(st.none() | st.integers(1, 9)), draw(st.none() | st.integers(1, 9))),
                error=None if state == "ok" else "error",
                raw={"cut": state == "cut"},
            )
        )
    return made


def naive(values: Sequence[float]) -> list[float | None]:
    """The statistics of values, by numpy."""
    if not values:
        return [0, *[None] * 9]
    levels = np.quantile(values, [0.5, 0.75, 0.9, 0.95, 0.99, 0.999]).tolist()
    return [len(values), float(np.mean(values)), min(values), max(values), *levels]


@settings(max_examples=40, deadline=None)
@given(made=records())
def test_every_number_is_that_of_a_plain_computation(made: list[Record]) -> None:
    with tempfile.TemporaryDirectory() as name:
        write_shard(Path(name), made[::2])
        write_shard(Path(name), made[1::2], number=1, worker=1)
        found = measure(Columns.read(name))
    answers = [(one.response, one.response.timing) for one in made if one.response.error is None]
    times = [(response, timing) for response, timing in answers if timing is not None]
    tokens = [(r.tokens.output if r.tokens and r.tokens.output else len(t.chunks), t) for r, t in times]
    streamed = [(out, t) for out, t in tokens if out >= 2 and len(t.chunks) >= 2]
    every = [one.response.timing for one in made if one.response.timing]
    for measure_name, values in {
        "e2el": [t.done - t.sent for _, t in times],
        "e2el_due": [t.done - t.due for _, t in times],
        "ttft": [t.chunks[0] - t.sent for _, t in times if t.chunks],
        "ttft_due": [t.chunks[0] - t.due for _, t in times if t.chunks],
        "tpot": [(t.done - t.chunks[0]) / (out - 1) for out, t in streamed],
        "itl": [b - a for _, t in times for a, b in zip(t.chunks, t.chunks[1:])],
        "output_tokens": [out for out, _ in tokens if out],
        "output_speed": [out / (t.done - t.sent) for out, t in tokens if out],
        "lag": [t.sent - t.due for t in every],
    }.items():
        one = found.statistics[measure_name]
        told = [
            one.n,
            one.average,
            one.min,
            one.max,
            one.median,
            one.p75,
            one.p90,
            one.p95,
            one.p99,
            one.p999,
        ]
        assert told == [None if v is None else pytest.approx(v, abs=2e-6, rel=1e-4) for v in naive(values)]
    begin, end = min(t.sent for t in every), max(t.done for t in every)
    assert found.duration == pytest.approx(end - begin)
    assert found.request_rate == pytest.approx(len(times) / (end - begin))
    if (in_flight := found.concurrency_mean) is not None:
        assert in_flight == pytest.approx(sum(t.done - t.sent for t in every) / (end - begin))
    overlaps = [sum(t.sent <= one.sent < t.done for t in every) for one in every]
    assert found.concurrency_max == max(overlaps)
    assert found.failed + found.cut + found.ok == found.total == len(made)


def test_an_answer_without_times_is_counted_and_measured_nowhere(tmp_path: Path) -> None:
    bare = replace(make_record(9, sent=0.0), response=Response(error="broken"))
    write_shard(tmp_path, [*serve(8, clients=4), bare])
    columns = Columns.read(tmp_path)
    found = measure(columns, limits={"ttft": 1.0})
    assert (found.total, found.ok, found.failed) == (9, 8, 1)
    assert found.statistics["lag"].n == 8
    assert found.concurrency_mean == pytest.approx(4)
    assert find_steady(columns).concurrency == 4
