"""What is said of many values of one kind: how many, their average, their exact percentiles.

A percentile is that of all values, interpolated linearly between the two that it lies between, which is
what `numpy.percentile` gives; none is estimated from a sample, a sketch or a histogram with wide bars.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

LEVELS: Mapping[str, float] = {
    "median": 0.5,
    "p75": 0.75,
    "p90": 0.9,
    "p95": 0.95,
    "p99": 0.99,
    "p999": 0.999,
}
"""Which percentiles are told, and what share of all values lies below each."""

Interval = tuple["float | None", "float | None"]
"""Where a value lies 95 times in 100; None is an end that so few values do not show."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """The statistics of `n` values, None where there are none; times are in seconds."""

    n: int = 0
    average: float | None = None
    min: float | None = None
    max: float | None = None
    median: float | None = None
    p75: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    p999: float | None = None
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    """By the name of the statistic: average, median, …, p999."""

    def get(self, name: str) -> float | None:
        """One statistic by its name."""
        value: float | None = getattr(self, name)
        return value

    def to_dict(self) -> dict[str, Any]:
        """As it is stored."""
        return {**asdict(self), "intervals": {name: list(ends) for name, ends in self.intervals.items()}}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Statistics:
        """What `to_dict` gave."""
        intervals = {name: (low, high) for name, (low, high) in stored.get("intervals", {}).items()}
        return cls(**{**stored, "intervals": intervals})
