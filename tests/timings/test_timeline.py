"""The timeline: what happened in each stretch adds up to the whole."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from shard_maker import make_record, write_shard

from steelyard.timings.columns import Columns
from steelyard.timings.timeline import Timeline
from steelyard.types import Record


def scattered(count: int) -> list[Record]:
    source, records = random.Random(4), []
    for n in range(count):
        sent = source.uniform(0, 9)
        chunks = [sent + 0.05]
        while source.random() < 0.9:
            chunks.append(chunks[-1] + source.uniform(0.001, 0.1))
        state = source.choice(["ok", "ok", "ok", "failed", "cut"])
        raw = {"cut": state == "cut"}
        told = {"tokens": (1, len(chunks)), "error": None if state == "ok" else state, "raw": raw}
        records.append(make_record(n, sent=sent, due=sent - source.random() / 100, chunks=chunks, **told))
    return records


def test_stretches_add_up(tmp_path: Path) -> None:
    write_shard(tmp_path, scattered(400))
    columns = Columns.read(tmp_path)
    found = Timeline.of(columns, most=40)
    assert found.width == 0.5
    assert len(found.t) <= 40
    assert (found.sent_rate * found.width).sum() == pytest.approx(400)
    assert (found.done_rate * found.width).sum() == pytest.approx(columns.ok.sum())
    assert (found.failed.sum(), found.cut.sum()) == (columns.failed.sum(), columns.cut.sum())
    assert (found.tokens_rate * found.width).sum() == pytest.approx(columns.events.sum())
    assert (found.in_flight * found.width).sum() == pytest.approx((columns.done - columns.sent).sum())
    assert np.nanmax(found.lag) == pytest.approx(columns.lag.max())


def test_each_stretch_is_what_a_plain_computation_says(tmp_path: Path) -> None:
    write_shard(tmp_path, scattered(400))
    columns = Columns.read(tmp_path)
    found = Timeline.of(columns, most=20)
    for place, begin in enumerate(found.t):
        end = begin + found.width
        sent = (columns.sent >= begin) & (columns.sent < end)
        took = (columns.first - columns.sent)[sent & columns.ok]
        if len(took):
            median, p99 = np.quantile(took, [0.5, 0.99])
            assert found.ttft_p50[place] == pytest.approx(median)
            assert found.ttft_p99[place] == pytest.approx(p99)
        else:
            assert np.isnan(found.ttft_p50[place])
        assert found.sent_rate[place] * found.width == pytest.approx(sent.sum())
        overlaps = [
            np.count_nonzero((columns.sent <= at) & (columns.done > at))
            for at in [begin, *columns.sent[(columns.sent >= begin) & (columns.sent < end)]]
        ]
        assert found.in_flight_max[place] == max(overlaps)


def test_tokens_stand_where_they_arrived(tmp_path: Path) -> None:
    write_shard(tmp_path, [make_record(0, sent=0.0, chunks=[0.9, 1.9, 2.9, 3.9], tokens=(1, 8))])
    found = Timeline.of(Columns.read(tmp_path), most=4)
    assert found.width == 1.0
    assert found.tokens_rate.tolist() == [2.0, 2.0, 2.0, 2.0]


def test_time_between_sittings_is_left_out(tmp_path: Path) -> None:
    write_shard(tmp_path, scattered(50), began=1000.0)
    later = [replace(record, index=record.index + 50) for record in scattered(50)]
    write_shard(tmp_path, later, number=1, sitting=1, began=87_400.0)
    found = Timeline.of(Columns.read(tmp_path))
    assert len(found.t) < 320
    assert np.diff(found.t).max() > 86_000
    assert (found.sent_rate * found.width).sum() == pytest.approx(100)


def test_nothing_has_no_stretches_and_is_stored_as_it_is(tmp_path: Path) -> None:
    assert len(Timeline.of(Columns.read(tmp_path)).t) == 0
    write_shard(tmp_path, [make_record(0, sent=0.0, done=2.0, error="x")])
    stored = json.loads(json.dumps(Timeline.of(Columns.read(tmp_path), most=2).to_dict()))
    assert stored["ttft_p50"] == [None, None, None]
    assert stored["failed"] == [0, 0, 1]


def test_a_stretch_in_which_nothing_happens_has_as_many_in_flight_as_before(tmp_path: Path) -> None:
    write_shard(tmp_path, [make_record(n, sent=0.1, chunks=[0.2, 9.5]) for n in range(3)])
    found = Timeline.of(Columns.read(tmp_path), most=10)
    assert found.in_flight_max.tolist() == [3.0] * len(found.t)
