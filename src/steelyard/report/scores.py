"""Results as rows of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from steelyard.metrics.summary import Result
from steelyard.report.tables import Cell, Figure, Table, decimals_of

EXTRACTION = "extraction"
NO_ANSWER = ("nothing", "ambiguous")

COLUMNS = ("metric", "score", "± se", "95 % low", "high", "n", "failed", "answered only")


def tabulate(results: Sequence[Result]) -> Table:
    """One row for each metric: the score over all, its error and interval, and beside it the answered."""
    return Table(COLUMNS, [row_of(result) for result in numbers_of(results)])


def tabulate_by(field: str, parts: Mapping[str, Sequence[Result]]) -> Table:
    """The same for each value of a column."""
    return Table((field, *COLUMNS), [[value, *row_of(result)] for value, result in by_metric(parts)])


def by_metric(parts: Mapping[str, Sequence[Result]]) -> list[tuple[str, Result]]:
    """Results of the values of a column, those of one metric beside each other."""
    flat = [(value, result) for value, results in parts.items() for result in numbers_of(results)]
    order = list(dict.fromkeys(result.metric for _, result in flat))
    return sorted(flat, key=lambda pair: order.index(pair[1].metric))


def row_of(result: Result) -> list[Cell]:
    """The cells of one metric."""
    digits = decimals_of(result.value, result.stderr)
    figures = [Figure(x, digits) for x in (result.value, result.stderr, result.low, result.high)]
    answered = Figure(result.answered, digits)
    return [result.metric, *figures, result.n, result.failed, answered]


def numbers_of(results: Sequence[Result]) -> list[Result]:
    """The results that are numbers, not counts of labels."""
    return [result for result in results if not _counts_labels(result)]


def labels_of(results: Sequence[Result]) -> list[tuple[str, Table]]:
    """Counts of labels, the most frequent first, under the name of their metric."""
    tables = []
    for result in results:
        if result.labels:
            total = sum(result.labels.values())
            counts = sorted(result.labels.items(), key=lambda pair: -pair[1])
            rows: list[list[Cell]] = [
                [label, count, Figure(100 * count / total, 1)] for label, count in counts
            ]
            what = "how answers were found" if result.metric == EXTRACTION else result.metric
            tables.append((what, Table((what, "answers", "%"), rows)))
    return tables


def _counts_labels(result: Result) -> bool:
    return bool(result.labels) and result.value is None
