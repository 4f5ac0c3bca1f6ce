"""Intervals: they hold what they are meant to hold about as often as they say, alike requests or not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from steelyard.timings.intervals import bound_level, bound_rate, bound_share
from steelyard.timings.measuring import describe


def series(n: int, *, correlation: float, rng: np.random.Generator) -> np.ndarray:
    """Exponential values of which each is like the one before it."""
    noise = rng.standard_normal(n + 200)
    values = np.empty_like(noise)
    values[0] = noise[0]
    for place in range(1, len(noise)):
        values[place] = correlation * values[place - 1] + (1 - correlation**2) ** 0.5 * noise[place]
    return stats.expon.ppf(stats.norm.cdf(values[200:]))


@pytest.mark.parametrize(
    ("n", "correlation", "least"),
    [(40, 0.0, 0.9), (1000, 0.0, 0.93), (2000, 0.8, 0.9)],
)
def test_intervals_hold_the_truth_about_as_often_as_they_say(
    n: int, correlation: float, least: float
) -> None:
    rng = np.random.default_rng(5)
    truth = {"average": 1.0, "median": np.log(2), "p90": -np.log(0.1), "p99": -np.log(0.01)}
    held = dict.fromkeys(truth, 0)
    times = 150
    for _ in range(times):
        found = describe(series(n, correlation=correlation, rng=rng), np.arange(n, dtype=np.float64))
        for name, value in truth.items():
            low, high = found.intervals[name]
            held[name] += (low is None or low <= value) and (high is None or value <= high)
    assert {name: count for name, count in held.items() if count < least * times} == {}


def test_likeness_makes_intervals_wider() -> None:
    rng = np.random.default_rng(7)
    widths = []
    for correlation in (0.0, 0.9):
        found = describe(series(4000, correlation=correlation, rng=rng), np.arange(4000.0))
        low, high = found.intervals["median"]
        assert low is not None
        assert high is not None
        widths.append(high - low)
    assert widths[1] > 2 * widths[0]


@pytest.mark.parametrize(("n", "level"), [(10, 0.5), (100, 0.99), (299, 0.99), (368, 0.99), (5000, 0.999)])
def test_ranks_are_those_of_the_binomial_distribution(n: int, level: float) -> None:
    low, high = bound_level(level, n)
    ranks = np.arange(1, n + 1)
    # Of the k-th of n values: how likely it lies above, or below, what it is to bound.
    lower = ranks[stats.binom.cdf(ranks - 1, n, level) <= 0.025]
    upper = ranks[stats.binom.sf(ranks - 1, n, level) <= 0.025]
    assert low == (None if not len(lower) else (lower[-1] - 1) / (n - 1))
    assert high == (None if not len(upper) else (upper[0] - 1) / (n - 1))


def test_many_values_bound_a_level_as_the_normal_distribution_does() -> None:
    low, high = bound_level(0.5, 1_000_000)
    assert low == pytest.approx(0.5 - 1.96 * 0.0005, abs=1e-6)
    assert high == pytest.approx(0.5 + 1.96 * 0.0005, abs=1e-6)


def test_shares_are_wilsons() -> None:
    expected = stats.binomtest(3, 200).proportion_ci(method="wilson")
    assert bound_share(3, 200) == pytest.approx((expected.low, expected.high))
    assert bound_share(0, 0) == (None, None)
    for n in range(1, 200):
        assert bound_share(0, n)[0] == 0 and bound_share(n, n)[1] == 1
    assert bound_share(3, 200, effect=4.0) == pytest.approx(bound_share_of(0.015, 50))


def bound_share_of(share: float, n: float) -> tuple[float, float]:
    z = stats.norm.ppf(0.975)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5 / (1 + z * z / n)
    return middle - reach, middle + reach


def test_the_rate_of_clients_in_step_is_known_well() -> None:
    # 20 clients whose answers all take one second, all in step: exactly 20 a second.
    sent = np.repeat(np.arange(30.0), 20)
    low, high = bound_rate(sent, sent + 1, np.ones(600), spans=[(0.0, 30.0)])
    assert low == pytest.approx(20)
    assert high == pytest.approx(20)


def test_rates_hold_the_truth_about_as_often_as_they_say() -> None:
    rng, held = np.random.default_rng(3), 0
    for _ in range(200):
        sent = np.cumsum(rng.exponential(0.1, 1300))
        sent = sent[sent < 100]
        low, high = bound_rate(sent, sent + 0.3, np.ones(len(sent)), spans=[(0.0, 100.0)])
        assert low is not None
        assert high is not None
        held += low <= 10 <= high
    assert held >= 0.9 * 200


def test_too_short_a_time_has_no_interval_of_its_rate() -> None:
    assert bound_rate(np.zeros(10), np.full(10, 2.0), np.ones(10), spans=[(0.0, 2.0)]) == (None, None)
    assert bound_rate(np.zeros(0), np.zeros(0), np.zeros(0), spans=[]) == (None, None)


def test_few_values_bound_no_high_percentile() -> None:
    found = describe(np.arange(50.0), np.arange(50.0))
    assert found.intervals["p99"][1] is None
    assert found.intervals["median"][1] is not None
    assert describe(np.array([3.0]), np.array([0.0])).intervals["average"] == (None, None)
