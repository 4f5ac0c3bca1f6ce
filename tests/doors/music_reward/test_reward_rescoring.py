"""Results that were edited by hand, or come from elsewhere: what counts, what is counted, what is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("soundfile")

from music_rows import write_lines

from music_reward.benchmark.rescoring import main as evaluate_results

RATED = {
    "audio-path": "a.wav", "source": "PAM", "split": "test", "musicality": 3, "text-music alignment": 2,
    "benchmark_dataset": "PAM", "predicted_text-music alignment": 0.5, "predicted_musicality": 0.4,
    "inference_valid_a": True, "inference_error": None, "duration_bin": "0-10 s",
}  # fmt: skip
PAIR = {
    "audio-path": "a.wav", "audio2": "b.wav", "source": "Music Arena", "preference": "a",
    "benchmark_dataset": "MusicArena", "predicted_musicality": 0.4, "predicted_musicality_b": 0.3,
    "inference_valid_a": True, "inference_valid_b": True, "inference_error": None,
}  # fmt: skip


def evaluate(folder: Path, *rows: Mapping[str, Any], words: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """The rows of the summary of such results."""
    write_lines(folder / "results.jsonl", rows)
    return summarize(folder, words=words)


def summarize(folder: Path, *, words: tuple[str, ...] = ()) -> list[dict[str, str]]:
    assert evaluate_results(["-r", str(folder / "results.jsonl"), *words]) == 0
    with (folder / "metrics_summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_what_has_no_score_is_counted(tmp_path: Path) -> None:
    known = [{**RATED, "musicality": n, "predicted_musicality": n / 3} for n in (1, 2, 4)]
    lost = [{**RATED, "predicted_musicality": value} for value in ("0.4", None, 10**400)]
    halves = [{**PAIR, "predicted_musicality_b": None}, {**PAIR, "preference": "who knows"}]
    failed = {**PAIR, "preference": "who knows", "inference_valid_b": False, "inference_error": "broken"}
    rated, _, judged = evaluate(tmp_path, *known, *lost, PAIR, *halves, failed)
    assert (rated["n"], rated["failed"], rated["dropped"], float(rated["SRCC"])) == ("3", "0", "3", 1.0)
    assert (judged["n"], judged["failed"], judged["dropped"], judged["ACC"]) == ("1", "0", "3", "1.0")


def test_odd_lines_are_read_as_far_as_they_go(tmp_path: Path) -> None:
    odd = json.dumps({**RATED, "prompt": "x"}).replace('"x"', '"\\ud800"').replace("0.4", "NaN")
    lines = ["", odd, json.dumps({**RATED, "benchmark_dataset": 7, "duration_bin": 5}), "  "]
    (tmp_path / "results.jsonl").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    found = summarize(tmp_path)
    counts = [(row["dataset"], row["task"], row["n"]) for row in found]
    assert counts[:2] == [("PAM", "musicality", "0"), ("PAM", "alignment", "1")]
    assert counts[2:] == [("7", "musicality", "1"), ("7", "alignment", "1")]


def test_rows_of_no_source_are_compared_too(tmp_path: Path) -> None:
    bare = {name: value for name, value in RATED.items() if name not in ("source", "benchmark_dataset")}
    found = evaluate(tmp_path, *[{**bare, "musicality": n, "predicted_musicality": -n} for n in (1, 2, 3)])
    assert (found[0]["dataset"], found[0]["n"], float(found[0]["SRCC"])) == ("", "3", -1.0)


def test_splits_are_told_apart_by_their_words(tmp_path: Path) -> None:
    rows = [{**RATED, "split": split} for split in (1, "1", 2, "", None)]
    assert evaluate(tmp_path, *rows, words=("--split", "1"))[0]["n"] == "4"


def test_rows_without_judgement_give_empty_tables(tmp_path: Path) -> None:
    assert evaluate(tmp_path, {**PAIR, "preference": None}) == []
    head = (tmp_path / "metrics_summary.csv").read_text()
    assert head.startswith("dataset,task,n,SRCC,LCC,K-Tau,ACC") and head.count("\n") == 1
    assert json.loads((tmp_path / "metrics.json").read_text())["detail"] == []


@pytest.mark.parametrize(
    ("lines", "words", "says"),
    [
        ("", (), "results.jsonl has no row"),
        (json.dumps(RATED), ("--split", "dev"), "has no row of the split dev"),
        (json.dumps(RATED) + "\n{oops", (), "results.jsonl:2 is no JSON"),
        ("[" * 100_000, (), "results.jsonl:1 is no JSON"),
        ("[1]", (), "results.jsonl:1 is no JSON object"),
        (json.dumps({**RATED, "musicality": 10**400}), (), "expected a number as 'musicality'"),
        (json.dumps({"musicality": 3}), (), "expected a sound as 'audio-path'"),
        (json.dumps({**RATED, "audio-path": None}), (), "expected a sound as 'audio-path', saw 'None'"),
    ],
)
def test_what_is_no_result_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: str, words: tuple[str, ...], says: str
) -> None:
    (tmp_path / "results.jsonl").write_text(lines)
    assert evaluate_results(["-r", str(tmp_path / "results.jsonl"), *words]) == 2
    said = capsys.readouterr().err
    assert says in said and "this is a bug" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["results.jsonl"]


def test_no_file_is_written_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    write_lines(folder / "results.jsonl", [RATED])
    wanted = {"split": "test", "include_lcc": True, "include_k_tau": True, "groups": []}
    for name in ("../escaped.csv", str(tmp_path / "escaped.csv"), "results.jsonl", "..", ""):
        told = {"model": "m", "evaluation": {**wanted, "outputs": {"summary": name}}}
        (folder / "metadata.json").write_text(json.dumps(told))
        assert evaluate_results(["-r", str(folder / "results.jsonl")]) != 0
        assert "outputs.summary" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["metadata.json", "results", "results.jsonl"]
    (folder / "metadata.json").unlink()
    (tmp_path / "w.yaml").write_text("outputs: {summary: a.csv, detail: a.csv}\n")
    words = ["-r", str(folder / "results.jsonl"), "--eval_yaml", str(tmp_path / "w.yaml")]
    assert evaluate_results(words) == 2
    assert "another file has that name" in capsys.readouterr().err
