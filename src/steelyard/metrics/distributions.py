"""The few distributions that estimates and tests need, without scipy: normal, Student's t, binomial."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

_NORMAL = NormalDist()
_TINY = 1e-300


def normal_cdf(x: float) -> float:
    """The probability that a standard normal number is at most x."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


def normal_quantile(p: float) -> float:
    """The number that a standard normal number does not exceed with probability p."""
    return _NORMAL.inv_cdf(p)


def t_tail(t: float, dof: float) -> float:
    """The probability that Student's t is further from 0 than t, on either side."""
    if math.isinf(t):
        return 0.0
    return beta_cdf(dof / (dof + t * t), dof / 2, 0.5)


@lru_cache(maxsize=1024)
def t_quantile(p: float, dof: float) -> float:
    """The number that Student's t does not exceed with probability p."""
    if p < 0.5:
        return -t_quantile(1 - p, dof)
    if dof > 1e7:
        return normal_quantile(p)
    tail, low, high = 2 * (1 - p), 0.0, 2.0
    while t_tail(high, dof) > tail and high < 1e12:
        low, high = high, high * 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if t_tail(middle, dof) > tail else (low, middle)
    return (low + high) / 2


def binomial_cdf(successes: int, trials: int) -> float:
    """The probability of at most so many heads of a fair coin."""
    if successes < 0:
        return 0.0
    return 1.0 if successes >= trials else beta_cdf(0.5, trials - successes, successes + 1)


def binomial_pmf(successes: int, trials: int) -> float:
    """The probability of just so many heads of a fair coin."""
    ways = math.lgamma(trials + 1) - math.lgamma(successes + 1) - math.lgamma(trials - successes + 1)
    return math.exp(ways - trials * math.log(2))


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    # The continued fraction converges fast only on this side of the mean.
    if x < (a + 1) / (a + b + 2):
        return math.exp(front) * _beta_fraction(x, a, b) / a
    return 1 - math.exp(front) * _beta_fraction(1 - x, b, a) / b


def _beta_fraction(x: float, a: float, b: float) -> float:
    """Lentz's evaluation of the continued fraction of the incomplete beta function."""
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d, c = 1 / _away(1 + even * d), _away(1 + even / c)
        value *= c * d
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d, c = 1 / _away(1 + odd * d), _away(1 + odd / c)
        value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value


def _away(x: float) -> float:
    return x if abs(x) > _TINY else _TINY
