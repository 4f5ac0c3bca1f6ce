"""What a stage says for and against an objective, in parts that can be put together with those of others.

    told = judge([evidence_of_one_stage, evidence_of_another], alpha=0.01)
    told.verdict         "kept", "missed", or "open": so far it cannot be told from chance

That a p99 is at most 500 ms says that at most 1 in 100 is above 500 ms, so what is judged is a share: of
the requests (of itl: of the gaps) above the limit, or of those that failed. What is judged of an average
is the average. Requests that follow each other are alike, so a stage is cut into parts by time, and what
these differ in says how much the whole is worth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from steelyard.metrics.distributions import beta_cdf, normal_quantile, t_quantile
from steelyard.metrics.estimates import estimate_number

FEWEST_PARTS = 4
_FEWEST_OF_AVERAGE = 16


class Part(NamedTuple):
    """A part of a stage: how many values, from how many requests, and how many break the limit.

    Of an average `over` is the sum of the values. `ranks` is the sum of where the requests stand in their
    stage by the time they took, from 0 to 1.
    """

    requests: int
    values: float
    over: float
    ranks: float = math.nan


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one stage says of one objective: `allowed` is the share that may break the limit.

    Of an `average` it is the limit, and both have their signs changed where it is to be `least` so much.
    What `grows` gets worse the longer it lasts.
    """

    objective: str
    allowed: float
    parts: Sequence[Part]
    average: bool = False
    least: bool = False
    grows: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """What all evidence on an objective comes to: the share (or the average), and where it may lie.

    `kept` says what it looks like, whether or not that can be told from chance.
    """

    objective: str
    verdict: str
    value: float | None
    low: float | None
    high: float | None
    allowed: float
    n: int
    kept: bool
    grows: bool = False


def judge(evidence: Sequence[Evidence], *, alpha: float) -> Judgement:
    """Whether an objective is kept, wrongly with a probability of at most alpha either way."""
    one = evidence[0]
    parts = [part for stage in evidence for part in stage.parts if part.values]
    bound = bound_average if one.average else bound_share
    value, low, high = bound(parts, alpha)
    # What still grows would be missed by a longer stage: the longest so far has the say.
    grows = max(evidence, key=lambda stage: sum(part.requests for part in stage.parts)).grows
    verdict = "open"
    if high is not None and high <= one.allowed and not grows:
        verdict = "kept"
    elif low is not None and low > one.allowed:
        verdict = "missed"
    kept, n = value is not None and value <= one.allowed, sum(part.requests for part in parts)
    allowed = one.allowed
    if one.average and one.least:
        value, low, high, allowed = _negative(value), _negative(high), _negative(low), -allowed
    return Judgement(one.objective, verdict, value, low, high, allowed, n, kept, grows)


def bound_share(parts: Sequence[Part], alpha: float) -> tuple[float | None, float | None, float | None]:
    """The share over the limit, and the bounds that it is beyond with a probability of alpha on either side.

    Clopper and Pearson's, of as many independent values as these are worth (Korn and Graubard 1998).
    """
    n, over = sum(part.values for part in parts), sum(part.over for part in parts)
    if not n:
        return None, None, None
    share = over / n
    # Where nothing breaks the limit, or all, values of one request stand or fall together for all we know.
    worth = float(n) if 0 < over < n else float(sum(part.requests for part in parts))
    worth /= _effect(parts, alpha)
    if 0 < over < n and len(parts) >= FEWEST_PARTS:
        squares = _squares([part.over - share * part.values for part in parts])
        if squares:
            worth = min(worth, n * share * (1 - share) * n / squares / _widening(len(parts), alpha))
    hits = share * worth
    low = 0.0 if not over else _beta_quantile(alpha, hits, worth - hits + 1)
    high = 1.0 if over == n else _beta_quantile(1 - alpha, hits + 1, worth - hits)
    return share, low, high


def bound_average(parts: Sequence[Part], alpha: float) -> tuple[float | None, float | None, float | None]:
    """An average, and its bounds by Student's t over the parts; none of few parts."""
    n = sum(part.values for part in parts)
    if not n:
        return None, None, None
    average = math.fsum(part.over for part in parts) / n
    count = len(parts)
    if count < _FEWEST_OF_AVERAGE:
        return average, None, None
    squares = _squares([part.over - average * part.values for part in parts])
    reach = t_quantile(1 - alpha, count - 1) * math.sqrt(squares) / n
    # Queues are seldom long: parts without a long one say little of how long it would be.
    skewed = estimate_number([part.over / part.values for part in parts], confidence=1 - 2 * alpha)
    middle = skewed.value or 0.0
    low = average + min((skewed.low or middle) - middle, -reach)
    high = average + max((skewed.high or middle) - middle, reach)
    return average, low, high


def _effect(parts: Sequence[Part], alpha: float) -> float:
    """How many requests say no more than one by itself would, by how alike those are that follow each other.

    Limits are seldom broken, and then often together: what that costs is seen in all the times taken.
    """
    known = [part for part in parts if not math.isnan(part.ranks)]
    if len(known) < FEWEST_PARTS:
        return 1.0
    n = sum(part.requests for part in known)
    # Ranks lie evenly between 0 and 1, with a variance of 1/12.
    squares = _squares([part.ranks - part.requests / 2 for part in known]) * 12
    return max(1.0, squares / n * _widening(len(known), alpha))


def _squares(differences: Sequence[float]) -> float:
    """How far the sum of parts may be off, squared: by the parts, or by pairs of them, if that is more.

    Parts that are alike because they follow each other differ less than their pairs.
    """
    pairs = [math.fsum(differences[place : place + 2]) for place in range(0, len(differences), 2)]
    found = [
        math.fsum(one * one for one in many) * len(many) / (len(many) - 1) for many in (differences, pairs)
    ]
    return max(found)


def _widening(count: int, alpha: float) -> float:
    """What so few parts know of how they differ makes an interval this much wider, squared."""
    return (t_quantile(1 - alpha, count - 1) / normal_quantile(1 - alpha)) ** 2


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def _beta_quantile(p: float, a: float, b: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if beta_cdf(middle, a, b) < p else (low, middle)
    return (low + high) / 2
