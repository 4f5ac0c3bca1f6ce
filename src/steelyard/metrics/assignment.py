"""Which things of two lists belong together, so that the pairs are worth most."""

from __future__ import annotations

import math
from collections.abc import Sequence


def assign(worth: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """Pairs (row, column), each used once, whose worth adds up to the most; min(rows, columns) of them.

    The Hungarian method with shortest augmenting paths.
    """
    if not worth or not worth[0]:
        return []
    if len(worth) > len(worth[0]):
        turned = assign([list(column) for column in zip(*worth)])
        return sorted((row, column) for column, row in turned)
    count = len(worth[0])
    row_price, column_price = [0.0] * (len(worth) + 1), [0.0] * (count + 1)
    # Rows and columns are counted from 1; column 0 holds the row that still looks for one.
    taken = [0] * (count + 1)
    for row in range(1, len(worth) + 1):
        taken[0] = row
        column, way = _seek(worth, taken, row_price, column_price)
        while column:
            taken[column] = taken[way[column]]
            column = way[column]
    return sorted((row - 1, column - 1) for column, row in enumerate(taken) if row and column)


def _seek(
    worth: Sequence[Sequence[float]], taken: list[int], row_price: list[float], column_price: list[float]
) -> tuple[int, list[int]]:
    """The free column that is cheapest to reach, and by which columns; prices are brought up to date."""
    count = len(column_price)
    least, way, used = [math.inf] * count, [0] * count, [False] * count
    column = 0
    while taken[column]:
        used[column] = True
        row, step, nearest = taken[column], math.inf, 0
        for other in range(1, count):
            if used[other]:
                continue
            cost = -worth[row - 1][other - 1] - row_price[row] - column_price[other]
            if cost < least[other]:
                least[other], way[other] = cost, column
            if least[other] < step:
                step, nearest = least[other], other
        for other in range(count):
            if used[other]:
                row_price[taken[other]] += step
                column_price[other] -= step
            else:
                least[other] -= step
        column = nearest
    return column, way
