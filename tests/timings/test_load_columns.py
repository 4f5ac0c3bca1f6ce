"""Columns: what was stored is what is read, in blocks of any size, whatever a kill left behind."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shard_maker import make_record, write_shard

from steelyard.errors import StoreError
from steelyard.timings.columns import Columns
from steelyard.timings.measures import take_measure
from steelyard.timings.performance import measure


def test_what_is_stored_is_read(tmp_path: Path) -> None:
    records = [
        make_record(
            7, due=100.0, sent=100.25, chunks=[100.5, 100.75, 101.5], done=101.75, tokens=(12, 30),
            first_byte=100.375, connecting=0.125, held=0.0625, taken_by="kernel", turn=2, session="s",
        ),
        make_record(3, sent=102.0, chunks=[102.5], error="status 503", done=103.0, taken_by="reader"),
        make_record(4, sent=102.0, done=104.0, error="cut off", raw={"cut": True}),
        make_record(5, sent=103.0, chunks=[104.0, 104.5]),
        make_record(6, sent=103.0, done=105.0, raw={"counted_by": "tokenizer"}, tokens=(None, 4)),
        make_record(8, sent=103.0, done=105.0, meta={"check": True}),
        make_record(9, sent=103.0, done=105.0, tokens=(3, 4), taken_by="model", meta={"tokens_in": 2}),
        make_record(10, sent=103.0, done=105.0, tokens=(None, 4), meta={"tokens_in": 2}),
        make_record(11, sent=103.0, done=105.0, tokens=(None, 4), turn=1, meta={"tokens_in": 2}),
        make_record(12, sent=103.0, done=105.0, taken_by="model"),
    ]  # fmt: skip
    write_shard(tmp_path, records, zero=100.0, worker=3)
    everything = Columns.read(tmp_path)
    assert everything.index.tolist() == [7, 3, 4, 5, 6, 8, 9, 10, 11, 12]
    assert everything.tokens_in[6:].tolist() == [3, 2, -1, -1]
    last = everything.select(everything.index >= 9)
    assert last.taken_counts() == {"model": 2, "unknown": 2}
    assert last.counted_counts() == {"model": 1, "usage": 2, "unknown": 1}
    # What a workload made is not all that a later turn says.
    assert last.input_counted_counts() == {"model": 1, "workload": 1, "unknown": 2}
    columns = everything.select(everything.index < 9)
    assert columns.index.tolist() == [7, 3, 4, 5, 6, 8]
    assert columns.turn.tolist() == [2, 0, 0, 0, 0, 0]
    assert set(columns.worker.tolist()) == {3}
    assert columns.due.tolist() == [0.0, 2.0, 2.0, 3.0, 3.0, 3.0]
    assert columns.sent[0] == 0.25
    assert columns.first_byte[0] == 0.375
    assert columns.done[0] == 1.75
    assert columns.connecting[0] == 0.125
    assert columns.held[0] == 0.0625
    assert columns.lag[0] == 0.0625
    assert np.allclose(columns.first, [0.5, 2.5, np.nan, 4.0, np.nan, np.nan], equal_nan=True)
    assert np.allclose(columns.last, [1.5, 2.5, np.nan, 4.5, np.nan, np.nan], equal_nan=True)
    assert columns.events.tolist() == [3, 1, 0, 2, 0, 0]
    assert columns.tokens_in.tolist() == [12, -1, -1, -1, -1, -1]
    assert columns.tokens_out.tolist() == [30, 1, -1, 2, 4, -1]
    assert columns.ok.tolist() == [True, False, False, True, True, True]
    assert columns.failed.tolist() == [False, True, False, False, False, False]
    assert columns.cut.tolist() == [False, False, True, False, False, False]
    assert columns.check.tolist() == [False] * 5 + [True]
    assert columns.taken_counts() == {"unknown": 3, "kernel": 1}
    assert columns.counted_counts() == {"unknown": 1, "usage": 1, "tokenizer": 1, "events": 1}
    assert columns.error_counts() == {"status 503": 1, "cut off": 1}
    assert next(iter(columns.names())) == ("7", "s")
    assert [gaps.tolist() for gaps in columns.answered.gaps()] == [[250_000, 750_000, 500_000]]


def test_what_comes_with_the_end_comes_no_later(tmp_path: Path) -> None:
    at = 1.0000006
    write_shard(tmp_path, [make_record(0, sent=1.0000004, chunks=[at, at], done=at, tokens=(1, 2))])
    columns = Columns.read(tmp_path)
    assert columns.done[0] >= columns.last[0] >= columns.first[0]
    assert take_measure(columns, "tpot")[0] >= 0
    assert columns.done[0] == pytest.approx(at, abs=1e-6)


def test_warm_ups_and_other_stages_are_left_out(tmp_path: Path) -> None:
    records = [make_record(n, sent=n, chunks=[n + 0.5, n + 0.75], stage=n - 1) for n in range(4)]
    write_shard(tmp_path, records)
    assert Columns.read(tmp_path).stage.tolist() == [0, 1, 2]
    assert Columns.read(tmp_path, stage=1).index.tolist() == [2]
    assert Columns.read(tmp_path, stage=-1).index.tolist() == [0]
    assert np.concatenate([*Columns.read(tmp_path, stage=1).gaps()]).tolist() == [250_000]
    assert Columns.read(tmp_path).of_stage(2).first.tolist() == [3.5]


def test_sittings_and_workers_lie_on_one_axis(tmp_path: Path) -> None:
    write_shard(tmp_path, [make_record(0, sent=51.0, done=52.0)], began=1000.0, zero=50.0)
    write_shard(tmp_path, [make_record(1, sent=51.5, done=53.0)], number=1, worker=1, began=1000.0, zero=50.0)
    write_shard(tmp_path, [make_record(2, sent=1.0, done=4.0)], number=10, sitting=1, began=1100.0)
    columns = Columns.read(tmp_path)
    assert columns.sent.tolist() == [1.0, 1.5, 101.0]
    assert columns.sitting.tolist() == [0, 0, 1]
    assert columns.worker.tolist() == [0, 1, 0]
    assert columns.spans == [(1.0, 3.0), (101.0, 104.0)]
    assert columns.duration == 5.0
    assert columns.began == 1000.0


def test_what_was_asked_of_a_session_that_a_later_sitting_began_anew_is_left_out(tmp_path: Path) -> None:
    first = [make_record(0, sent=1.0, done=2.0), make_record(1, sent=1.0, done=2.0)]
    write_shard(tmp_path, first, began=1000.0)
    again = [make_record(1, sent=n, done=n + 1.0, turn=turn) for turn, n in enumerate((1.0, 3.0))]
    write_shard(tmp_path, again, number=1, sitting=1, began=1100.0)
    columns = Columns.read(tmp_path)
    assert sorted(zip(columns.index.tolist(), columns.turn.tolist(), columns.sitting.tolist())) == [
        (0, 0, 0),
        (1, 0, 1),
        (1, 1, 1),
    ]
    assert columns.repeated == 1
    assert any("1 request of sessions that were stopped" in doubt for doubt in measure(columns).doubts)


def test_what_a_kill_leaves_behind_the_last_line_is_nobodys(tmp_path: Path) -> None:
    shard = write_shard(tmp_path, [make_record(n, sent=n, chunks=[n + 0.5, n + 0.75]) for n in range(3)])
    lines = (shard / "records.jsonl").read_bytes()
    for torn in (lines[:-1], lines[:-40]):
        (shard / "records.jsonl").write_bytes(torn)
        columns = Columns.read(tmp_path)
        assert columns.index.tolist() == [0, 1]
        assert columns.last.tolist() == [0.75, 1.75]
        assert columns.lost == 0


def test_requests_whose_events_are_gone_are_left_out_and_counted(tmp_path: Path) -> None:
    shard = write_shard(tmp_path, [make_record(n, sent=n, chunks=[n + 0.5, n + 0.75]) for n in range(3)])
    (shard / "events.bin").write_bytes((shard / "events.bin").read_bytes()[:-5])
    columns = Columns.read(tmp_path)
    assert columns.index.tolist() == [0, 1]
    assert columns.lost == 1


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    shard = write_shard(tmp_path, [make_record(n, sent=n) for n in range(3)])
    first, second, third = (shard / "records.jsonl").read_bytes().splitlines(keepends=True)
    (shard / "records.jsonl").write_bytes(first + second[:20] + b"\n" + third)
    with pytest.raises(StoreError, match=r"records\.jsonl, line 2 is damaged"):
        Columns.read(tmp_path)


def test_shards_of_a_newer_version_and_without_a_word_are_refused(tmp_path: Path) -> None:
    shard = write_shard(tmp_path, [])
    about = msgspec.json.decode((shard / "shard.json").read_bytes())
    (shard / "shard.json").write_bytes(msgspec.json.encode({**about, "format": 99}))
    with pytest.raises(StoreError, match="newer version"):
        Columns.read(tmp_path)
    (shard / "shard.json").write_bytes(b"{")
    with pytest.raises(StoreError, match=r"shard\.json cannot be read"):
        Columns.read(tmp_path)


def test_a_run_without_anything_has_no_rows(tmp_path: Path) -> None:
    write_shard(tmp_path, [])
    for run in (tmp_path, tmp_path / "nowhere"):
        columns = Columns.read(run)
        assert len(columns) == 0
        assert columns.duration == 0
        assert [*columns.gaps()] == []


def test_many_different_errors_are_kept_in_bounds(tmp_path: Path) -> None:
    write_shard(tmp_path, [make_record(n, sent=n, error=f"broken: {n}") for n in range(1200)])
    counts = Columns.read(tmp_path).error_counts()
    assert len(counts) == 1001
    assert counts["other errors"] == 200


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_blocks_of_any_size_hold_every_event_of_any_rows(data: st.DataObject) -> None:
    gaps = data.draw(st.lists(st.lists(st.integers(0, 5_000_000), max_size=9), min_size=1, max_size=20))
    size = data.draw(st.integers(1, 40))
    records = []
    for n, row in enumerate(gaps):
        chunks, at = [], 0
        for gap in row:
            at += gap
            chunks.append(at / 1e6)
        records.append(make_record(n, sent=0.0, chunks=chunks, done=at / 1e6))
    with tempfile.TemporaryDirectory() as name:
        middle = data.draw(st.integers(0, len(records)))
        write_shard(Path(name), records[:middle])
        write_shard(Path(name), records[middle:], number=1, worker=1)
        chosen = data.draw(st.permutations(range(len(gaps))))[: data.draw(st.integers(0, len(gaps)))]
        columns = Columns.read(name).select(np.array(chosen, np.int64))
        found: dict[int, list[int]] = {}
        for block in columns.blocks(size):
            for row, events in zip(block.rows, np.split(block.values, block.starts[1:])):
                found[int(columns.index[row])] = events.tolist()
        assert found == {n: gaps[n] for n in chosen if gaps[n]}
        pooled = sorted(gap for part in columns.gaps(size) for gap in part.tolist())
        assert pooled == sorted(gap for n in chosen for gap in gaps[n][1:])
