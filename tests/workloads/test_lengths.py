"""Lengths are drawn as their distributions say, and what cannot be one is told."""

from __future__ import annotations

import math
import random
import statistics
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from steelyard.errors import SteelyardError
from steelyard.workloads.lengths import read_lengths


def drawn(spec: Any, count: int = 4000, **options: Any) -> list[float]:
    source, lengths = random.Random(1), read_lengths(spec, **options)
    return [lengths.draw(source) for _ in range(count)]


def test_fixed() -> None:
    assert set(drawn(128, 5)) == set(drawn("128", 5)) == set(drawn("fixed:128", 5)) == {128}
    assert set(drawn("1.5", 3, whole=False)) == {1.5}


def test_uniform_takes_both_ends_alike() -> None:
    found = drawn("uniform:3:6")
    assert {type(one) for one in found} == {int}
    assert stats.chisquare([found.count(n) for n in range(3, 7)]).pvalue > 0.001
    assert stats.kstest(drawn("uniform:1:5", whole=False), stats.uniform(1, 4).cdf).pvalue > 0.001


def test_normal_is_drawn_again_beyond_its_limits() -> None:
    found = drawn("gaussian:100:30:50:120")
    assert min(found) >= 50 and max(found) <= 120
    # Nothing piles up where the limits are.
    assert found.count(120) < 2 * found.count(110) + 20
    free = drawn("normal:500:50", whole=False)
    assert stats.kstest(free, stats.norm(500, 50).cdf).pvalue > 0.001
    # Where hardly anything lies between them, the nearest limit.
    assert set(drawn("normal:1:0:50:60", 3)) == {50}


def test_lognormal_has_the_mean_and_deviation_that_are_asked_for() -> None:
    found = drawn("lognormal:200:100", 20_000, whole=False)
    assert statistics.fmean(found) == pytest.approx(200, rel=0.03)
    assert statistics.stdev(found) == pytest.approx(100, rel=0.1)
    assert stats.kstest([math.log(one) for one in found[:2000]], "norm", args=_logs(200, 100)).pvalue > 0.001


def _logs(mean: float, spread: float) -> tuple[float, float]:
    square = math.log(1 + (spread / mean) ** 2)
    return math.log(mean) - square / 2, math.sqrt(square)


def test_exponential() -> None:
    assert (
        stats.kstest(drawn("exponential:2.5", whole=False, least=0), stats.expon(0, 2.5).cdf).pvalue > 0.001
    )


def test_zipf_falls_off_by_its_power() -> None:
    found, weights = drawn("zipf:1.5:10:14", 10_000), [k**-1.5 for k in range(1, 6)]
    expected = [10_000 * weight / sum(weights) for weight in weights]
    assert stats.chisquare([found.count(n) for n in range(10, 15)], expected).pvalue > 0.001


def test_recorded_lengths(tmp_path: Path) -> None:
    (tmp_path / "lengths.txt").write_text("5\n\n7\n7\n")
    (tmp_path / "log.csv").write_text("id,out\na,3\nb,9\n")
    assert set(drawn(f"file:{tmp_path / 'lengths.txt'}", 100)) == {5, 7}
    assert set(drawn(f"file:{tmp_path / 'log.csv'}:out", 100)) == {3, 9}
    assert set(drawn([4, 8], 100)) == {4, 8}
    one, other = (
        read_lengths(f"file:{tmp_path / name}").identity() for name in ("lengths.txt", "log.csv:out")
    )
    assert one != other and str(tmp_path) not in str(one)
    (tmp_path / "log.csv").write_text("id,out\na,3\nb,nine\n")
    with pytest.raises(SteelyardError, match=r"log\.csv, line 3: expected a number .* as 'out', saw 'nine'"):
        read_lengths(f"file:{tmp_path / 'log.csv'}:out")
    (tmp_path / "lengths.txt").write_text("5\n0\n")
    with pytest.raises(SteelyardError, match=r"lengths\.txt, line 2"):
        read_lengths(f"file:{tmp_path / 'lengths.txt'}")


@pytest.mark.parametrize(
    "given",
    [
        "", "many", "uniform", "uniform:1", "uniform:9:3", "uniform:a:b", "normal:5", "normal:5:-1",
        "normal:5:1:9:3", "lognormal:0:1", "zipf:1:9:3", "zipf:-1:1:5", "exponential:0",
        "0", "-3", "1.5", "nan", "inf", True, None, [], [0], ["x"], "file:nowhere.txt",
    ],
)  # fmt: skip
def test_what_is_no_length(given: Any) -> None:
    with pytest.raises(SteelyardError, match="output"):
        read_lengths(given, name="output")


def test_a_form_that_is_nearly_one_is_named() -> None:
    with pytest.raises(SteelyardError, match=r"there is no form of input 'unifrom' .did you mean uniform"):
        read_lengths("unifrom:1:5", name="input")


@settings(max_examples=100, deadline=None)
@given(
    kind=st.sampled_from(
        ["normal:{0}:{1}:{2}:{3}", "lognormal:{0}:{1}:{2}:{3}", "uniform:{2}:{3}", "zipf:1.1:{2}:{3}"]
    ),
    mean=st.integers(1, 500),
    spread=st.integers(0, 500),
    low=st.integers(1, 400),
    more=st.integers(0, 300),
    seed=st.integers(0, 2**32),
)
def test_nothing_lies_beyond_the_limits(
    kind: str, mean: int, spread: int, low: int, more: int, seed: int
) -> None:
    lengths = read_lengths(kind.format(mean, spread, low, low + more))
    found = [lengths.draw(random.Random(seed)) for _ in range(3)]
    assert all(low <= one <= low + more and type(one) is int for one in found)
    assert len(set(found)) == 1
