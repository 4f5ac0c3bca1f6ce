"""Schedules: never decreasing, at their rate, the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steelyard.errors import UsageError
from steelyard.schedules import at_once, burst, constant, gamma, poisson, ramp, trace

rates = st.floats(0.1, 5000)


def take(schedule: Iterator[float], count: int) -> list[float]:
    return list(islice(schedule, count))


@given(rate=rates, seed=st.integers(0, 2**31), shape=st.floats(0.05, 20))
@settings(max_examples=50, deadline=None)
def test_every_schedule_starts_at_zero_and_never_goes_back(rate: float, seed: int, shape: float) -> None:
    schedules = [
        at_once(),
        constant(rate),
        poisson(rate, seed=seed),
        gamma(rate, burstiness=shape, seed=seed),
        ramp(rate, rate * 3, seconds=2),
        ramp(rate * 3, rate, seconds=2, shape="exponential"),
        burst(3, every=0.5),
    ]
    for schedule in schedules:
        dues = take(schedule, 50)
        assert dues[0] == 0
        assert all(a <= b for a, b in pairwise(dues))


@pytest.mark.parametrize("make", [constant, lambda r: poisson(r, seed=3), lambda r: gamma(r, burstiness=0.5)])
def test_the_mean_rate_is_the_rate(make: Callable[[float], Iterator[float]]) -> None:
    dues = take(make(50.0), 20_001)
    assert 20_000 / dues[-1] == pytest.approx(50, rel=0.05)


def test_burstiness_shapes_the_spread_of_the_gaps() -> None:
    def spread(shape: float) -> float:
        dues = take(gamma(1.0, burstiness=shape, seed=1), 20_000)
        gaps = [b - a for a, b in pairwise(dues)]
        mean = sum(gaps) / len(gaps)
        return float(sum((gap - mean) ** 2 for gap in gaps) / len(gaps) / mean**2)

    assert spread(0.5) == pytest.approx(2, rel=0.1)
    assert spread(1) == pytest.approx(1, rel=0.1)
    assert spread(4) == pytest.approx(0.25, rel=0.1)


def test_the_same_seed_gives_the_same_times() -> None:
    assert take(poisson(10, seed=7), 100) == take(poisson(10, seed=7), 100)
    assert take(poisson(10, seed=7), 100) != take(poisson(10, seed=8), 100)


def test_a_ramp_reaches_its_end_and_stays() -> None:
    dues = take(ramp(10, 100, seconds=5), 2000)
    late = [due for due in dues if due > 6]
    gaps = [b - a for a, b in pairwise(late)]
    assert all(gap == pytest.approx(0.01) for gap in gaps)
    before = sum(due < 5 for due in dues)
    assert before == pytest.approx(275, rel=0.05)


def test_a_burst_comes_together() -> None:
    assert take(burst(2, every=0.5), 5) == [0, 0, 0.5, 0.5, 1.0]


def test_a_trace_starts_at_its_first_time() -> None:
    assert list(trace([12.5, 12.5, 13.0])) == [0, 0, 0.5]
    with pytest.raises(UsageError, match="back in time"):
        list(trace([2, 1]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: constant(0),
        lambda: take(poisson(-1), 1),
        lambda: take(gamma(1, burstiness=0), 1),
        lambda: take(ramp(1, 2, seconds=0), 1),
        lambda: take(ramp(1, 2, seconds=1, shape="steep"), 1),
        lambda: burst(0, every=1),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        make()
