"""Runs of the benchmark: what fails costs its row, what is killed goes on, what is chosen is asked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("soundfile")

import soundfile
from benchmark_calls import CHECKPOINT, ROOT, Call
from music_rows import write_lines, write_tone
from own_models import write_own

OWN = ("--model_class_path", "custom_models.own_plain:Plain", "-c", "any.bin", "--device", "cpu")


def test_a_killed_benchmark_goes_on(call: Call, benchmark_folder: Path, tmp_path: Path) -> None:
    write_own(tmp_path, "own_plain")
    whole = call(*OWN, out="whole")
    assert whole.code == 0, whole.err
    words = ["--dataset_jsonl", benchmark_folder / "rows.jsonl", "--dataset_root", benchmark_folder / "music"]
    slow = ["--model_init_kwargs_json", '{"seconds": 0.05}', "--batch_size", "2", "--output_dir", "out"]
    process = subprocess.Popen(
        [sys.executable, ROOT / "inference_benchmark.py", *words, *OWN, *slow],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
    )
    log = tmp_path / "out" / "records.jsonl"
    deadline = time.monotonic() + 60
    while not log.exists() or log.read_bytes().count(b"\n") < 4:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    stored = log.read_bytes().count(b"\n")
    assert 4 <= stored < 18 and not (tmp_path / "out" / "results.jsonl").exists()

    refused = call(*OWN, *slow[:4])
    assert refused.code == 2 and "out is not empty" in refused.err and "--resume" in refused.err
    other = call(*OWN, "--resume", "--max_dur", "60", "--model_init_kwargs_json", '{"seconds": 0.05}')
    assert other.code == 2 and "max_dur was 120" in other.err

    resumed = call(*OWN, *slow[:4], "--resume")
    assert resumed.code == 0, resumed.err
    records = [json.loads(line)["index"] for line in log.read_text().splitlines()]
    assert sorted(records) == list(range(18)) and len(records) == 18
    assert resumed.rows() == whole.rows()
    for name in ("metrics_summary.csv", "metrics_detail.csv", "latex.txt"):
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    costs = json.loads((resumed.folder / "metadata.json").read_text())["cost"]
    assert costs[-1]["answers"] == 18 - stored


def test_what_cannot_be_heard_costs_its_row(call: Call, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    rows = odd_rows(tmp_path)
    found = call("-c", str(CHECKPOINT), "--device", "cpu", rows=rows)
    assert found.code == 1
    by_name = {row["audio-path"].rpartition("/")[2]: row for row in found.rows()}
    assert {name for name, row in by_name.items() if row["inference_error"] is None} == {
        "whole.wav", "40ms.wav", "silence.wav",
    }  # fmt: skip
    for name, why in (("text.wav", "text"), ("nan.wav", "NaN"), ("missing.wav", "there is no")):
        row = by_name[name]
        assert why.lower() in row["inference_error"].lower(), row["inference_error"]
        assert row["inference_valid_a"] is False and row["predicted_musicality"] is None
    pair = by_name["pair.wav"]
    assert (pair["inference_valid_a"], pair["inference_valid_b"]) == (True, False)
    assert pair["predicted_musicality"] is not None and pair["predicted_musicality_b"] is None
    assert pair["predicted_preference"] is None and "side b" in pair["inference_error"]
    assert "4 of 7 rows could not be scored; the first, row 2: " in found.err
    summary = found.document("metrics.json")["summary"]
    rated, judged = summary[0], summary[-1]
    assert (rated["n"], rated["failed"]) == (3, 3)
    assert (judged["task"], judged["n"], judged["failed"], judged["ACC"]) == ("preference", 1, 1, 0.0)


def test_a_run_that_stops_at_an_error_goes_on_when_it_is_mended(call: Call, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    rows = odd_rows(tmp_path, "missing.wav")
    words = ("-c", str(CHECKPOINT), "--device", "cpu", "--on_error", "stop", "--batch_size", "1")
    stopped = call(*words, rows=rows)
    assert stopped.code == 1 and "--resume --output_dir out" in stopped.err
    assert stopped.document("metadata.json")["state"] == "stopped"
    write_tone(tmp_path / "missing.wav", 300, 0.3)
    mended = call(*words, "--resume", rows=rows)
    assert mended.code == 0, mended.err
    assert [row["audio-path"].rpartition("/")[2] for row in mended.rows()] == ["whole.wav", "missing.wav"]


def odd_rows(folder: Path, *names: str) -> Path:
    write_tone(folder / "whole.wav", 200, 0.3)
    write_tone(folder / "40ms.wav", 200, 0.04)
    (folder / "text.wav").write_text("this is no sound\n" * 40)
    soundfile.write(folder / "silence.wav", np.zeros(8000), 16_000)
    soundfile.write(folder / "nan.wav", np.array([0.1, np.nan] * 3000, "f4"), 16_000, subtype="FLOAT")
    kept = ("whole.wav", *(names or ("missing.wav", "text.wav", "nan.wav", "silence.wav", "40ms.wav")))
    rows = [
        {"audio-path": str(folder / name), "prompt": "jazz", "source": "PAM", "musicality": n % 4 + n / 10}
        for n, name in enumerate(kept)
    ]
    if not names:
        write_tone(folder / "pair.wav", 250, 0.3)
        pair = {"audio-path": str(folder / "pair.wav"), "audio2": str(folder / "text.wav")}
        rows.append({**pair, "prompt": "jazz", "source": "Music Arena", "preference": "a"})
    write_lines(folder / "odd.jsonl", rows)
    return folder / "odd.jsonl"


@pytest.mark.parametrize(
    ("words", "sources"),
    [
        (("--subset", "PAM"), ["PAM/music"] * 4),
        (("--subset", "MusicEval"), ["SongEval"] * 4),
        (("--subset", "MusicArena"), ["Music Arena"] * 5),
        (("--subset", "CMI-Pref"), ["cmi-arena-annotation"] * 5),
        (("--subset", "CMI-Pref", "--split", "train"), ["cmi-arena-annotation"]),
        (("--subset", "CMI-Pref", "--split", "all"), ["cmi-arena-annotation"] * 6),
    ],
)
def test_rows_are_chosen(call: Call, tmp_path: Path, words: tuple[str, ...], sources: list[str]) -> None:
    write_own(tmp_path, "own_plain")
    found = call(*OWN, *words)
    assert found.code == 0, found.err
    assert [row["source"] for row in found.rows()] == sources


def test_the_last_run_of_a_checkpoint_goes_on(call: Call, tmp_path: Path) -> None:
    write_own(tmp_path, "own_plain")
    words = ("--model_class_path", "custom_models.own_plain:Plain", "--device", "cpu", "--subset", "PAM")
    # One folder's name begins as the other's does, and is no pattern.
    small, large = ("-c", "ck[1]/model.safetensors"), ("-c", "ck[1]_large/model.safetensors")
    for checkpoint in (small, large):
        assert call(*words, *checkpoint, out=None).code == 0
    found = call(*words, *small, "--resume", out=None)
    assert found.code == 0, found.err
    runs = sorted(path.name for path in (tmp_path / "results" / "Plain").iterdir())
    assert len(runs) == 2 and runs[0].startswith("ck[1]_2") and runs[0] in found.err


def test_a_yaml_says_what_is_wanted(call: Call, tmp_path: Path) -> None:
    write_own(tmp_path, "own_plain")
    (tmp_path / "wanted.yaml").write_text(
        "filter: {split: train}\nmetrics: {include_lcc: false, include_k_tau: false}\n"
        "groups: {month: false, vocal: false, duration: false}\n"
        "outputs: {latex: false, detail: groups.csv}\n"
    )
    found = call(*OWN, "--eval_yaml", "wanted.yaml")
    assert [row["split"] for row in found.rows()] == ["train"]
    assert not (found.folder / "latex.txt").exists() and (found.folder / "groups.csv").exists()
    document = found.document("metrics.json")
    assert {row["group_key"] for row in document["detail"]} == {"modality", "confidence"}
    rated = call(*OWN, "--eval_yaml", "wanted.yaml", "--split", "test", out="rated").document("metrics.json")
    assert rated["summary"][0]["SRCC"] is not None
    assert rated["summary"][0]["LCC"] is None and rated["summary"][0]["K-Tau"] is None


def test_without_evaluation_there_are_scores_alone(call: Call, tmp_path: Path) -> None:
    write_own(tmp_path, "own_plain")
    found = call(*OWN, "--no_run_evaluate")
    assert found.code == 0 and len(found.rows()) == 18 and found.out == ""
    assert sorted(path.name for path in found.folder.iterdir()) == [
        "metadata.json", "records.jsonl", "results.jsonl", "run.json",
    ]  # fmt: skip
