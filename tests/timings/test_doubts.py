"""Doubts: each comes where it has a reason, and none where all is well."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from shard_maker import make_record, write_shard

from steelyard.timings.clients import Client
from steelyard.timings.columns import Columns
from steelyard.timings.doubts import find_limiting, is_spoiled
from steelyard.timings.performance import Performance, measure
from steelyard.types import Record


def answers(count: int = 300, *, rate: float = 50.0, grow: float = 0.0, **said: Any) -> list[Record]:
    """Requests that come at a rate and are well answered; each after another takes longer by `grow`."""
    source, due, records = random.Random(2), 0.0, []
    for n in range(count):
        due += source.expovariate(rate)
        first = due + 0.1 * source.uniform(0.9, 1.1) + grow * n
        chunks = [first + 0.02 * k for k in range(5)]
        told = {"due": due, "sent": due, "chunks": chunks, "tokens": (10, 5), "taken_by": "kernel", **said}
        records.append(make_record(n, **{name: v(n, due) if callable(v) else v for name, v in told.items()}))
    return records


def doubts_of(path: Path, records: list[Record], **stage: Any) -> Performance:
    busy = stage.pop("busy", 0.3)
    notes = [{"t": t, "stage": 0, "busy": busy, "lag": 0.001} for t in range(6)]
    write_shard(path, records, notes=notes)
    (path / "run.json").write_bytes(msgspec.json.encode({"stages": [{"state": "done", **stage}]}))
    return measure(Columns.read(path, stage=0))


def test_a_good_run_has_none(tmp_path: Path) -> None:
    assert doubts_of(tmp_path, answers()).doubts == ()


def test_a_late_client(tmp_path: Path) -> None:
    found = doubts_of(tmp_path, answers(sent=lambda n, due: due + (0.02 if n % 20 == 0 else 0)))
    (doubt,) = found.doubts
    assert doubt.startswith("the client spoiled this run: it sent requests late by 20 ms (p99)")
    # It is said of a run, but one request in twenty that goes out late makes no other load of it.
    assert is_spoiled(found) and find_limiting(found) is None


def test_a_client_that_is_later_than_any_answer(tmp_path: Path) -> None:
    doubt = doubts_of(tmp_path, answers(sent=lambda n, due: due + 10, held=8.0)).doubts[0]
    assert doubt.endswith("late by 2000 ms (p99), 25 times the median time to the first token")


def test_a_client_that_is_late_all_the_time(tmp_path: Path) -> None:
    found = doubts_of(tmp_path, answers(sent=lambda n, due: due + 0.02))
    assert found.doubts == (find_limiting(found),) and is_spoiled(found)


def test_a_connection_that_takes_long_is_not_the_clients_lag(tmp_path: Path) -> None:
    found = doubts_of(tmp_path, answers(sent=lambda n, due: due + 0.02, connecting=0.015, held=0.005))
    assert found.doubts == ()
    assert not is_spoiled(found)


def test_a_busy_client(tmp_path: Path) -> None:
    found = doubts_of(tmp_path, answers(), busy=0.93)
    (doubt,) = found.doubts
    assert doubt.startswith("the client spoiled this run: its loop was busy for 93% of the time")
    assert is_spoiled(found) and find_limiting(found) == doubt


@pytest.mark.parametrize(
    ("said", "doubt"),
    [
        ({"taken_by": "reader"}, "the times were taken as the client read, not as bytes arrived"),
        ({"tokens": None}, "output tokens were counted as events"),
        ({"raw": {"counted_by": "tokenizer"}}, "output tokens were counted by a tokenizer here"),
        ({"tokens": (None, 5), "meta": {"tokens_in": 9}}, "input tokens were counted by the workload, as"),
        ({"tokens": lambda n, due: (None if n < 30 else 10, 5)},
         "input tokens of 30 of 300 answers were counted by nobody: they are not in the figures"),
        ({"chunks": lambda n, due: [due + 0.1] * 2 + [due + 0.12] * 3}, "75% of token events came at"),
        ({"error": lambda n, due: "x" if n % 20 == 0 else None}, "15 of 300 requests failed"),
        ({"error": lambda n, due: "cut" if n > 297 else None, "raw": lambda n, due: {"cut": n > 297}},
         "2 requests cut off at the end"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_answers(tmp_path: Path, said: dict[str, Any], doubt: str) -> None:
    (found,) = doubts_of(tmp_path, answers(**said)).doubts
    assert found.startswith(doubt)


def test_waiting_for_the_last(tmp_path: Path) -> None:
    records = answers()
    stalled = make_record(300, sent=5.0, done=36.0, error="cut", raw={"cut": True}, taken_by="kernel")
    found = doubts_of(tmp_path, [*records, stalled])
    said = "the last 29.89 s of 35.94 s went by waiting for the last few requests: that is in the rates"
    assert said in found.doubts


def test_answers_that_came_whole(tmp_path: Path) -> None:
    some = answers(
        chunks=lambda n, due: () if n < 30 else [due + 0.1, due + 0.12], done=lambda n, due: due + 0.12
    )
    said = "{} came whole, not in pieces: they are not in TTFT, TPOT and ITL"
    assert doubts_of(tmp_path / "some", some).doubts == (said.format("30 of 300 answers"),)
    every = answers(chunks=(), done=lambda n, due: due + 0.12)
    assert doubts_of(tmp_path / "every", every).doubts == (said.format("answers"),)


def test_more_turns_than_are_told_one_by_one(tmp_path: Path) -> None:
    found = doubts_of(tmp_path, [make_record(n, sent=n, chunks=[n + 0.1], turn=n) for n in range(60)])
    assert len(found.turns) == 50
    assert "sessions had up to 60 turns: only the first 50 are told one by one" in found.doubts


def test_part_of_the_answers(tmp_path: Path) -> None:
    found = doubts_of(tmp_path, answers(taken_by=lambda n, due: "reader" if n < 30 else "kernel"))
    assert found.doubts[0].startswith("the times of 30 of 300 answers were taken as the client read")


def test_too_few_requests(tmp_path: Path) -> None:
    found = doubts_of(tmp_path, answers(count=57))
    assert found.doubts == ("with 57 answers a p99 is hardly more than the slowest of them",)


def test_a_service_that_does_not_keep_up(tmp_path: Path) -> None:
    (doubt,) = doubts_of(tmp_path, answers(grow=0.002)).doubts
    assert doubt.startswith("the service did not keep up: latencies grew with the length of the test, from ")


def test_latencies_may_grow_where_the_load_does(tmp_path: Path) -> None:
    assert doubts_of(tmp_path, answers(grow=0.002), arrival="ramp").doubts == ()


def test_all_at_once_is_not_a_service_that_does_not_keep_up(tmp_path: Path) -> None:
    source = random.Random(1)
    ends = sorted(source.uniform(0.5, 5) for _ in range(400))
    records = [
        make_record(n, due=0.0, sent=n * 1e-5, chunks=[end - 0.1, end], tokens=(1, 2), taken_by="kernel")
        for n, end in enumerate(ends)
    ]
    assert doubts_of(tmp_path, records).doubts == ()


def test_later_turns_that_take_longer_are_no_queue(tmp_path: Path) -> None:
    records = []
    for n in range(150):
        for turn in range(3):
            sent = n * 0.02 + turn * 3.0
            end = sent + 0.2 * (turn + 1)
            told = {"tokens": (1, 2), "taken_by": "kernel", "turn": turn}
            records.append(make_record(n, sent=sent, chunks=[end - 0.1, end], **told))
    assert doubts_of(tmp_path, records).doubts == ()


def test_a_clock_that_was_set_between_sittings(tmp_path: Path) -> None:
    write_shard(tmp_path, answers(), began=1000.0)
    later = [replace(record, index=record.index + 300) for record in answers()]
    write_shard(tmp_path, later, number=1, sitting=1, began=1002.0)
    assert "the calendar clock was set between two sittings: their order in time is not known" in (
        measure(Columns.read(tmp_path)).doubts
    )


def closed(clients: int, *, pause: float, count: int = 300, **said: Any) -> list[Record]:
    """Clients that each ask again so long after an answer, which they say was when the next was due."""
    source, free, records = random.Random(3), [0.0] * clients, []
    for n in range(count):
        client = free.index(min(free))
        sent = free[client] + pause
        chunks = [sent + source.uniform(0.05, 0.15), sent + 0.2]
        free[client] = chunks[-1]
        told = {"due": sent, "sent": sent, "chunks": chunks, "tokens": (10, 2), "taken_by": "kernel"}
        records.append(make_record(n, **{**told, **said}))
    return records


def test_fewer_in_flight_than_there_are_clients(tmp_path: Path) -> None:
    slow = closed(8, pause=0.1)
    found = doubts_of(tmp_path / "slow", slow, concurrency=8)
    assert found.doubts == (
        "the client spoiled this run: of 8 clients 5.3 had a request in flight with more to ask",
    )
    assert is_spoiled(found) and find_limiting(found) == found.doubts[0]
    assert not is_spoiled(doubts_of(tmp_path / "busy", closed(8, pause=0.01), concurrency=8))
    # Where they join one after the other, wait between turns or come at a rate, they are to be fewer.
    assert not is_spoiled(doubts_of(tmp_path / "joining", slow, concurrency=8, joining=2.0))
    assert not is_spoiled(doubts_of(tmp_path / "limit", slow, concurrency=8, arrival="poisson"))
    turns = closed(8, pause=0.1, turn=1)
    assert not is_spoiled(doubts_of(tmp_path / "turns", turns, concurrency=8))


def test_what_was_under_way_when_a_load_was_stopped_is_told(tmp_path: Path) -> None:
    notes = [{"t": 1.0, "stage": 0, "in_flight": 9}, {"t": 2.0, "stage": 0, "in_flight": 4}]
    write_shard(tmp_path, answers(150), notes=notes)
    write_shard(tmp_path, [], notes=[*notes, {"t": 3.0, "stage": 0}], number=1, worker=1)
    write_shard(tmp_path, [], notes=[{"t": 1.0, "stage": 0, "in_flight": 3}], number=2, sitting=1)
    (doubt,) = measure(Columns.read(tmp_path, stage=0)).doubts
    assert doubt.startswith("7 requests were under way when it was stopped")


def test_events_that_are_gone(tmp_path: Path) -> None:
    shard = write_shard(tmp_path, answers())
    (shard / "events.bin").write_bytes((shard / "events.bin").read_bytes()[:-4])
    found = measure(Columns.read(tmp_path))
    assert found.doubts == ("the token events of 1 request are missing: they are left out",)


def test_notes_of_the_client_are_read_on_the_axis_of_the_run(tmp_path: Path) -> None:
    notes = [
        {"t": 1.0, "stage": 0, "in_flight": 5, "sent": 9, "busy": 0.25, "rss": None},
        {"t": 2.0, "stage": 1, "in_flight": 6, "lag": 0.5, "cpu": 1.5, "rss": 4096},
        {"t": 2.5, "stage": None},
    ]
    write_shard(tmp_path, [], notes=notes, began=1000.0)
    shard = write_shard(tmp_path, [], notes=notes[:1], number=1, sitting=1, worker=2, began=1010.0)
    with (shard / "client.jsonl").open("ab") as file:
        file.write(b'{"t": 3.0, "sta\n{"t": 4.0, "busy": 0.')
    found = Client.read(tmp_path)
    assert found.t.tolist() == [1.0, 2.0, 2.5, 11.0]
    assert found.worker.tolist() == [0, 0, 0, 2]
    assert found.stage.tolist() == [0, 1, -1, 0]
    assert found.rss.tolist() == [0, 4096, 0, 0]
    only = Client.read(tmp_path, stage=1)
    assert (len(only), only.lag.tolist(), only.cpu.tolist()) == (1, [0.5], [1.5])
