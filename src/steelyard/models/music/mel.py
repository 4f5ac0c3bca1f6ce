"""Sounds as the network hears them: how loud each of 128 bands is, a hundred times a second, in decibels.

samples (chunks, S) → (chunks, 128, M), M = S // hop; computed in float32 whatever stands around it
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

RATE = 24000
WINDOW = 2048
BANDS = 128
# A chunk is mirrored at its ends, by half a window: it must be longer than that.
SHORTEST = WINDOW // 2 + 1
_BINS = WINDOW // 2 + 1
_FLOOR = 1e-10
# As many windows as stay in a processor's cache, and as fit well into a graphics card's memory.
_WINDOWS_ON_CPU = 128
_WINDOWS_ELSEWHERE = 2**15
# Bands of neighbouring pitch share their bins: of the whole table nearly all is zero.
_BANDS_AT_ONCE = 16


class Mel(nn.Module):  # type: ignore[misc]
    """The spectrogram of chunks, normed by a mean and a deviation."""

    def __init__(self, hop: int, *, mean: float, deviation: float) -> None:
        super().__init__()
        self.hop, self.mean, self.deviation = hop, mean, deviation
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        self.register_buffer("filters", make_filters(), persistent=False)
        self._groups = find_groups(self.filters)

    def forward(self, chunks: Tensor) -> Tensor:
        """Decibels of each band (chunks, bands, frames)."""
        with torch.autocast(chunks.device.type, enabled=False):
            padded = functional.pad(chunks[:, None].float(), (WINDOW // 2, WINDOW // 2), mode="reflect")[:, 0]
            # The last window is left out, also where it is whole.
            windows = padded.unfold(1, WINDOW, self.hop)[:, : chunks.shape[1] // self.hop]
            step = _WINDOWS_ON_CPU if chunks.device.type == "cpu" else _WINDOWS_ELSEWHERE
            step = max(1, step // len(chunks))
            parts = [
                self._listen(windows[:, begin : begin + step]) for begin in range(0, windows.shape[1], step)
            ]
        return torch.cat(parts, dim=1).transpose(1, 2)

    def _listen(self, windows: Tensor) -> Tensor:
        """Normed decibels of some windows (chunks, windows, bands)."""
        spectrum = torch.fft.rfft(windows * self.window).flatten(0, 1)
        power = spectrum.real.square()
        power.addcmul_(spectrum.imag, spectrum.imag)
        energies = torch.cat(
            [power[:, bins] @ self.filters[bins, bands] for bins, bands in self._groups], dim=1
        )
        normed = to_decibels(energies).sub_(self.mean).div_(self.deviation)
        return normed.unflatten(0, windows.shape[:2])


def make_filters() -> Tensor:
    """How much of each frequency (1025, from 0 to 12000 Hz) belongs to each band: triangles on the mel scale.

    In float32 from the first step on: scores depend on its rounding.
    """
    top = 2595.0 * math.log10(1.0 + RATE / 2 / 700.0)
    points = 700.0 * (10.0 ** (torch.linspace(0.0, top, BANDS + 2) / 2595.0) - 1.0)
    frequencies = torch.linspace(0.0, RATE / 2, _BINS)[:, None]
    widths = points[1:] - points[:-1]
    rising = (frequencies - points[:-2]) / widths[:-1]
    falling = (points[2:] - frequencies) / widths[1:]
    return torch.minimum(rising, falling).clamp(min=0.0)


def find_groups(filters: Tensor) -> list[tuple[slice, slice]]:
    """Bands that are computed together, with the bins that any of them needs."""
    groups = []
    for begin in range(0, BANDS, _BANDS_AT_ONCE):
        bands = slice(begin, begin + _BANDS_AT_ONCE)
        used = filters[:, bands].any(dim=1).nonzero()[:, 0].tolist()
        groups.append((slice(used[0], used[-1] + 1), bands))
    return groups


def to_decibels(energies: Tensor) -> Tensor:
    """Energies on a scale of loudness, silence at -100."""
    return energies.clamp(min=_FLOOR).log10_().mul_(10.0)
