"""Runs over the same samples, paired answer by answer: `compare_runs(base, others)`.

(pairing,) = compare_runs(Run.open("runs/a"), [Run.open("runs/b")])
for measured in pairing.measured:
    print(measured.metric, measured.comparison.verdict)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from steelyard.errors import UnknownName, UsageError
from steelyard.metrics.base import Corpus, name_of
from steelyard.metrics.paired import Comparison, adjust, compare_statistics, compare_values
from steelyard.report.answers import Answers, Places, as_numbers
from steelyard.report.contents import known_metrics
from steelyard.store import Run, differences


@dataclass(frozen=True)
class Measured:
    """What one metric says of two runs, or of a `part` of them: a value of a column of the data.

    `undefined` pairs are left out. Of the samples that got better and worse the first few are named.
    """

    metric: str
    comparison: Comparison
    undefined: int
    gained: Sequence[str] = ()
    lost: Sequence[str] = ()
    part: str = ""

    @property
    def name(self) -> str:
        """The metric, and the part where it is of one."""
        return f"{self.metric} ({self.part})" if self.part else self.metric


@dataclass(frozen=True)
class Pairing:
    """Two runs side by side: the answers they share, those only one has, and what each metric says.

    `changed` is what differs between the runs; `remarks` is what makes them hard to compare.
    """

    base: Run
    other: Run
    common: int
    missing: int
    extra: int
    missing_ids: Sequence[str]
    extra_ids: Sequence[str]
    failed: tuple[int, int]
    changed: Sequence[str]
    remarks: Sequence[str]
    measured: Sequence[Measured]


def compare_runs(
    base: Run,
    others: Sequence[Run],
    *,
    metrics: Sequence[str] = (),
    by: Sequence[str] = (),
    named: int = 10,
) -> list[Pairing]:
    """Compare others with a base by all metrics they share, or by some; Holm's correction is over all.

    `by` names columns of the data, for each value of which they are compared too. At most `named`
    samples are called by their ids wherever samples are told.
    """
    answers = Answers(base, fields=by)
    pairings = [Pair(answers, Answers(other), named).compare(metrics, by) for other in others]
    adjusted = iter(adjust([one.comparison for pairing in pairings for one in pairing.measured]))
    return [
        replace(pairing, measured=[replace(one, comparison=next(adjusted)) for one in pairing.measured])
        for pairing in pairings
    ]


class Pair:
    """The answers of two runs to the same questions, in the order of the base."""

    def __init__(self, base: Answers, other: Answers, named: int = 0) -> None:
        self.base, self.other, self.named = base, other, named
        base_keys, base_places = base.questions()
        other_keys, other_places = other.questions()
        _, in_base, in_other = np.intersect1d(base_keys, other_keys, assume_unique=True, return_indices=True)
        if not len(in_base):
            theirs = " and ".join(", ".join(_ids_at(a.run, range(2))) + ", …" for a in (base, other))
            hint = f"their samples are called {theirs}"
            raise UsageError(f"{base.run.path} and {other.run.path} have no sample in common", hint=hint)
        order = np.argsort(as_numbers(base.index)[base_places[in_base]], kind="stable")
        self.at_base: Places = base_places[in_base][order]
        self.at_other: Places = other_places[in_other][order]
        self.missing = _sorted(base, np.delete(base_places, in_base))
        self.extra = _sorted(other, np.delete(other_places, in_other))
        self.code = {name_of(metric): metric for metric in known_metrics(base.run)}

    def compare(self, metrics: Sequence[str], by: Sequence[str] = ()) -> Pairing:
        """The whole comparison, before it is corrected for the number of tests."""
        remarks = list(self._remarks())
        wanted = self._metrics(metrics, remarks)
        measured = list(self._measure_all(wanted, by, remarks))
        if not measured:
            raise UsageError(f"nothing can be compared: {remarks[-1]}", hint="steelyard report says why")
        base, other = self.base.run, self.other.run
        was, now = (run.about.get("identity", {}) for run in (base, other))
        return Pairing(
            base=base,
            other=other,
            common=len(self.at_base),
            missing=len(self.missing),
            extra=len(self.extra),
            missing_ids=_ids_at(base, self.missing[: self.named]),
            extra_ids=_ids_at(other, self.extra[: self.named]),
            failed=(sum(self.base.failed), sum(self.other.failed)),
            changed=differences(was, now),
            remarks=remarks,
            measured=self._with_names(measured),
        )

    def within(self, field: str, value: str) -> Pair:
        """The same two runs, where a column of the base's data has some value."""
        part = copy(self)
        kept = self.base.among(field, value)[self.at_base]
        part.at_base, part.at_other = self.at_base[kept], self.at_other[kept]
        return part

    def tell_changed(self, what: str, column: str) -> Iterator[str]:
        """For how many samples a column of digests is not the same in both runs, if for any."""
        old, new = as_numbers(getattr(self.base, column)), as_numbers(getattr(self.other, column))
        if changed := int((old[self.at_base] != new[self.at_other]).sum()):
            yield f"the {what} for {changed:,} of {len(self.at_base):,} common samples"

    def _measure_all(
        self, metrics: Sequence[str], by: Sequence[str], remarks: list[str]
    ) -> Iterator[Measured]:
        """Each metric over all answers, then over those of each part; what cannot be had is remarked."""
        for metric in metrics:
            try:
                yield self.measure(metric)
            except UsageError as error:
                remarks.append(f"{metric} cannot be compared: {error.args[0]}")
        for field in by:
            for value in self.base.values_of(field):
                part = self.within(field, value)
                for metric in metrics if len(part.at_base) else ():
                    # What a part has nothing of is no news: its metrics are those of another part.
                    with suppress(UsageError):
                        yield replace(part.measure(metric), part=f"{field} {value}")

    def _metrics(self, wanted: Sequence[str], remarks: list[str]) -> list[str]:
        ours, theirs = self.base.metrics, self.other.metrics
        for metric in wanted:
            for answers in (self.base, self.other):
                if metric not in answers.metrics:
                    raise UnknownName(f"metric in {answers.run.path}", metric, answers.metrics)
        if alone := [
            metric for metric in dict.fromkeys([*ours, *theirs]) if (metric in ours) != (metric in theirs)
        ]:
            remarks.append(f"scored in only one of the runs: {', '.join(alone)}")
        common = [metric for metric in ours if metric in theirs]
        if not common:
            raise UsageError(
                "the two runs have no metric in common",
                hint="steelyard score RUN --metric … scores one as the other",
            )
        return list(wanted) or common

    def measure(self, metric: str) -> Measured:
        """One metric; where it says nothing of these answers a UsageError says why."""
        code = self.code.get(metric) or self.code.get(metric.partition(".")[0])
        if getattr(code, "own_scale", False):
            raise UsageError("its numbers are on a scale that each model has of its own")
        lower = bool(getattr(code, "lower_is_better", False))
        asked = int(self.base.concerned(metric, self.at_base).sum())
        groups = self._groups() if self.base.grouped or self.other.grouped else None
        if metric in self.base.statistics:
            if not isinstance(code, Corpus):
                raise UsageError("it is over a whole set, and its code is not here")
            pairs = self._rows(metric)
            if not pairs:
                raise UsageError("no answer to the same question has its statistics in both runs")
            before, after = [old for _, old, _ in pairs], [new for _, _, new in pairs]
            kept = None if groups is None else [groups[place] for place, _, _ in pairs]
            reweigh = getattr(code, "reweigh", None)
            found = compare_statistics(
                before, after, combine=code.combine, reweigh=reweigh, groups=kept, lower_is_better=lower
            )
            return Measured(metric, found, asked - len(pairs))
        aside = getattr(code, "answered_only", False)
        failure = math.nan if aside else float(getattr(code, "failure", 0.0))
        old = self.base.numbers(metric, self.at_base, failure=failure)
        new = self.other.numbers(metric, self.at_other, failure=failure)
        there = np.flatnonzero(~(np.isnan(old) | np.isnan(new)))
        if not len(there):
            raise UsageError("it is undefined for every sample", hint="steelyard report says why")
        found = compare_values(
            old[there].tolist(),
            new[there].tolist(),
            ids=self.at_base[there].tolist(),
            groups=None if groups is None else [groups[place] for place in there.tolist()],
            lower_is_better=lower,
        )
        return Measured(metric, found, asked - len(there))

    def _rows(self, metric: str) -> list[tuple[int, Any, Any]]:
        """The statistics of both runs for the questions that both have some of."""
        old, new = self.base.rows(metric), self.other.rows(metric)
        places = enumerate(zip(self.at_base.tolist(), self.at_other.tolist()))
        return [(place, old[a], new[b]) for place, (a, b) in places if a in old and b in new]

    def _groups(self) -> list[int]:
        found: list[int] = as_numbers(self.base.groups)[self.at_base].tolist()
        return found

    def _with_names(self, measured: Sequence[Measured]) -> list[Measured]:
        """The samples that changed, called by their ids; all are looked up in one pass."""
        # Samples are known to a comparison by their places in the base.
        few = [
            [
                cast("Sequence[int]", places)[: self.named]
                for places in (one.comparison.gained, one.comparison.lost)
            ]
            for one in measured
        ]
        wanted = sorted({place for lists in few for places in lists for place in places})
        names = dict(zip(wanted, _ids_at(self.base.run, wanted)))
        return [
            replace(
                one,
                gained=[names[place] for place in up],
                lost=[names[place] for place in down],
            )
            for one, (up, down) in zip(measured, few)
        ]

    def _remarks(self) -> Iterator[str]:
        base, other = self.base, self.other
        yield from self.tell_changed("data differs", "asked")
        yield from self.tell_changed("prompts differ", "prompts")
        if base.repeat != other.repeat:
            yield f"asked {base.repeat} and {other.repeat} times each: only the first answers are compared"
        aside = [name for name, code in self.code.items() if getattr(code, "answered_only", False)]
        if aside and any(map(sum, (base.failed, other.failed))):
            yield f"answers that failed in either run are left out of {', '.join(aside)}"
        for answers in (base, other):
            if twice := len(answers) - len(answers.questions()[0]):
                yield f"{twice:,} ids stand more than once in {answers.run.path}: the first of each counts"
            if answers.run.about.get("state") != "done":
                yield f"{answers.run.path} is not finished"


def _sorted(answers: Answers, places: Places) -> list[int]:
    """Places in the order of the data."""
    found: list[int] = places[np.argsort(as_numbers(answers.index)[places], kind="stable")].tolist()
    return found


def _ids_at(run: Run, places: Sequence[int]) -> list[str]:
    """The ids of the requests whose records stand at some places, in the order of these."""
    wanted = frozenset(places)
    found: dict[int, str] = {}
    if wanted:
        for place, record in enumerate(run.records()):
            if place in wanted:
                found[place] = record.request.id
                if len(found) == len(wanted):
                    break
    return [found[place] for place in places if place in found]


def as_document(pairing: Pairing) -> Mapping[str, Any]:
    """A comparison for machines."""
    plain = {
        name: value for name, value in vars(pairing).items() if name not in ("base", "other", "measured")
    }
    return {
        "base": str(pairing.base.path),
        "other": str(pairing.other.path),
        **plain,
        "metrics": [_plain(measured) for measured in pairing.measured],
    }


def _plain(measured: Measured) -> Mapping[str, Any]:
    comparison = measured.comparison
    slots = {name: getattr(comparison, name) for name in comparison.__dataclass_fields__}
    counts = {"gained": len(comparison.gained), "lost": len(comparison.lost)}
    names = {"gained_ids": list(measured.gained), "lost_ids": list(measured.lost)}
    return {
        "metric": measured.metric,
        "part": measured.part,
        "undefined": measured.undefined,
        **slots,
        **counts,
        **names,
    }
