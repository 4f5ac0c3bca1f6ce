"""Two performances: is the second better, worse, or can no difference be told?

    for change in compare(before, after):
        print(change)                ttft_p99: 512 ms → 430 ms, -16 % [-22 %, -9 %], better

Each number has an interval of its own; the interval of the difference follows from the two (MOVER, Zou and
Donner 2008), and the verdicts are held to Holm's correction for their number. They are about these two
sittings: what a service does on another day only another run shows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from steelyard.metrics.distributions import normal_quantile
from steelyard.metrics.paired import ALPHA, adjust_holm
from steelyard.timings.objectives import Objective, tell_value
from steelyard.timings.performance import RATES, Performance

COMPARED = (
    *(("request_rate", None), ("output_rate", None), ("goodput", None), ("error", None)),
    *((measure, which) for measure in ("ttft", "tpot", "itl", "e2el") for which in ("median", "p99")),
)
"""What is compared, unless something else is asked for."""

_HIGHER_IS_BETTER = (*RATES, "output_speed", "prefill_speed")


@dataclass(frozen=True, slots=True)
class Change:
    """One number of two performances; `low` and `high` bound the difference, None where they cannot be told.

    `verdict` is better, worse, or no difference can be told.
    """

    name: str
    measure: str
    before: float
    after: float
    low: float | None
    high: float | None
    p: float | None
    verdict: str

    @property
    def difference(self) -> float:
        """How much more it is after than before."""
        return self.after - self.before

    @property
    def ratio(self) -> float | None:
        """The difference as a share of what was before."""
        return self.difference / self.before if self.before else None

    def to_dict(self) -> dict[str, Any]:
        """As it is stored."""
        return {**asdict(self), "difference": self.difference, "ratio": self.ratio}

    def __str__(self) -> str:
        values = f"{tell_value(self.measure, self.before)} → {tell_value(self.measure, self.after)}"
        share = "" if self.ratio is None else f", {_percent(self.ratio)}"
        if self.ratio is not None and self.low is not None and self.high is not None:
            share += f" [{_percent(self.low / self.before)}, {_percent(self.high / self.before)}]"
        return f"{self.name}: {values}{share}, {self.verdict}"


def compare(
    before: Performance,
    after: Performance,
    *,
    what: Sequence[tuple[str, str | None]] = COMPARED,
) -> list[Change]:
    """What changed from one performance to another; what one of them does not have is left out."""
    changes = []
    for measure, which in what:
        number = Objective(measure, which, least=measure in _HIGHER_IS_BETTER, limit=0.0)
        (old, old_ends), (new, new_ends) = number.read(before), number.read(after)
        if old is None or new is None:
            continue
        low, high = _bound(old, old_ends, new, new_ends)
        p = _chance(new - old, low, high)
        changes.append(Change(number.name, measure, old, new, low, high, p, ""))
    return _judge(changes)


def _bound(
    old: float, old_ends: Sequence[float | None], new: float, new_ends: Sequence[float | None]
) -> tuple[float | None, float | None]:
    """The interval of the difference of two numbers that have intervals of their own."""
    (old_low, old_high), (new_low, new_high) = old_ends, new_ends
    low = high = None
    if new_low is not None and old_high is not None:
        low = new - old - math.hypot(new - new_low, old_high - old)
    if new_high is not None and old_low is not None:
        high = new - old + math.hypot(new_high - new, old - old_low)
    return low, high


def _chance(difference: float, low: float | None, high: float | None) -> float | None:
    """How likely such a difference, or a larger one, is between two alike."""
    towards = low if difference > 0 else high
    if towards is None:
        return None
    reach = abs(difference - towards)
    if not reach:
        return 0.0 if difference else 1.0
    # Not one less a probability next to one: that is nothing from eight deviations on.
    return math.erfc(abs(difference) / reach * normal_quantile(1 - ALPHA / 2) / math.sqrt(2))


def _judge(changes: Sequence[Change]) -> list[Change]:
    """The changes with their verdicts, held to the number of them."""
    tested = [place for place, change in enumerate(changes) if change.p is not None]
    adjusted: Mapping[int, float] = dict(zip(tested, adjust_holm([changes[n].p or 0.0 for n in tested])))
    judged = []
    for place, change in enumerate(changes):
        verdict = "no difference can be told"
        if adjusted.get(place, 1.0) < ALPHA and change.difference:
            verdict = (
                "better" if (change.difference > 0) == (change.measure in _HIGHER_IS_BETTER) else "worse"
            )
        judged.append(replace(change, verdict=verdict))
    return judged


def _percent(share: float) -> str:
    return f"{share * 100:+.1f} %"
