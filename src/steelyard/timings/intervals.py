"""Where a value of a load test lies 95 times in 100, although requests that follow each other are alike.

What is measured one after another depends on what came before: a queue that is long stays long for a while.
So requests are put into up to 20 batches by the time when they ended, and what the batches differ in says how
much the whole would differ in another hour like this one:

- of an average: batch means, with Student's t;
- of a percentile: order statistics (the ranks between which it lies by the binomial distribution), with the
  number of values divided by how much more the batches differ than batches of independent values would;
- of a rate: the same rate in stretches of equal length, each at least two answers long, with Student's t;
- of a share: Wilson's interval, with the number of requests divided likewise.

With fewer than 64 values they are taken for independent. In a queue near its limit, where likeness lasts as
long as a batch, the interval of a p99 holds the truth less often: longer runs mend that. No interval says
what only another day would show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from steelyard.metrics.distributions import beta_cdf, normal_quantile, t_quantile
from steelyard.timings.concurrency import Staircase
from steelyard.timings.statistics import Interval

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

CONFIDENCE = 0.95
_TAIL = (1 - CONFIDENCE) / 2
_Z = normal_quantile(1 - _TAIL)
MOST_BATCHES = 20
FEWEST_BATCHES = 8
_FEWEST_STRETCHES = 5
_ANSWERS_A_STRETCH = 2
_MANY = 1000

UNKNOWN: Interval = (None, None)


def count_batches(n: int) -> int:
    """In how many batches so many values are put; 1 where they are too few."""
    batches = min(MOST_BATCHES, n // 8)
    return batches if batches >= FEWEST_BATCHES else 1


def batch_by(times: Floats, batches: int) -> Integers:
    """Which batch each request belongs to: as many in each as in the others, in the order of their times."""
    ranks = np.empty(len(times), np.int64)
    ranks[np.argsort(times, kind="stable")] = np.arange(len(times))
    return ranks * batches // max(len(times), 1)


def bound_mean(sums: Floats, sizes: Floats, *, deviation: float) -> Interval:
    """The interval of a mean, from the sums and sizes of batches and the standard deviation of all values."""
    n = float(sizes.sum())
    if n < 2:
        return UNKNOWN
    mean = float(sums.sum()) / n
    reach = t_quantile(1 - _TAIL, n - 1) * deviation / math.sqrt(n)
    used = sizes > 0
    if (b := int(np.count_nonzero(used))) >= FEWEST_BATCHES:
        squares = float(((sums[used] - mean * sizes[used]) ** 2).sum())
        reach = max(reach, t_quantile(1 - _TAIL, b - 1) * math.sqrt(b / (b - 1) * squares) / n)
    return mean - reach, mean + reach


def find_effect(hits: Floats, sizes: Floats) -> float:
    """How many values say no more than one independent value would of the share of hits; at least 1."""
    used = sizes > 0
    b, n = int(np.count_nonzero(used)), float(sizes.sum())
    share = float(hits.sum()) / n if n else 0.0
    if b < FEWEST_BATCHES or not 0 < share < 1:
        return 1.0
    squares = float(((hits[used] - share * sizes[used]) ** 2).sum())
    ratio = b / (b - 1) * squares / n / (share * (1 - share))
    # A ratio of few batches is itself uncertain, as t is wider than the normal.
    return max(1.0, ratio * (t_quantile(1 - _TAIL, b - 1) / _Z) ** 2)


def bound_level(level: float, n: float) -> Interval:
    """Between which levels of so many independent values the percentile of all such values lies."""
    return _bound_level(level, max(math.floor(n), 1))


@lru_cache(maxsize=4096)
def _bound_level(level: float, n: int) -> Interval:
    if n * level * (1 - level) > _MANY:
        reach = _Z * math.sqrt(level * (1 - level) / n)
        return level - reach, level + reach
    lower = _largest(lambda rank: _at_most(rank - 1, n, level) <= _TAIL, n)
    upper = n + 1 - _largest(lambda rank: 1 - _at_most(n - rank, n, level) <= _TAIL, n)
    low = (lower - 1) / (n - 1) if lower >= 1 and n > 1 else None
    high = (upper - 1) / (n - 1) if upper <= n and n > 1 else None
    return low, high


def bound_share(hits: int, n: int, *, effect: float = 1.0) -> Interval:
    """The interval of a share of independent requests, or of fewer that say as much (Wilson)."""
    if not n:
        return UNKNOWN
    share, size = hits / n, n / effect
    middle = (share + _Z**2 / (2 * size)) / (1 + _Z**2 / size)
    reach = _Z * math.sqrt(share * (1 - share) / size + _Z**2 / (4 * size**2)) / (1 + _Z**2 / size)
    # Of none and of all one end is known, which sums of fractions miss by a hair.
    return max(0.0, middle - reach) if hits else 0.0, min(1.0, middle + reach) if hits < n else 1.0


def bound_rate(
    sent: Floats, done: Floats, amounts: Floats, *, spans: Sequence[tuple[float, float]]
) -> Interval:
    """The interval of what came a second; a request's amount is spread over the time of its service."""
    length = sum(end - begin for begin, end in spans)
    took = done - sent
    there = np.isfinite(took) & (took > 0)
    if not there.any() or length <= 0:
        return UNKNOWN
    stretches = min(MOST_BATCHES, int(length / (_ANSWERS_A_STRETCH * float(np.median(took[there])))))
    if stretches < _FEWEST_STRETCHES:
        return UNKNOWN
    stairs = Staircase.of(sent[there], done[there], weights=amounts[there] / took[there])
    rates: list[float] = []
    total = 0.0
    for begin, end in spans:
        count = round(stretches * (end - begin) / length)
        if count:
            edges = np.linspace(begin, end, count + 1)
            areas = stairs.areas(edges)
            rates += (areas / np.diff(edges)).tolist()
            total += float(areas.sum())
    if len(rates) < _FEWEST_STRETCHES:
        return UNKNOWN
    mean, b = total / length, len(rates)
    reach = t_quantile(1 - _TAIL, b - 1) * float(np.std(rates, ddof=1)) / math.sqrt(b)
    return max(0.0, mean - reach), mean + reach


def _at_most(k: int, n: int, p: float) -> float:
    """The probability of at most k hits of n."""
    if k < 0:
        return 0.0
    return 1.0 if k >= n else beta_cdf(1 - p, n - k, k + 1)


def _largest(holds: Callable[[int], bool], n: int) -> int:
    """The largest rank from 0 to n up to which it holds."""
    low, high = 0, n
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low
