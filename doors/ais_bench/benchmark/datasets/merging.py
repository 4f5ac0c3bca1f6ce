"""Data sets of one kind asked together: one evaluation, results apart."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ais_bench.benchmark.datasets.entries import AskedSet
from ais_bench.benchmark.datasets.templates import beginning_of
from steelyard.metrics.base import name_of
from steelyard.tasks.base import Task, identify_scoring
from steelyard.types import Request, Sample

FIELD = "dataset"
"""Where a sample says which data set it is of."""


@dataclass(frozen=True)
class Batch:
    """What one evaluation asks: a data set, or several of one kind."""

    name: str
    task: Task
    sets: Sequence[AskedSet]

    @property
    def chat(self) -> bool | None:
        """Whether it is asked in the turns of a chat; None where the model says."""
        return self.sets[0].chat


@dataclass(frozen=True, kw_only=True)
class Merged(Task):
    """Tasks with equal metrics as one; each sample is asked by its own."""

    parts: Mapping[str, Task] = field(default_factory=dict)

    def request(self, sample: Sample, *, chat: bool) -> Request:
        """The question as the sample's own task asks it."""
        asked = self.parts[sample.meta[FIELD]].request(sample, chat=chat)
        return replace(asked, id=sample.id)

    def identity(self) -> Mapping[str, Any]:
        """All that shapes questions and scores of each part."""
        parts = {name: part.identity() for name, part in self.parts.items()}
        return {"name": self.name, "parts": parts, **identify_scoring(self.metrics, self.extract)}


def gather(sets: Sequence[AskedSet], *, merge: bool) -> list[Batch]:
    """Each data set by itself, or those of one kind together."""
    groups: dict[Any, list[AskedSet]] = {}
    for number, one in enumerate(sets):
        groups.setdefault(_kind_of(one) if merge else number, []).append(one)
    taken = {group[0].abbr for group in groups.values() if len(group) == 1}
    batches = []
    for group in groups.values():
        batch = Batch(group[0].abbr, group[0].task, group) if len(group) == 1 else _merge(group, taken)
        taken.add(batch.name)
        batches.append(batch)
    return batches


class _All:
    """The samples of several data sets, one after the other."""

    def __init__(self, sets: Sequence[AskedSet]) -> None:
        self._sets = sets

    def __iter__(self) -> Iterator[Sample]:
        for one in self._sets:
            for sample in one.task.data:
                meta = {**sample.meta, FIELD: one.abbr}
                yield replace(sample, id=f"{one.abbr}/{sample.id}", meta=meta)

    def size(self) -> int | None:
        sizes = [getattr(one.task.data, "size", lambda: None)() for one in self._sets]
        return None if None in sizes else sum(size for size in sizes if size is not None)


def _merge(group: Sequence[AskedSet], taken: Collection[str]) -> Batch:
    first = group[0].task
    name = beginning_of([one.abbr for one in group]).rstrip("-_.") or group[0].kind
    while name in taken:
        name += "_merged"
    parts = {one.abbr: one.task for one in group}
    task = Merged(
        name=name, data=_All(group), metrics=first.metrics, extract=first.extract, by=first.by, parts=parts
    )
    return Batch(name, task, group)


def _kind_of(one: AskedSet) -> tuple[Any, ...]:
    """What data sets that can be asked together have in common."""
    extract = one.task.extract
    names = tuple(name_of(metric) for metric in one.task.metrics)
    scoring = repr(identify_scoring(one.task.metrics, extract))
    return one.kind, one.mode, one.chat, str(one.metric), names, scoring, one.subsets
