"""A number with its uncertainty: from passes, from numbers, from groups, from a whole set.

    >>> estimate = estimate_mean([1.0, 0.0, 1.0, 1.0])
    >>> f"{estimate.value} [{estimate.low:.2f}, {estimate.high:.2f}], {estimate.method}"
    '0.75 [0.30, 0.95], Wilson'

Every interval is meant to hold the true value 95 times in 100; benchmarks/uncertainty.py shows how
often each of them does.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from steelyard.metrics.distributions import normal_cdf, normal_quantile, t_quantile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 1000
_PARTS = 100
FEWEST_RESAMPLED = 7
_MOST_RESAMPLED = 2_000
_MOST_IN_MANY_PARTS = 20_000
# Pairs of rows may be looked at all together, in a table as wide as it is high.
_MOST_WEIGHED = 4_000

Combine = Callable[[Sequence[Any]], "float | None"]
Reweigh = Callable[[Sequence[Any], "NDArray[np.float64]"], "NDArray[np.float64]"]
"""The same of many draws at once, from how often each row is in each: NaN where it is undefined."""
Bound = Callable[[float, int], tuple[float, float]]
"""Of a metric between -1 and 1: the interval of a value of so many units, where draws tell nothing."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, its standard error and the 95 % interval around it, of n values, by a method."""

    value: float | None
    stderr: float | None
    low: float | None
    high: float | None
    n: int
    method: str


def estimate_mean(
    values: Sequence[float],
    groups: Sequence[Hashable] | None = None,
    *,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """The mean of values: passes (0 and 1) or numbers, independent or in groups."""
    if not len(values):
        return Estimate(None, None, None, None, 0, "none")
    if groups is not None and len(set(groups)) < len(values):
        return estimate_clustered(values, groups, confidence=confidence)
    passed = sum(1 for value in values if value == 1)
    if passed + sum(1 for value in values if value == 0) == len(values):
        return estimate_proportion(passed, len(values), confidence=confidence)
    estimate = estimate_number(values, confidence=confidence)
    if estimate.low is None or estimate.high is None or not all(0 <= value <= 1 for value in values):
        return estimate
    # Shares, as of passes of which some count half: so is their mean.
    return replace(estimate, low=max(0.0, estimate.low), high=min(1.0, estimate.high))


def estimate_proportion(passed: float, n: int, *, confidence: float = CONFIDENCE) -> Estimate:
    """The share that passed, with Wilson's interval."""
    if n < 1:
        return Estimate(None, None, None, None, 0, "none")
    share, z = passed / n, normal_quantile((1 + confidence) / 2)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    stderr = math.sqrt(share * (1 - share) / n)
    # At the ends Wilson's bound is the end itself, but for rounding.
    low = 0.0 if passed == 0 else max(0.0, middle - reach)
    high = 1.0 if passed == n else min(1.0, middle + reach)
    return Estimate(share, stderr, low, high, n, "Wilson")


def estimate_number(values: Sequence[float], *, confidence: float = CONFIDENCE) -> Estimate:
    """The mean of independent numbers, with a t interval corrected for skewness (Hall 1992)."""
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(mean, None, None, None, 1, "none")
    squares = math.fsum((value - mean) ** 2 for value in values)
    spread = math.sqrt(squares / (n - 1))
    stderr = spread / math.sqrt(n)
    if spread <= abs(mean) * 1e-15:
        return Estimate(mean, 0.0, mean, mean, n, "constant")
    skewness = math.fsum(((value - mean) / spread) ** 3 for value in values) / n * (n / (n - 1)) ** 1.5
    t = t_quantile((1 + confidence) / 2, n - 1)
    low, high = (mean - stderr * _unskew(side, skewness, n) for side in (t, -t))
    return Estimate(mean, stderr, low, high, n, "t, skewness-corrected")


def estimate_clustered(
    values: Sequence[float],
    groups: Sequence[Hashable],
    *,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """The mean of values that share groups, with its cluster-robust t interval."""
    n, mean = len(values), math.fsum(values) / len(values)
    count = len(set(groups))
    method = f"clustered, {count} groups"
    if count < 2:
        return Estimate(mean, None, None, None, n, method)
    if all(value == values[0] for value in values):
        if mean not in (0.0, 1.0):
            return Estimate(mean, 0.0, mean, mean, n, method)
        # Passes that all agree: as uncertain as one of them a group.
        bounds = estimate_proportion(mean * count, count, confidence=confidence)
        return Estimate(mean, 0.0, bounds.low, bounds.high, n, method)
    stderr, degrees = measure_clustered(values, groups)
    if stderr <= 1e-12 and all(value in (0, 1) for value in values):
        # Groups that are all alike by chance say nothing of how groups differ.
        bounds = estimate_proportion(mean * count, count, confidence=confidence)
        return Estimate(mean, bounds.stderr, bounds.low, bounds.high, n, method)
    reach = t_quantile((1 + confidence) / 2, degrees) * stderr
    low, high = mean - reach, mean + reach
    if all(0 <= value <= 1 for value in values):
        low, high = max(0.0, low), min(1.0, high)
    return Estimate(mean, stderr, low, high, n, method)


def measure_clustered(values: Sequence[float], groups: Sequence[Hashable]) -> tuple[float, float]:
    """Standard error of the mean of values in two or more groups, and its degrees of freedom.

    Residuals are scaled as in CR2, and the degrees of freedom are those of Bell and McCaffrey
    (2002): the number of groups less one where they are of equal size, fewer where they are not.
    """
    n, mean = len(values), math.fsum(values) / len(values)
    sums: defaultdict[Hashable, float] = defaultdict(float)
    sizes: defaultdict[Hashable, int] = defaultdict(int)
    for value, group in zip(values, groups):
        sums[group] += value - mean
        sizes[group] += 1
    weights = {group: 1 / (1 - size / n) for group, size in sizes.items()}
    variance = math.fsum(weights[group] * total**2 for group, total in sums.items()) / n**2
    squares = math.fsum(size**2 for size in sizes.values())
    crossed = math.fsum(weights[group] * size**2 for group, size in sizes.items()) ** 2
    own = math.fsum(weights[group] ** 2 * size**4 for group, size in sizes.items())
    return math.sqrt(variance), n**2 / (squares + (crossed - own) / n**2)


def estimate_worth(
    values: Sequence[float],
    groups: Sequence[Hashable] | None = None,
    *,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Estimate:
    """The mean of what answers are worth, from 0 to 1, by the bootstrap (bca), groups drawn whole.

    Of fewer than seven units it says too little: then as `estimate_mean`. Where no draw differs from another
    it says nothing: then with Wilson's interval for as many passes as there are units.
    """
    import numpy as np

    if not len(values):
        return Estimate(None, None, None, None, 0, "none")
    n, mean = len(values), math.fsum(values) / len(values)
    units = gather_units(n, groups)
    beside = "" if len(units) == n else f", {len(units)} groups"
    told = Counter((math.fsum(values[place] for place in unit), len(unit)) for unit in units)
    worths = [total / size for total, size in told]
    if max(worths) - min(worths) < 1e-12:
        bounds = estimate_proportion(mean * len(units), len(units), confidence=confidence)
        return Estimate(mean, 0.0, bounds.low, bounds.high, n, "Wilson" + beside)
    if len(units) < FEWEST_RESAMPLED:
        return estimate_mean(values, groups, confidence=confidence)
    # Units that are alike are drawn as one kind, so that a large set takes no longer than a small one.
    totals, sizes = np.array(list(told), dtype=float).T
    shares = np.array(list(told.values())) / len(units)
    counts = np.random.default_rng(seed).multinomial(len(units), shares, RESAMPLES)
    draws = sorted(((counts @ totals) / (counts @ sizes)).tolist())
    # What each unit moves the mean by.
    pulls = totals - mean * sizes
    skewness = (shares @ pulls**3) / (shares @ pulls**2) ** 1.5
    acceleration = float(skewness) / (6 * math.sqrt(len(units)))
    ends = _bca_ends(draws, mean, acceleration, widen_ends(len(units), confidence=confidence))
    low, high = (quantile(draws, end) for end in ends)
    return Estimate(mean, spread_of(draws), low, high, n, "bootstrap, bca" + beside)


def estimate_corpus(
    statistics: Sequence[Any],
    combine: Combine,
    *,
    reweigh: Reweigh | None = None,
    bound: Bound | None = None,
    groups: Sequence[Hashable] | None = None,
    confidence: float = CONFIDENCE,
    seed: int = 0,
    method: str = "percentile",
) -> Estimate:
    """A metric over a whole set, its error by the bootstrap (percentile or bca), groups drawn whole.

    Of large sets, where that takes long and tells no more, the error comes from the jackknife: the
    metric without each of a hundred random parts. Where every draw gives the same, and of fewer than seven
    units, `bound` knows more.
    """
    n = len(statistics)
    value = combine(statistics) if n else None
    if value is None:
        return Estimate(None, None, None, None, n, "none")
    units = gather_units(n, groups)
    if len(units) < 2:
        return Estimate(value, None, None, None, n, "none")
    if bound is not None and len(units) < FEWEST_RESAMPLED:
        return _bounded(value, bound, len(units), n=n)
    if is_large(units, reweighed=reweigh is not None):
        stderr, parts = leave_out(statistics, units, combine, seed=seed)
        if stderr is None:
            return Estimate(value, None, None, None, n, "none")
        if bound is not None and stderr < 1e-12:
            return _bounded(value, bound, len(units), n=n)
        reach = t_quantile((1 + confidence) / 2, parts - 1) * stderr
        low, high = value - reach, value + reach
        if bound is not None:
            low, high = max(-1.0, low), min(1.0, high)
        return Estimate(value, stderr, low, high, n, f"jackknife, {parts} parts")
    draws = draw_values(statistics, units, combine, reweigh=reweigh, seed=seed)
    if len(draws) < RESAMPLES / 2:
        return Estimate(value, None, None, None, n, "none")
    draws.sort()
    if bound is not None and draws[-1] - draws[0] < 1e-12:
        return _bounded(value, bound, len(units), n=n)
    ends = widen_ends(len(units), confidence=confidence)
    if method == "bca":
        ends = _bca_ends(draws, value, _acceleration(statistics, combine, units), ends)
    low, high = (quantile(draws, end) for end in ends)
    return Estimate(value, spread_of(draws), low, high, n, f"bootstrap, {method}")


def _bounded(value: float, bound: Bound, units: int, *, n: int) -> Estimate:
    low, high = bound(value, units)
    return Estimate(value, None, low, high, n, "bound")


def gather_units(n: int, groups: Sequence[Hashable] | None) -> list[list[int]]:
    """What is drawn as one: each value alone, or all values of a group."""
    if groups is None:
        return [[place] for place in range(n)]
    gathered: defaultdict[Hashable, list[int]] = defaultdict(list)
    for place, group in enumerate(groups):
        gathered[group].append(place)
    return list(gathered.values())


def draw_units(n: int, times: int, *, seed: int) -> Iterator[list[int]]:
    """So many times n places of n, drawn with replacement."""
    import numpy as np

    rng = np.random.default_rng(seed)
    for _ in range(times):
        yield rng.integers(0, n, n).tolist()


def draw_values(
    statistics: Sequence[Any],
    units: Sequence[Sequence[int]],
    combine: Combine,
    *,
    reweigh: Reweigh | None,
    seed: int,
) -> list[float]:
    """What a metric is of each of many draws of units, where it is defined."""
    if reweigh is not None:
        drawn = reweigh(statistics, draw_weights(units, RESAMPLES, seed=seed))
        return [value for value in drawn.tolist() if not math.isnan(value)]
    draws = []
    for chosen in draw_units(len(units), RESAMPLES, seed=seed):
        value = combine([statistics[place] for unit in chosen for place in units[unit]])
        if value is not None:
            draws.append(value)
    return draws


def draw_weights(units: Sequence[Sequence[int]], times: int, *, seed: int) -> NDArray[np.float64]:
    """The same draws of units as `draw_units` makes, as how often each place is in each of them."""
    import numpy as np

    count = len(units)
    unit_of = np.empty(sum(map(len, units)), dtype=np.int64)
    for number, unit in enumerate(units):
        unit_of[list(unit)] = number
    chosen = np.random.default_rng(seed).integers(0, count, (times, count))
    chosen += np.arange(times)[:, None] * count
    drawn = np.bincount(chosen.ravel(), minlength=times * count).reshape(times, count)
    return drawn.astype(float)[:, unit_of]


def widen_ends(n: int, *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The quantiles of bootstrap draws that make an interval, as much wider as t is than the normal.

    Without it the bootstrap of few values is too sure of itself (Hesterberg 2015).
    """
    low = normal_cdf(-math.sqrt(n / (n - 1)) * t_quantile((1 + confidence) / 2, n - 1))
    return low, 1 - low


def is_large(units: Sequence[Sequence[int]], *, reweighed: bool = False) -> bool:
    """Whether a set is too large for the bootstrap."""
    return len(units) > _MOST_RESAMPLED or (reweighed and sum(map(len, units)) > _MOST_WEIGHED)


def leave_out(
    rows: Sequence[Any],
    units: Sequence[Sequence[int]],
    measure: Combine,
    *,
    seed: int,
) -> tuple[float | None, int]:
    """The standard error of what is measured of rows, from leaving out each of many random parts."""
    count = min(_PARTS if len(units) <= _MOST_IN_MANY_PARTS else _PARTS // 5, len(units))
    shuffled = list(units)
    random.Random(seed).shuffle(shuffled)
    parts = [[rows[place] for unit in shuffled[first::count] for place in unit] for first in range(count)]
    left = []
    for part in range(count):
        without = measure([*chain.from_iterable(parts[:part] + parts[part + 1 :])])
        if without is None:
            return None, count
        left.append(without)
    mean = math.fsum(left) / count
    return math.sqrt((count - 1) / count * math.fsum((one - mean) ** 2 for one in left)), count


def quantile(ordered: Sequence[float], p: float) -> float:
    """The value below which a share p of ordered values lies, interpolated."""
    place = p * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def spread_of(draws: Sequence[float]) -> float:
    """The standard deviation of draws."""
    mean = math.fsum(draws) / len(draws)
    return math.sqrt(math.fsum((draw - mean) ** 2 for draw in draws) / (len(draws) - 1))


def _unskew(t: float, skewness: float, n: int) -> float:
    """Where Hall's monotone transformation of the t statistic takes the value t."""
    slope = skewness / math.sqrt(n)
    if abs(slope) < 1e-6:
        return t
    inner = 1 + slope * (t - slope / 6)
    return 3 / slope * (math.copysign(abs(inner) ** (1 / 3), inner) - 1)


def _bca_ends(
    draws: Sequence[float], value: float, acceleration: float, ends: tuple[float, float]
) -> tuple[float, float]:
    """Which quantiles of the draws make the bias-corrected and accelerated interval (Efron 1987)."""
    # What is reckoned in another order is the same but for rounding.
    below = sum(draw < value - 1e-12 for draw in draws)
    below_or_same = sum(draw <= value + 1e-12 for draw in draws)
    share = (below + below_or_same) / (2 * len(draws))
    bias = normal_quantile(min(max(share, 0.5 / len(draws)), 1 - 0.5 / len(draws)))
    moved = [bias + normal_quantile(end) for end in ends]
    low, high = (normal_cdf(bias + z / (1 - acceleration * z)) for z in moved)
    return low, high


def _acceleration(statistics: Sequence[Any], combine: Combine, units: list[list[int]]) -> float:
    """The skewness of what the metric loses with each part of the set (the jackknife)."""
    parts = min(len(units), 2 * _PARTS)
    left = []
    for part in range(parts):
        kept = [place for number, unit in enumerate(units) if number % parts != part for place in unit]
        without = combine([statistics[place] for place in kept])
        if without is not None:
            left.append(without)
    if not left:
        return 0.0
    mean = math.fsum(left) / len(left)
    squares = math.fsum((mean - one) ** 2 for one in left)
    cubes = math.fsum((mean - one) ** 3 for one in left)
    return cubes / (6 * squares**1.5) if squares else 0.0
