"""Counts and staircases: equal to what numpy says of all values, and to counting by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from steelyard.timings.concurrency import Staircase
from steelyard.timings.counting import Counts

MICROS = st.one_of(st.integers(0, 50), st.integers(0, 100_000), st.integers(0, 2**32 - 1))


@settings(deadline=None)
@given(
    blocks=st.lists(st.lists(MICROS, max_size=40), max_size=8),
    levels=st.lists(st.floats(0, 1), min_size=1, max_size=6),
)
def test_quantiles_are_numpys(blocks: list[list[int]], levels: list[float]) -> None:
    counts = Counts()
    for block in blocks:
        counts.add(np.array(block, np.uint32))
    pooled = np.array([value for block in blocks for value in block], np.float64)
    assert counts.n == len(pooled)
    if not len(pooled):
        assert np.isnan(counts.quantiles(levels)).all()
        return
    assert np.allclose(counts.quantiles(levels), np.quantile(pooled, levels), rtol=1e-12, atol=1e-6)
    assert counts.total == int(pooled.sum())
    assert counts.count_of(blocks[-1][0] if blocks[-1] else 0) == np.count_nonzero(
        pooled == (blocks[-1][0] if blocks[-1] else 0)
    )
    values, times = counts.distinct()
    assert np.array_equal(np.repeat(values, times), np.sort(pooled))


def test_many_long_values_are_kept_as_pairs() -> None:
    rng, counts, every = np.random.default_rng(1), Counts(), []
    for _ in range(5):
        values = rng.integers(4_000_000, 4_800_000, 600_000, dtype=np.uint32)
        counts.add(values)
        every.append(values)
    levels = [0.0, 0.001, 0.5, 0.99, 1.0]
    assert np.allclose(counts.quantiles(levels), np.quantile(np.concatenate(every), levels))


TIMES = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), max_size=25)


@given(served=TIMES, begin=st.integers(-5, 90), length=st.integers(1, 60))
def test_staircases_are_what_counting_says(served: list[tuple[int, int]], begin: int, length: int) -> None:
    sent = np.array([start for start, _ in served], np.float64)
    done = sent + [took for _, took in served]
    stairs = Staircase.of(sent, done)
    # Whole seconds, so that nothing changes within one.
    seconds = np.arange(begin, begin + length)
    in_flight = np.array([np.count_nonzero((sent <= second) & (second < done)) for second in seconds])
    assert np.array_equal(stairs.at(seconds.astype(np.float64)), in_flight)
    assert np.allclose(stairs.areas(np.arange(begin, begin + length + 1.0)), in_flight)
    assert np.isclose(stairs.mean(begin, begin + length), in_flight.mean())
    assert stairs.most_between(begin, begin + length) == in_flight.max()
    everywhere = [np.count_nonzero((sent <= second) & (second < done)) for second in range(100)]
    assert stairs.most == max(everywhere)


@given(served=TIMES, amounts=st.lists(st.integers(0, 100), min_size=25, max_size=25))
def test_what_is_spread_over_its_service_adds_up(served: list[tuple[int, int]], amounts: list[int]) -> None:
    sent = np.array([start for start, _ in served], np.float64)
    took = np.array([took for _, took in served], np.float64)
    each = np.array(amounts[: len(served)], np.float64)
    stairs = Staircase.of(sent, sent + took, weights=each / took)
    assert np.isclose(stairs.area(0.0, 100.0), each.sum(), atol=1e-9)
