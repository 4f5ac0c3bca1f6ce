"""Traces and requests of one's own: read row by row, bad ones told with their line."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from made_tokenizers import make_byte_level, write_folder

from steelyard.data.source import Data
from steelyard.errors import SteelyardError
from steelyard.workloads.references import open_workload
from steelyard.workloads.tokens import open_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("tokens") / "tiny", make_byte_level())


def write(path: Path, *rows: Any) -> Path:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def row(time: float, length: int, *hashes: int, output: int = 5) -> dict[str, Any]:
    return {"timestamp": time, "input_length": length, "output_length": output, "hash_ids": list(hashes)}


def test_blocks_of_the_same_hash_are_the_same_tokens(tmp_path: Path, folder: Path) -> None:
    rows = [
        row(0, 1030, 1, 2, 3),
        row(500, 1030, 1, 2, 4),
        row(500, 600, 1, 5),
        row(1500, 520, 7, 2),
        row(2000, 40),
        row(2500, 2000, 1, 2),
    ]
    path = write(tmp_path / "trace.jsonl", *rows)
    tokenizer = open_tokenizer(folder)
    sessions = list(open_workload(path, tokenizer=folder))
    assert [one.at for one in sessions] == [0, 0.5, 0.5, 1.5, 2, 2.5]
    texts = [tokenizer.encode(str(one.turns[0].prompt)) for one in sessions]
    assert [len(text) for text in texts] == [one["input_length"] for one in rows]
    assert [one.turns[0].tokens_in for one in sessions] == [one["input_length"] for one in rows]
    assert texts[0][:1024] == texts[1][:1024] == texts[5][:1024]
    assert texts[0][1024:] != texts[1][1024:]
    # A block that is not whole is the beginning of the whole one; another first one is another block.
    assert texts[2][:512] == texts[0][:512] and texts[2][512:] != texts[0][512:600]
    assert texts[3][512:] == texts[0][512:520] and texts[3][:512] != texts[0][:512]
    # What no block says is the request's own.
    assert len(set(texts[5][1024:])) > 50
    small = list(open_workload("mooncake", data=path, tokenizer=folder, block=16, unit="s", limit=2))
    assert [one.at for one in small] == [0, 500]
    assert [len(tokenizer.encode(str(one.turns[0].prompt))) for one in small] == [1030, 1030]
    assert str(small[0].turns[0].prompt).split()[:30] == str(small[1].turns[0].prompt).split()[:30]
    assert open_workload(path).identity() != open_workload(path, block=16).identity()


def test_recorded_texts_are_taken_as_they_are(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", {"timestamp": 0, "input_text": "Hello there", "output_length": 9})
    (session,) = open_workload(path)
    assert (session.turns[0].prompt, session.turns[0].max_tokens) == ("Hello there", 9)


@pytest.mark.parametrize(
    "header",
    [
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type",
        "timestamp,model,request_tokens,response_tokens,total,log",
    ],
)
def test_burstgpt_and_what_is_like_it(tmp_path: Path, folder: Path, header: str) -> None:
    path = write(
        tmp_path / "b.csv", header, "5,ChatGPT,47,18,65,x", "45,GPT-4,9,0,9,x", "46.5,GPT-4,9,7,16,x"
    )
    workload = open_workload("burstgpt", data=path, tokenizer=folder)
    tokenizer, sessions = open_tokenizer(folder), list(workload)
    assert [(one.at, one.turns[0].max_tokens) for one in sessions] == [(5, 18), (46.5, 7)]
    assert [len(tokenizer.encode(str(one.turns[0].prompt))) for one in sessions] == [47, 9]
    # A request that got no answer is none that could be asked for as much.
    assert workload.skipped == 1  # type: ignore[attr-defined]


def test_azure_writes_moments(tmp_path: Path) -> None:
    path = write(
        tmp_path / "azure.csv",
        "TIMESTAMP,ContextTokens,GeneratedTokens",
        "2023-11-16 18:15:46.6805900,374,44",
        "2023-11-16 18:15:50.9951690,396,109",
        "2023-11-16 18:16:00+00:00,396,109",
    )
    first, second, third = open_workload(path)
    assert (second.at or 0) - (first.at or 0) == pytest.approx(4.314579, abs=1e-6)
    assert (third.at or 0) - (first.at or 0) == pytest.approx(13.31941, abs=1e-6)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"input_length": 5, "output_length": 5}, "expected a column timestamp"),
        ({"timestamp": "soon", "input_length": 5, "output_length": 5}, "as timestamp, saw 'soon'"),
        ({"timestamp": 1, "output_length": 5}, "expected a column input_length"),
        ({"timestamp": 1, "input_length": 5}, "expected a column output_length"),
        ({"timestamp": 1, "input_length": 0, "output_length": 5}, "at least 1 as input length, saw '0'"),
        ({"timestamp": 1, "input_length": 2.5, "output_length": 5}, "as input length, saw '2.5'"),
        ({"timestamp": 1, "input_length": True, "output_length": 5}, "as input length, saw 'True'"),
        ({"timestamp": 1, "input_length": 5, "output_length": -1}, "as output length, saw '-1'"),
        ({"timestamp": 1, "input_length": 5, "output_length": 5, "hash_ids": "1,2"}, "hash_ids, saw '1,2'"),
        ({"timestamp": -9, "input_length": 5, "output_length": 5}, "sort the trace by its times"),
        ([1, 2], "expected an object with columns"),
        ('{"timestamp": 1', "expected a JSON object"),
    ],
)
def test_a_bad_row_is_told_with_its_line(tmp_path: Path, bad: Any, error: str) -> None:
    path = write(tmp_path / "t.jsonl", row(0, 5), bad, row(3, 5))
    with pytest.raises(SteelyardError, match=rf"t\.jsonl, line 2: .*{error}"):
        list(open_workload("mooncake", data=path))
    workload = open_workload("mooncake", data=path, on_bad_row="skip")
    assert len(list(workload)) == 2 and workload.skipped == 1  # type: ignore[attr-defined]


def test_a_trace_with_nothing_in_it(tmp_path: Path) -> None:
    for name, rows in (("a.jsonl", ()), ("b.jsonl", (row(0, 5, output=0),))):
        with pytest.raises(SteelyardError, match="has no request"):
            list(open_workload("mooncake", data=write(tmp_path / name, *rows)))
    with pytest.raises(SteelyardError, match="there is no file"):
        open_workload("mooncake", data=tmp_path / "nowhere.jsonl")
    with pytest.raises(SteelyardError, match="the workload mooncake needs data"):
        open_workload("mooncake")
    with pytest.raises(SteelyardError, match="unit=min"):
        open_workload("mooncake", data=tmp_path / "b.jsonl", unit="min")


def test_a_long_trace_is_never_whole_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    with path.open("w") as file:
        line = json.dumps({**row(1, 2000, *range(100, 104)), "note": "x" * 4000})
        for _ in range(8_000):
            file.write(line + "\n")
    code = f"""
import resource
from steelyard.workloads.references import open_workload
from steelyard.workloads.base import take_share
workload = open_workload({str(path)!r})
next(iter(workload))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = sum(1 for _ in take_share(workload, 1, 4))
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    count, grown = map(int, said.split())
    assert count == 2000
    # The file has 33 MB.
    assert grown < 12_000


def test_requests_of_ones_own(tmp_path: Path) -> None:
    path = write(
        tmp_path / "mine.jsonl.gz",
        {"id": "a", "prompt": "Hello", "max_tokens": 16},
        {"id": "b", "prompt": "Hi", "output_len": "3", "params": {"temperature": 0.5}, "timestamp": 1.5},
        {"id": "c", "prompt": "Write.", "turns": ["Write.", "Shorter."], "think": 2.5},
        {"id": "d", "prompt": "Plain"},
    )
    one, two, three, four = open_workload(path, output="uniform:7:7")
    assert (one.id, one.turns[0].prompt, one.turns[0].max_tokens, one.at) == ("a", "Hello", 16, None)
    assert (two.turns[0].max_tokens, two.turns[0].params, two.at) == (3, {"temperature": 0.5}, 1.5)
    assert [(turn.prompt, turn.think) for turn in three.turns] == [("Write.", 0), ("Shorter.", 2.5)]
    assert four.turns[0].max_tokens == 7


def test_messages_columns_and_templates(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]
    path = write(tmp_path / "m.jsonl", {"messages": turns, "max_completion_tokens": 9})
    (session,) = open_workload(path)
    assert (session.turns[0].prompt, session.turns[0].max_tokens) == (turns, 9)
    csv = write(tmp_path / "m.csv", "word,max_tokens,params", 'cat,4,"{""top_p"": 0.5}"', "dog,5,")
    one, two = open_workload("custom", data=csv, input="word", template="Say {input}.")
    assert (one.turns[0].prompt, one.turns[0].max_tokens, one.turns[0].params) == (
        "Say cat.",
        4,
        {"top_p": 0.5},
    )
    assert (two.turns[0].prompt, two.turns[0].params) == ("Say dog.", {})
    (three,) = open_workload(Data([{"question": "Why?", "answer": "So."}]))
    assert (three.turns[0].prompt, three.turns[0].target) == ("Why?", "So.")
    (four,) = open_workload("custom", data=[{"turns": ["Only", "turns"]}])
    assert [turn.prompt for turn in four.turns] == ["Only", "turns"]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"prompt": "x", "max_tokens": 0}, "at least 1 as max_tokens, saw '0'"),
        ({"prompt": "x", "Max_New_Tokens": "ten"}, "at least 1 as Max_New_Tokens, saw 'ten'"),
        ({"prompt": "x", "max_tokens": 1.5}, "saw '1.5'"),
        ({"prompt": "x", "params": "hot"}, "a JSON object as params, saw 'hot'"),
        ({"prompt": "x", "sampling_params": [1]}, "an object as sampling_params"),
        ({"prompt": "x", "think": -1}, "seconds as think"),
        ({"prompt": "x", "Delay": "x"}, "seconds as Delay"),
        ({"prompt": "x", "timestamp": "now"}, "seconds as timestamp"),
        ({"prompt": "x", "at": "now"}, "seconds as at"),
        ({"prompt": "x", "turns": []}, "a list of texts as turns"),
        ({"prompt": "x", "turns": ["a", 1]}, "a list of texts as turns"),
        ({"text": "x"}, "expected the column 'prompt'"),
    ],
)
def test_a_bad_request_is_told_with_its_line(tmp_path: Path, bad: Any, error: str) -> None:
    path = write(tmp_path / "mine.jsonl", {"prompt": "x"}, bad, {"prompt": "y"})
    with pytest.raises(SteelyardError, match=rf"mine\.jsonl, line 2: .*{error}"):
        list(open_workload(path))
    assert len(list(open_workload("custom", data=path, on_bad_row="skip"))) == 2


def test_stdin_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(SteelyardError, match="is empty"):
        list(open_workload("custom", data=write(tmp_path / "e.jsonl")))
    code = "from steelyard.workloads.references import open_workload as o; print([s.turns for s in o('-')])"
    said = subprocess.run(
        [sys.executable, "-c", code], input='{"prompt": "Hi"}\n', capture_output=True, text=True, check=True
    )
    assert "prompt='Hi'" in said.stdout
