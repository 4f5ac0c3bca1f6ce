"""How many tokens more B reads than A, cell by cell of what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from steelyard.parity.sides import Pair
from steelyard.parity.survey import count, most_common


@dataclass
class Shifts:
    """How many tokens more B reads in one form, as far as it tells; `base` is common to all of it."""

    cells: dict[tuple[bool, int], int]
    odd: list[Pair]
    spaced: list[Pair]

    def of(self, system: bool, turns: int) -> int | None:
        """The shift of one cell."""
        return self.cells.get((system, turns))

    @property
    def turn(self) -> int:
        """By how much it grows from turn to turn."""
        for system in (False, True):
            one, two = self.of(system, 1), self.of(system, 2)
            if one is not None and two is not None:
                return two - one
        return 0

    @property
    def system(self) -> int:
        """By how much a system turn changes it."""
        without, with_it = self.of(False, 1), self.of(True, 1)
        return 0 if without is None or with_it is None else with_it - without

    @property
    def base(self) -> int:
        """What is left of it where a system prompt is given."""
        found = self.of(True, 1) if self.system else self.of(False, 1)
        return found or 0


def measure_shifts(pairs: Sequence[Pair]) -> Shifts | None:
    """How many tokens more B reads; None where nobody tells."""
    counted = [pair for pair in pairs if pair.offset is not None]
    if not counted:
        return None
    cells: dict[tuple[bool, int], int] = {}
    plain = [pair for pair in counted if not pair.question.spaced]
    for cell in {pair.question.cell for pair in plain}:
        cells[cell] = most_common(pair.offset for pair in plain if pair.question.cell == cell) or 0
    odd = [pair for pair in counted if pair.offset != cells.get(pair.question.cell, pair.offset)]
    spaced = [pair for pair in odd if pair.question.spaced]
    return Shifts(cells, [pair for pair in odd if not pair.question.spaced], spaced)


def tell_more(number: int) -> str:
    """How many tokens more than A, in words that follow "B reads"."""
    if not number:
        return "as many tokens as A"
    return f"{count(abs(number), 'token')} {'more' if number > 0 else 'fewer'} than A"
