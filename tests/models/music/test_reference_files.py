"""From a file to its scores, as the second network says: any rate, any channels, both modes, any company."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from music.checkpoints import make_reward_checkpoint
from music.noises import write_noise
from music.reference import Reference, sounds
from music.variants import VARIANTS
from numpy.typing import NDArray

pytest.importorskip("torch")
pytest.importorskip("soundfile")

from steelyard.media.sounds import Sound
from steelyard.models.music.reward import MusicReward
from steelyard.models.rewards import Piece

# Slow beside what it adds: each network and each part of a sound is held against the second one elsewhere.
pytestmark = pytest.mark.real

NEAR = 1e-5
# A telephone leaves the upper half of the bands empty but for the rounding of single precision.
NEAR_WITH_ROUNDING = 3e-4
FILES = {
    "tiny": (0.1, 24000, 1),
    "telephone": (1.3, 8000, 1),
    "radio": (2.0, 22050, 2),
    "disc": (2.7, 44100, 2),
    "film": (1.1, 48000, 5),
    "studio": (0.6, 96000, 2),
    "tail": (30.02, 24000, 1),
    "song": (3.9, 16000, 1),
}
MANY_WORDS = "the rain on a thin roof, and then the band: " * 30
# A file, text, lyrics, the file of a reference.
ITEMS: list[tuple[str, str, str, str | None]] = [
    ("disc", "A jazz song", "", None),
    ("tiny", "", "", "radio"),
    ("radio", "pop", MANY_WORDS, None),
    ("disc", "A jazz song", "la la", "telephone"),
    ("film", MANY_WORDS, "la", None),
    ("studio", "é, ü and 音楽", "", "tiny"),
    ("telephone", "", "la la la", "disc"),
    ("tail", "rain", "", None),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("files")
    for seed, (name, (seconds, rate, channels)) in enumerate(FILES.items()):
        write_noise(home / f"{name}.wav", seconds, seed=seed, rate=rate, channels=channels)
    for name in ("two stages", "crossed, downsampled", "plain"):
        make_reward_checkpoint(home / name, seed=9, **VARIANTS[name])
    return home


def piece(home: Path, name: str, text: str = "", lyrics: str = "", ref: str | None = None) -> Piece:
    return Piece(
        Sound(home / f"{name}.wav"),
        text=text,
        lyrics=lyrics,
        ref_audio=None if ref is None else Sound(home / f"{ref}.wav"),
    )


def values(scores: Any) -> NDArray[np.float64]:
    return np.array([[one["alignment"], one["musicality"]] for one in scores])


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("seconds", [None, 0.43004])
def test_waveforms(home: Path, name: str, seconds: float | None) -> None:
    right = sounds.loaded(home / f"{name}.wav", max_dur=seconds)
    heard = Sound(home / f"{name}.wav").load(24000, seconds=seconds)
    assert heard.shape == right.shape
    assert np.abs(heard - right).max() < 1e-6


@pytest.mark.parametrize("name", ["two stages", "crossed, downsampled"])
def test_any_company_in_any_order(home: Path, name: str) -> None:
    reference = Reference(home / name / "ckpt" / "model.safetensors")
    right = np.array(
        [
            reference.score(home / f"{file}.wav", text, lyrics, None if ref is None else home / f"{ref}.wav")
            for file, text, lyrics, ref in ITEMS
        ]
    )
    near = np.array([NEAR_WITH_ROUNDING if "telephone" in item else NEAR for item in ITEMS])
    pieces = [piece(home, *item) for item in ITEMS]
    model = MusicReward(home / name / "ckpt" / "model.safetensors", workers=2)
    draw = np.random.default_rng(4)
    try:
        for size in (1, 3, 16):
            model.free()
            order = draw.permutation(2 * len(ITEMS)) % len(ITEMS)
            for begin in range(0, len(order), size):
                some = order[begin : begin + size]
                error = np.abs(values(model.score([pieces[n] for n in some])) - right[some]).max(axis=1)
                assert (error < near[some]).all()
    finally:
        model.close()


def windows(total: float, *, most: float, step: float | None) -> Iterator[float]:
    """Where the windows of a sound begin: until one reaches its end; a last one of less than 1 s is none."""
    start = 0.0
    while start == 0.0 or total - start >= 1.0:
        yield start
        if step is None or start + most >= total:
            return
        start += step


def test_where_windows_begin() -> None:
    assert list(windows(65, most=30, step=15)) == [0, 15, 30, 45]
    assert list(windows(60.5, most=30, step=30)) == [0, 30]
    assert list(windows(0.5, most=30, step=30)) == [0]


@pytest.mark.parametrize(("most", "step"), [(2.0, 1.5), (1.25, 1.25), (9.0, 1.0), (1.0, None)])
def test_standard_is_the_mean_of_windows(home: Path, most: float, step: float | None) -> None:
    checkpoint = home / "plain" / "ckpt" / "model.safetensors"
    reference = Reference(checkpoint)

    @cache
    def loaded(name: str) -> NDArray[np.float64]:
        return sounds.loaded(home / f"{name}.wav", max_dur=None)

    def hear(name: str, start: float) -> Any:
        first = round(start * sounds.RATE)
        return reference.hear(loaded(name)[first : first + int(most * sounds.RATE)])

    right = []
    for name, text, lyrics, ref in [("song", "pop", "", None), ("disc", "A jazz song", "la", "radio")]:
        begins = windows(len(loaded(name)) / sounds.RATE, most=most, step=step)
        heard_ref = None if ref is None else hear(ref, 0.0)
        scores = [reference.judge(hear(name, start), text, lyrics, heard_ref) for start in begins]
        right.append(np.mean(scores, axis=0))
    model = MusicReward(checkpoint, mode="standard", max_dur=most, dur_step=step, workers=1)
    try:
        pieces = [piece(home, "song", "pop"), piece(home, "disc", "A jazz song", "la", "radio")]
        assert values(model.score(pieces)) == pytest.approx(np.array(right), abs=NEAR)
    finally:
        model.close()


@pytest.mark.parametrize("max_dur", [None, 2.0001])
def test_crops(home: Path, max_dur: float | None) -> None:
    checkpoint = home / "plain" / "ckpt" / "model.safetensors"
    right = Reference(checkpoint).score(home / "tail.wav", "pop", "", home / "disc.wav", max_dur=max_dur)
    model = MusicReward(checkpoint, max_dur=max_dur, workers=1)
    try:
        assert values(model.score([piece(home, "tail", "pop", "", "disc")]))[0] == pytest.approx(
            right, abs=NEAR
        )
    finally:
        model.close()
