"""The scores of one metric over many records, kept small: eight bytes for a number."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from steelyard.types import Score

_MISSING = math.nan
_LARGEST = 1e150


class Column:
    """What one metric said of each record: a number, a label, statistics, or nothing."""

    __slots__ = ("count", "failed", "labels", "numbers", "statistics", "total", "undefined")

    def __init__(self) -> None:
        self.numbers = array("d")
        self.labels: Counter[str] = Counter()
        self.statistics = Statistics()
        self.total = 0.0
        self.count = 0
        self.undefined = 0
        self.failed = 0

    def add(self, place: int, score: Score) -> None:
        """Keep the score of the record at a place; places only grow."""
        if isinstance(score, (int, float)):
            # Beyond this the squares that an error needs are no numbers any more; NaN is not below it.
            if not abs(score) < _LARGEST:
                self.undefined += 1
                return
            self.count += 1
            self.total += score
            self.pad(place)
            self.numbers.append(score)
        elif isinstance(score, str):
            self.labels[score] += 1
        elif score is None:
            self.undefined += 1
        elif score:
            self.statistics.add(place, score)
        else:
            # No statistics at all: the sample has no target.
            self.undefined += 1

    def fail(self, place: int, worth: float) -> None:
        """Keep a failed answer, where not all that failed count here."""
        self.failed += 1
        self.pad(place)
        self.numbers.append(worth)

    def pad(self, size: int) -> None:
        """Fill up with missing numbers to a size."""
        short = size - len(self.numbers)
        if short > 0:
            self.numbers.extend([_MISSING] * short)


class Statistics:
    """Rows of a metric over a whole set; rows of numbers of one width are packed, rows of texts shared."""

    __slots__ = ("known", "packed", "places", "rows", "width")

    def __init__(self) -> None:
        self.places = array("q")
        self.width = 0
        self.packed = array("d")
        self.rows: list[Sequence[Any]] | None = None
        self.known: dict[tuple[str, ...], tuple[str, ...]] = {}

    def add(self, place: int, row: Sequence[Any]) -> None:
        """Keep a row."""
        if self.rows is None and not self._pack(row):
            self.rows = [values for _, values in self]
        self.places.append(place)
        if self.rows is not None:
            self.rows.append(self._share(row))

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[tuple[int, Sequence[Any]]]:
        """Each row with its place."""
        if self.rows is not None:
            yield from zip(self.places, self.rows)
            return
        for number, place in enumerate(self.places):
            yield place, self.packed[number * self.width : (number + 1) * self.width].tolist()

    def _share(self, row: Sequence[Any]) -> Sequence[Any]:
        if not all(type(value) is str for value in row):
            return row
        texts = tuple(row)
        return self.known.setdefault(texts, texts)

    def _pack(self, row: Sequence[Any]) -> bool:
        if not row or not all(type(value) in (int, float) for value in row):
            return False
        if self.width not in (0, len(row)):
            return False
        self.width = len(row)
        self.packed.extend(row)
        return True
