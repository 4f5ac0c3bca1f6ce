"""The same samples asked several times on each side: do the answers of the second side score otherwise?

    >>> found = compare_asks([[1, 1], [1, 1], [0, 0], [1, 1]] * 5, [[1], [0], [0], [0]] * 5)
    >>> found.verdict, found.difference
    ('worse', -0.5)

If both sides are alike, which of a sample's answers came from which side is chance: so they are exchanged,
sample by sample, and the difference is held against all that could have been. Of passes that distribution is
computed exactly, of numbers it is drawn from.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

from steelyard.errors import UsageError
from steelyard.metrics.distributions import t_quantile
from steelyard.metrics.paired import ALPHA, POWER, Comparison, judge_difference

_DRAWS = 9_999


def compare_asks(
    before: Sequence[Sequence[float]],
    after: Sequence[Sequence[float]],
    *,
    ids: Sequence[Hashable] | None = None,
    lower_is_better: bool = False,
    seed: int = 0,
) -> Comparison:
    """Compare the values that the same samples had before and after, each asked at least once on both sides.

    A sample counts as often as it was asked after.
    """
    if len(before) != len(after) or not before:
        raise UsageError("the two sides are not of the same samples", hint="pair them by sample first")
    if not all(before) or not all(after):
        raise UsageError("a sample was not asked on both sides", hint="leave it out")
    weights = [len(asked) for asked in after]
    total = sum(weights)
    differences = [math.fsum(new) / len(new) - math.fsum(old) / len(old) for old, new in zip(before, after)]
    difference = math.fsum(w * d for w, d in zip(weights, differences)) / total
    is_passes = all(value in (0, 1) for side in (before, after) for asked in side for value in asked)
    p = _test_passes(before, after) if is_passes else _test_numbers(before, after, seed=seed)
    stderr, low, high = _bound(differences, weights, is_passes=is_passes)
    names = ids if ids is not None else range(len(before))
    up = [name for name, one in zip(names, differences) if one > 0]
    down = [name for name, one in zip(names, differences) if one < 0]
    effect = t_quantile(1 - ALPHA / 2, math.inf) + t_quantile(POWER, math.inf)
    return Comparison(
        before=math.fsum(w * math.fsum(old) / len(old) for w, old in zip(weights, before)) / total,
        after=math.fsum(value for new in after for value in new) / total,
        difference=difference,
        stderr=stderr,
        low=low,
        high=high,
        p=p,
        n=len(before),
        test="exchanged asks, exact" if is_passes else "exchanged asks",
        verdict=judge_difference(difference, p, lower_is_better=lower_is_better),
        detectable=None if stderr is None else effect * stderr,
        gained=down if lower_is_better else up,
        lost=up if lower_is_better else down,
        lower_is_better=lower_is_better,
    )


def _test_passes(before: Sequence[Sequence[float]], after: Sequence[Sequence[float]]) -> float:
    """Twice the smaller tail of how many passes fall to the second side, sample by sample hypergeometric."""
    import numpy as np

    chances, passes = np.ones(1), 0
    for old, new in zip(before, after):
        passed = round(math.fsum(old) + math.fsum(new))
        passes += round(math.fsum(new))
        ways = [
            math.comb(len(new), k) * math.comb(len(old), passed - k) for k in range(min(len(new), passed) + 1)
        ]
        of = math.comb(len(old) + len(new), passed)
        if of > 1:
            chances = np.convolve(chances, np.array(ways, np.float64) / of)
        else:
            # All passed or none did: nothing can be exchanged, and nothing is told.
            passes -= round(math.fsum(new))
    return min(1.0, 2 * min(float(chances[: passes + 1].sum()), float(chances[passes:].sum())))


def _test_numbers(before: Sequence[Sequence[float]], after: Sequence[Sequence[float]], *, seed: int) -> float:
    import numpy as np

    rng = np.random.default_rng(seed)
    seen = math.fsum(value for new in after for value in new)
    drawn = np.zeros(_DRAWS)
    for old, new in zip(before, after):
        values = np.array([*old, *new], np.float64)
        order = np.argsort(rng.random((_DRAWS, len(values))), axis=1)[:, : len(new)]
        drawn += values[order].sum(axis=1)
    near = 1e-9 * max(1.0, abs(seen))
    tails = int((drawn <= seen + near).sum()), int((drawn >= seen - near).sum())
    return min(1.0, 2 * (1 + min(tails)) / (1 + _DRAWS))


def _bound(
    differences: Sequence[float], weights: Sequence[int], *, is_passes: bool
) -> tuple[float | None, float | None, float | None]:
    """The standard error of the difference, and its interval; of passes with one more change each way."""
    # Bonett and Price (2012): it keeps the interval honest where few samples change.
    usual = sum(weights) / len(weights)
    changes = [*zip(weights, differences), *([(usual, 1.0), (usual, -1.0)] if is_passes else [])]
    n, total = len(changes), math.fsum(w for w, _ in changes)
    if n < 2:
        return None, None, None
    mean = math.fsum(w * d for w, d in changes) / total
    squares = math.fsum((w * (d - mean)) ** 2 for w, d in changes) * n / (n - 1)
    stderr = math.sqrt(squares) / total
    reach = t_quantile(1 - ALPHA / 2, n - 1) * stderr
    low, high = mean - reach, mean + reach
    return (stderr, max(-1.0, low), min(1.0, high)) if is_passes else (stderr, low, high)
