"""Schedules: never decreasing, at their rate, the same for the same seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from heapq import merge
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import gamma as gamma_distribution
from scipy.stats import kstest

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
        ramp(rate, rate / 3, seconds=2, burstiness=shape, seed=seed),
        ramp(0, rate, seconds=2),
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


def gaps(dues: list[float]) -> list[float]:
    return [b - a for a, b in pairwise(dues)]


@pytest.mark.parametrize("burstiness", [0.3, 0.5, 1.0, 4.0])
def test_gaps_are_distributed_as_they_are_said_to_be(burstiness: float) -> None:
    found = gaps(take(gamma(25.0, burstiness=burstiness, seed=5), 20_000))
    said = gamma_distribution(burstiness, scale=1 / (25.0 * burstiness))
    assert kstest(found, said.cdf).pvalue > 0.01
    assert kstest(found, gamma_distribution(burstiness, scale=1 / (26.0 * burstiness)).cdf).pvalue < 0.01


def test_arrivals_of_poisson_know_nothing_of_each_other() -> None:
    dues = take(poisson(50, seed=11), 50_000)
    counts = [0] * int(dues[-1])
    for due in dues:
        if due < len(counts):
            counts[int(due)] += 1
    mean = sum(counts) / len(counts)
    assert sum((one - mean) ** 2 for one in counts) / len(counts) / mean == pytest.approx(1, abs=0.15)
    found = gaps(dues)
    level = sum(found) / len(found)
    beside = sum((a - level) * (b - level) for a, b in pairwise(found)) / len(found)
    assert abs(beside / level**2) < 0.02


def test_the_same_seed_gives_the_same_times() -> None:
    assert take(poisson(10, seed=7), 100) == take(poisson(10, seed=7), 100)
    assert take(poisson(10, seed=7), 100) != take(poisson(10, seed=8), 100)


def sum_rate(start: float, end: float, seconds: float, shape: str, time: float) -> float:
    """How many requests a ramp should have had by a time, summed up in small steps."""
    steps, total, ramping = 2000, 0.0, min(time, seconds)
    for n in range(steps):
        done = ramping * (n + 0.5) / steps / seconds
        total += start + (end - start) * done if shape == "linear" else start * (end / start) ** done
    return total * ramping / steps + (time - ramping) * end


@given(
    start=st.floats(0.1, 200),
    end=st.floats(0.1, 200),
    seconds=st.floats(0.5, 60),
    shape=st.sampled_from(["linear", "exponential"]),
    number=st.integers(1, 400),
)
@settings(max_examples=40, deadline=None)
def test_a_ramp_is_due_when_its_rate_has_summed_up(
    start: float, end: float, seconds: float, shape: str, number: int
) -> None:
    due = take(ramp(start, end, seconds=seconds, shape=shape), number + 1)[number]
    assert sum_rate(start, end, seconds, shape, due) == pytest.approx(number, rel=1e-3)


def test_a_ramp_reaches_its_end_and_stays() -> None:
    dues = take(ramp(10, 100, seconds=5), 2000)
    assert sum(due < 5 for due in dues) == 275
    assert gaps([due for due in dues if due > 5]) == pytest.approx([0.01] * 1723)


def test_a_ramp_may_begin_with_nothing_and_end_with_nothing() -> None:
    assert take(ramp(0, 10, seconds=5), 3) == pytest.approx([0, 1, math.sqrt(2)])
    down = list(ramp(10, 0, seconds=5))
    assert len(down) == 26
    assert down[-1] == 5


@pytest.mark.parametrize("shape", ["linear", "exponential"])
def test_a_ramp_of_random_gaps_keeps_its_rate(shape: str) -> None:
    level = take(ramp(20, 200, seconds=60, shape=shape), 8000)
    random, again = (
        take(ramp(20, 200, seconds=60, shape=shape, burstiness=1.0, seed=4), 8000) for _ in range(2)
    )
    assert random == again
    for until in (20, 40, 60):
        wanted, found = (sum(due < until for due in dues) for dues in (level, random))
        assert found != wanted
        assert abs(found - wanted) < 4 * math.sqrt(wanted)


@given(seed=st.integers(0, 2**31), of=st.integers(1, 7))
@settings(max_examples=25, deadline=None)
def test_the_shares_of_several_make_up_the_whole(seed: int, of: int) -> None:
    def schedules() -> list[Iterator[float]]:
        return [gamma(40, burstiness=0.5, seed=seed), ramp(5, 50, seconds=3, burstiness=2.0, seed=seed)]

    for place, whole in enumerate(schedules()):
        shares = [islice(schedules()[place], worker, None, of) for worker in range(of)]
        assert list(islice(merge(*shares), 300)) == take(whole, 300)


def test_a_burst_comes_together() -> None:
    assert take(burst(2, every=0.5), 5) == [0, 0, 0.5, 0.5, 1.0]


def test_a_trace_starts_at_its_first_time() -> None:
    assert list(trace([12.5, 12.5, 13.0])) == [0, 0, 0.5]
    assert list(trace([100.0, 101.0, 104.0], speed=2)) == [0, 0.5, 2]
    with pytest.raises(UsageError, match="back in time"):
        list(trace([2, 1]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: constant(0),
        lambda: poisson(-1),
        lambda: gamma(1, burstiness=0),
        lambda: ramp(1, 2, seconds=0),
        lambda: ramp(1, 2, seconds=1, shape="steep"),
        lambda: ramp(0, 2, seconds=1, shape="exponential"),
        lambda: ramp(0, 0, seconds=1),
        lambda: ramp(1, 2, seconds=1, burstiness=0),
        lambda: trace([1], speed=0),
        lambda: burst(0, every=1),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        make()
