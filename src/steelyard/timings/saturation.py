"""Levels of load side by side, and where more of it gives no more: `find_saturation(read_curve(run.about))`.

[Point(level=8.0, request_rate=7.9, …), Point(level=16.0, request_rate=12.1, …)]   a row, or a dot, each
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steelyard.timings.performance import Performance

GROWTH = 0.03
"""By which share a throughput must be above that of every lower level to have grown."""

_KEPT_UP = 0.95
_WORDS = {"goodput": "goodput", "output_rate": "output tokens a second", "request_rate": "requests a second"}


@dataclass(frozen=True, slots=True)
class Point:
    """One level of load and what came of it; `level` is the rate or the concurrency that was asked for."""

    stage: int
    name: str
    what: str
    level: float
    performance: Performance

    @property
    def kept_up(self) -> bool:
        """Whether as much was answered as arrived; of a closed loop it always is."""
        rate = self.performance.request_rate
        return self.what != "rate" or (rate is not None and rate >= _KEPT_UP * self.level)


@dataclass(frozen=True, slots=True)
class Saturation:
    """The highest level at which a throughput still grew; `reached` says whether a higher one showed that."""

    measure: str
    point: Point
    reached: bool

    def __str__(self) -> str:
        value = getattr(self.point.performance, self.measure)
        words = _WORDS[self.measure]
        if not self.reached:
            return f"{words} still grew at the highest level, {self.point.name}: {value:,.4g}"
        return f"{words} grew up to {self.point.name}, and not above: {value:,.4g}"


def read_curve(about: Mapping[str, Any]) -> list[Point]:
    """The levels of a run, the lowest first; none where its stages differ in more than a level."""
    stages, results = about.get("stages", []), about.get("results", [])
    what = next((name for name in ("rate", "concurrency") if _varies(stages, name)), None)
    if what is None:
        return []
    points = [
        Point(number, stage["name"], what, float(stage[what]), Performance.from_dict(result))
        for number, (stage, result) in enumerate(zip(stages, results))
    ]
    return sorted(points, key=lambda point: point.level)


def find_saturation(points: Sequence[Point]) -> Saturation | None:
    """Where throughput stops growing: by goodput where that was measured, else by tokens, else requests."""
    if len(points) < 2:
        return None
    for measure in _WORDS:
        values = [getattr(point.performance, measure) for point in points]
        if all(value is not None for value in values) and any(values):
            break
    else:
        return None
    best = 0
    for place, value in enumerate(values):
        if value > values[best] * (1 + GROWTH):
            best = place
    reached = points[-1].level > points[best].level
    return Saturation(measure, points[best], reached)


def _varies(stages: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether all stages have a level, of which there are several."""
    levels = {stage.get(name) for stage in stages}
    return len(levels) > 1 and None not in levels
