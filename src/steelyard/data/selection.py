"""A few of many, chosen by seed: uniform, the same every time, in their order."""

from __future__ import annotations

import random
from collections.abc import Iterable
from heapq import heapify, heapreplace
from typing import TypeVar

T = TypeVar("T")


def choose(items: Iterable[T], count: int, *, seed: int | str = 0) -> list[T]:
    """Choose `count` of the items (all, if there are fewer), keeping no more than these in memory.

    Each item draws a number and the lowest ones win, so that a larger choice holds the smaller one.
    """
    draw = random.Random(seed).random
    chosen: list[tuple[float, int, T]] = []
    for place, item in enumerate(items):
        # Negative, because the top of a heap is its least: the highest draw so far.
        entry = (-draw(), place, item)
        if len(chosen) < count:
            chosen.append(entry)
            if len(chosen) == count:
                heapify(chosen)
        elif entry > chosen[0]:
            heapreplace(chosen, entry)
    return [item for _, _, item in sorted(chosen, key=lambda entry: entry[1])]
