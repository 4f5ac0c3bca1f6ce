"""Reward models held against people: which answers, or which pieces of music, people prefer.

    preference   a text, its right answers and its wrong ones: which of them score higher
                 pieces of music with ratings: correlations; pairs of them: which scores higher

The rows may be of either kind, and of several data sets: each metric is about the samples that have
what it compares with, and results are shown apart by data set, section and subset.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from steelyard.errors import DataError
from steelyard.metrics.correlations import (
    alignment_ktau,
    alignment_lcc,
    alignment_srcc,
    musicality_ktau,
    musicality_lcc,
    musicality_srcc,
)
from steelyard.metrics.preferences import margin, preference_alignment, preference_musicality, rewards
from steelyard.metrics.preferences import preference as preferred
from steelyard.metrics.rewardbench import rewardbench, rewardbench2
from steelyard.tasks.base import Task
from steelyard.types import Request, Sample

BY = ("dataset", "section", "subset")
"""The columns that such results are told apart by."""

METRICS = (
    musicality_srcc,
    musicality_lcc,
    musicality_ktau,
    alignment_srcc,
    alignment_lcc,
    alignment_ktau,
    preferred,
    preference_musicality,
    preference_alignment,
    margin,
    rewardbench,
    rewardbench2,
    rewards,
)


@dataclass(frozen=True, kw_only=True)
class PreferenceTask(Task):
    """A task whose answers are scores: of the answers to a question, or of pieces of music."""

    by: Sequence[str] = BY

    def request(self, sample: Sample, *, chat: bool) -> Request:
        """The question with the answers that are to be scored, or the pieces with what was asked for."""
        request = super().request(sample, chat=chat)
        return replace(request, choices=tuple(sample.choices)) if sample.choices else request


class Chosen:
    """Those samples that are of a split and of some subsets; rows that say nothing of a split are of all."""

    def __init__(self, data: Iterable[Sample], *, split: str | None, subsets: Sequence[str]) -> None:
        self._data, self._split, self._subsets = data, split, subsets
        self._wanted = {subset.casefold() for subset in subsets}
        self.name = str(getattr(data, "name", "rows"))

    def __iter__(self) -> Iterator[Sample]:
        there: set[str] = set()
        empty = True
        for sample in self._data:
            split = sample.meta.get("split")
            of = {str(sample.meta[column]) for column in BY if column in sample.meta}
            there |= {*of, *([f"the split {split}"] if split else [])}
            if self._split and split and split != self._split:
                continue
            if self._wanted and self._wanted.isdisjoint(map(str.casefold, of)):
                continue
            empty = False
            yield sample
        if empty:
            wanted = [*self._subsets, *([f"the split {self._split}"] if self._split else [])]
            hint = f"there are {', '.join(sorted(there)) or 'rows without any'}"
            raise DataError(f"{self.name} has no row of {' and '.join(wanted)}", hint=hint)

    def identity(self) -> Mapping[str, Any]:
        """What makes these samples these samples, and which are chosen."""
        own = self._data.identity() if hasattr(self._data, "identity") else type(self._data).__name__
        return {"rows": own, "split": self._split, "subsets": list(self._subsets)}

    @property
    def skipped(self) -> int:
        """How many bad rows were passed over."""
        return getattr(self._data, "skipped", 0)

    @property
    def bad_rows(self) -> list[str]:
        """The first of the bad rows."""
        return getattr(self._data, "bad_rows", [])


def preference(
    *,
    data: Any,
    split: str | None = None,
    subset: str | Sequence[str] = "all",
    name: str = "preference",
    **options: Any,
) -> PreferenceTask:
    """Answers or pieces of music that people compared or rated, against the scores of a reward model.

    Of rows that say which split and which data set, section or subset they are of, `split` and `subset`
    (a name, several with commas, or all) choose some.
    """
    names = subset.split(",") if isinstance(subset, str) else subset
    subsets = [one.strip() for one in names if one.strip() not in ("", "all")]
    if split or subsets:
        data = Chosen(data, split=split, subsets=subsets)
    return PreferenceTask(name=name, data=data, **{"metrics": METRICS, **options})
