"""How many requests were in flight: a staircase, up when one is sent and down when its answer ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Staircase:
    """From each of `times` on, until the next, `levels` requests were in flight."""

    times: Floats
    levels: Floats

    @classmethod
    def of(cls, sent: Floats, done: Floats, *, weights: Floats | None = None) -> Staircase:
        """The staircase of requests that were in flight from `sent` to `done`, each of its weight."""
        there = np.isfinite(sent) & np.isfinite(done)
        each = np.ones(len(sent)) if weights is None else weights
        times = np.concatenate([done[there], sent[there]])
        order = np.argsort(times, kind="stable")
        times = times[order]
        levels = np.cumsum(np.concatenate([-each[there], each[there]])[order])
        # Who ends as another is sent makes room for it: only the last of equal times is a step.
        last = np.append(np.diff(times) > 0, True) if len(times) else np.zeros(0, np.bool_)
        return cls(times[last], levels[last])

    @property
    def most(self) -> int:
        """The most in flight at one time."""
        return int(self.levels.max(initial=0))

    def mean(self, begin: float, end: float) -> float:
        """How many were in flight on average between two times."""
        return self.area(begin, end) / (end - begin) if end > begin else 0.0

    def area(self, begin: float, end: float) -> float:
        """How many seconds requests spent in flight between two times, added up."""
        return float(self.areas(np.array([begin, end]))[0])

    def areas(self, edges: Floats) -> Floats:
        """The seconds spent in flight between each time and the next."""
        if not len(self.times):
            return np.zeros(len(edges) - 1)
        upto = np.concatenate([[0.0], np.cumsum(np.diff(self.times) * self.levels[:-1])])
        place = np.clip(np.searchsorted(self.times, edges, side="right") - 1, 0, None)
        beyond = np.where(edges > self.times[0], (edges - self.times[place]) * self.levels[place], 0.0)
        return np.diff(upto[place] + beyond)

    def at(self, times: Floats) -> Floats:
        """How many were in flight at each of these times."""
        if not len(self.times):
            return np.zeros(len(times))
        place = np.searchsorted(self.times, times, side="right") - 1
        return np.where(place < 0, 0.0, self.levels[np.clip(place, 0, None)])

    def most_between(self, begin: float, end: float) -> int:
        """The most in flight at one time between two times."""
        inside = (self.times > begin) & (self.times < end)
        return int(max(self.levels[inside].max(initial=0), self.at(np.array([begin]))[0]))
