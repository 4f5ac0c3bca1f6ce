"""Worked examples for a prompt: chosen once for all samples, or for each of them.

shots = examples(Data("train.jsonl"), 5, seed=1)     the same five before every question
pool = Pool(Data("train.jsonl"), seed=1)
pool.examples(sample, 5)                             five of its own for each question
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable
from typing import Any

from steelyard.data.selection import choose
from steelyard.errors import DataError
from steelyard.types import Sample


def examples(
    data: Iterable[Sample], count: int, *, seed: int = 0, exclude: Collection[str] = ()
) -> list[Sample]:
    """Choose worked examples, never one whose id is to be excluded."""
    chosen = choose((sample for sample in data if sample.id not in exclude), count, seed=seed)
    _check(chosen, count, data)
    return chosen


def first_of_each(data: Iterable[Sample], count: int, *, column: str) -> list[Sample]:
    """The first few worked examples for each value of a column."""
    found: dict[Any, list[Sample]] = {}
    for sample in data:
        group = found.setdefault(sample.meta.get(column), [])
        if len(group) < count:
            group.append(sample)
    for group in found.values():
        _check(group, count, data)
    return [sample for group in found.values() for sample in group]


class Pool:
    """Worked examples to choose from, at most `size` of them in memory."""

    def __init__(self, data: Iterable[Sample], *, seed: int = 0, size: int = 1000) -> None:
        self._data = data
        self._seed = seed
        self._samples = choose(data, size, seed=seed)

    def examples(self, sample: Sample, count: int) -> list[Sample]:
        """Examples for one sample, always the same ones, never the sample itself."""
        others = [other for other in self._samples if other.id != sample.id and other.input != sample.input]
        _check(others, count, self._data)
        return random.Random(f"{self._seed}:{sample.id}").sample(others, count)


def _check(found: Collection[Sample], count: int, data: object) -> None:
    if len(found) < count:
        name = getattr(data, "name", "the data")
        message = f"{count} worked examples are wanted, {name} has {len(found)} to choose from"
        raise DataError(message, hint="ask for fewer, or name other data")
