"""The steady state of a stage: the longest window at the highest number in flight that was sustained.

A number in flight is sustained if at least so many were in flight for a fifth of the stage and for as long as
half of the answers took, but for dips of less than a twentieth of that, in which one answer had ended and the
next request was not yet sent. Its window is as long as no more than a twentieth of them is missing. It is
steady if requests were sent all along, not in one wave at its beginning, and if on average no more than a
quarter more were in flight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steelyard.timings.columns import Columns
from steelyard.timings.concurrency import Staircase
from steelyard.timings.objectives import tell_seconds

Floats = NDArray[np.float64]

_SHARE_OF_STAGE = 0.2
_DIP = 0.05
_SHORTEST_DIP = 0.002
_MORE = 1.25
_MISSING = 0.05
_WAVE = 0.25


@dataclass(frozen=True, slots=True)
class Steady:
    """The window of the steady state and its number in flight, or why there is none."""

    window: tuple[float, float] | None = None
    concurrency: int | None = None
    why: str = ""


def find_steady(columns: Columns) -> Steady:
    """The steady state of a stage."""
    answered = columns.select(columns.ok)
    if not len(answered):
        return Steady(why="nothing was answered")
    stairs = Staircase.of(columns.sent, columns.done)
    median = float(np.median(answered.done - answered.sent))
    longest = max(end - begin for begin, end in columns.spans)
    wanted = max(median, _SHARE_OF_STAGE * longest)
    low, high = 0, round(stairs.most)
    while low < high:
        middle = (low + high + 1) // 2
        begin, end = _longest(stairs, middle, dip=max(_SHORTEST_DIP, _DIP * median))
        low, high = (middle, high) if end - begin >= wanted else (low, middle - 1)
    if not low:
        why = f"no number in flight was held for {tell_seconds(wanted)}: requests were too few or too rare"
        return Steady(why=why)
    window = _longest(stairs, low - int(_MISSING * low), dip=max(_SHORTEST_DIP, _DIP * median))
    return _judge(columns, stairs, low, _trim(stairs, low, window))


def _judge(columns: Columns, stairs: Staircase, level: int, window: tuple[float, float]) -> Steady:
    begin, end = window
    later = begin + _WAVE * (end - begin)
    replaced = np.count_nonzero((columns.sent >= later) & (columns.sent <= end))
    if replaced < _WAVE * level:
        return Steady(why="requests came in one wave: few were sent once others had been answered")
    mean = stairs.mean(begin, end)
    if mean > _MORE * level:
        most = stairs.most_between(begin, end)
        why = f"the number in flight did not stand still: {mean:.1f} on average, {most:.0f} at most"
        return Steady(why=why)
    return Steady(window, level)


def _trim(stairs: Staircase, level: int, window: tuple[float, float]) -> tuple[float, float]:
    """A window without what comes before the level is reached, and after it was left for good."""
    begin, end = window
    there = np.flatnonzero((stairs.times >= begin) & (stairs.times < end) & (stairs.levels >= level))
    if not len(there):
        return window
    return float(stairs.times[there[0]]), min(end, float(stairs.times[there[-1] + 1]))


def _longest(stairs: Staircase, level: int, *, dip: float) -> tuple[float, float]:
    """The longest time in which at least so many were in flight, but for dips."""
    above = stairs.levels >= level
    edges = np.flatnonzero(np.diff(above.astype(np.int8), prepend=0, append=0))
    if not len(edges):
        return 0.0, 0.0
    times = np.append(stairs.times, stairs.times[-1])[edges]
    begins, ends = times[::2], times[1::2]
    apart = np.flatnonzero(begins[1:] - ends[:-1] > dip)
    begins, ends = begins[np.append(0, apart + 1)], ends[np.append(apart, len(ends) - 1)]
    place = int(np.argmax(ends - begins))
    return float(begins[place]), float(ends[place])
