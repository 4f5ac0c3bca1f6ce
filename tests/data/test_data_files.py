"""Every format and compression of files, patterns, folders and stdin."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import string
import subprocess
import sys
from pathlib import Path

import pyarrow
import pyarrow.feather
import pyarrow.parquet
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from steelyard.data.source import Data
from steelyard.errors import DataError, MissingExtra, UnknownName, UsageError

ROWS = [
    {"question": "2 + 2 =", "answer": "4"},
    {"question": 'She said "no",\nand left', "answer": "ünï → ☃"},
    {"question": "a\u2028b\u0085c\x0bd", "answer": ""},
]


def as_jsonl(rows) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def as_json(rows) -> bytes:
    return json.dumps(rows, ensure_ascii=False, indent=1).encode()


def as_delimited(rows, delimiter=",") -> bytes:
    text = io.StringIO(newline="")
    # With its usual \r\n, because only then does the writer quote both of them inside cells.
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(rows[0])
    writer.writerows(row.values() for row in rows)
    return text.getvalue().encode()


def as_parquet(rows) -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), sink, row_group_size=2)
    return sink.getvalue()


def as_arrow(rows, new=pyarrow.ipc.new_file) -> bytes:
    sink, table = io.BytesIO(), pyarrow.Table.from_pylist(rows)
    with new(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return sink.getvalue()


def as_feather(rows) -> bytes:
    sink = io.BytesIO()
    pyarrow.feather.write_feather(pyarrow.Table.from_pylist(rows), sink)
    return sink.getvalue()


WRITERS = {
    "jsonl": as_jsonl,
    "ndjson": as_jsonl,
    "json": as_json,
    "csv": as_delimited,
    "tsv": lambda rows: as_delimited(rows, "\t"),
    "parquet": as_parquet,
    "arrow": as_arrow,
    "ipc": lambda rows: as_arrow(rows, pyarrow.ipc.new_stream),
    "feather": as_feather,
}
COMPRESSORS = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


def pairs(data) -> list[tuple[str, str]]:
    return [(sample.input, sample.target) for sample in data]


@pytest.mark.parametrize("end", COMPRESSORS)
@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_gives_the_same_samples(tmp_path, kind, end):
    path = tmp_path / f"questions.{kind}{end}"
    path.write_bytes(COMPRESSORS[end](WRITERS[kind](ROWS)))
    data = Data(path)
    samples = list(data)
    assert [dict(sample.meta) for sample in samples] == ROWS
    assert pairs(samples) == [(row["question"], row["answer"]) for row in ROWS]
    assert [sample.id for sample in samples] == ["0", "1", "2"]
    assert data.name == "questions"
    assert pairs(data) == pairs(samples)


@pytest.mark.parametrize("end", [end for end in COMPRESSORS if end])
def test_torn_or_damaged_compression_is_an_error(tmp_path, end):
    rows = [{"input": os.urandom(20).hex()} for _ in range(3000)]
    whole = COMPRESSORS[end](as_jsonl(rows))
    path = tmp_path / f"d.jsonl{end}"
    for bad in (whole[:-9], whole[: len(whole) // 2], b"no such thing" + whole):
        path.write_bytes(bad)
        with pytest.raises(DataError, match=f"{path.name} cannot be read"):
            list(Data(path, on_bad_row="skip"))


@pytest.mark.parametrize("end", [end for end in COMPRESSORS if end])
def test_several_frames_and_padding_are_one_stream(tmp_path, end):
    compress = COMPRESSORS[end]
    path = tmp_path / f"d.jsonl{end}"
    path.write_bytes(compress(b'{"input": "a"}\n') + compress(b'{"input": "b"}\n') + bytes(8))
    assert [sample.input for sample in Data(path)] == ["a", "b"]


def test_zstandard_is_an_extra(tmp_path, monkeypatch):
    path = tmp_path / "d.jsonl.zst"
    path.write_bytes(COMPRESSORS[".zst"](as_jsonl(ROWS)))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(MissingExtra, match=r"steelyard\[zstd\]"):
        list(Data(path))


@pytest.mark.parametrize(
    "text", ['{"input": "a"}\r\n\r\n{"input": "b"}', '\ufeff\n{"input":"a"}\n \n{"input":"b"}\n\n']
)
def test_blank_lines_byte_order_marks_and_missing_newlines(tmp_path, text):
    path = tmp_path / "d.jsonl"
    path.write_bytes(text.encode())
    assert [(sample.id, sample.input) for sample in Data(path)] == [("0", "a"), ("1", "b")]


def test_byte_order_mark_of_json_and_csv(tmp_path):
    for kind in ("json", "csv", "jsonl"):
        path = tmp_path / f"d.{kind}"
        path.write_bytes(b"\xef\xbb\xbf" + WRITERS[kind](ROWS))
        assert len(list(Data(path, input="question"))) == 3


def test_numbers_keep_every_digit(tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_text('{"input": "n", "target": 123456789012345678901234567890123}\n')
    assert next(iter(Data(path))).target == 123456789012345678901234567890123


def test_lines_may_be_very_long(tmp_path):
    text = "x" * 3_000_000
    for kind in ("jsonl", "csv"):
        path = tmp_path / f"d.{kind}"
        path.write_bytes(WRITERS[kind]([{"input": text}]))
        assert next(iter(Data(path))).input == text


def test_delimiters_and_literal_quotes(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text('input;target\n"a;b";c\n')
    with pytest.raises(DataError, match="delimiter=';'"):
        list(Data(path))
    assert pairs(Data(path, delimiter=";")) == [("a;b", "c")]
    path = tmp_path / "d.tsv"
    path.write_text('input\ttarget\n"Go" he said\tyes\n"\tno\n')
    with pytest.raises(DataError, match=r"line 2.*quotes=false"):
        list(Data(path))
    assert pairs(Data(path, quotes=False)) == [('"Go" he said', "yes"), ('"', "no")]
    with pytest.raises(UsageError, match="delimiter"):
        Data([{"input": "a"}], delimiter=";")
    with pytest.raises(DataError, match="delimiter"):
        list(Data(path, delimiter="ab"))


def test_the_same_column_twice_is_an_error(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("input,target,input\na,b,c\n")
    with pytest.raises(DataError, match="several columns named 'input'"):
        list(Data(path))
    table = pyarrow.table([["a"], ["b"]], names=["input", "input"])
    path = tmp_path / "d.parquet"
    pyarrow.parquet.write_table(table, path)
    for source in (path, table):
        with pytest.raises(DataError, match="several columns named 'input'"):
            list(Data(source))


def test_patterns_and_folders_are_read_in_order(tmp_path):
    for name in ("b.jsonl", "a.jsonl", "sub/c.jsonl", ".hidden/d.jsonl", "read me.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(as_jsonl([{"input": name}]))
    assert [s.input for s in Data(str(tmp_path / "*.jsonl"))] == ["a.jsonl", "b.jsonl"]
    folder = [(s.id, s.input) for s in Data(tmp_path)]
    assert folder == [("0", "a.jsonl"), ("1", "b.jsonl"), ("2", "sub/c.jsonl")]
    chosen = [tmp_path / "b.jsonl", tmp_path / "a.jsonl"]
    assert [s.input for s in Data(chosen)] == ["b.jsonl", "a.jsonl"]
    assert [s.input for s in Data([str(path) for path in chosen])] == ["b.jsonl", "a.jsonl"]
    with pytest.raises(DataError, match="no file matches"):
        Data(str(tmp_path / "*.csv"))
    (tmp_path / "e.csv").write_text("input\na\n")
    with pytest.raises(DataError, match="several formats: csv and jsonl"):
        Data(tmp_path)


def test_a_split_chooses_files(tmp_path):
    for name in ("train-00000-of-00001.jsonl", "test-00000-of-00001.jsonl"):
        (tmp_path / name).write_bytes(as_jsonl([{"input": name[:5]}]))
    assert [s.input for s in Data(tmp_path, split="test")] == ["test-"]
    with pytest.raises(DataError, match="no file of the split 'dev'"):
        Data(tmp_path, split="dev")


def test_files_that_are_not_there(tmp_path):
    (tmp_path / "questions.jsonl").write_bytes(as_jsonl(ROWS))
    with pytest.raises(DataError, match=r"did you mean .*questions\.jsonl"):
        Data(str(tmp_path / "question.jsonl"))
    with pytest.raises(DataError, match="no folder"):
        Data(tmp_path / "no" / "d.jsonl")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no data"):
        Data(tmp_path / "empty")


def test_the_format_can_be_given(tmp_path):
    path = tmp_path / "data.txt"
    path.write_bytes(as_jsonl(ROWS))
    with pytest.raises(DataError, match="format="):
        Data(path)
    assert len(list(Data(path, format="jsonl"))) == 3
    with pytest.raises(UnknownName, match="jsonl"):
        Data(path, format="jsonll")
    path.write_bytes(gzip.compress(as_jsonl(ROWS)))
    assert len(list(Data(path, format="jsonl.gz"))) == 3
    path = tmp_path / "lines.json"
    path.write_bytes(as_jsonl(ROWS))
    with pytest.raises(DataError, match="format=jsonl"):
        list(Data(path))


@pytest.mark.parametrize("kind", ["parquet", "arrow", "feather"])
def test_files_that_are_not_what_their_name_says(tmp_path, kind):
    path = tmp_path / f"d.{kind}"
    for text in (b"not this", b"", WRITERS[kind](ROWS)[:-40]):
        path.write_bytes(text)
        data = Data(path)
        assert data.size() is None
        with pytest.raises(DataError, match=path.name):
            list(data)


@pytest.mark.parametrize(
    "kind, end", [("jsonl", ""), ("csv", ""), ("jsonl", ".gz"), ("parquet", ""), ("parquet", ".zst")]
)
def test_stdin(kind, end):
    code = (
        "from steelyard.data.source import Data\n"
        f"data = Data('-', format={kind + end!r})\n"
        "assert data.size() is None and data.identity()['stream'] == 'stdin'\n"
        "print(ascii([(s.id, s.input, s.target) for s in data]))\n"
        "try:\n    list(data)\nexcept Exception as error:\n    print(type(error).__name__, error)\n"
    )
    given = COMPRESSORS[end](WRITERS[kind](ROWS))
    done = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, check=True)
    first, second = done.stdout.decode().splitlines()
    assert first == ascii([(str(i), row["question"], row["answer"]) for i, row in enumerate(ROWS)])
    assert second.startswith("DataError stdin can be read only once")


texts = st.text(st.characters(codec="utf-8"), max_size=12)
tables = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(texts, min_size=width, max_size=width), min_size=1, max_size=6)
)


@settings(max_examples=60, deadline=None)
@given(tables, st.sampled_from(["jsonl", "json", "csv", "tsv"]))
def test_any_text_comes_back(tmp_path_factory, cells, kind):
    names = ["input", *string.ascii_lowercase]
    rows = [dict(zip(names, line)) for line in cells]
    path: Path = tmp_path_factory.mktemp("any") / f"d.{kind}"
    path.write_bytes(WRITERS[kind](rows))
    assert [dict(sample.meta) for sample in Data(path)] == rows
