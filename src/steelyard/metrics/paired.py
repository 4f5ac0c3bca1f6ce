"""Two runs over the same samples: is the second better, worse, or is it noise?

    >>> found = compare_values([0, 0, 0, 0, 1, 0, 0, 1] * 5, [1, 1, 0, 1, 1, 0, 1, 1] * 5)
    >>> found.verdict, found.difference, found.test
    ('better', 0.5, 'McNemar, mid-p')

Passes are tested with McNemar's test, numbers with a paired t test, samples in groups with a
cluster-robust one, metrics over a whole set by exchanging the runs sample by sample.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from steelyard.errors import UsageError
from steelyard.metrics.distributions import binomial_cdf, binomial_pmf, normal_quantile, t_quantile, t_tail
from steelyard.metrics.estimates import (
    CONFIDENCE,
    FEWEST_RESAMPLED,
    RESAMPLES,
    Combine,
    Reweigh,
    draw_units,
    draw_weights,
    gather_units,
    is_large,
    leave_out,
    measure_clustered,
    quantile,
    spread_of,
    widen_ends,
)

ALPHA = 1 - CONFIDENCE
POWER = 0.8


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two runs differ in, and whether more than chance would explain.

    `detectable` is the smallest difference that a set like this shows 80 times in 100. `gained` and
    `lost` are the samples that got better and worse. `adjusted` is p after Holm's correction.
    """

    before: float
    after: float
    difference: float
    stderr: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int
    test: str
    verdict: str
    detectable: float | None
    gained: Sequence[Hashable] = ()
    lost: Sequence[Hashable] = ()
    adjusted: float | None = None
    lower_is_better: bool = False


@dataclass(frozen=True, slots=True)
class _Test:
    """The outcome of one test of a difference."""

    name: str
    p: float | None
    stderr: float | None = None
    low: float | None = None
    high: float | None = None
    detectable: float | None = None


def compare_values(
    before: Sequence[float],
    after: Sequence[float],
    *,
    ids: Sequence[Hashable] | None = None,
    groups: Sequence[Hashable] | None = None,
    lower_is_better: bool = False,
) -> Comparison:
    """Compare the values that two runs gave the same samples, in the same order."""
    _check(before, after, ids, groups)
    n = len(before)
    differences = [float(new) - float(old) for old, new in zip(before, after)]
    if groups is not None and len(set(groups)) < n:
        test = _test_clustered(differences, groups)
    elif all(value in (0, 1) for values in (before, after) for value in values):
        test = _test_passes(differences)
    else:
        test = _test_numbers(differences)
    names = ids if ids is not None else range(n)
    up = [name for name, difference in zip(names, differences) if difference > 0]
    down = [name for name, difference in zip(names, differences) if difference < 0]
    return _conclude(
        math.fsum(before) / n,
        math.fsum(after) / n,
        test,
        n,
        up=up,
        down=down,
        lower_is_better=lower_is_better,
    )


def compare_statistics(
    before: Sequence[Any],
    after: Sequence[Any],
    *,
    combine: Combine,
    reweigh: Reweigh | None = None,
    groups: Sequence[Hashable] | None = None,
    lower_is_better: bool = False,
    seed: int = 0,
) -> Comparison:
    """Compare a metric over a whole set by the statistics that two runs left of the same samples.

    p comes from exchanging the runs' answers at random, the interval from a paired bootstrap; of
    large sets both come from the jackknife. Of a metric that can be had of many draws at once both come
    from the bootstrap: what such metrics compare, scores of two models, may be on different scales.
    """
    _check(before, after, None, groups)
    old, new = combine(before), combine(after)
    if old is None or new is None:
        raise UsageError("the metric is undefined over one of the runs", hint="there is nothing to compare")
    units = gather_units(len(before), groups)
    if is_large(units, reweighed=reweigh is not None):
        test = _test_parts(before, after, combine, units, difference=new - old, seed=seed)
    elif reweigh is not None:
        test = _test_draws(before, after, reweigh, units, difference=new - old, seed=seed)
    else:
        test = _test_exchange(before, after, combine, units, difference=new - old, seed=seed)
    return _conclude(old, new, test, len(before), up=(), down=(), lower_is_better=lower_is_better)


def adjust(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons with Holm's correction for their number, and verdicts that follow it."""
    tested = [place for place, one in enumerate(comparisons) if one.p is not None]
    adjusted = adjust_holm([comparisons[place].p or 0.0 for place in tested])
    corrected = list(comparisons)
    for place, p in zip(tested, adjusted):
        one = comparisons[place]
        verdict = judge_difference(one.difference, p, lower_is_better=one.lower_is_better)
        corrected[place] = replace(one, adjusted=p, verdict=verdict)
    return corrected


def adjust_holm(ps: Sequence[float]) -> list[float]:
    """Each p after Holm's step-down correction."""
    adjusted = [0.0] * len(ps)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = largest
    return adjusted


def mcnemar(gained: int, lost: int) -> float:
    """The mid-p value of McNemar's test from the samples that changed either way."""
    changed, fewer = gained + lost, min(gained, lost)
    if gained == lost:
        return 1.0
    return min(1.0, 2 * binomial_cdf(fewer, changed) - binomial_pmf(fewer, changed))


def _test_passes(differences: Sequence[float]) -> _Test:
    n = len(differences)
    gained, lost = differences.count(1.0), differences.count(-1.0)
    mean, changed = (gained - lost) / n, (gained + lost) / n
    # Bonett and Price (2012): one change more each way keeps the interval honest for few changes.
    share, moved = (gained - lost) / (n + 2), (gained + lost + 2) / (n + 2)
    reach = normal_quantile(1 - ALPHA / 2) * math.sqrt(max(moved - share**2, 0.0) / (n + 2))
    return _Test(
        "McNemar, mid-p",
        mcnemar(gained, lost),
        stderr=math.sqrt(max(changed - mean**2, 0.0) / n),
        low=max(-1.0, share - reach),
        high=min(1.0, share + reach),
        detectable=min(1.0, _effect(math.inf) * math.sqrt(moved / n)),
    )


def _test_numbers(differences: Sequence[float]) -> _Test:
    n = len(differences)
    mean = math.fsum(differences) / n
    spread = math.sqrt(math.fsum((one - mean) ** 2 for one in differences) / max(n - 1, 1))
    return _test_t("paired t", mean, spread / math.sqrt(n), n - 1, units=n)


def _test_clustered(differences: Sequence[float], groups: Sequence[Hashable]) -> _Test:
    count = len(set(groups))
    mean = math.fsum(differences) / len(differences)
    name = f"clustered t, {count} groups"
    if count < 2:
        return _Test(name, None)
    stderr, degrees = measure_clustered(differences, groups)
    return _test_t(name, mean, stderr, degrees, units=count)


def _test_t(name: str, mean: float, stderr: float, degrees: float, *, units: int) -> _Test:
    if units < 2:
        return _Test(name, None)
    if stderr <= abs(mean) * 1e-12:
        # Every unit moved alike: as likely as that many coins falling on one side.
        return _Test(name, 2.0 ** (1 - units) if mean else 1.0, 0.0, mean, mean, 0.0)
    reach = t_quantile(1 - ALPHA / 2, degrees) * stderr
    p = t_tail(mean / stderr, degrees)
    return _Test(name, p, stderr, mean - reach, mean + reach, _effect(degrees) * stderr)


def _test_exchange(
    before: Sequence[Any],
    after: Sequence[Any],
    combine: Combine,
    units: Sequence[Sequence[int]],
    *,
    difference: float,
    seed: int,
) -> _Test:
    further = 0
    for old, new in _exchanges(before, after, units, seed=seed):
        first, second = combine(old), combine(new)
        # An exchange without a result is no evidence against chance.
        further += first is None or second is None or abs(second - first) >= abs(difference) - 1e-12
    if len(units) < 2:
        return _Test("paired exchange", None)
    draws = []
    for chosen in draw_units(len(units), RESAMPLES, seed=seed + 1):
        places = [place for unit in chosen for place in units[unit]]
        first, second = (
            combine([before[place] for place in places]),
            combine([after[place] for place in places]),
        )
        if first is not None and second is not None:
            draws.append(second - first)
    p = (1 + further) / (1 + RESAMPLES)
    if len(draws) < RESAMPLES / 2:
        return _Test("paired exchange", p)
    draws.sort()
    stderr = spread_of(draws)
    low, high = (quantile(draws, end) for end in widen_ends(len(units)))
    return _Test("paired exchange", p, stderr, low, high, _effect(math.inf) * stderr)


def _test_draws(
    before: Sequence[Any],
    after: Sequence[Any],
    reweigh: Reweigh,
    units: Sequence[Sequence[int]],
    *,
    difference: float,
    seed: int,
) -> _Test:
    n = len(units)
    if n < FEWEST_RESAMPLED:
        return _Test("paired bootstrap", None)
    weights = draw_weights(units, RESAMPLES, seed=seed)
    drawn = (reweigh(after, weights) - reweigh(before, weights)).tolist()
    draws = sorted(draw for draw in drawn if not math.isnan(draw))
    if len(draws) < RESAMPLES / 2:
        return _Test("paired bootstrap", None)
    stderr = spread_of(draws)
    if stderr < 1e-12:
        return _Test("paired bootstrap", 1.0 if abs(difference) < 1e-12 else 2.0 ** (1 - n), 0.0)
    low, high = (quantile(draws, end) for end in widen_ends(n))
    beyond = min(sum(draw <= 0 for draw in draws), sum(draw >= 0 for draw in draws))
    # The level at which the interval, widened as it is, would just reach 0.
    reached = -normal_quantile(min(0.5, (beyond + 1) / (len(draws) + 1)))
    p = t_tail(reached * math.sqrt((n - 1) / n), n - 1)
    if not beyond:
        # Further than any draw the draws cannot tell.
        p = min(p, t_tail(difference / stderr, n - 1))
    return _Test("paired bootstrap", p, stderr, low, high, _effect(n - 1) * stderr)


def _exchanges(
    before: Sequence[Any], after: Sequence[Any], units: Sequence[Sequence[int]], *, seed: int
) -> Iterator[tuple[list[Any], list[Any]]]:
    """The two runs with the answers to randomly chosen samples exchanged."""
    import numpy as np

    rng = np.random.default_rng(seed)
    for _ in range(RESAMPLES):
        old, new = list(before), list(after)
        for unit in np.flatnonzero(rng.integers(0, 2, len(units))).tolist():
            for place in units[unit]:
                old[place], new[place] = new[place], old[place]
        yield old, new


def _test_parts(
    before: Sequence[Any],
    after: Sequence[Any],
    combine: Combine,
    units: Sequence[Sequence[int]],
    *,
    difference: float,
    seed: int,
) -> _Test:
    def measure(rows: Sequence[tuple[Any, Any]]) -> float | None:
        first, second = (combine(side) for side in zip(*rows))
        return None if first is None or second is None else second - first

    stderr, parts = leave_out(list(zip(before, after)), units, measure, seed=seed)
    name = f"jackknife, {parts} parts"
    return _Test(name, None) if stderr is None else _test_t(name, difference, stderr, parts - 1, units=parts)


def _effect(degrees: float) -> float:
    """How many standard errors a difference must be to be seen with the power wanted."""
    return t_quantile(1 - ALPHA / 2, degrees) + t_quantile(POWER, degrees)


def _conclude(
    before: float,
    after: float,
    test: _Test,
    n: int,
    *,
    up: Sequence[Hashable],
    down: Sequence[Hashable],
    lower_is_better: bool,
) -> Comparison:
    difference = after - before
    return Comparison(
        before=before,
        after=after,
        difference=difference,
        stderr=test.stderr,
        low=test.low,
        high=test.high,
        p=test.p,
        n=n,
        test=test.name,
        verdict=judge_difference(difference, test.p, lower_is_better=lower_is_better),
        detectable=test.detectable,
        gained=down if lower_is_better else up,
        lost=up if lower_is_better else down,
        lower_is_better=lower_is_better,
    )


def judge_difference(difference: float, p: float | None, *, lower_is_better: bool) -> str:
    """What a difference is called: better, worse, or noise."""
    if p is None or p >= ALPHA or difference == 0:
        return "noise"
    return "better" if (difference < 0) == lower_is_better else "worse"


def _check(
    before: Sequence[Any],
    after: Sequence[Any],
    ids: Sequence[Hashable] | None,
    groups: Sequence[Hashable] | None,
) -> None:
    sizes = {len(sequence) for sequence in (before, after, ids, groups) if sequence is not None}
    if len(sizes) != 1:
        raise UsageError("the two runs are not of the same samples", hint="pair them by sample first")
    if not len(before):
        raise UsageError("the two runs have no sample in common")
