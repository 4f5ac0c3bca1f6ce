"""Fewer rows: what stands between an encoder and the transformers that join things.

downsampler = make_downsampler(Downsample("b1", factor=4), dim=768)
downsampler(rows)                  a quarter of the rows, those left over dropped
"""

from __future__ import annotations

from math import isqrt

from torch import nn
from torch.nn import functional

from steelyard.models.music.configuration import Downsample
from steelyard.models.music.lengths import Rows


class Mean(nn.Module):  # type: ignore[misc]
    """The mean of every `factor` rows; with an MLP before it or behind it."""

    def __init__(self, factor: int, *, mlp: nn.Module | None = None, first: bool = False) -> None:
        super().__init__()
        self.factor, self.first = factor, first
        self.mlp = mlp

    def forward(self, rows: Rows) -> Rows:
        """A row for every `factor` rows."""
        values = rows.values
        if self.mlp is not None and self.first:
            values = self.mlp(values)
        rows = Rows(values, rows.lengths).cut(self.factor)
        values = rows.values.unflatten(1, (rows.values.shape[1] // self.factor, self.factor)).mean(2)
        if self.mlp is not None and not self.first:
            values = self.mlp(values)
        return Rows(values, tuple(length // self.factor for length in rows.lengths))


class Stage(nn.Module):  # type: ignore[misc]
    """A convolution over each channel by itself, with a norm; `gated` mixes the channels before."""

    def __init__(self, dim: int, stride: int, *, kernel: int, norm: bool, gated: bool = False) -> None:
        super().__init__()
        self.stride = stride
        self.pw1 = nn.Conv1d(dim, 2 * dim, 1, bias=False) if gated else None
        self.dw = nn.Conv1d(dim, dim, kernel, stride, padding=(kernel - 1) // 2, groups=dim, bias=False)
        self.ln = nn.LayerNorm(dim) if norm else nn.Identity()

    def forward(self, rows: Rows) -> Rows:
        """A row for every `stride` rows."""
        rows = rows.cut(self.stride).cleared()
        lengths = tuple(length // self.stride for length in rows.lengths)
        if not rows.values.shape[1]:
            return Rows(rows.values, lengths)
        values = rows.values.transpose(1, 2)
        if self.pw1 is not None:
            values = functional.glu(self.pw1(values), dim=1)
        return Rows(functional.silu(self.ln(self.dw(values).transpose(1, 2))), lengths)


class Repeated(nn.Module):  # type: ignore[misc]
    """One stage several times over, with the same weights."""

    def __init__(self, stage: Stage, times: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([stage])
        self.times = times

    def forward(self, rows: Rows) -> Rows:
        """A row for every stride to the power of times."""
        for _ in range(self.times):
            rows = self.blocks[0](rows)
        return rows


class Twice(nn.Module):  # type: ignore[misc]
    """Two stages, each of its own weights; gated ones with channels mixed at the end."""

    def __init__(self, dim: int, strides: tuple[int, int], *, kernel: int, norm: bool, gated: bool) -> None:
        super().__init__()
        self.block1 = Stage(dim, strides[0], kernel=kernel, norm=norm, gated=gated)
        self.block2 = Stage(dim, strides[1], kernel=kernel, norm=norm, gated=gated)
        self.final_pw = nn.Conv1d(dim, dim, 1, bias=False) if gated else None

    def forward(self, rows: Rows) -> Rows:
        """A row for every product of the strides."""
        rows = self.block2(self.block1(rows))
        if self.final_pw is None or not rows.values.shape[1]:
            return rows
        return Rows(self.final_pw(rows.values.transpose(1, 2)).transpose(1, 2), rows.lengths)


class Unchanged(nn.Module):  # type: ignore[misc]
    """All rows as they are."""

    def forward(self, rows: Rows) -> Rows:
        """The rows."""
        return rows


def make_downsampler(how: Downsample, dim: int) -> nn.Module:
    """The module for one entry of the configuration."""
    if how.kind == "mean":
        return Mean(how.factor)
    if how.kind == "mean+mlp":
        return Mean(how.factor, mlp=_make_mlp(dim, int(dim * how.mlp_ratio)), first=how.pre_mlp)
    # The weights of these lie in a checkpoint for a factor of 1 too, and do nothing.
    if how.kind == "none" or how.factor == 1:
        return Unchanged()
    kernel, norm = how.kernel_size, how.use_layernorm
    if how.kind == "conv":
        return Repeated(Stage(dim, how.factor, kernel=kernel, norm=norm), how.stage)
    strides, gated = split_factor(how.factor), how.kind == "gluconv*2+pw"
    return Twice(dim, strides, kernel=kernel, norm=norm, gated=gated)


def split_factor(factor: int) -> tuple[int, int]:
    """The two strides that make a factor: as near each other as they can be, a 3 first."""
    small = next(one for one in range(isqrt(factor), 0, -1) if factor % one == 0)
    large = factor // small
    return (large, small) if large == 3 else (small, large)


def _make_mlp(dim: int, inner: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, inner), nn.SiLU(), nn.Identity(), nn.Linear(inner, dim))
