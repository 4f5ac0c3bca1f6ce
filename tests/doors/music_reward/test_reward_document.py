"""The commands of document 3 run as they stand there, and their figures are those of a few plain lines."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("soundfile")
pytest.importorskip("scipy")

from scipy import stats

from music_reward.benchmark.command import main as inference_benchmark
from music_reward.benchmark.rescoring import main as evaluate_results

ROOT = Path(__file__).parents[3]
TINY = ROOT / "tests" / "data" / "reward-tiny"
PAGE = ROOT / "tests" / "documents" / "3-music-reward-benchmark.md"
COMMANDS = re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(), re.M | re.S)
FILES = ("metrics_summary.csv", "metrics_detail.csv", "metrics.json", "latex.txt")
SUMMARY = ["dataset", "task", "n", "SRCC", "LCC", "K-Tau", "ACC"]
DETAIL = ["dataset", "task", "group_key", "group_value", "n", "ACC", "ref_category"]


def localize(command: str, folder: Path) -> str:
    """One command of the page with paths of this machine."""
    for written, here in (
        ("/path/to/model.safetensors", TINY / "ckpt" / "model.safetensors"),
        ("/path/to/config.yaml", TINY / "ckpt" / "config.yaml"),
        ("/path/to/dataset_root", folder / "music"),
        ("python inference_benchmark.py", f"{sys.executable} {ROOT / 'inference_benchmark.py'}"),
    ):
        command = command.replace(written, str(here))
    return command


def run(command: str, folder: Path) -> None:
    """A command in bash, as a person types it."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "warning: there is no cuda:0 here" in done.stderr or "cuda" not in done.stderr


@pytest.fixture(scope="module")
def results(benchmark_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The folders that the two commands wrote."""
    folder = tmp_path_factory.mktemp("verbatim")
    (folder / "data").mkdir()
    shutil.copy(benchmark_folder / "rows.jsonl", folder / "data" / "all_test.jsonl")
    (folder / "music").symlink_to(benchmark_folder / "music")
    built_in, own = (localize(command, folder) for command in COMMANDS)
    run(own, folder)
    # In this process, where torch is loaded already.
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", [*sys.path])
        assert inference_benchmark(shlex.split(built_in.replace("\\\n", ""))[2:]) == 0
    found = sorted((folder / "results").glob("*/ckpt_*"))
    assert [path.parent.name for path in found] == ["CMIRewardModelBaseline", "cmi_rm"]
    return found[::-1]


def test_the_page_has_two_commands() -> None:
    assert len(COMMANDS) == 2
    assert "--model_class_path" not in COMMANDS[0] and "--model_class_path" in COMMANDS[1]


def test_both_commands_give_the_same_scores(results: list[Path]) -> None:
    own, ours = (read_lines(folder / "results.jsonl") for folder in results)
    assert len(own) == len(ours) == 18
    for one, other in zip(own, ours):
        assert one["audio-path"] == other["audio-path"]
        for name in one:
            if re.fullmatch("predicted_(text-music alignment|musicality)(_b)?", name):
                assert one[name] == pytest.approx(other[name], abs=1e-5)
    scores = [row["predicted_musicality"] for row in own]
    assert len(set(scores)) == len(scores)


def test_every_figure_is_that_of_a_few_plain_lines(results: list[Path]) -> None:
    for folder in results:
        rows = [row for row in read_lines(folder / "results.jsonl") if row["split"] == "test"]
        table = read_csv(folder / "metrics_summary.csv")
        assert list(table[0])[:7] == SUMMARY
        found = {(row["dataset"], row["task"]): row for row in table}
        assert list(found) == [
            ("PAM", "musicality"),
            ("PAM", "alignment"),
            ("MusicEval", "musicality"),
            ("MusicEval", "alignment"),
            ("MusicArena", "preference"),
            ("CMI-Pref", "alignment"),
            ("CMI-Pref", "musicality"),
        ]
        for (dataset, task), row in found.items():
            some = [one for one in rows if one["benchmark_dataset"] == dataset]
            expected = (
                correlate(some, task) if dataset in ("PAM", "MusicEval") else judge(some, dataset, task)
            )
            for name, value in expected.items():
                assert row[name] == ("" if value is None else pytest.approx(value, abs=1e-9)), (dataset, task)


def test_every_group_is_that_of_a_few_plain_lines(results: list[Path]) -> None:
    rows = [row for row in read_lines(results[0] / "results.jsonl") if row["split"] == "test"]
    table = read_csv(results[0] / "metrics_detail.csv")
    assert list(table[0])[:7] == DETAIL
    seen = 0
    for row in table:
        some = [one for one in rows if one["benchmark_dataset"] == row["dataset"] and is_in(one, row)]
        assert row["n"] == sum(
            label_of(one, row["dataset"], row["task"]) is not None or "musicality" in one for one in some
        ), row
        if row["dataset"] in ("MusicArena", "CMI-Pref"):
            assert row["ACC"] == pytest.approx(judge(some, row["dataset"], row["task"])["ACC"]), row
            seen += 1
    keys = {(row["dataset"], row["group_key"], row["group_value"], row["ref_category"]) for row in table}
    assert ("MusicArena", "month", "2025-06", "all") in keys
    assert ("CMI-Pref", "confidence", ">3", "ref") in keys and (
        "CMI-Pref",
        "confidence",
        "=3",
        "no_ref",
    ) in keys
    assert ("CMI-Pref", "modality", "text+lyrics+ref", "all") in keys
    assert {("PAM", "vocal", kind, "all") for kind in ("vocal", "instrumental")} <= keys
    assert ("PAM", "duration", "0-10 s", "all") in keys
    assert seen > 20


def test_results_are_scored_again_byte_for_byte(
    results: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # From where no music is to be found.
    monkeypatch.chdir(tmp_path)
    for folder in results:
        again = tmp_path / folder.name
        assert evaluate_results(["-r", str(folder / "results.jsonl"), "--output_dir_abs", str(again)]) == 0
        for name in FILES:
            assert (again / name).read_bytes() == (folder / name).read_bytes()


def test_documents_say_null_and_what_made_them(results: list[Path]) -> None:
    for folder in results:
        for name in ("metrics.json", "metadata.json", "results.jsonl", "metrics_summary.csv"):
            assert "NaN" not in (folder / name).read_text()
        document = json.loads((folder / "metrics.json").read_text())
        assert list(document) == ["config", "summary", "detail"]
        assert list(document["summary"][0])[:7] == SUMMARY and list(document["detail"][0])[:7] == DETAIL
        assert document["summary"][0]["ACC"] is None
        told = json.loads((folder / "metadata.json").read_text())
        assert (told["state"], told["rows"], told["failed"]) == ("done", 18, 0)
        assert told["spent"]["pieces"] == 28
        assert r"\begin{tabular}" in (folder / "latex.txt").read_text()


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def read_csv(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="") as file:
        return [{name: number(cell) for name, cell in row.items()} for row in csv.DictReader(file)]


def number(cell: str) -> Any:
    try:
        return float(cell)
    except ValueError:
        return cell


def correlate(rows: Sequence[Mapping[str, Any]], task: str) -> dict[str, Any]:
    column = "text-music alignment" if task == "alignment" else task
    said = [row[column] for row in rows]
    given = [row[f"predicted_{column}"] for row in rows]
    return {
        "n": len(rows),
        "SRCC": stats.spearmanr(said, given).statistic,
        "LCC": stats.pearsonr(said, given).statistic,
        "K-Tau": stats.kendalltau(said, given).statistic,
        "ACC": None,
    }


def label_of(row: Mapping[str, Any], dataset: str, task: str) -> str | None:
    label = row.get("preference" if dataset == "MusicArena" else f"preference-{task}")
    known = {"a": "a", "b": "b", "model_a": "a", "model_b": "b", "both": "both", "neither": "both"}
    return known.get(label or "")


def judge(rows: Sequence[Mapping[str, Any]], dataset: str, task: str) -> dict[str, Any]:
    column = "text-music alignment" if task == "alignment" else "musicality"
    worth = []
    for row in rows:
        label = label_of(row, dataset, task)
        if label is not None:
            first, second = (row[f"predicted_{column}{side}"] for side in ("", "_b"))
            said = "a" if first > second else "b"
            worth.append(1.0 if said == label else 0.5 if label == "both" else 0.0)
    return {"n": len(worth), "SRCC": None, "LCC": None, "K-Tau": None, "ACC": sum(worth) / len(worth)}


def is_in(row: Mapping[str, Any], group: Mapping[str, Any]) -> bool:
    key, value, ref = group["group_key"], group["group_value"], group["ref_category"]
    has_ref = bool(row.get("ref-audio-path"))
    if ref != "all" and (ref == "ref") != has_ref:
        return False
    if key == "month":
        return f"/{value}/" in row["audio-path"]
    if key == "modality":
        there = {"text": row["prompt"], "lyrics": row["lyrics"], "ref": has_ref}
        return value == ("+".join(name for name, found in there.items() if found) or "nothing")
    if key == "confidence":
        confidence = row[f"confidence_preference-{group['task']}"]
        return value == ("<3" if confidence < 3 else "=3" if confidence == 3 else ">3")
    if key == "vocal":
        return value == ("vocal" if row["lyrics"] else "instrumental")
    assert key == "duration"
    return value == "0-10 s"
