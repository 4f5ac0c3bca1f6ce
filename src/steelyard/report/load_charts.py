"""The charts of a load run: what happened when, how times are spread, and how they grow with the load.

Each is drawn of columns, so that a million requests make no bigger page than a thousand.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steelyard.report.drawing import (
    BRIDGED,
    Axis,
    Chart,
    Dot,
    Line,
    Swatch,
    clock,
    draw_bars,
    draw_heat,
    draw_lines,
    draw_spans,
    duration,
    percent,
    plain,
    share,
    span,
)
from steelyard.timings.clients import Client
from steelyard.timings.columns import MICRO, Columns
from steelyard.timings.performance import Performance
from steelyard.timings.serverside import Look, series_of
from steelyard.timings.timeline import Timeline

Floats = NDArray[np.float64]
Marks = Sequence["tuple[float, str]"]

_MOST_BARS = 1500
_EXCERPT = 400
_SHADES = 8
_EACH = 8
_WIDE = 10
"""From which factor on times are drawn by their logarithms."""
_ROOM = 1.25
_NAME_WIDTH = 9.0
_PAUSE = 5
"""How many times as long as usual nothing is told where a line over time breaks."""
_FEWEST_BARS, _BARS = 8, 60
_CELLS = (140, 28)
_LEVELS = (0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 0.99999, 0.999999)


class Part(NamedTuple):
    """The requests of one stage, with its name."""

    name: str
    columns: Columns


def draw_requests(columns: Columns, marks: Marks = ()) -> Iterator[Chart]:
    """Each request as a bar from its sending to its end; of many some, and all as a density."""
    there = columns.select(np.isfinite(columns.sent) & np.isfinite(columns.done))
    there = there.select(np.argsort(there.sent, kind="stable"))
    if not len(there):
        return
    whole = Axis(0.0, float(there.done.max()), name=clock)
    shown, note, x = there, "", whole
    if len(there) > _MOST_BARS:
        # Where it was slowest is where one wants to look.
        slowest = int(np.argmax(np.where(there.ok, there.done - there.sent, 0.0)))
        start = min(max(0, slowest - _EXCERPT // 2), len(there) - _EXCERPT)
        shown = there.select(np.arange(start, start + _EXCERPT))
        x = Axis(float(shown.sent.min()), float(shown.done.max()), name=clock)
        note = f"{_EXCERPT} of {len(there):,} requests, those sent around the slowest"
    lanes = _lanes(shown.sent, shown.done)
    spans: list[tuple[str, float, float]] = []
    for n, lane in enumerate(lanes):
        sent, first, done = (float(one[n]) for one in (shown.sent, shown.first, shown.done))
        if not shown.ok[n]:
            spans.append((f"{'cut' if shown.cut[n] else 'bad'} {lane}", sent, done))
            continue
        first = first if math.isfinite(first) else done
        spans += [(f"waits {lane}", sent, first), (f"c0 {lane}", first, done)]
    legend = [Swatch("waits", "to the first token"), Swatch("c0", "from there to the end")]
    legend += [Swatch("bad", "failed")] if shown.failed.any() else []
    legend += [Swatch("cut", "cut off")] if shown.cut.any() else []
    rows = max(lanes) + 1
    yield draw_spans(
        "Each request", spans, x=x, rows=rows, note=note, legend=legend, marks=[] if note else marks
    )
    if note:
        yield draw_density("E2EL of every request, by when it was sent", there, x=whole, marks=marks)


def _lanes(sent: Floats, done: Floats) -> list[int]:
    """A row for each request, the first in which no other is in flight; as many as were at one time."""
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    lanes = []
    for begin, end in zip(sent.tolist(), done.tolist()):
        while busy and busy[0][0] <= begin:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (end, lane))
        lanes.append(lane)
    return lanes


def draw_density(title: str, columns: Columns, *, x: Axis, marks: Marks = ()) -> Chart:
    """How many requests took how long, by when they were sent."""
    ok = columns.select(columns.ok)
    took = np.maximum(ok.done - ok.sent, MICRO)
    ends = (float(took.min(initial=1e9)), float(took.max(initial=MICRO)))
    y = Axis(min(ends[0], ends[1]) / _ROOM, ends[1] * _ROOM, log=True, name=duration)
    edges = np.geomspace(y.low, y.high, _CELLS[1] + 1)
    grid, _, _ = np.histogram2d(took, ok.sent, bins=[edges, np.linspace(x.low, x.high, _CELLS[0] + 1)])
    note = f"{len(took):,} requests; the darker, the more"
    return draw_heat(title, grid.tolist(), x=x, y=y, note=note, marks=marks)


def stretch(columns: Columns) -> Timeline:
    """What happened when, in stretches of several requests each."""
    return Timeline.of(columns, most=min(max(len(columns) // _EACH, 30), 300))


def draw_over_time(timeline: Timeline, marks: Marks = ()) -> Iterator[Chart]:
    """How much was asked and answered, and how long it took, stretch by stretch."""
    t = timeline.t + timeline.width / 2
    if not len(t):
        return
    x = Axis(0.0, float(timeline.t[-1]) + timeline.width, name=clock)
    cut = timeline.cut.sum()
    bad = (timeline.failed + timeline.cut) / timeline.width
    for title, lines, name in (
        ("Requests in flight", (("at most", "c5", timeline.in_flight_max),
                                ("on average", "c0", timeline.in_flight)), plain),
        ("Requests a second", (("sent", "c5", timeline.sent_rate), ("answered", "c0", timeline.done_rate),
                               (f"failed{' or cut off' if cut else ''}", "c2", bad)), plain),
        ("Output tokens a second", (("", "c0", timeline.tokens_rate),), plain),
        ("TTFT", (("median", "c0", timeline.ttft_p50), ("p99", "c2", timeline.ttft_p99)), duration),
        ("E2EL", (("median", "c0", timeline.e2el_p50), ("p99", "c2", timeline.e2el_p99)), duration),
        ("How late the client sent", (("the latest", "c1", timeline.lag),), duration),
    ):  # fmt: skip
        drawn = [
            _over(t, label, kind, values)
            for label, kind, values in lines
            if label[:6] != "failed" or bad.any()
        ]
        log = name is duration and len(lines) > 1 and _is_wide(drawn)
        y = span([v for line in drawn for v in line.ys if v is not None], name=name, log=log)
        yield draw_lines(title, drawn, x=x, y=y, marks=marks)


def draw_client(client: Client, marks: Marks = ()) -> Iterator[Chart]:
    """How the processes that measured fared themselves, a line each."""
    if not len(client):
        return
    x = Axis(0.0, float(client.t.max()), name=clock)
    workers = sorted(set(client.worker.tolist()))
    cpu = np.zeros(len(client))
    lines: dict[str, list[Line]] = {"busy": [], "cpu": [], "rss": []}
    for worker, shade in zip(workers, _shades(len(workers))):
        own = client.worker == worker
        label = f"process {worker + 1}" if len(workers) > 1 else ""
        spent = np.maximum(np.diff(client.cpu[own], prepend=0.0), 0.0)
        lines["busy"].append(_over(client.t[own], label, shade, client.busy[own]))
        cpu[own] = spent / np.maximum(np.diff(client.t[own], prepend=0.0), MICRO)
        lines["cpu"].append(_over(client.t[own], label, shade, cpu[own]))
        lines["rss"].append(_over(client.t[own], label, shade, client.rss[own] / 2**20))
    for title, key, name in (
        ("Share of the time that its loop was busy", "busy", share),
        ("CPU cores used", "cpu", plain),
        ("Memory, MiB", "rss", plain),
    ):
        drawn = _thin(lines[key])
        yield draw_lines(
            title,
            drawn,
            x=x,
            y=span([v for one in drawn for v in one.ys if v is not None], name=name),
            marks=marks,
        )


def draw_percentiles(parts: Sequence[Part]) -> Iterator[Chart]:
    """How long the fastest so many took, a line a stage."""
    shades = _shades(len(parts))
    for title, pick in (("TTFT", _ttft), ("ITL", None), ("E2EL", _e2el)):
        lines, most = [], 2
        for part, shade in zip(parts, shades):
            n, found = _quantiles(part.columns, pick)
            if not n:
                continue
            most = max(most, n)
            levels = [level for level in (0.0, 0.1, 0.25, *_LEVELS) if level <= 1 - 1 / n] + [1 - 1 / n]
            values = found(levels)
            lines.append(
                Line(
                    part.name if len(parts) > 1 else "", shade, [1 / (1 - level) for level in levels], values
                )
            )
        if not lines:
            continue
        x = Axis(1.0, float(most), log=True, name=lambda value: share(1 - 1 / value))
        y = span([v for line in lines for v in line.ys if v is not None], name=duration, log=_is_wide(lines))
        chart = draw_lines(f"{title} by percentile", lines, x=x, y=y)
        wanted = [level for level in (0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999) if level < 1 - 1 / most]
        chart.xs = [(percent(x.place(1 / (1 - v))), f"p{100 * v:g}") for v in wanted]
        yield chart


def draw_spreads(parts: Sequence[Part]) -> Iterator[Chart]:
    """How often each time came: as bars of one stage, as rows of several."""
    for title, pick in (("TTFT", _ttft), ("ITL", None), ("E2EL", _e2el)):
        counted = [(part.name, *_distinct(part.columns, pick)) for part in parts]
        counted = [one for one in counted if len(one[1])]
        if len(counted) == 1:
            yield _bars(title, counted[0][1], counted[0][2])
        elif counted:
            yield _rows(title, counted)


def draw_curves(levels: Sequence[tuple[str, Performance]]) -> Iterator[Chart]:
    """Times over throughput: how the service slows down as more is asked of it."""
    tokens = all(one.output_rate for _, one in levels)
    at = [(one.output_rate if tokens else one.request_rate) or 0.0 for _, one in levels]
    x = span(at)
    for title, name in (("TTFT", "ttft"), ("ITL", "itl"), ("E2EL", "e2el")):
        lines: list[Line] = []
        dots: list[Dot] = []
        for label, kind, which in (("median", "c0", "median"), ("p99", "c2", "p99")):
            spreads = [one.statistics.get(name) for _, one in levels]
            ys = [None if spread is None else spread.get(which) for spread in spreads]
            lines.append(Line(label, kind, at, ys))
        known = [value for line in lines for value in line.ys if value is not None]
        if not known:
            continue
        # Room for the names of the levels above the highest.
        y = span([*known, _ROOM * max(known)], name=duration, log=max(known) > _WIDE * min(known))
        for line in lines:
            for (level, _), across, up in zip(levels, at, line.ys):
                if up is not None:
                    said = f"{level}: {line.label} {duration(up)} at {plain(across)}/s"
                    named = level if line.kind == "c2" and _has_room(dots, x.place(across)) else ""
                    dots.append(Dot(line.kind, percent(x.place(across)), percent(y.place(up)), named, said))
        what = "output tokens a second" if tokens else "requests a second"
        chart = draw_lines(f"{title} over throughput", lines, x=x, y=y, x_label=what)
        chart.dots, chart.readings = dots, ""
        yield chart


def draw_server(looks: Sequence[Look], began: float, *, end: float, marks: Marks = ()) -> Iterator[Chart]:
    """What the server told of itself, over time."""
    x = Axis(0.0, end, name=clock)
    for title, series, name in (
        ("Running and waiting at the server", (("running", "c0"), ("waiting", "c1")), plain),
        ("KV cache used", (("kv_cache", "c0"),), share),
        ("Tokens a second, by the server", (("tokens_out", "c0"), ("tokens_in", "c5")), plain),
        ("Prefix cache, looked up and found a second", (("prefix_queries", "c5"), ("prefix_hits", "c3")),
         plain),
        ("Drafted and accepted tokens a second", (("drafted", "c5"), ("accepted", "c3")), plain),
        ("GPU used", (("gpu_utilization", "c0"),), share),
        ("GPU power, W", (("gpu_watts", "c1"),), plain),
    ):  # fmt: skip
        found = [(key, kind, series_of(looks, key)) for key, kind in series]
        lines = [
            Line(key.replace("_", " "), kind, [t - began for t, _ in points], [value for _, value in points])
            for key, kind, points in found
            if any(value for _, value in points)
        ]
        if lines:
            y = span([v for line in lines for v in line.ys if v is not None], name=name)
            yield draw_lines(title, _thin(lines), x=x, y=y, marks=marks)


def _has_room(dots: Sequence[Dot], place: float) -> bool:
    """Whether a name beside a dot would be read, and not cover another."""
    return all(abs(float(dot.left) - 100 * place) > _NAME_WIDTH for dot in dots if dot.label)


def list_shares(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Counts as shares of them all, the most first."""
    total = sum(counts.values()) or 1
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    return [
        {"label": label, "count": f"{n:,}", "share": f"{100 * n / total:.1f}"} for label, n in ordered[:20]
    ]


def _ttft(columns: Columns) -> Floats:
    found: Floats = columns.answered.first - columns.answered.sent
    return found[np.isfinite(found)]


def _e2el(columns: Columns) -> Floats:
    found: Floats = columns.answered.done - columns.answered.sent
    return found[np.isfinite(found)]


def _quantiles(columns: Columns, pick: Any) -> tuple[int, Any]:
    """How many values there are, and what tells their quantiles in seconds."""
    if pick is None:
        counts = columns.answered.gap_counts
        return counts.n, lambda levels: (counts.quantiles(levels) * MICRO).tolist()
    values = pick(columns)
    return len(values), lambda levels: np.quantile(values, levels).tolist()


def _distinct(columns: Columns, pick: Any) -> tuple[Floats, Floats]:
    """The values in seconds in ascending order, and how often each came."""
    if pick is None:
        values, counts = columns.answered.gap_counts.distinct()
        seconds: Floats = values.astype(np.float64) * MICRO
        return seconds, counts.astype(np.float64)
    found = np.sort(pick(columns))
    return found, np.ones(len(found))


def _bars(title: str, values: Floats, counts: Floats) -> Chart:
    upto = np.cumsum(counts) / counts.sum()
    low, high = (float(values[np.searchsorted(upto, level)]) for level in (0.001, 0.999))
    x = Axis(max(0.0, low - (high - low) * 0.05), high + (high - low) * 0.02 or MICRO, name=duration)
    bars = int(min(max(3 * math.sqrt(counts.sum()), _FEWEST_BARS), _BARS))
    heights, edges = np.histogram(values, bins=np.linspace(x.low, x.high, bars + 1), weights=counts)
    beyond = float(counts.sum() - heights.sum())
    note = f"{share(beyond / counts.sum())} lie beyond, up to {duration(float(values[-1]))}" if beyond else ""
    return draw_bars(title, heights.tolist(), x=x, kind="c0", edges=edges.tolist(), note=note)


def _rows(title: str, counted: Sequence[tuple[str, Floats, Floats]]) -> Chart:
    ends = [float(end) for _, values, _ in counted for end in (values[0], values[-1])]
    x = span([max(end, MICRO) for end in ends], name=duration, log=True)
    edges = np.geomspace(x.low, x.high, 2 * _BARS + 1)
    grid = []
    for _, values, counts in reversed(counted):
        heights, _ = np.histogram(values, bins=edges, weights=counts)
        grid.append((heights / max(heights.max(initial=0.0), 1.0)).tolist())
    rows = [(1 - (n + 0.5) / len(counted), name) for n, (name, _, _) in enumerate(counted)]
    chart = draw_heat(title, grid, x=x, y=Axis(0, 1), rows=rows, note="the darker, the more often")
    chart.wide_names = True
    return chart


def _shades(count: int) -> list[str]:
    """Colours from light to dark for stages one after another."""
    if count == 1:
        return ["c0"]
    return [f"s{round(n * (_SHADES - 1) / (count - 1))}" for n in range(count)]


def _is_wide(lines: Sequence[Line]) -> bool:
    values = [value for line in lines for value in line.ys if value]
    return bool(values) and max(values) > _WIDE * min(values)


def _over(t: Floats, label: str, kind: str, values: NDArray[Any]) -> Line:
    """A line over time, which breaks where nothing was told for long, as between two sittings."""
    steps, values = np.diff(t), values.astype(np.float64)
    breaks = np.flatnonzero(steps > _PAUSE * np.median(steps)) + 1 if len(steps) else np.zeros(0, np.int64)
    there = np.repeat(breaks, BRIDGED + 1)
    # From the end of the one part on and up to the next.
    between = np.where(np.arange(len(there)) % (BRIDGED + 1) < BRIDGED, t[there - 1], t[there])
    t, values = np.insert(t, there, between), np.insert(values, there, np.nan)
    known = [None if math.isnan(value) else value for value in values.tolist()]
    return Line(label, kind, t.tolist(), known, filled=kind == "c0" and label in ("", "on average"))


def _thin(lines: Sequence[Line], most: int = 600) -> list[Line]:
    """Lines of no more points than can be seen."""
    return [
        line
        if len(line.xs) <= most
        else Line(line.label, line.kind, _every(line.xs, most), _every(line.ys, most))
        for line in lines
    ]


def _every(values: Sequence[Any], most: int) -> list[Any]:
    return [values[n] for n in np.linspace(0, len(values) - 1, most).round().astype(np.int64).tolist()]
