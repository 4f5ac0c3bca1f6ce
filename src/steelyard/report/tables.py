"""Small tables as text, Markdown or CSV.

>>> print(Table(["metric", "score"], [["exact", Figure(0.41234, 3)]]).text())
metric  score
exact   0.412
"""

from __future__ import annotations

import csv
import io
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Union


class Figure(NamedTuple):
    """A number, and how many of its decimals are worth showing."""

    value: float | None
    decimals: int

    def __str__(self) -> str:
        if self.value is None:
            return "–"
        if 0 < self.value < 0.5 * 10**-self.decimals and self.decimals >= 4:
            return f"<{10**-self.decimals:.{self.decimals}f}"
        # Adding 0.0 turns -0.0 into 0.0.
        return f"{round(self.value, self.decimals) + 0.0:,.{self.decimals}f}"


Cell = Union[str, int, Figure, None]

_FORMULA = re.compile(r"\s*[=+@-].*[(|!]", re.DOTALL)
"""What a spreadsheet would run: a formula that calls something."""
_CUT = 24
"""To how many columns a text is cut before a whole column goes."""


@dataclass(frozen=True)
class Table:
    """Columns with their names, and rows of cells; a narrow terminal can do without the `spare` columns."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    spare: Sequence[str] = ()

    def text(self, *, width: int | None = None) -> str:
        """Aligned columns; where they are wider than `width`, spare ones go, then the widest text is cut."""
        table = self
        gone: list[str] = []
        for name in self.spare:
            if width is None or table._width() <= width:
                break
            if name in table.columns:
                table, gone = table._without(name), [*gone, name]
        shown = table._align(width)
        return f"{shown}\n(no room for {', '.join(gone)})" if gone else shown

    def _width(self) -> int:
        """How wide it is at least, with long texts cut."""
        widths = [max(map(columns_of, column)) for column in zip(*self.shown())]
        texts = self.texts()
        return sum((min(size, _CUT) if n in texts else size) + 2 for n, size in enumerate(widths)) - 2

    def _without(self, name: str) -> Table:
        place = list(self.columns).index(name)
        rows = [[*row[:place], *row[place + 1 :]] for row in self.rows]
        return Table([one for one in self.columns if one != name], rows)

    def _align(self, width: int | None) -> str:
        grid = self.shown()
        widths = [max(map(columns_of, column)) for column in zip(*grid)]
        over = sum(widths) + 2 * (len(widths) - 1) - (width or math.inf)
        if over > 0:
            widest = max(self.texts(), key=lambda n: widths[n], default=None)
            if widest is not None:
                widths[widest] = max(8, widths[widest] - int(over))
        right = [n not in self.texts() for n in range(len(widths))]
        lines = []
        for row in grid:
            cells = [_fit(cell, size, right=r) for cell, size, r in zip(row, widths, right)]
            lines.append("  ".join(cells).rstrip())
        return "\n".join(lines)

    def markdown(self) -> str:
        """A table as GitHub draws it."""
        head, *rows = [[in_markdown(cell) for cell in row] for row in self.shown()]
        rule = ["---" if n in self.texts() else "--:" for n in range(len(head))]
        return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])

    def csv(self) -> str:
        """Comma-separated values, numbers in full; what a spreadsheet would run is behind an apostrophe."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.columns)
        for row in self.rows:
            writer.writerow([cell.value if isinstance(cell, Figure) else _still(cell) for cell in row])
        return out.getvalue().rstrip("\n")

    def shown(self) -> list[list[str]]:
        """The names of the columns and the rows, as they are read."""
        return [list(self.columns), *([_show(cell) for cell in row] for row in self.rows)]

    def texts(self) -> list[int]:
        """The columns that hold texts; all others stand to the right."""
        return [n for n in range(len(self.columns)) if any(isinstance(row[n], str) for row in self.rows)]


def decimals_of(value: float | None, stderr: float | None) -> int:
    """How many decimals of a score its standard error leaves meaningful."""
    if value is None:
        return 0
    if stderr:
        return min(4, max(0, 1 - math.floor(math.log10(stderr))))
    return 3 if abs(value) < 10 else 1


def columns_of(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) > 0 for char in text)


def clean(text: str) -> str:
    """Text from outside on one line, with nothing in it that a terminal would obey."""
    line = " ".join(text.split())
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)


def _still(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def _show(cell: Cell) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, int):
        return f"{cell:,}"
    return clean(str(cell))


def _fit(text: str, size: int, *, right: bool) -> str:
    if columns_of(text) > size:
        while columns_of(text) > size - 1:
            text = text[:-1]
        text += "…"
    space = " " * (size - columns_of(text))
    return space + text if right else text + space


def in_markdown(text: str) -> str:
    """A text as a cell of a Markdown table, in which it marks nothing up."""
    for mark in "\\|<>*_`[]":
        text = text.replace(mark, f"\\{mark}" if mark not in "<>" else {"<": "&lt;", ">": "&gt;"}[mark])
    return text
