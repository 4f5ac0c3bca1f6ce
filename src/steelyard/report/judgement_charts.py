"""Charts of a reward model beside people: points of ratings, and how far it sets the sides of pairs apart."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from steelyard.report.drawing import (
    SIDE,
    Axis,
    Chart,
    Shape,
    Swatch,
    draw_heat,
    draw_parts,
    frame,
    percent,
    plain,
    span,
)
from steelyard.report.judgements import Judgements, Key, Margins, Ratings

_MOST = 12
_MOST_POINTS = 2000
_CELLS = 40
_BARS = 24


def draw_judgements(judged: Judgements) -> Iterator[Chart]:
    """A chart for each thing that is judged of each set of data, as far as there is room."""
    drawn = [_draw_ratings(key, ratings) for key, ratings in judged.ratings.items() if len(ratings.model) > 1]
    drawn += [_draw_margins(key, margins) for key, margins in judged.margins.items() if margins.values]
    yield from drawn[:_MOST]


def _draw_ratings(key: Key, ratings: Ratings) -> Chart:
    """What people said across, what the model said up; of very many points how dense they are."""
    x, y = _around(ratings.people), _around(ratings.model)
    note = f"{len(ratings.model):,} pieces; upwards the model"
    if len(ratings.model) > _MOST_POINTS:
        grid = [[0.0] * _CELLS for _ in range(_CELLS)]
        for people, model in zip(ratings.people, ratings.model):
            row, column = (
                min(int(_CELLS * place), _CELLS - 1) for place in (y.place(model), x.place(people))
            )
            grid[row][column] += 1
        return draw_heat(str(key), grid, x=x, y=y, note=note, x_label="people")
    chart = frame(str(key), x=x, y=y, note=note, x_label="people")
    points = zip(ratings.people, ratings.model)
    # A line of no length with round ends is a point of one size however the plot is stretched.
    places = (f"M{SIDE * x.place(a):.0f} {SIDE - SIDE * y.place(b):.0f}h0" for a, b in points)
    chart.shapes.append(Shape("c0 points", "".join(places)))
    return chart


def _draw_margins(key: Key, margins: Margins) -> Chart:
    """How far the side that people prefer is above the other; what lies left of 0 is wrong."""
    reach = max(map(abs, margins.values)) or 1.0
    x = Axis(-_round_up(reach), _round_up(reach), name=plain)
    step = (x.high - x.low) / _BARS
    counts = [0] * _BARS
    tied = 0
    for value in margins.values:
        if value == 0:
            tied += 1
        else:
            counts[min(int((value - x.low) / step), _BARS - 1)] += 1
    wrong = sum(counts[: _BARS // 2])
    right = sum(counts) - wrong
    edges = [x.low + n * step for n in range(_BARS + 1)]
    note = f"{len(margins.values):,} pairs" + (f", {tied:,} of them tied" if tied else "")
    halves = [
        ("bad", [*counts[: _BARS // 2], *[0] * (_BARS // 2)]),
        ("c0", [*[0] * (_BARS // 2), *counts[_BARS // 2 :]]),
    ]
    chart = draw_parts(f"{key}: margin", halves, x=x, edges=edges, note=note)
    # The names of both ends stand inwards of them, and want the more room.
    chart.xs = [(percent(place), name) for place, name in x.ticks(4)]
    chart.legend = [Swatch("bad", f"wrong {wrong:,}"), Swatch("c0", f"right {right:,}")]
    return chart


def _around(values: array[float]) -> Axis:
    """An axis with room for some values that need not begin at 0."""
    low, high = min(values), max(values)
    wide = (high - low) or abs(high) or 1.0
    return Axis(low - 0.05 * wide, high + 0.05 * wide, name=plain)


def _round_up(value: float) -> float:
    return span([value]).high
