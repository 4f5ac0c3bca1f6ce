"""From a file to the waveform that the network hears."""

from __future__ import annotations

import math
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .layers import Array

RATE = 24000
CHUNK = 30 * RATE
# A chunk of so many samples cannot be reflected at its ends any more.
TOO_SHORT = 1024


def decoded(path: Path) -> tuple[Array, int]:
    """The samples [S, channels] of a WAV file of 16 bits, and its rate."""
    with wave.open(str(path)) as file:
        assert file.getsampwidth() == 2
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return samples.reshape(-1, file.getnchannels()) / 32768.0, file.getframerate()


def mixed(samples: Array) -> Array:
    """The mean of the channels."""
    return samples.mean(1)


def sinc_kernels(old: int, new: int) -> tuple[NDArray[np.float64], int]:
    """One row of taps for each of the phases (old and new without common factor), and how far they reach."""
    base = 0.99 * min(old, new)
    width = math.ceil(6 * old / base)
    phases = np.arange(new)[:, None] / new
    taps = np.arange(-width, width + old)[None, :] / old
    t = np.clip((taps - phases) * base, -6, 6)
    kernels = np.sinc(t) * np.cos(np.pi * t / 12) ** 2 * base / old
    return kernels.astype(np.float32).astype(np.float64), width


def resampled(x: Array, rate: int) -> Array:
    if rate == RATE:
        return x
    common = math.gcd(rate, RATE)
    old, new = rate // common, RATE // common
    kernels, width = sinc_kernels(old, new)
    padded = np.pad(x, (width, width + old))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernels.shape[1])[::old]
    return (windows @ kernels.T).reshape(-1)[: math.ceil(new * len(x) / old)]


def loaded(path: Path, *, max_dur: float | None) -> Array:
    """A file as one channel at 24 kHz, at most so many seconds of it."""
    samples, rate = decoded(path)
    x = resampled(mixed(samples), rate)
    return x if max_dur is None else x[: int(max_dur * RATE)]


def chunks_of(x: Array) -> list[Array]:
    """Pieces of 30 s; a tail too short to be heard is dropped."""
    chunks = [x[start : start + CHUNK] for start in range(0, len(x), CHUNK)]
    return [chunk for chunk in chunks if len(chunk) > TOO_SHORT]
