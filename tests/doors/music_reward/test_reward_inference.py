"""The published model by itself, behind its adapter, and with the encoders of its folders."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("soundfile")

import soundfile
import torch
from benchmark_calls import CHECKPOINT, ROOT, Call
from safetensors.torch import load_file, save_file

from music_reward.baselines import inference as command
from music_reward.baselines.inference import RewardModelInference
from steelyard.errors import ModelError, UsageError
from steelyard.plugins import resolve

TINY = CHECKPOINT.parents[1]
KNOWN = json.loads((TINY / "expected.json").read_text())["items"]
KNOWN = [item for item in KNOWN if (TINY / item["audio"]).exists()]


def ask(item: dict[str, Any]) -> dict[str, Any]:
    """What is asked of a known piece, whose sounds are named by whole paths."""
    sounds = {name: item[name] and str(TINY / item[name]) for name in ("audio", "ref_audio")}
    return {"text": item["text"], "lyrics": item["lyrics"], **sounds}


@pytest.fixture(scope="module")
def inference() -> Any:
    made = RewardModelInference(CHECKPOINT, device="cpu")
    yield made
    made.close()


def test_scores_are_the_published_ones(inference: RewardModelInference) -> None:
    assert len(KNOWN) >= 3
    for item in KNOWN:
        found = inference.score(**ask(item), max_dur=120)
        assert list(found) == ["alignment", "quality"]
        assert list(found.values()) == pytest.approx(item["scores"], abs=1e-5)
    batch = inference.score_batch([ask(item) for item in KNOWN], batch_size=2, max_dur=120)
    assert batch == pytest.approx(np.array([item["scores"] for item in KNOWN]), abs=1e-5)


def test_samples_are_as_good_as_files(inference: RewardModelInference) -> None:
    path = TINY / "b.wav"
    samples, rate = soundfile.read(path, dtype="float32")
    mono = samples.mean(1) if samples.ndim > 1 else samples
    assert rate == inference.sr == 24_000
    wave = torch.from_numpy(mono.copy())
    given = [str(path), path, mono, wave, wave[None], torch.stack([wave, wave])]
    scores = inference.score_batch([{"audio": one, "text": "jazz"} for one in given])
    assert scores == pytest.approx(np.repeat(scores[:1], len(given), 0), abs=1e-6)


def test_nothing_has_no_scores(inference: RewardModelInference) -> None:
    assert inference.score_batch([]).shape == (0, 2)


def test_what_is_wrong_is_said(inference: RewardModelInference, capsys: pytest.CaptureFixture[str]) -> None:
    good = {"audio": str(TINY / "b.wav")}
    with pytest.raises(ModelError, match=r"piece 1: .*nowhere\.wav"):
        inference.score_batch([good, {"audio": "nowhere.wav"}])
    with pytest.raises(UsageError, match="item 0 has no audio"):
        inference.score_batch([{"text": "jazz"}])
    with pytest.raises(UsageError, match="item 0 has 'prompt'"):
        inference.score_batch([{**good, "prompt": "jazz"}])
    with pytest.raises(UsageError, match="item 0 is a str and no mapping"):
        inference.score_batch([good["audio"]])  # type: ignore[list-item]
    for size in (0, -1, 2.5):
        with pytest.raises(UsageError, match="batch_size="):
            inference.score_batch([good], batch_size=size)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="dur_step"):
        inference.score(**good, dur_step=15)
    inference.score_batch([good] * 3, batch_size=2, show_progress=True)
    assert "2/3" in (said := capsys.readouterr().err) and said.endswith("3/3\n")


def test_windows_are_averaged() -> None:
    inference = RewardModelInference(CHECKPOINT, device="cpu", mode="standard")
    path = TINY / "b.wav"
    samples, rate = soundfile.read(path, dtype="float32")
    stretches = [samples[start : start + 2 * rate].T for start in range(0, len(samples) - rate + 1, rate)]
    first = inference.score(path, "jazz", max_dur=2)
    singly = inference.score_batch([{"audio": one, "text": "jazz"} for one in stretches])
    assert list(first.values()) == pytest.approx(singly[0], abs=1e-6)
    mean = inference.score(path, "jazz", max_dur=2, dur_step=1)
    assert list(mean.values()) == pytest.approx(singly.mean(0), abs=1e-6)
    assert len(stretches) > 2 and singly.std() > 0
    inference.close()


def test_its_own_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    item = next(item for item in KNOWN if item["ref_audio"])
    asked = ask(item)
    words = ["-c", str(CHECKPOINT), "--config", str(CHECKPOINT.parent / "config.yaml"), "--device", "cpu"]
    words += ["-a", asked["audio"], "-t", asked["text"], "-l", asked["lyrics"], "-r", asked["ref_audio"]]
    assert command.main([*words, "--mode", "final", "--max_dur", "120"]) == 0
    assert list(json.loads(capsys.readouterr().out).values()) == pytest.approx(item["scores"], abs=1e-5)
    assert command.main(["-c", "model.ckpt", "-a", "a.wav"]) == 1
    assert "there is no checkpoint model.ckpt" in capsys.readouterr().err


def test_it_runs_from_its_folder_and_as_a_module() -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for words in (["baselines/inference.py"], ["-m", "baselines.inference"]):
        done = subprocess.run(
            [sys.executable, *words, "--help"],
            cwd=ROOT / "doors" / "music_reward",
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0 and "--dur_step" in done.stdout, done.stderr


def test_the_adapter_scores_as_the_model_does() -> None:
    adapter, configure, one = (
        resolve("models", name)
        for name in (
            "core.model_interface:RewardModelAdapter",
            "core.model_interface:RewardModelAdapterConfig",
            "core.model_abc:BenchmarkBatchInput",
        )
    )
    made = adapter(configure(CHECKPOINT, device="cpu", init_kwargs={"workers": 1}))
    assert made.sr == 24_000
    inputs = [one(**ask(item)) for item in KNOWN]
    assert inputs[0].to_dict() == {"audio": str(TINY / KNOWN[0]["audio"]), **{
        name: KNOWN[0][name] for name in ("text", "lyrics", "ref_audio")}}  # fmt: skip
    scores = made.score_batch(inputs, batch_size=2, max_dur=120)
    assert scores == pytest.approx(np.array([item["scores"] for item in KNOWN]), abs=1e-5)
    assert made.score_batch([], batch_size=2, max_dur=None).shape == (0, 2)
    made.model.close()


def test_the_example_takes_what_is_documented() -> None:
    make = resolve("models", "custom_models.sample_model:CMIRewardModelBaseline")
    made = make(CHECKPOINT, CHECKPOINT.parent / "config.yaml", "cpu", "standard", 24_000)
    piece = resolve("models", "core.model_abc:BenchmarkBatchInput")(torch.zeros(1, 24_000), text="silence")
    assert made.sr == 24_000 and np.isfinite(made.score_batch([piece], 4, 30, dur_step=15)).all()
    made.inference.close()


def test_heads_alone_have_the_encoders_of_the_folders(call: Call, tmp_path: Path) -> None:
    for name in ("ckpt", "mulan-tiny", "muq-tiny", "xlm-roberta-tiny"):
        shutil.copytree(TINY / name, tmp_path / name)
    weights = load_file(CHECKPOINT)
    towers = {"audio_module.": "mulan.audio.", "text_module.": "mulan.text."}
    encoders = {
        there + name[len(here) :]: value.clone()
        for here, there in towers.items()
        for name, value in weights.items()
        if name.startswith(here)
    }
    save_file(encoders, tmp_path / "mulan-tiny" / "model.safetensors")
    # Whoever tuned these too goes by them, unless told to take the heads alone.
    other = {
        name: value * 1.5 if name.startswith(tuple(towers)) else value for name, value in weights.items()
    }
    save_file(other, tmp_path / "ckpt" / "model.safetensors")
    subset = ("--subset", "PAM", "--device", "cpu")
    known = call("-c", str(CHECKPOINT), *subset, out="known")
    tuned = call("-c", "ckpt/model.safetensors", *subset, out="tuned")
    heads = call("-c", "ckpt/model.safetensors", "--model", "cmi_rm_head", *subset, out="heads")
    scores = [[row["predicted_musicality"] for row in found.rows()] for found in (known, tuned, heads)]
    assert scores[2] == pytest.approx(scores[0], abs=1e-6)
    assert max(abs(one - other) for one, other in zip(scores[0], scores[1])) > 1e-3
    for folder in ("mulan-tiny", "muq-tiny", "xlm-roberta-tiny"):
        (tmp_path / folder / "model.safetensors").unlink()
    without = call("-c", "ckpt/model.safetensors", "--model", "cmi_rm_head", *subset, out="without")
    assert without.code == 1 and "audio_module" in without.err
