"""Sounds for tests: coloured noise, tones that come and go, a passage of silence."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def noise(seconds: float, *, seed: int = 0, rate: int = 24000) -> NDArray[np.float64]:
    """One channel [S] in [-1, 1]; about a fifth of it is silent."""
    count = round(seconds * rate)
    draw = np.random.default_rng(seed)
    t = np.arange(count) / rate
    x = 0.05 * draw.standard_normal(count)
    for pitch in draw.uniform(100, 5000, 4):
        x += 0.15 * np.sin(2 * np.pi * (pitch * t + 40 * np.sin(t))) * np.sin(draw.uniform(1, 9) * t) ** 2
    x[int(0.6 * count) : int(0.8 * count)] = 0.0
    return np.clip(x, -1.0, 1.0)


def write_noise(path: Path, seconds: float, *, seed: int = 0, rate: int = 24000, channels: int = 1) -> Path:
    """A WAV file of 16 bits whose channels differ."""
    x = np.stack([noise(seconds, seed=seed + n, rate=rate) for n in range(channels)], axis=1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((x * 32767).astype("<i2").tobytes())
    return path
