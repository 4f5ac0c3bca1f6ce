"""Slices, samples, sizes and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.data.fewshot import Pool, examples
from steelyard.data.selection import choose
from steelyard.data.source import Data
from steelyard.errors import DataError

ROWS = [{"input": str(n)} for n in range(100)]


@given(st.integers(0, 30), st.integers(1, 30) | st.none(), st.integers(1, 30) | st.none(), st.integers(0, 3))
def test_slices_and_samples(offset, limit, sample, seed):
    rows = ROWS[:25]
    wanted = list(range(25))[offset : None if limit is None else offset + limit]
    data = Data(rows, offset=offset, limit=limit, sample=sample, seed=seed)
    if not wanted:
        with pytest.raises(DataError, match="no row after the first"):
            list(data)
        return
    found = [int(s.id) for s in data]
    assert [int(s.input) for s in data] == found
    assert found == sorted(set(found))
    assert set(found) <= set(wanted)
    assert len(found) == data.size() == min(len(wanted), sample or len(wanted))


def test_samples_are_uniform_and_hold_smaller_ones():
    counts = Counter(item for seed in range(4000) for item in choose(range(10), 3, seed=seed))
    # 1200 expected of each; five standard deviations are 145.
    assert all(abs(counts[item] - 1200) < 145 for item in range(10))
    assert set(choose(range(1000), 10, seed=1)) < set(choose(range(1000), 20, seed=1))
    assert choose(range(1000), 10, seed=1) != choose(range(1000), 10, seed=2)
    # Stored runs name samples: what a seed chooses must never change.
    assert choose(range(1000), 5, seed=0) == [40, 186, 402, 583, 993]


def test_bad_rows_outside_of_a_slice_do_not_matter(tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_text('oh\n{"input": "a"}\n{"input": "b"}\nno\n')
    assert [s.id for s in Data(path, offset=1, limit=2)] == ["1", "2"]


@pytest.mark.parametrize(
    "text, size",
    [
        ("{}\n{}\n", 2),
        ("{}\n{}", 2),
        ("{}\r\n{}\r\n", 2),
        ("{}\n\n{}\n", None),
        ("\n{}", None),
        ("{}\r\n\r\n", None),
    ],
)
def test_sizes_of_json_lines_are_right_or_unknown(tmp_path, text, size):
    path = tmp_path / "d.jsonl"
    path.write_bytes(text.encode())
    assert Data(path).size() == size


def test_sizes_of_other_files(tmp_path):
    table = pyarrow.Table.from_pylist(ROWS)
    for name in ("a.parquet", "b.parquet"):
        pyarrow.parquet.write_table(table, tmp_path / name)
    assert Data(tmp_path).size() == 200
    assert Data(tmp_path, offset=150, limit=100).size() == 50
    assert Data(tmp_path, sample=3).size() == 3
    (tmp_path / "d.csv").write_text("input\na\n")
    assert Data(tmp_path / "d.csv").size() is None
    big = tmp_path / "big.jsonl"
    big.write_text("".join(json.dumps({"input": "x" * n}) + "\n" for n in range(2500)))
    assert big.stat().st_size > 2 << 20
    assert Data(big).size() == 2500


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet", "jsonl.gz"])
def test_memory_does_not_grow_with_the_rows(tmp_path, kind):
    code = f"""
import sys, tracemalloc
from steelyard.data.source import Data
import gzip, pyarrow as pa, pyarrow.parquet as pq
path = {str(tmp_path / "d")!r} + ".{kind}"
rows = 30_000
if path.endswith("parquet"):
    with pq.ParquetWriter(path, pa.schema([("input", pa.string())])) as writer:
        for start in range(0, rows, 10_000):
            table = pa.table({{"input": [f"question number {{n}}" for n in range(start, start + 10_000)]}})
            writer.write_table(table)
else:
    line = "question number %d\\n" if path.endswith("csv") else '{{"input": "question number %d"}}\\n'
    with (gzip.open(path, "wt", 1) if path.endswith("gz") else open(path, "w")) as file:
        file.write("input\\n" if path.endswith("csv") else "")
        file.writelines(line % n for n in range(rows))
data = iter(Data(path))
next(data)
tracemalloc.start()
for count, sample in enumerate(data, 2):
    pass
assert count == rows and sample.input == "question number 29999", (count, sample)
print(tracemalloc.get_traced_memory()[1])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    # All the rows as Samples would take more than 10 MB.
    assert int(done.stdout) < 2_000_000


def test_examples_are_the_same_for_all():
    shots = examples(Data(ROWS), 5, seed=3)
    assert shots == examples(Data(ROWS), 5, seed=3) != examples(Data(ROWS), 5, seed=4)
    assert len(shots) == 5
    excluded = {shot.id for shot in shots}
    assert not excluded & {shot.id for shot in examples(Data(ROWS), 5, seed=3, exclude=excluded)}
    with pytest.raises(DataError, match="101 worked examples are wanted, list has 100"):
        examples(Data(ROWS), 101)


def test_examples_for_each_sample_are_never_itself():
    samples = list(Data(ROWS[:6]))
    pool = Pool(Data(ROWS[:6]), seed=1)
    for sample in samples:
        shots = pool.examples(sample, 5)
        assert sample not in shots
        assert shots == Pool(Data(ROWS[:6]), seed=1).examples(sample, 5)
    with pytest.raises(DataError, match="6 worked examples"):
        pool.examples(samples[0], 6)
    assert len({tuple(s.id for s in pool.examples(sample, 3)) for sample in samples}) > 1
