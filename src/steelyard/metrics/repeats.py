"""What several answers to the same question are worth: pass@k, cons@k, avg@n.

>>> round(pass_at(2, passed=1, n=4), 3)
0.5
>>> vote(["18", "20", "18"], [1.0, 0.0, 1.0])
1.0
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence


def pass_at(k: int, *, passed: int, n: int) -> float:
    """The chance that one of k answers passes, from n answers of which some passed; unbiased."""
    if not 1 <= k <= n:
        raise ValueError(f"pass@{k} cannot be told from {n} answers")
    return 1 - math.comb(n - passed, k) / math.comb(n, k)


def vote(answers: Sequence[Hashable | None], scores: Sequence[float]) -> float:
    """The score of the answer given most often; the mean over those that tie. None is no vote."""
    cast: dict[Hashable, list[float]] = {}
    for answer, score in zip(answers, scores):
        if answer is not None:
            cast.setdefault(answer, []).append(score)
    if not cast:
        return 0.0
    most = max(map(len, cast.values()))
    winners = [math.fsum(given) / most for given in cast.values() if len(given) == most]
    return math.fsum(winners) / len(winners)


def average(scores: Sequence[float]) -> float:
    """The mean score of the answers to one question."""
    return math.fsum(scores) / len(scores)


def sizes_up_to(n: int) -> list[int]:
    """The k for which pass@k is shown: 1, 2, 4, … and n itself."""
    return sorted({1 << power for power in range(n.bit_length()) if 1 << power <= n} | {n})
