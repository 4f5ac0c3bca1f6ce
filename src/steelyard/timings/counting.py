"""Exact percentiles of more values than fit into memory, by counting how often each microsecond comes.

    counts = Counts()
    for gaps in columns.gaps():
        counts.add(gaps)
    counts.quantiles([0.5, 0.99])      what numpy.quantile would say of all of them at once

A table of counters covers what is common, up to four seconds; the few values beyond are kept as pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TABLE = 1 << 22
_MOST_LOOSE = 1 << 20

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def take_quantiles(ordered: Floats, levels: Sequence[float]) -> Floats:
    """The values of an ordered array below which these shares lie, interpolated linearly."""
    return _interpolate(levels, len(ordered), lambda ranks: ordered[ranks])


class Counts:
    """How often each whole number came."""

    def __init__(self) -> None:
        self.n = 0
        self._table = np.zeros(0, np.int64)
        self._long = np.zeros(0, np.int64)
        self._long_counts = np.zeros(0, np.int64)
        self._loose: list[NDArray[np.int64]] = []
        self._loose_count = 0

    def add(self, values: NDArray[np.uint32]) -> None:
        """Count some values."""
        if not len(values):
            return
        self.n += len(values)
        most = int(values.max())
        if most >= _TABLE:
            long = values >= _TABLE
            self._keep(values[long].astype(np.int64))
            values = values[~long]
            most = int(values.max(initial=0))
        if most >= len(self._table):
            grown = np.zeros(min(max(most + 1, 2 * len(self._table)), _TABLE), np.int64)
            grown[: len(self._table)] = self._table
            self._table = grown
        found = np.bincount(values)
        self._table[: len(found)] += found

    def count_of(self, value: int) -> int:
        """How often a value came."""
        values, counts = self.distinct()
        return int(counts[values == value].sum())

    @property
    def total(self) -> int:
        """The sum of all values."""
        values, counts = self.distinct()
        return int(values @ counts)

    def distinct(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The values that came, in ascending order, and how often."""
        self._settle()
        short = np.flatnonzero(self._table)
        values = np.concatenate([short, self._long])
        return values, np.concatenate([self._table[short], self._long_counts])

    def quantiles(self, levels: Sequence[float] | Floats) -> Floats:
        """The values below which these shares lie, interpolated linearly; NaN where there are none."""
        if not self.n:
            return np.full(len(levels), np.nan)
        values, counts = self.distinct()
        upto = np.cumsum(counts)
        return _interpolate(levels, self.n, lambda ranks: values[np.searchsorted(upto, ranks, side="right")])

    def _keep(self, long: NDArray[np.int64]) -> None:
        self._loose.append(long)
        self._loose_count += len(long)
        if self._loose_count > _MOST_LOOSE:
            self._settle()

    def _settle(self) -> None:
        if not self._loose:
            return
        fresh, counts = np.unique(np.concatenate(self._loose), return_counts=True)
        both = np.concatenate([self._long, fresh])
        self._long, where = np.unique(both, return_inverse=True)
        weights = np.concatenate([self._long_counts, counts])
        summed = np.zeros(len(self._long), np.int64)
        np.add.at(summed, where, weights)
        self._long_counts = summed
        self._loose, self._loose_count = [], 0


def _interpolate(
    levels: Sequence[float] | Floats, n: int, read: Callable[[Integers], NDArray[Any]]
) -> Floats:
    """The values between the two ranks of n that each level lies between, as `numpy.quantile` has it."""
    place = np.asarray(levels, np.float64) * (n - 1)
    below = np.floor(place).astype(np.int64)
    low, high = read(below), read(np.minimum(below + 1, n - 1))
    return np.asarray(low + (place - below) * (high - low), np.float64)
