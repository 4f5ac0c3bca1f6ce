"""Correlation of scores with the ratings of people, over a whole set: Spearman's, Pearson's, Kendall's.

    >>> rows = [[1.0, 0.1], [2.0, 0.3], [3.0, 0.2], [3.0, 0.9]]
    >>> round(musicality_srcc.combine(rows), 4), round(musicality_ktau.combine(rows), 4)
    (0.7379, 0.5477)

A metric concerns the samples that have a rating of its name. An answer that failed has no score to
correlate: it is left out, and counted. Where either side is all alike there is no correlation (None).

For the bootstrap `reweigh` gives the correlations of a thousand draws at once, from how often each row
is in each draw: rows are sorted once, ranks are running sums, and pairs of rows one product of matrices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from steelyard.metrics.base import Corpus
from steelyard.metrics.estimates import estimate_proportion
from steelyard.metrics.preferences import score_of
from steelyard.types import Response, Sample

Numbers = NDArray[np.float64]
_TOGETHER = 250
"""How many draws are looked at together, so that they stay near the processor."""


class Correlation(Corpus):
    """How scores of a name go with the ratings of that name."""

    answered_only = True
    scale = "dataset"
    """The column of the data that says which ratings are of one scale."""

    def __init__(self, rating: str, kind: str) -> None:
        self.name = self.ref = f"{rating}_{kind}"
        self.rating = rating
        self._kind = kind
        self._measure, self._measure_draws = _KINDS[kind]

    @property
    def identity(self) -> str:
        """What makes it this correlation."""
        return f"{self._kind} of {self.rating}"

    def concerns(self, sample: Sample) -> bool:
        """Whether people rated it."""
        return rating_of(sample, self.rating) is not None

    def __call__(self, sample: Sample, response: Response) -> Sequence[float]:
        """The rating and the score; nothing where there is none."""
        rating = rating_of(sample, self.rating)
        if rating is None or response.error is not None:
            return []
        score = score_of(response, self.rating)
        return [rating, score] if math.isfinite(score) else []

    def combine(self, statistics: Sequence[Sequence[float]]) -> float | None:
        """The correlation over many answers; None where one side is all alike."""
        if len(statistics) < 2:
            return None
        ratings, scores = np.asarray(statistics, dtype=float).T
        found = self._measure(ratings, scores)
        return None if found is None else min(1.0, max(-1.0, found))

    def reweigh(self, statistics: Sequence[Sequence[float]], weights: Numbers) -> Numbers:
        """The correlations of draws: `weights[d, i]` is how often row i is in draw d; NaN where undefined."""
        ratings, scores = np.asarray(statistics, dtype=float).T
        return np.clip(self._measure_draws(_Ranked(ratings), _Ranked(scores), weights), -1.0, 1.0)

    def bound(self, value: float, n: int) -> tuple[float, float]:
        """The interval of a correlation of n rows: that of the share of every second pair that agrees."""
        pairs = n // 2
        agreed = estimate_proportion(pairs * (1 + value) / 2, pairs)
        return (
            (-1.0, 1.0)
            if agreed.low is None or agreed.high is None
            else (2 * agreed.low - 1, 2 * agreed.high - 1)
        )


def rating_of(sample: Sample, name: str) -> float | None:
    """The rating of a name that people gave a sample."""
    target = sample.target
    rating = target.get(name) if isinstance(target, Mapping) else None
    if isinstance(rating, bool) or not isinstance(rating, (int, float)):
        return None
    return float(rating) if math.isfinite(rating) else None


def count_inversions(values: NDArray[np.int64]) -> int:
    """How many pairs stand in falling order: a merge sort, all blocks of a size at once."""
    top = int(values.max(initial=0)) + 1
    size = 1 << max(len(values) - 1, 0).bit_length()
    merged = np.full(size, top, dtype=np.int64)
    merged[: len(values)] = values
    found, width = 0, 1
    while width < size:
        blocks = merged.reshape(-1, 2 * width)
        starts = np.arange(len(blocks), dtype=np.int64)[:, None]
        # Each block in a range of its own, so that one search looks through all of them.
        left, right = (blocks[:, half] + starts * (top + 1) for half in (slice(width), slice(width, None)))
        below = np.searchsorted(left.ravel(), right.ravel(), side="right").reshape(right.shape)
        found += int(((starts + 1) * width - below).sum())
        merged = np.sort(blocks, axis=1).ravel()
        width *= 2
    return found


class _Ranked:
    """Values in their order, equal ones as one step of it."""

    def __init__(self, values: Numbers) -> None:
        self.values = values
        _, self.steps = np.unique(values, return_inverse=True)
        self.order = np.argsort(self.steps, kind="stable")
        self.starts = np.flatnonzero(np.diff(self.steps[self.order], prepend=-1))

    def gather(self, weights: Numbers) -> Numbers:
        """The weight of each step in each draw."""
        found: Numbers = np.add.reduceat(weights[:, self.order], self.starts, axis=1)
        return found


def _ranks(values: Numbers) -> Numbers:
    """Ranks from 1, equal values with the mean of theirs."""
    _, steps, counts = np.unique(values, return_inverse=True, return_counts=True)
    found: Numbers = (np.cumsum(counts) - (counts - 1) / 2)[steps]
    return found


def _pearson(x: Numbers, y: Numbers) -> float | None:
    if x.min() == x.max() or y.min() == y.max():
        return None
    # Scaled, so that the squares of tiny and of huge numbers are numbers too.
    x, y = (side / np.abs(side).max() for side in (x, y))
    x, y = x - x.mean(), y - y.mean()
    spread = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / spread if spread else None


def _spearman(x: Numbers, y: Numbers) -> float | None:
    return _pearson(_ranks(x), _ranks(y))


def _kendall(x: Numbers, y: Numbers) -> float | None:
    (_, x_steps, x_counts), (_, y_steps, y_counts) = (
        np.unique(side, return_inverse=True, return_counts=True) for side in (x, y)
    )
    pairs = math.comb(len(x), 2)
    x_tied, y_tied = _tied(x_counts), _tied(y_counts)
    if pairs in (x_tied, y_tied):
        return None
    both = np.unique(x_steps * len(y_counts) + y_steps, return_counts=True)[1]
    falling = count_inversions(y_steps[np.lexsort((y_steps, x_steps))])
    more = pairs - x_tied - y_tied + _tied(both) - 2 * falling
    return more / math.sqrt((pairs - x_tied) * (pairs - y_tied))


def _tied(counts: NDArray[np.int64]) -> int:
    """How many pairs are of equal values."""
    return int((counts * (counts - 1) // 2).sum())


def _draw_pearson(x: _Ranked, y: _Ranked, weights: Numbers) -> Numbers:
    sides = []
    for side in (x, y):
        scaled = side.values / (np.abs(side.values).max() or 1.0)
        sides.append(scaled - scaled.mean())
    a, b = sides
    n = weights.sum(axis=1)
    a_sum, b_sum = weights @ a, weights @ b
    a_spread, b_spread = weights @ (a * a) - a_sum**2 / n, weights @ (b * b) - b_sum**2 / n
    # Of a draw that is all alike the difference of squares is 0 but for rounding.
    alike = _are_alike(x, weights) | _are_alike(y, weights)
    return _divide(weights @ (a * b) - a_sum * b_sum / n, np.where(alike, 0.0, a_spread), b_spread)


def _draw_spearman(x: _Ranked, y: _Ranked, weights: Numbers) -> Numbers:
    found = []
    for first in range(0, len(weights), _TOGETHER):
        some = weights[first : first + _TOGETHER]
        middle = (some.sum(axis=1, keepdims=True) + 1) / 2
        ranks, spreads = [], []
        for side in (x, y):
            held = side.gather(some)
            rank = np.cumsum(held, axis=1) - (held - 1) / 2 - middle
            spreads.append((held * rank * rank).sum(axis=1))
            ranks.append(rank[:, side.steps])
        found.append(_divide((some * ranks[0] * ranks[1]).sum(axis=1), *spreads))
    return np.concatenate(found)


def _draw_kendall(x: _Ranked, y: _Ranked, weights: Numbers) -> Numbers:
    # For each two rows 1 where both sides rise or fall together, -1 where they go against each other.
    signs = np.sign(x.steps[:, None] - x.steps).astype(np.float32)
    signs *= np.sign(y.steps[:, None] - y.steps)
    # Whole numbers, small enough to be exact in single precision.
    more = np.einsum("ij,ij->i", weights.astype(np.float32) @ signs, weights, dtype=float) / 2
    pairs = weights.sum(axis=1) * (weights.sum(axis=1) - 1) / 2
    held = (side.gather(weights) for side in (x, y))
    untied = [pairs - (counts * (counts - 1)).sum(axis=1) / 2 for counts in held]
    return _divide(more, *untied)


def _are_alike(side: _Ranked, weights: Numbers) -> NDArray[np.bool_]:
    """Which draws hold one value only."""
    found: NDArray[np.bool_] = (side.gather(weights) > 0).sum(axis=1) < 2
    return found


def _divide(above: Numbers, *spreads: Numbers) -> Numbers:
    """What goes together over the root of both spreads; NaN where one is none."""
    below = np.sqrt(np.maximum(spreads[0], 0.0)) * np.sqrt(np.maximum(spreads[1], 0.0))
    found: Numbers = np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
    return found


_KINDS: Mapping[
    str,
    tuple[Callable[[Numbers, Numbers], float | None], Callable[[_Ranked, _Ranked, Numbers], Numbers]],
] = {
    "srcc": (_spearman, _draw_spearman),
    "lcc": (_pearson, _draw_pearson),
    "ktau": (_kendall, _draw_kendall),
}

musicality_srcc = Correlation("musicality", "srcc")
musicality_lcc = Correlation("musicality", "lcc")
musicality_ktau = Correlation("musicality", "ktau")
alignment_srcc = Correlation("alignment", "srcc")
alignment_lcc = Correlation("alignment", "lcc")
alignment_ktau = Correlation("alignment", "ktau")
