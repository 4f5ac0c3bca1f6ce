"""What a stage says of each objective: `observe(Columns.read(run, stage=3), objectives)`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from steelyard.loadtest.evidence import Evidence, Part
from steelyard.timings.columns import Columns
from steelyard.timings.measures import take_measure
from steelyard.timings.measuring import find_good
from steelyard.timings.objectives import Objective
from steelyard.timings.statistics import LEVELS

Floats = NDArray[np.float64]

_PARTS = 10
_REQUESTS_A_PART = 8
_SETTLING = 0.25
_MICRO = 1_000_000
_GROWING = 1.2
_ALIKE = 0.05
_SURE = 2.33
_NEVER_BACK = ("e2el", "e2el_due", "ttft", "ttft_due")


def observe(
    columns: Columns, objectives: Sequence[Objective], *, limits: dict[str, float] | None = None
) -> list[Evidence]:
    """The evidence for each objective. What is due before the service has filled up does not count.

    A service that is idle at first answers better than it will: so requests of the first two answers'
    length, or of the first quarter, are passed over.
    """
    asked = columns.select(~columns.check)
    begin, end = _span(asked)
    counted = asked.select(asked.due >= begin)
    count = max(1, min(_PARTS, len(counted) // _REQUESTS_A_PART))
    edges = np.linspace(begin, end, count + 1)
    place = np.clip(np.searchsorted(edges, counted.due, side="right") - 1, 0, count - 1)
    took = counted.done - counted.due
    there = np.isfinite(took) & (counted.ok | counted.cut)
    grows = _is_growing(took[there], place[there], count)
    ranks = _rank(took, there, place, count)
    evidence = []
    for one in objectives:
        allowed, parts, average = _gather(one, counted, place, edges, limits)
        parts = [part._replace(ranks=float(rank)) for part, rank in zip(parts, ranks)]
        evidence.append(Evidence(str(one), allowed, parts, average, one.least, grows))
    return evidence


def _span(asked: Columns) -> tuple[float, float]:
    """From when to when what is due counts."""
    if not len(asked):
        return 0.0, 0.0
    begin, end = float(asked.due.min()), float(asked.due.max())
    took = (asked.done - asked.sent)[asked.ok]
    settling = 2 * float(np.median(took)) if len(took) else 0.0
    return begin + min(settling, _SETTLING * (end - begin)), end


def _gather(
    one: Objective, counted: Columns, place: NDArray[np.int64], edges: Floats, limits: dict[str, float] | None
) -> tuple[float, list[Part], bool]:
    """What is allowed, the parts, and whether it is an average."""
    count = len(edges) - 1
    sign = -1.0 if one.least else 1.0
    if one.measure == "error":
        return one.limit, list(_sum(place, np.ones(len(counted)), ~counted.ok, count)), False
    if one.statistic is None:
        # Rates come in spans of time: of each span its seconds, and what arrived in it.
        amount = _amount(one, counted, limits)
        arrived = np.clip(np.searchsorted(edges, counted.done, side="right") - 1, -1, count)
        inside = counted.ok & (arrived >= 0) & (arrived < count) & np.isfinite(amount)
        sums = np.bincount(arrived[inside], weights=amount[inside], minlength=count)
        numbers = np.bincount(arrived[inside], minlength=count)
        parts = [Part(int(n), float(w), sign * float(s)) for n, w, s in zip(numbers, np.diff(edges), sums)]
        return sign * one.limit, parts, True
    if one.measure == "itl":
        values, over = _count_gaps(counted, one)
        if one.statistic == "average":
            total = (counted.last - counted.first)[values > 0]
            return one.limit, list(_sum(place[values > 0], values[values > 0], sign * total, count)), True
        return _allowed(one), list(_sum(place, values, over, count)), False
    found = take_measure(counted, one.measure)
    if one.measure in _NEVER_BACK:
        # What was cut off took longer than anybody knows.
        late = counted.cut & (np.isnan(found) | one.measure.startswith("e2el"))
        found = np.where(late, np.inf, found)
    there = ~np.isnan(found) & (counted.ok | counted.cut)
    ones, found = np.ones(int(there.sum())), found[there]
    if one.statistic == "average":
        return sign * one.limit, list(_sum(place[there], ones, sign * found, count)), True
    beyond = found < one.limit if one.least else found > one.limit
    return _allowed(one), list(_sum(place[there], ones, beyond, count)), False


def _allowed(one: Objective) -> float:
    """Which share of the values may be beyond the limit."""
    if one.statistic in ("min", "max"):
        return 0.0 if (one.statistic == "max") != one.least else 1.0
    level = LEVELS[one.statistic or ""]
    return level if one.least else 1 - level


def _amount(one: Objective, counted: Columns, limits: dict[str, float] | None) -> Floats:
    if one.measure == "goodput":
        return find_good(counted, limits or {}).astype(np.float64)
    tokens = {"input_rate": counted.tokens_in, "output_rate": counted.tokens_out}
    if one.measure == "total_rate":
        return np.maximum(counted.tokens_in, 0) + np.maximum(counted.tokens_out, 0).astype(np.float64)
    if one.measure in tokens:
        return np.maximum(tokens[one.measure], 0).astype(np.float64)
    return np.ones(len(counted))


def _count_gaps(counted: Columns, one: Objective) -> tuple[Floats, Floats]:
    """Of each request how many gaps there are between its events, and how many are beyond the limit."""
    over = np.zeros(len(counted))
    limit = round(one.limit * _MICRO)
    for block in counted.blocks():
        beyond = block.values < limit if one.least else block.values > limit
        # From sending to the first event is no gap between events.
        beyond[block.starts] = False
        over[block.rows] = np.add.reduceat(beyond.astype(np.int64), block.starts)
    return np.maximum(counted.events - 1, 0).astype(np.float64), over


def _sum(place: NDArray[np.int64], values: Floats, over: NDArray[np.generic], count: int) -> Iterator[Part]:
    numbers = np.bincount(place, minlength=count)
    sizes = np.bincount(place, weights=values, minlength=count)
    sums = np.bincount(place, weights=over.astype(np.float64), minlength=count)
    for number, size, total in zip(numbers.tolist(), sizes.tolist(), sums.tolist()):
        yield Part(number, size, total)


def _rank(took: Floats, there: NDArray[np.bool_], place: NDArray[np.int64], count: int) -> Floats:
    """For each part the sum of its requests' ranks by the time they took; who has none is in the middle."""
    ranks = np.full(len(took), 0.5)
    if there.any():
        # What differs by less is alike: how noise of that size comes and goes says nothing of a queue.
        step = max(_ALIKE * float(np.median(took[there])), 1e-9)
        _, which, counts = np.unique(np.round(took[there] / step), return_inverse=True, return_counts=True)
        # Equal times share the middle of their ranks.
        ranks[there] = ((np.cumsum(counts) - counts / 2) / counts.sum())[which]
    return np.bincount(place, weights=ranks, minlength=count).astype(np.float64)


def _is_growing(took: Floats, place: NDArray[np.int64], count: int) -> bool:
    """Whether answers take ever longer: by Kendall's test of the parts' averages, and by how much."""
    numbers = np.bincount(place, minlength=count)
    if np.count_nonzero(numbers) < _PARTS // 2 + 1:
        return False
    sums = np.bincount(place, weights=took, minlength=count)
    means = (sums[numbers > 0] / numbers[numbers > 0]).tolist()
    n = len(means)
    rises = sum((b > a) - (b < a) for a, b in combinations(means, 2))
    third = max(1, n // 3)
    grown = sum(means[-third:]) > _GROWING * sum(means[:third])
    return bool(grown and rises > _SURE * math.sqrt(n * (n - 1) * (2 * n + 5) / 18))
