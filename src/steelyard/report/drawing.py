"""Charts as shapes in a plot of 1000 by 1000, which a page stretches to the room there is.

Texts stand beside the plot, not in it, so that they stay readable however narrow it becomes.

>>> [label for _, label in Axis(0.0, 10.0).ticks()]
['0', '2', '4', '6', '8', '10']
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

SIDE = 1000
"""How wide and high a plot is in its own units."""

_MOST_LEVELS = 9
_ACROSS, _UP = 0.13, 0.08
"""How far apart names of ticks stand, so that none covers another."""
_NAMED = 0.1
_LEAST_WIDTH = 0.0012
BRIDGED = 5
"""Over how many values that are missing a line goes on."""


def plain(value: float) -> str:
    """A number in as few digits as tell it."""
    if value == 0:
        return "0"
    if abs(value) >= 1e9:
        return f"{value / 1e9:.4g} G"
    if abs(value) >= 1e6:
        return f"{value / 1e6:.4g} M"
    if abs(value) >= 1e4:
        return f"{value / 1e3:.4g} k"
    return f"{value:.4g}"


def share(value: float) -> str:
    """A share in percent."""
    return f"{100 * value:.3g} %"


def duration(value: float) -> str:
    """A time in the unit it is best read in."""
    if value == 0:
        return "0"
    if abs(value) < 0.0009995:
        return f"{value * 1e6:.3g} µs"
    if abs(value) < 0.9995:
        return f"{value * 1e3:.3g} ms"
    return f"{value:.3g} s" if abs(value) < 99.95 else f"{value:,.0f} s"


def clock(value: float) -> str:
    """How long something is under way: 40 s, 3:20, 2:05:00."""
    if value < 120:
        return f"{value:.3g} s"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


@dataclass(frozen=True)
class Axis:
    """What lies from one end of a plot to the other; where it is `log`, by its logarithm."""

    low: float
    high: float
    log: bool = False
    name: Callable[[float], str] = plain

    def place(self, value: float) -> float:
        """Where a value lies, from 0 to 1."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(max(value, self.low))
        return min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.0

    def ticks(self, most: int = 6, *, apart: float = 0.0) -> list[tuple[float, str]]:
        """Round values along it, by their places, with their names, no two closer than `apart`."""
        values = _decades(self.low, self.high) if self.log else _steps(self.low, self.high, most)
        found: list[tuple[float, str]] = []
        for value in values:
            place = round(self.place(value), 4)
            if not found or place - found[-1][0] >= apart:
                found.append((place, self.name(value)))
        return found


def span(values: Iterable[float], *, name: Callable[[float], str] = plain, log: bool = False) -> Axis:
    """An axis with room for some values: from 0, or for a logarithm from a round value below them."""
    found = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
    high = max(found, default=1.0)
    if not log:
        low = min(0.0, min(found, default=0.0))
        step = _step(low, high if high > low else low + 1, 5)
        return Axis(math.floor(low / step) * step, math.ceil(high / step - 1e-9) * step or step, name=name)
    low = max(min(found, default=high / 10), high / 1e7)
    lowest, highest = _round_down(low), _round_up(high)
    return Axis(lowest, highest if highest > lowest else lowest * 10, log=True, name=name)


class Swatch(NamedTuple):
    """A colour of a chart, by its class, and what it stands for."""

    kind: str
    label: str


class Shape(NamedTuple):
    """A path in a plot and the class that it is drawn by."""

    kind: str
    path: str


class Dot(NamedTuple):
    """A point, by its place in percent, with what is said where it is pointed at."""

    kind: str
    left: str
    bottom: str
    label: str
    text: str


@dataclass
class Chart:
    """What a page needs to draw one chart."""

    title: str
    note: str = ""
    xs: list[tuple[str, str]] = field(default_factory=list)
    ys: list[tuple[str, str]] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)
    dots: list[Dot] = field(default_factory=list)
    legend: list[Swatch] = field(default_factory=list)
    marks: list[tuple[str, str]] = field(default_factory=list)
    x_label: str = ""
    readings: str = ""
    rows: int = 0
    wide_names: bool = False


@dataclass(frozen=True)
class Line:
    """Values along the other axis; many that are None or NaN in a row leave a gap."""

    label: str
    kind: str
    xs: Sequence[float]
    ys: Sequence[float | None]
    filled: bool = False
    stepped: bool = False


def draw_lines(
    title: str,
    lines: Sequence[Line],
    *,
    x: Axis,
    y: Axis,
    note: str = "",
    x_label: str = "",
    marks: Sequence[tuple[float, str]] = (),
) -> Chart:
    """Lines over one axis; `marks` are places along it that have a name."""
    chart = frame(title, x=x, y=y, note=note, x_label=x_label, marks=marks)
    for line in lines:
        path = _path(line, x, y)
        if line.filled and path:
            chart.shapes.append(Shape(f"{line.kind} fill", _closed(line, x, y)))
        chart.shapes.append(Shape(f"{line.kind} line", path))
    chart.legend = [Swatch(line.kind, line.label) for line in lines if line.label]
    chart.readings = _readings(lines, x, y)
    return chart


def draw_bars(
    title: str, counts: Sequence[float], *, x: Axis, kind: str, edges: Sequence[float], note: str = ""
) -> Chart:
    """How many lie between each two edges, as shares of all."""
    return draw_parts(title, [(kind, counts)], x=x, edges=edges, note=note)


def draw_parts(
    title: str,
    parts: Sequence[tuple[str, Sequence[float]]],
    *,
    x: Axis,
    edges: Sequence[float],
    note: str = "",
) -> Chart:
    """The same of several kinds that share the edges, as shares of all of them together."""
    total = sum(count for _, counts in parts for count in counts) or 1.0
    y = span([count / total for _, counts in parts for count in counts], name=share)
    chart = frame(title, x=x, y=y, note=note)
    for kind, counts in parts:
        pieces = [
            _box(x.place(left), x.place(right), 0.0, y.place(count / total))
            for count, left, right in zip(counts, edges, edges[1:])
            if count > 0
        ]
        chart.shapes.append(Shape(f"{kind} bar", "".join(pieces)))
    return chart


def draw_heat(
    title: str, grid: Sequence[Sequence[float]], *, x: Axis, y: Axis, note: str = "", x_label: str = "",
    marks: Sequence[tuple[float, str]] = (), rows: Sequence[tuple[float, str]] | None = None,
) -> Chart:  # fmt: skip
    """How many lie in each cell of a grid, from its lowest row: the more, the darker."""
    chart = frame(title, x=x, y=y, note=note, x_label=x_label, marks=marks)
    if rows is not None:
        chart.ys = [(percent(place), name) for place, name in rows]
    most = max((cell for row in grid for cell in row), default=0.0)
    levels: dict[int, list[str]] = {}
    height = 1 / max(len(grid), 1)
    for number, row in enumerate(grid):
        bottom = number * height
        for start, end, level in _runs([_level(cell, most) for cell in row]):
            wide = 1 / len(row)
            levels.setdefault(level, []).append(_box(start * wide, end * wide, bottom, bottom + height))
    chart.shapes += [Shape(f"heat h{level}", "".join(levels[level])) for level in sorted(levels)]
    return chart


def draw_spans(
    title: str, spans: Sequence[tuple[str, float, float]], *, x: Axis, rows: int, note: str = "",
    legend: Sequence[Swatch] = (), marks: Sequence[tuple[float, str]] = (),
) -> Chart:  # fmt: skip
    """Spans along the axis, row by row from the top: (class and row as 'kind row', from, to)."""
    chart = frame(title, x=x, y=Axis(0, 1), note=note, marks=marks)
    chart.ys, chart.legend, chart.rows = [], list(legend), rows
    pieces: dict[str, list[str]] = {}
    high = 1 / max(rows, 1)
    for named, start, end in spans:
        kind, _, row = named.rpartition(" ")
        top = 1 - int(row) * high
        # A line of its own, however thin the rows.
        pieces.setdefault(kind, []).append(
            _box(x.place(start), max(x.place(end), x.place(start) + _LEAST_WIDTH), top - 0.8 * high, top)
        )
    chart.shapes = [Shape(f"{kind} bar", "".join(boxes)) for kind, boxes in pieces.items()]
    return chart


def frame(
    title: str, *, x: Axis, y: Axis, note: str = "", x_label: str = "",
    marks: Sequence[tuple[float, str]] = (),
) -> Chart:  # fmt: skip
    """An empty chart with its axes."""
    return Chart(
        title,
        note,
        xs=[(percent(place), name) for place, name in x.ticks(apart=_ACROSS)],
        ys=[(percent(place), name) for place, name in y.ticks(5, apart=_UP)],
        marks=_spread([(x.place(at), name) for at, name in marks]),
        x_label=x_label,
    )


def _spread(marks: Sequence[tuple[float, str]]) -> list[tuple[str, str]]:
    """Marks by their places, only those with a name that have room for it."""
    found: list[tuple[str, str]] = []
    last = -1.0
    for place, name in marks:
        shown = place - last >= _NAMED
        found.append((percent(place), name if shown else ""))
        last = place if shown else last
    return found


def percent(place: float) -> str:
    """A place as a page says it."""
    return f"{100 * place:.2f}".rstrip("0").rstrip(".")


def _path(line: Line, x: Axis, y: Axis) -> str:
    words, missing, before = [], BRIDGED + 1, 0.0
    for at, value in zip(line.xs, line.ys):
        if value is None or not math.isfinite(value):
            missing += 1
            continue
        across, up = round(SIDE * x.place(at)), SIDE - SIDE * y.place(value)
        begins = missing > BRIDGED
        if line.stepped and not begins:
            words.append(f"L{across} {before:.4g}")
        # A line to where it is makes a point of what stands alone.
        words.append(f"M{across} {up:.4g}h0" if begins else f"L{across} {up:.4g}")
        missing, before = 0, up
    return "".join(words)


def _closed(line: Line, x: Axis, y: Axis) -> str:
    """The room below a line; where it breaks it is taken for the ground."""
    level = [value if value is not None and math.isfinite(value) else y.low for value in line.ys]
    if not level:
        return ""
    xs = [line.xs[0], *line.xs, line.xs[-1]]
    return _path(Line("", "", xs, [y.low, *level, y.low], stepped=line.stepped), x, y) + "Z"


def _box(left: float, right: float, bottom: float, top: float) -> str:
    """A rectangle by its places from 0 to 1."""
    across, wide = SIDE * left, SIDE * (right - left)
    down, high = SIDE * (1 - top), SIDE * (top - bottom)
    return f"M{across:.4g} {down:.4g}h{wide:.4g}v{high:.4g}h{-wide:.4g}z"


def _level(cell: float, most: float) -> int:
    """How dark a cell is; by the root, so that few are seen beside many."""
    return min(_MOST_LEVELS, math.ceil(math.sqrt(cell / most) * _MOST_LEVELS)) if cell > 0 else 0


def _runs(levels: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Neighbours of one level above 0: from, to, level."""
    start = 0
    for n in range(1, len(levels) + 1):
        if n == len(levels) or levels[n] != levels[start]:
            if levels[start]:
                yield start, n, levels[start]
            start = n


def _readings(lines: Sequence[Line], x: Axis, y: Axis) -> str:
    """What is said where a chart is pointed at: x places, then their names, then a text for each."""
    first = lines[0].xs if lines else []
    if not first or len(first) > 1500 or any(list(line.xs) != list(first) for line in lines):
        return ""
    told = []
    for n, at in enumerate(first):
        said = [
            f"{line.label} {y.name(value)}" if line.label else y.name(value)
            for line in lines
            if (value := line.ys[n]) is not None and math.isfinite(value)
        ]
        if said:
            told.append(f"{round(SIDE * x.place(at))}|{x.name(at)}: {', '.join(said)}")
    return "\n".join(told)


def _steps(low: float, high: float, most: int) -> Iterator[float]:
    step = _step(low, high, most)
    # From whole steps, so that no sum of fractions drifts.
    for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1):
        yield n * step


def _step(low: float, high: float, most: int) -> float:
    rough = (high - low) / max(most, 1)
    if not rough > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next((n * power for n in (1, 2, 5) if n * power >= rough * (1 - 1e-9)), 10 * power)


def _decades(low: float, high: float) -> Iterator[float]:
    """1, 2, 5, 10 and so on, or only powers of ten where these are many."""
    wide = math.log10(high / low)
    mantissas = (1, 2, 5) if wide <= 2.5 else (1,)
    power = math.floor(math.log10(low))
    while 10.0**power <= high * (1 + 1e-9):
        for mantissa in mantissas:
            if low * (1 - 1e-9) <= mantissa * 10.0**power <= high * (1 + 1e-9):
                yield mantissa * 10.0**power
        power += 1


def _round_down(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return max((n * power for n in (1, 2, 5) if n * power <= value * (1 + 1e-9)), default=power)


def _round_up(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return min((n * power for n in (1, 2, 5, 10) if n * power >= value * (1 - 1e-9)), default=10 * power)
