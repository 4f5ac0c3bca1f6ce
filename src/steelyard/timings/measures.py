"""What is measured of each request by itself; what each measure means stands with Performance."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from steelyard.timings.columns import Columns

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def take_measure(columns: Columns, name: str) -> Floats:
    """What a measure says of each request by itself, NaN where it is not there."""
    return _MEASURES[name](columns)


def take_measures(columns: Columns) -> dict[str, Floats]:
    """What every measure says of each request by itself."""
    return {name: take_measure(columns, name) for name in _MEASURES}


def _tpot(columns: Columns) -> Floats:
    out = columns.tokens_out
    streamed = (out >= 2) & (columns.events >= 2)
    return np.where(streamed, (columns.done - columns.first) / np.where(streamed, out - 1, 1), np.nan)


def _speed(tokens: Integers, took: Floats) -> Floats:
    there = (tokens >= 0) & (took > 0)
    return np.where(there, tokens / np.where(there, took, 1.0), np.nan)


def _or_nan(tokens: Integers) -> Floats:
    return np.where(tokens >= 0, tokens, np.nan)


_MEASURES: Mapping[str, Callable[[Columns], Floats]] = {
    "e2el": lambda columns: columns.done - columns.sent,
    "ttft": lambda columns: columns.first - columns.sent,
    "tpot": _tpot,
    "e2el_due": lambda columns: columns.done - columns.due,
    "ttft_due": lambda columns: columns.first - columns.due,
    "first_byte": lambda columns: columns.first_byte - columns.sent,
    "output_speed": lambda columns: _speed(columns.tokens_out, columns.done - columns.sent),
    "prefill_speed": lambda columns: _speed(columns.tokens_in, columns.first - columns.sent),
    "input_tokens": lambda columns: _or_nan(columns.tokens_in),
    "output_tokens": lambda columns: _or_nan(columns.tokens_out),
    "lag": lambda columns: columns.lag,
    "connecting": lambda columns: columns.connecting,
    "held": lambda columns: columns.held,
}
