"""Fewer rows: every kind of downsampler, each on [T, D] without masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .layers import Array, Weights, below, depthwise, layer_norm, linear, numbered, sigmoid, silu

KINDS = {
    "none": "none",
    **dict.fromkeys(["mean", "meanpool"], "mean"),
    **dict.fromkeys(["b1", "baseline1", "meanpool+mlp", "mean+mlp"], "b1"),
    **dict.fromkeys(["conv", "baseline2simple", "b2s"], "conv"),
    **dict.fromkeys(["conv*2", "baseline2", "b2"], "b2"),
    **dict.fromkeys(["b3", "baseline3", "gluconv*2+pw"], "b3"),
}


def trimmed(x: Array, factor: int) -> Array:
    return x[: len(x) // factor * factor]


def pooled(x: Array, factor: int) -> Array:
    return trimmed(x, factor).reshape(-1, factor, x.shape[-1]).mean(1)


def perceptron(x: Array, weights: Weights) -> Array:
    return linear(silu(linear(x, below(weights, "mlp.0"))), below(weights, "mlp.3"))


def two_factors(factor: int) -> tuple[int, int]:
    """The pair of divisors whose larger member is smallest; ascending, but a 3 goes first."""
    low = max(d for d in range(1, factor + 1) if factor % d == 0 and d * d <= factor)
    high = factor // low
    return (high, low) if high == 3 else (low, high)


def stage(x: Array, weights: Weights, *, stride: int) -> Array:
    """Depthwise convolution, layer norm where there is one, SiLU; opened by a gate where there is one."""
    x = trimmed(x, stride)
    if "pw1.weight" in weights:
        x = x @ weights["pw1.weight"][:, :, 0].T
        half = x.shape[-1] // 2
        x = x[:, :half] * sigmoid(x[:, half:])
    if len(x) == 0:
        return x
    y = depthwise(x, weights["dw.weight"], stride=stride)
    if "ln.weight" in weights:
        y = layer_norm(y, below(weights, "ln"))
    return silu(y)


def downsampled(x: Array, weights: Weights, config: Mapping[str, Any]) -> Array:
    """The rows as a configuration says, with the weights of this downsampler."""
    kind, factor = KINDS[config["kind"]], config.get("factor", 1)
    if kind == "none":
        return x
    if kind == "mean":
        return pooled(x, factor)
    if kind == "b1":
        if config.get("pre_mlp"):
            return pooled(perceptron(x, weights), factor)
        return perceptron(pooled(x, factor), weights)
    if factor == 1:
        return x
    if kind == "conv":
        for block in list(numbered(weights, "blocks"))[: config.get("stage", 1)]:
            x = stage(x, block, stride=factor)
        return x
    for name, stride in zip(("block1", "block2"), two_factors(factor)):
        x = stage(x, below(weights, name), stride=stride)
    if kind == "b3":
        x = x @ weights["final_pw.weight"][:, :, 0].T
    return np.asarray(x)
