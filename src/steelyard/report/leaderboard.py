"""Models ranked by their results: a row a model, a column a metric of a part of the data.

board = rank_results([Entry("mine", "PAM", result), Entry("theirs", "PAM", other)])
board.at(0, 0).value, board.at(0, 0).best
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from steelyard.metrics.paired import ALPHA, adjust_holm
from steelyard.metrics.summary import Result
from steelyard.report.scores import EXTRACTION

P = Callable[[str, str, "Column"], "float | None"]
"""How likely chance alone sets two models as far apart in a column; None where nobody can say."""


class Entry(NamedTuple):
    """What one model got by one metric on one part of the data; a part without a name is all of it."""

    model: str
    part: str
    result: Result


class Column(NamedTuple):
    """A metric of a part of the data."""

    part: str
    metric: str
    lower_is_better: bool = False

    @property
    def name(self) -> str:
        """The part, if it has a name, and the metric."""
        return f"{self.part} {self.metric}".strip()


@dataclass(frozen=True, slots=True)
class Standing:
    """A result in its column: `best`, or `level` with the best where nothing tells the two apart.

    `p` is that of the difference from the best after Holm's correction over the column. `labels` counts
    what the metric said of single answers, where it says that in words.
    """

    result: Result | None = None
    labels: Mapping[str, int] = field(default_factory=dict)
    best: bool = False
    level: bool = False
    p: float | None = None

    @property
    def value(self) -> float | None:
        """The score over all."""
        return None if self.result is None else self.result.value


@dataclass(frozen=True)
class Leaderboard:
    """Rows of models, columns of metrics, and the standings where they cross, row by row.

    `notes` is what to doubt.
    """

    models: Sequence[str]
    columns: Sequence[Column]
    rows: Sequence[Sequence[Standing]]
    title: str = ""
    notes: Sequence[str] = field(default=())

    def at(self, row: int, column: int) -> Standing:
        """Where a row crosses a column."""
        return self.rows[row][column]

    def down(self, column: int) -> list[Standing]:
        """All standings of a column."""
        return [row[column] for row in self.rows]

    def parts(self) -> list[tuple[str, list[int]]]:
        """The parts of the data, each with the places of its columns."""
        found: dict[str, list[int]] = {}
        for place, column in enumerate(self.columns):
            found.setdefault(column.part, []).append(place)
        return list(found.items())


def rank_results(
    entries: Iterable[Entry],
    *,
    lower: Iterable[str] = (),
    unranked: Iterable[str] = (),
    p: P | None = None,
    title: str = "",
    notes: Sequence[str] = (),
) -> Leaderboard:
    """Results as a leaderboard: what has no number in any row has no column.

    `lower` names the metrics of which less is better, `unranked` those of which neither is; `p` tests a
    model against the best of a column.
    """
    lower, unranked = frozenset(lower), frozenset(unranked)
    models: dict[str, None] = {}
    cells: dict[Column, dict[str, Result]] = {}
    labels: dict[tuple[str, str, str], Mapping[str, int]] = {}
    for model, part, result in entries:
        models[model] = None
        if result.labels:
            # The words of a metric stand beside its number, under a name below its own.
            metric = result.metric if result.value is not None else result.metric.rpartition(".")[0]
            labels[model, part, metric] = result.labels
        if result.metric != EXTRACTION and not (result.labels and result.value is None):
            column = Column(part, result.metric, result.metric in lower)
            cells.setdefault(column, {})[model] = result
    # The columns of a part stand beside each other, in whatever order its results came.
    parts = list(dict.fromkeys(column.part for column in cells))
    columns = sorted(
        (column for column, found in cells.items() if any(one.value is not None for one in found.values())),
        key=lambda column: parts.index(column.part),
    )
    names = list(models)
    ranked = [
        _rank(names, column, found=cells[column], labels=labels, p=p, ranked=column.metric not in unranked)
        for column in columns
    ]
    rows = [[standings[row] for standings in ranked] for row in range(len(names))]
    return Leaderboard(names, columns, rows, title, notes)


def _rank(
    models: Sequence[str],
    column: Column,
    *,
    found: Mapping[str, Result],
    labels: Mapping[tuple[str, str, str], Mapping[str, int]],
    p: P | None,
    ranked: bool,
) -> list[Standing]:
    """One column from the first row to the last."""
    values = {model: one.value for model, one in found.items() if one.value is not None}
    best = (min if column.lower_is_better else max)(values.values())
    leaders = [model for model, value in values.items() if value == best]
    several = ranked and len(values) > 1
    standings = {
        model: Standing(
            found.get(model),
            labels.get((model, column.part, column.metric), {}),
            best=several and model in leaders,
        )
        for model in models
    }
    if p is not None and several:
        rest = [model for model in values if model not in leaders]
        tested = [(model, chance) for model in rest if (chance := p(leaders[0], model, column)) is not None]
        for (model, _), chance in zip(tested, adjust_holm([chance for _, chance in tested])):
            standings[model] = replace(standings[model], p=chance, level=chance >= ALPHA)
    return [standings[model] for model in models]


def _is_untold(standings: Sequence[Standing]) -> bool:
    """Whether one is the best of a column and nobody knows whether another one is level with it."""
    rest = [one for one in standings if one.value is not None and not one.best]
    return any(one.best for one in standings) and any(one.p is None for one in rest)


def tell_legend(board: Leaderboard) -> Iterator[str]:
    """What the marks of a leaderboard mean."""
    if any(standing.best for row in board.rows for standing in row):
        yield "bold: the best of a column"
    if any(standing.p is not None for row in board.rows for standing in row):
        yield (
            "†: nothing tells it from the best (paired by sample, "
            f"p ≥ {ALPHA:.2g} after Holm's correction over the column)"
        )
    if alone := [column.name for place, column in enumerate(board.columns) if _is_untold(board.down(place))]:
        yield f"not compared sample by sample, so that nobody knows what chance does: {', '.join(alone)}"
    if any(column.lower_is_better for column in board.columns):
        yield "↓: less is better"
    if any(one.result is not None and one.result.low is not None for row in board.rows for one in row):
        yield "in brackets: 95 % intervals"
