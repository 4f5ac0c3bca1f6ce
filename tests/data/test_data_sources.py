"""What is in this process already, names, functions, and the hub."""

from __future__ import annotations

import json
import types
from datetime import datetime

import datasets
import numpy
import pandas
import polars
import pyarrow
import pyarrow.dataset
import pytest

from steelyard.builtin import BUILTINS, Builtin
from steelyard.data.source import Data
from steelyard.errors import DataError, MissingExtra, UnknownName, UsageError
from steelyard.store import Run
from steelyard.types import Record, Request, Response, Sample

ROWS = [{"question": f"{n} + {n} =", "answer": 2 * n, "tags": ["sum", str(n)]} for n in range(2500)]


@pytest.fixture(autouse=True)
def _quiet():
    datasets.disable_progress_bars()


@pytest.mark.parametrize(
    "frame",
    [
        pandas.DataFrame(ROWS),
        polars.DataFrame(ROWS),
        pyarrow.Table.from_pylist(ROWS),
        pyarrow.RecordBatch.from_pylist(ROWS),
        pyarrow.dataset.dataset(pyarrow.Table.from_pylist(ROWS)),
        datasets.Dataset.from_list(ROWS),
        ROWS,
        tuple(ROWS),
    ],
    ids=lambda frame: f"{type(frame).__module__.split('.')[0]}.{type(frame).__name__}",
)
def test_frames_and_lists_of_rows(frame):
    data = Data(frame)
    assert data.size() == 2500
    for _ in range(2):
        samples = list(data)
        assert [dict(sample.meta) for sample in samples] == ROWS
        assert (samples[7].id, samples[7].input, samples[7].target) == ("7", "7 + 7 =", 14)
    assert Data(frame).identity() == data.identity()
    assert data.identity()["content"] == Data(frame).identity()["content"]


def test_content_tells_rows_apart():
    changed = [*ROWS[:-1], {**ROWS[-1], "answer": 0}]
    assert Data(ROWS).identity() != Data(changed).identity()
    assert Data(pandas.DataFrame(ROWS)).identity() != Data(pandas.DataFrame(changed)).identity()
    things = [{"input": "a", "x": numpy.arange(3), "t": datetime(2020, 1, 1), "o": object()}]
    assert Data(things).identity() == Data(list(things)).identity()


def test_empty_cells_of_a_frame_are_none():
    frame = pandas.DataFrame({"input": ["a", "b"], "target": [1.5, None], 3: [pandas.NaT, pandas.NA]})
    first, second = Data(frame)
    assert first.target == 1.5
    assert second.target is None
    assert first.meta == {"input": "a", "target": 1.5, "3": None}


def test_times_of_a_frame_can_be_stored(tmp_path):
    frame = pandas.DataFrame(
        {"input": ["a"], "day": [pandas.Timestamp("2020-02-03")], "v": [numpy.float32(1)]}
    )
    (sample,) = Data(frame)
    with_record = Run.create(tmp_path / "run", {})
    with_record.add(Record(0, sample, Request("0", "a"), Response("b")))
    with_record.close()
    (record,) = Run.open(tmp_path / "run").records()
    assert record.sample.meta["day"] == "2020-02-03T00:00:00"


def test_a_lazy_frame_is_told_what_to_do():
    with pytest.raises(DataError, match="collect"):
        Data(polars.LazyFrame(ROWS))


def test_texts_and_samples():
    assert [(s.id, s.input) for s in Data(["a", "b"])] == [("0", "a"), ("1", "b")]
    assert [s.input for s in Data(pandas.Series(["a", "b"]))] == ["a", "b"]
    samples = [Sample("x", "a", target="b"), Sample("y", "c")]
    assert list(Data(samples)) == samples
    data = Data(samples)
    assert list(Data(data, limit=1)) == samples[:1]
    assert Data(data).identity()["content"] == data.identity()["content"]
    frozen = types.MappingProxyType({"input": "a"})
    assert [s.input for s in Data([frozen])] == ["a"]


@pytest.mark.parametrize("source", [3, None, {"input": "a"}, {}, object()])
def test_what_is_no_data(source):
    with pytest.raises((DataError, UnknownName)):
        list(Data(source))


def rows_of_mine():
    yield {"input": "a"}
    yield {"input": "b"}


def test_what_can_be_read_once_is_read_once():
    reader = pyarrow.Table.from_pylist(ROWS).to_reader()
    for source in (rows_of_mine(), iter(["a", "b"]), reader):
        data = Data(source)
        assert data.size() is None
        assert "stream" in data.identity()
        assert next(iter(data)).id == "0"
        with pytest.raises(DataError, match="only once"):
            next(iter(data))


def test_a_generator_is_not_read_ahead():
    def endless():
        number = 0
        while True:
            yield {"input": str(number)}
            number += 1

    assert [s.input for s in Data(endless(), offset=5, limit=2)] == ["5", "6"]


def test_functions_are_called_for_each_loop(tmp_path):
    data = Data(rows_of_mine)
    assert [s.input for s in data] == [s.input for s in data] == ["a", "b"]
    assert data.name == "rows_of_mine"
    assert data.identity()["source"] is not None
    path = tmp_path / "animals.py"
    path.write_text(
        "from pathlib import Path\n"
        "LIST = ['cat']\n"
        "def animals():\n    yield {'input': 'cat', 'target': 'CAT'}\n"
        "def from_file():\n    return Path(__file__).with_name('d.jsonl')\n"
        "class Owls:\n"
        "    def __iter__(self):\n        return iter(['owl'])\n"
    )
    (tmp_path / "d.jsonl").write_text('{"input": "dog"}\n')
    for name, first in {"animals": "cat", "from_file": "dog", "Owls": "owl", "LIST": "cat"}.items():
        data = Data(f"{path}:{name}")
        assert [s.input for s in data] == [s.input for s in data] == [first]
    before = Data(f"{path}:animals").identity()
    assert before == Data(f"{path}:animals").identity()
    with pytest.raises(UnknownName, match="animals"):
        Data(f"{path}:animal")


def test_names(tmp_path, monkeypatch):
    (tmp_path / "d.jsonl").write_text('{"question": "a", "answer": "b"}\n')
    monkeypatch.setitem(BUILTINS["data"], "demo/test", Builtin("demo_of_test:PATH", "a test"))
    (tmp_path / "demo_of_test.py").write_text(
        f"from pathlib import Path\nPATH = Path({str(tmp_path)!r}) / 'd.jsonl'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    data = Data("demo/test")
    assert data.name == "demo/test"
    assert data.identity()["files"][0][0] == "d.jsonl"
    assert [s.target for s in data] == ["b"]
    with pytest.raises(UnknownName, match="did you mean demo/arithmetic"):
        Data("demo/arithmetics")
    with pytest.raises(DataError, match="network"):
        Data("https://example.org/d.jsonl")


def test_options_that_mean_nothing_are_refused():
    for options in ({"split": "test"}, {"format": "csv"}, {"quotes": False}):
        with pytest.raises(UsageError, match="means nothing"):
            Data(ROWS, **options)
    with pytest.raises(UsageError, match="means nothing"):
        Data("-", split="test")
    for options in ({"limit": 0}, {"limit": "5"}, {"offset": -1}, {"sample": 0}, {"on_bad_row": "no"}):
        with pytest.raises(UsageError, match=next(iter(options))):
            Data(ROWS, **options)


def test_files_are_known_by_what_is_in_them(tmp_path):
    def written(name: str, text: str):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return Data(path).identity()

    one = written("a/d.jsonl", '{"input": "a"}\n')
    assert json.dumps(one) and str(tmp_path) not in json.dumps(one)
    assert written("b/d.jsonl", '{"input": "a"}\n') == one
    assert written("c/d.jsonl", '{"input": "b"}\n') != one
    assert written("a/d.jsonl", '{"input": "abc"}\n') != one
    again = Data(tmp_path / "b" / "d.jsonl")
    assert again.identity() == one
    for options in ({"limit": 3}, {"input": "input"}, {"offset": 1}, {"sample": 2}):
        assert Data(tmp_path / "b" / "d.jsonl", **options).identity() != one
    assert Data(tmp_path / "b" / "d.jsonl", seed=5, on_bad_row="skip").identity() == one
    chosen = [Data(tmp_path / "b" / "d.jsonl", sample=1, seed=seed).identity() for seed in (0, 5)]
    assert chosen[0] != chosen[1]


def test_saved_data_sets_of_the_hub_library(tmp_path):
    saved = datasets.Dataset.from_list(ROWS[:5])
    saved.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": saved, "test": saved.select([3])}).save_to_disk(tmp_path / "two")
    for ref in (tmp_path / "one", f"hub:{tmp_path}/one"):
        data = Data(ref)
        assert (data.name, data.size()) == ("one", 5)
        assert [dict(s.meta) for s in data] == ROWS[:5]
    assert [s.target for s in Data(f"hub:{tmp_path}/two", split="test")] == [6]
    for split in (None, "dev"):
        with pytest.raises(DataError, match="train, test"):
            list(Data(tmp_path / "two", split=split))
    saved.save_to_disk(tmp_path / "again" / "one")
    assert Data(tmp_path / "again" / "one").identity() == Data(tmp_path / "one").identity()


def test_data_sets_of_the_hub_library_in_memory():
    both = datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS[:5])})
    assert Data(both).size() == 5
    assert [s.target for s in Data(both, split="train", limit=2)] == [0, 2]
    stream = both["train"].to_iterable_dataset()
    assert [s.target for s in Data(stream)] == [0, 2, 4, 6, 8]
    assert [s.target for s in Data({"a": ["x"], "b": ROWS[:2]}, split="b")] == [0, 2]


def test_hub_data_is_streamed_from_a_folder_like_one_of_the_hub(tmp_path, monkeypatch):
    (tmp_path / "raw").mkdir()
    for split in ("train", "test"):
        (tmp_path / "raw" / f"{split}.jsonl").write_text(f'{{"question": "{split}"}}\n' * 2)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    data = Data(f"hub:{tmp_path}/raw", split="test")
    assert [s.input for s in data] == ["test", "test"]
    assert [name for name, _ in data.identity()["files"]] == ["test.jsonl", "train.jsonl"]
    with pytest.raises(DataError, match="cannot be opened"):
        list(Data(f"hub:{tmp_path}/raw", split="dev"))


def test_the_hub_is_an_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"steelyard\[hub\]"):
        Data("hub:openai/gsm8k:main")


def test_names_of_hub_data():
    with pytest.raises(UsageError, match="names no data set"):
        Data("hf://datasets/openai/gsm8k/main/test.parquet")
    known = Data("hub:openai/gsm8k:main@e53f048", split="test").identity()
    assert known == {
        "hub": "openai/gsm8k",
        "config": "main",
        "revision": "e53f048",
        "options": {"split": "test"},
    }
    assert Data("hf://datasets/openai/gsm8k").name == "openai/gsm8k"
