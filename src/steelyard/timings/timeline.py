"""What happened when: a stage or a run in stretches of equal length.

    timeline = Timeline.of(columns)
    timeline.t, timeline.in_flight, timeline.tokens_rate, timeline.ttft_p99

Requests count where they were sent, answers where they ended, tokens where they arrived; times to the first
token stand where their request was sent. Time between sittings is left out.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.timings.arrivals import count_arrivals
from steelyard.timings.columns import MICRO, Columns
from steelyard.timings.concurrency import Staircase

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_MOST = 300
_WIDTHS = [n * 10**power for power in range(-3, 6) for n in (1, 2, 5)]


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """Stretches of `width` seconds that begin at `t`; rates a second, times in seconds, NaN for none."""

    width: float
    t: Floats
    in_flight: Floats
    in_flight_max: Floats
    sent_rate: Floats
    done_rate: Floats
    failed: Integers
    cut: Integers
    tokens_rate: Floats
    ttft_p50: Floats
    ttft_p99: Floats
    e2el_p50: Floats
    e2el_p99: Floats
    lag: Floats
    """The worst."""

    @classmethod
    def of(cls, columns: Columns, *, most: int = _MOST) -> Timeline:
        """The timeline of some requests, in about so many stretches at most."""
        width = next((one for one in _WIDTHS if one * most >= columns.duration), _WIDTHS[-1])
        parts = [_draw_span(columns, begin, end, width) for begin, end in _merge(columns.spans, width)]
        nothing: list[Any] = [np.zeros(0)] * (len(fields(cls)) - 1)
        joined: list[Any] = [np.concatenate(one) for one in zip(*parts)]
        return cls(width, *(joined or nothing))

    def to_dict(self) -> dict[str, Any]:
        """As it is stored; None for what is not there."""
        return {
            name: [_plain(one) for one in value.tolist()] if isinstance(value, np.ndarray) else value
            for name, value in asdict(self).items()
        }


def _draw_span(columns: Columns, begin: float, end: float, width: float) -> list[Any]:
    # What ends it is in its last stretch, although times are rounded.
    count = math.floor((end - begin + 2 * MICRO) / width) + 1
    near = columns.select((columns.done >= begin) & (columns.sent <= end))
    edges = np.asarray(begin + width * np.arange(count + 1), np.float64)
    stairs = Staircase.of(near.sent, near.done)
    sent, done = _place(near.sent, edges), _place(near.done, edges)
    # Where nothing began or ended in a stretch it is as many as before.
    highest = np.fmax(stairs.at(edges[:-1]), _most(stairs.levels, _place(stairs.times, edges), count))
    ok = near.ok
    return [
        edges[:-1],
        stairs.areas(edges) / width,
        np.nan_to_num(highest),
        np.bincount(sent, minlength=count) / width,
        np.bincount(done[ok], minlength=count) / width,
        np.bincount(done[near.failed], minlength=count),
        np.bincount(done[near.cut], minlength=count),
        count_arrivals(near, begin=begin, width=width, count=count) / width,
        *_percentiles((near.first - near.sent)[ok], sent[ok], count),
        *_percentiles((near.done - near.sent)[ok], sent[ok], count),
        _most(near.lag, sent, count),
    ]


def _merge(spans: list[tuple[float, float]], width: float) -> list[tuple[float, float]]:
    """Spans that are less than a few stretches apart as one."""
    merged: list[tuple[float, float]] = []
    for begin, end in spans:
        if merged and begin - merged[-1][1] <= 5 * width:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _place(times: Floats, edges: Floats) -> Integers:
    """In which stretch each time lies; the last holds its end."""
    return np.clip(np.searchsorted(edges, times, side="right") - 1, 0, len(edges) - 2)


def _most(values: Floats, places: Integers, count: int) -> Floats:
    """The highest value of each stretch."""
    found = np.full(count, np.nan)
    np.fmax.at(found, places, values)
    return found


def _percentiles(values: Floats, places: Integers, count: int) -> tuple[Floats, Floats]:
    """The median and the 99th percentile of the values of each stretch."""
    there = np.isfinite(values)
    values, places = values[there], places[there]
    order = np.lexsort((values, places))
    values, places = values[order], places[order]
    sizes = np.bincount(places, minlength=count)
    begins = np.cumsum(sizes) - sizes
    found = [np.full(count, np.nan) for _ in range(2)]
    some = sizes > 0
    for level, column in zip((0.5, 0.99), found):
        place = begins[some] + level * (sizes[some] - 1)
        below = np.floor(place).astype(np.int64)
        above = np.minimum(below + 1, begins[some] + sizes[some] - 1)
        column[some] = values[below] + (place - below) * (values[above] - values[below])
    return found[0], found[1]


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
