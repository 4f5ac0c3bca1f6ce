"""The steady state: the longest window at the highest number in flight, or why there is none."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from shard_maker import make_record, write_shard

from steelyard.timings.columns import Columns
from steelyard.timings.performance import measure
from steelyard.timings.steady import Steady, find_steady
from steelyard.types import Record


def loop(
    clients: int, rounds: int, *, took: float = 1.0, joining: float = 0.0, seed: int = 0
) -> list[Record]:
    """Clients that join one after another and ask again half a millisecond after each answer."""
    source, records = random.Random(seed), []
    for client in range(clients):
        at = client * joining
        for _ in range(rounds):
            end = at + took * source.uniform(0.9, 1.1)
            records.append(
                make_record(len(records), sent=at, chunks=[at + (end - at) / 4, end], tokens=(1, 2))
            )
            at = end + 0.0005
    return records


def steady_of(path: Path, records: list[Record]) -> Steady:
    write_shard(path, records)
    return find_steady(Columns.read(path))


def test_clients_that_ask_on_and_on(tmp_path: Path) -> None:
    found = steady_of(tmp_path, loop(16, 20))
    assert found.concurrency == 16
    assert found.window is not None
    begin, end = found.window
    assert begin == 0
    # Until the first client has asked its last: its twenty answers took about a second each.
    assert 17 < end < 20.5


def test_only_the_time_when_all_clients_are_there(tmp_path: Path) -> None:
    found = steady_of(tmp_path, loop(20, 40, joining=0.5))
    assert found.concurrency == 20
    assert found.window is not None
    assert found.window[0] == pytest.approx(19 * 0.5)
    assert 36 < found.window[1] < 41.5


def test_many_clients_of_whom_one_or_another_is_always_late(tmp_path: Path) -> None:
    source, records = random.Random(3), []
    for _ in range(60):
        at = source.uniform(0, 0.1)
        while at < 20:
            took = source.uniform(0.4, 0.6)
            records.append(make_record(len(records), sent=at, done=at + took))
            at += took + source.uniform(0, 0.02)
    found = steady_of(tmp_path, records)
    assert found.concurrency in range(57, 61)
    assert found.window is not None
    assert found.window[1] - found.window[0] > 19


def test_two_waves_are_counted_by_the_tokens_that_arrived(tmp_path: Path) -> None:
    records = []
    for wave in range(2):
        for n in range(50):
            sent = wave * 1.0005 + n * 1e-5
            chunks = [sent + 0.1 * (k + 1) - 1e-5 * n for k in range(10)]
            records.append(make_record(wave * 50 + n, sent=sent, chunks=chunks, tokens=(1, 10)))
    found = steady_of(tmp_path, records)
    assert found.concurrency == 50
    assert found.window is not None
    rate = measure(Columns.read(tmp_path), window=found.window).output_rate
    assert rate == pytest.approx(500, rel=0.02)


def test_one_wave_is_no_steady_state(tmp_path: Path) -> None:
    source = random.Random(1)
    records = [make_record(n, sent=n * 1e-4, done=n * 1e-4 + source.uniform(1, 2)) for n in range(64)]
    found = steady_of(tmp_path, records)
    assert found.window is None
    assert "one wave" in found.why


def test_a_number_in_flight_that_swings_is_not_steady(tmp_path: Path) -> None:
    source, at, records = random.Random(1), 0.0, []
    for n in range(400):
        at += source.expovariate(4)
        records.append(make_record(n, sent=at, done=at + source.uniform(0.5, 1.5)))
    found = steady_of(tmp_path, records)
    assert found.window is None
    assert "did not stand still" in found.why


def test_requests_that_are_rare_are_not_steady(tmp_path: Path) -> None:
    found = steady_of(tmp_path, [make_record(n, sent=10.0 * n, done=10.0 * n + 1) for n in range(30)])
    assert found.window is None
    assert "too few or too rare" in found.why


def test_nothing_answered(tmp_path: Path) -> None:
    assert steady_of(tmp_path, [make_record(0, sent=0.0, error="x")]).why == "nothing was answered"
