"""Runs of reward models over ratings and pairs of real sounds, for the tests of reports."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from steelyard import LocalModel, Part, Request, Response, Run, Sample, Task, evaluate
from steelyard.media.sounds import Sound
from steelyard.metrics.base import Metric
from steelyard.metrics.correlations import musicality_srcc
from steelyard.metrics.preferences import preference, preference_alignment

METRICS: list[Metric] = [preference, preference_alignment, musicality_srcc]
SPENT = {"audio_seconds": 30.0, "decoding": 4.0, "waiting": 0.0, "network": 2.0, "pieces": 12}


def tone(path: Path, *, seconds: float = 0.25, pitch: float = 440.0, rate: int = 8000) -> Path:
    """A short tone in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(int(seconds * rate)) / rate
    soundfile.write(path, 0.3 * np.sin(2 * math.pi * pitch * times), rate)
    return path


def rows(home: Path, n: int, *, text: str = "calm piano") -> list[Sample]:
    """Ratings and pairs in turn, of sounds below a folder."""
    found = []
    for number in range(n):
        audio = tone(home / f"a{number}.wav", pitch=200 + 20 * number).name
        prompt: dict[str, Any] = {"audio": Part("audio", Sound(audio, home=home)), "text": text, "lyrics": ""}
        if number % 2:
            other = tone(home / f"b{number}.wav", pitch=1000).name
            reference = tone(home / "reference.flac").name
            prompt["audio_b"] = Part("audio", Sound(other, home=home))
            prompt["ref_audio"] = Part("audio", Sound(reference, home=home))
            target: Any = {"preference": "a", "preference_alignment": "b" if number % 4 == 1 else "both"}
        else:
            target = {"musicality": 1.0 + number % 9 / 2, "alignment": 3.0 - number % 5}
        found.append(Sample(f"s{number}", prompt, target, meta={"dataset": "Pairs" if number % 2 else "PAM"}))
    return found


class Judge(LocalModel):
    """Says what people say, with some noise; fails where it is told to."""

    def __init__(self, name: str, targets: dict[str, Any], *, noise: float, bad: Sequence[str] = ()) -> None:
        super().__init__()
        self._name, self._targets, self._noise, self._bad = name, targets, noise, bad

    @property
    def name(self) -> str:
        return self._name

    def identity(self) -> dict[str, Any]:
        return {"name": self._name}

    def spent(self) -> dict[str, float]:
        return dict(SPENT) if self._asked else {}

    _asked = False

    def batch(self, requests: Sequence[Request]) -> list[Response]:
        self._asked = True
        return [self._judge(request) for request in requests]

    def _judge(self, request: Request) -> Response:
        if request.id in self._bad:
            prompt: Any = request.prompt
            return Response(error=f"{prompt['audio'].data.name}: NaN at 1.2 s")
        draw, target = random.Random(self._name + request.id), self._targets[request.id]
        if "preference" in target:
            first = {name: draw.gauss(0.4, self._noise) for name in ("alignment", "musicality")}
            return Response(scores={**first, "alignment_b": 0.0, "musicality_b": 0.0})
        return Response(scores={name: value + draw.gauss(0, self._noise) for name, value in target.items()})


def judged(path: Path, samples: Sequence[Sample], name: str, *, noise: float, bad: Sequence[str] = ()) -> Run:
    """A run of a judge."""
    task = Task(name="preference", data=samples, metrics=METRICS, by=("dataset",))
    targets = {sample.id: sample.target for sample in samples}
    return evaluate(Judge(name, targets, noise=noise, bad=bad), task, out=path)
