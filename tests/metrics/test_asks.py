"""Samples asked several times on each side: exact where it can be, and no more often wrong than it says."""

from __future__ import annotations

import math
import random
from itertools import product

import pytest

from steelyard.errors import UsageError
from steelyard.metrics.asks import compare_asks
from steelyard.metrics.paired import adjust


def exchange_all(before: list[list[float]], after: list[list[float]]) -> float:
    """p by counting all ways in which answers could have fallen to the sides."""
    seen = math.fsum(value for new in after for value in new)
    ways = []
    for old, new in zip(before, after):
        values, k = [*old, *new], len(new)
        chosen = [pick for pick in product((0, 1), repeat=len(values)) if sum(pick) == k]
        ways.append([math.fsum(v for v, taken in zip(values, pick) if taken) for pick in chosen])
    sums = [math.fsum(one) for one in product(*ways)]
    below, above = (sum(s <= seen + 1e-9 for s in sums), sum(s >= seen - 1e-9 for s in sums))
    return min(1.0, 2 * min(below, above) / len(sums))


def test_passes_are_told_exactly() -> None:
    source = random.Random(1)
    for _ in range(30):
        before = [[float(source.random() < 0.7) for _ in range(2)] for _ in range(4)]
        after = [[float(source.random() < 0.4) for _ in range(source.choice((1, 2)))] for _ in range(4)]
        assert compare_asks(before, after).p == pytest.approx(exchange_all(before, after))


def test_numbers_are_told_nearly_exactly() -> None:
    before, after = [[0.1, 0.2], [0.5, 0.4], [0.9, 0.7], [0.3, 0.3]], [[0.3], [0.6], [1.0], [0.35]]
    assert compare_asks(before, after).p == pytest.approx(exchange_all(before, after), abs=0.02)


def test_one_change_is_chance_and_ten_are_not() -> None:
    sure: list[list[float]] = [[1, 1]] * 60
    one, ten = (compare_asks(sure, [[0]] * n + [[1]] * (60 - n), ids=range(60)) for n in (1, 10))
    assert (one.verdict, ten.verdict) == ("noise", "worse")
    assert ten.before == 1 and ten.after == pytest.approx(5 / 6) and list(ten.lost) == list(range(10))
    assert ten.low is not None and ten.high is not None and ten.low < ten.difference < ten.high < 0
    same = compare_asks(sure, [[1]] * 60)
    assert same.p == 1 and same.low is not None and same.high is not None and same.low < 0 < same.high


def test_lower_may_be_better() -> None:
    found = compare_asks([[0, 0]] * 40, [[1]] * 40, lower_is_better=True)
    assert found.verdict == "worse" and len(found.lost) == 40


def test_a_sample_counts_as_often_as_it_was_asked() -> None:
    found = compare_asks([[0], [1]], [[1, 1, 1], [0]])
    assert (found.before, found.after, found.difference) == (0.25, 0.75, 0.5)


@pytest.mark.parametrize("noisy", [0.0, 0.3])
def test_equal_sides_are_seldom_told_apart(noisy: float) -> None:
    source, alarms = random.Random(2), 0
    for _ in range(200):
        sure = [source.choice((0.0, 1.0)) for _ in range(50)]

        def ask(share: float) -> float:
            return share if source.random() >= noisy else float(source.random() < 0.5)

        levels = [compare_asks([[ask(s), ask(s)] for s in sure], [[ask(s)] for s in sure]) for _ in range(3)]
        alarms += any(one.verdict != "noise" for one in adjust(levels))
    assert alarms <= 0.05 * 200


def test_what_cannot_be_compared_is_refused() -> None:
    for before, after in (([[1.0]], []), ([], []), ([[1.0], []], [[1.0], [1.0]])):
        with pytest.raises(UsageError):
            compare_asks(before, after)
