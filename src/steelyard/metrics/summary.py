"""From records to results: `Summary(metrics).add(record)`, then `.results()`.

A failed answer scores 0 and is counted; the score over all, the score over the answered and the
counts stand side by side. What a metric could not say (None, NaN, an error of its own) is left out
and counted as undefined. Samples that share `meta["group"]`, and repeated answers to one sample,
are no independent evidence: their errors are clustered.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steelyard import plugins
from steelyard.errors import UsageError
from steelyard.metrics.base import Corpus, Metric, is_about, name_of
from steelyard.metrics.columns import Column
from steelyard.metrics.estimates import Estimate, estimate_corpus, estimate_mean
from steelyard.metrics.extraction import Extractor
from steelyard.metrics.repeats import average, pass_at, sizes_up_to, vote
from steelyard.types import Record

_NO_VOTE = -(1 << 63)


@dataclass(frozen=True, slots=True)
class Result:
    """One metric over a run: the score over all with its 95 % interval, and what lies beside it.

    `n` answers are in `value`, of which `failed` scored 0; `answered` is the value without those;
    `undefined` answers are in neither. `labels` counts the labels of a metric that gives labels.
    """

    metric: str
    value: float | None
    stderr: float | None
    low: float | None
    high: float | None
    n: int
    failed: int
    answered: float | None
    undefined: int
    method: str
    labels: Mapping[str, int] | None = None


class Summary:
    """Results of records that are added one by one, with or without the metrics' code at hand.

    `extract` is what the task takes answers out with; it tells which repeated answers agree.
    `fields` are the columns of the data that `by` shall tell apart.
    """

    def __init__(
        self,
        metrics: Sequence[Metric | str],
        *,
        repeat: int = 1,
        extract: Extractor | None = None,
        fields: Sequence[str] = (),
    ) -> None:
        self._metrics = dict(map(_named, metrics))
        self._repeat = repeat
        self._extract = extract
        self._columns: dict[str, Column] = {}
        self._failed = bytearray()
        self._failures = 0
        self._groups = array("q")
        self._group_numbers: dict[str, int] = {}
        self._samples = array("q")
        self._votes: dict[str, array[int]] = {}
        self._parts: dict[str, dict[str, Summary]] = {field: {} for field in fields}

    def add(self, record: Record) -> None:
        """Take in one record; it is not kept."""
        place, failed, scores = len(self._failed), record.response.error is not None, record.scores
        self._failed.append(failed)
        self._failures += failed
        self._groups.append(self._group_of(record, place))
        for name, score in scores.items():
            # The words of a metric's own error stand beside its None.
            if name.endswith(".error") and name[:-6] in scores:
                continue
            # A failed answer is a 0, whatever was said of it; only statistics of a whole set are real.
            if failed and not isinstance(score, (list, tuple)):
                continue
            self._column(name).add(place, score)
        if failed:
            self._count_failure(record, place)
        if self._repeat > 1:
            self._samples.append(record.index // self._repeat)
            self._keep_votes(record, failed=failed)
        for field, parts in self._parts.items():
            value = str(record.sample.meta.get(field, "(none)"))
            if value not in parts:
                parts[value] = Summary([], repeat=self._repeat, extract=self._extract)
                parts[value]._metrics = self._metrics
            parts[value].add(record)

    @property
    def failed(self) -> int:
        """How many of the records so far are failures."""
        return self._failures

    def running(self) -> list[tuple[str, float]]:
        """Each metric's mean so far, failures as 0, for a line of progress."""
        return [
            (name, column.total / (column.count + self._zeros_of(name, column)))
            for name, column in self._columns.items()
            if column.count
        ]

    def results(self) -> list[Result]:
        """All results, in the order of the metrics."""
        return [result for name in self._names() for result in self._results_of(name)]

    def by(self, field: str) -> dict[str, list[Result]]:
        """Results apart for each value of a field that was named at the start."""
        if field not in self._parts:
            known = ", ".join(self._parts) or "none"
            raise UsageError(f"no results by {field!r} were kept", hint=f"fields kept: {known}")
        return {value: part.results() for value, part in sorted(self._parts[field].items())}

    def _names(self) -> list[str]:
        """Columns in the order of the metrics, a metric's keys after it; metrics never seen too."""
        names = []
        for metric in self._metrics:
            keys = [name for name in self._columns if name.startswith(f"{metric}.")]
            hidden = self._chooses(metric) and metric not in self._columns
            if not hidden and (self._chooses(metric) or not (keys and self._is_empty(metric))):
                names.append(metric)
            names += keys
        return names + [name for name in self._columns if name not in names and not self._is_folded(name)]

    def _is_empty(self, name: str) -> bool:
        column = self._columns.get(name)
        return column is None or not (column.count or column.labels or len(column.statistics))

    def _is_folded(self, name: str) -> bool:
        """Whether a column is only the errors of a metric that has several values."""
        return self._is_empty(name) and any(other.startswith(f"{name}.") for other in self._columns)

    def _results_of(self, name: str) -> Iterator[Result]:
        column = self._columns.get(name) or Column()
        parent = name.rpartition(".")[0]
        undefined = column.undefined
        if parent in self._columns and self._is_folded(parent):
            undefined += self._columns[parent].undefined
        metric = self._metric(name)
        if len(column.statistics) or isinstance(metric, Corpus):
            yield self._corpus_result(name, column, metric, undefined)
        elif column.labels:
            failed = self._failures_of(name, column)
            n = column.labels.total() + self._zeros_of(name, column)
            labels = dict(column.labels.most_common())
            empty = Estimate(None, None, None, None, n, "labels")
            yield _result(name, empty, failed, answered=None, undefined=undefined, labels=labels)
        else:
            yield self._number_result(name, column, undefined)
            if self._repeat > 1 and column.count:
                yield from self._repeat_results(name, column)

    def _number_result(self, name: str, column: Column, undefined: int) -> Result:
        worth = self._worth_of(name)
        # Packed, and groups only where there are any: a million answers are a few megabytes.
        values = array("d", (value for _, value in self._scored(name, column, worth)))
        groups = None
        if self._is_grouped():
            groups = array("q", (self._groups[place] for place, _ in self._scored(name, column, worth)))
        estimate = getattr(self._metric(name), "estimate", estimate_mean)(values, groups)
        failed = self._failures_of(name, column)
        answered = math.fsum(values) - worth * self._zeros_of(name, column)
        share = answered / column.count if column.count else None
        return _result(name, estimate, failed, answered=share, undefined=undefined)

    def _corpus_result(self, name: str, column: Column, metric: Any, undefined: int) -> Result:
        places = [place for place, _ in column.statistics]
        rows = [row for _, row in column.statistics]
        left_out = self._leaves_out(name)
        failed = column.failed if left_out else sum(self._failed[place] for place in places)
        if not isinstance(metric, Corpus):
            estimate = Estimate(
                None, None, None, None, len(rows), f"the code of the metric {name} was not found"
            )
            return _result(name, estimate, failed, answered=None, undefined=undefined)
        groups = [self._groups[place] for place in places] if self._is_grouped() else None
        reweigh, bound = getattr(metric, "reweigh", None), getattr(metric, "bound", None)
        estimate = estimate_corpus(rows, metric.combine, reweigh=reweigh, bound=bound, groups=groups)
        answered = estimate.value
        if failed and not left_out:
            kept = [row for place, row in column.statistics if not self._failed[place]]
            answered = metric.combine(kept) if kept else None
        labels = metric.tabulate(rows) if hasattr(metric, "tabulate") else None
        return _result(name, estimate, failed, answered=answered, undefined=undefined, labels=labels)

    def _repeat_results(self, name: str, column: Column) -> Iterator[Result]:
        """avg@n, pass@k and cons@n over the samples whose answers are all there.

        A sample failed if one of its answers did; the score of the answered is that of the others.
        """
        scores: dict[int, list[float]] = {}
        votes: dict[int, list[int | None]] = {}
        groups: dict[int, int] = {}
        broken: set[int] = set()
        cast = self._votes.get(self._voting(name))
        for place, value in self._scored(name, column, self._worth_of(name)):
            sample = self._samples[place]
            scores.setdefault(sample, []).append(value)
            groups[sample] = self._groups[place]
            if self._failed[place]:
                broken.add(sample)
            ballot = cast[place] if cast is not None else _NO_VOTE
            votes.setdefault(sample, []).append(None if ballot == _NO_VOTE else ballot)
        whole = [sample for sample, given in scores.items() if len(given) == self._repeat]
        missing = len(set(self._samples)) - len(whole)
        clusters = [groups[sample] for sample in whole] if self._group_numbers else None
        measured = {f"avg@{self._repeat}": [average(scores[sample]) for sample in whole]}
        if all(score in (0, 1) for sample in whole for score in scores[sample]):
            passed = [int(sum(scores[sample])) for sample in whole]
            for k in sizes_up_to(self._repeat):
                measured[f"pass@{k}"] = [pass_at(k, passed=count, n=self._repeat) for count in passed]
        measured[f"cons@{self._repeat}"] = [vote(votes[sample], scores[sample]) for sample in whole]
        for what, values in measured.items():
            estimate = estimate_mean(values, clusters)
            kept = [value for sample, value in zip(whole, values) if sample not in broken]
            answered = average(kept) if kept else None
            failed = len(values) - len(kept)
            yield _result(f"{name}.{what}", estimate, failed, answered=answered, undefined=missing)

    def _scored(self, name: str, column: Column, worth: float) -> Iterator[tuple[int, float]]:
        """The place and value of every answer that counts; a failed one has the worth of a failure."""
        column.pad(len(self._failed))
        own, about = self._has_parts(name), self._concerned(name)
        aside = self._leaves_out(name)
        if about is not None:
            about.pad(len(self._failed))
        for place, (value, failed) in enumerate(zip(column.numbers, self._failed)):
            if failed and aside:
                continue
            if failed and not own:
                if about is None or not math.isnan(about.numbers[place]):
                    yield place, worth
            elif not math.isnan(value):
                yield place, value

    def _has_parts(self, name: str) -> bool:
        """Whether a column is of a metric whose scores are not the same for all samples."""
        return hasattr(self._metric(name), "parts") and ("." in name or self._chooses(name))

    def _failures_of(self, name: str, column: Column) -> int:
        """How many failed answers count in a column."""
        if self._has_parts(name):
            return column.failed
        about = self._concerned(name)
        return self._failures if about is None else about.failed

    def _zeros_of(self, name: str, column: Column) -> int:
        """How many failed answers are in a column's mean, as what a failure is worth."""
        return 0 if self._leaves_out(name) else self._failures_of(name, column)

    def _leaves_out(self, name: str) -> bool:
        """Whether failed answers are only counted."""
        return bool(getattr(self._metric(name), "answered_only", False))

    def _chooses(self, name: str) -> bool:
        """Whether a column is of a metric that is about some samples only."""
        return hasattr(self._metric(name), "concerns")

    def _concerned(self, name: str) -> Column | None:
        """The column that says which failed answers count, where not all do."""
        return self._columns.get(self._base(name), Column()) if self._chooses(name) else None

    def _count_failure(self, record: Record, place: int) -> None:
        """Count a failed answer in the scores of those metrics that tell samples apart."""
        for name, metric in self._metrics.items():
            if hasattr(metric, "parts"):
                parts = _parts_of(metric, record)
                for part in parts:
                    self._column(f"{name}.{part}" if part else name).fail(place, self._worth_of(name))
                if not parts and self._chooses(name) and _is_about(metric, record):
                    self._column(name).undefined += 1
            elif isinstance(metric, Corpus):
                if metric.answered_only and _is_about(metric, record):
                    self._column(name).failed += 1
            elif self._chooses(name) and _is_about(metric, record):
                self._column(name).fail(place, self._worth_of(name))

    def _column(self, name: str) -> Column:
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = Column()
        return column

    def _worth_of(self, name: str) -> float:
        """What a failed answer scores: 0, unless the metric says otherwise."""
        return float(getattr(self._metric(name), "failure", 0.0))

    def _metric(self, name: str) -> Any:
        """The metric of a name, or of the mapping that a name is a key of; None without its code."""
        return self._metrics.get(self._base(name))

    def _base(self, name: str) -> str:
        """The metric that a column is of."""
        return name if name in self._metrics else name.partition(".")[0]

    def _is_grouped(self) -> bool:
        return self._repeat > 1 or bool(self._group_numbers)

    def _group_of(self, record: Record, place: int) -> int:
        group = record.sample.meta.get("group")
        if group is not None:
            return self._group_numbers.setdefault(str(group), len(self._group_numbers))
        # Below zero, so that no sample is taken for a group that was named.
        return -1 - (record.index // self._repeat if self._repeat > 1 else place)

    def _voting(self, name: str) -> str:
        """Which way of telling answers apart a metric uses."""
        return name if self._extract is None and hasattr(self._metric(name), "extract") else ""

    def _keep_votes(self, record: Record, *, failed: bool) -> None:
        """Keep which answers agree, as hashes."""
        ways: dict[str, Extractor | None] = {"": self._extract}
        for name in self._metrics:
            if way := self._voting(name):
                ways[way] = self._metric(name).extract
        for way, extract in ways.items():
            votes = self._votes.setdefault(way, array("q"))
            answer: Any = None
            if not failed:
                answer = _answer_of(record, extract)
            votes.append(_NO_VOTE if answer is None else hash(answer))


def _answer_of(record: Record, extract: Extractor | None) -> Any:
    """What is compared of an answer; None is no vote."""
    if extract is None:
        return record.response.text.strip()
    try:
        return extract(record.response.text, record.sample).value
    except Exception:  # noqa: BLE001 - an extractor's failure stands beside the answer already
        return None


def _is_about(metric: Any, record: Record) -> bool:
    try:
        return is_about(metric, record.sample)
    except Exception:  # noqa: BLE001 - as where it is scored: an odd sample costs only its own scores
        return False


def _parts_of(metric: Any, record: Record) -> Sequence[str]:
    try:
        return list(metric.parts(record.sample))
    except Exception:  # noqa: BLE001 - as where it is scored: an odd target costs only its own scores
        return ()


def _named(metric: Metric | str) -> tuple[str, Any]:
    """A metric by what results call it; of a name alone the code, where it is still to be found."""
    if not isinstance(metric, str):
        return name_of(metric), metric
    try:
        found = plugins.resolve("metrics", metric)
    except UsageError:
        # A run is read where the code of its metrics is not: the numbers in it still stand.
        return metric.rpartition(":")[2], None
    return (name_of(found) if plugins.is_reference(metric) else metric), found


def _result(
    name: str,
    estimate: Estimate,
    failed: int,
    *,
    answered: float | None,
    undefined: int,
    labels: Mapping[str, int] | None = None,
) -> Result:
    return Result(
        metric=name,
        value=estimate.value,
        stderr=estimate.stderr,
        low=estimate.low,
        high=estimate.high,
        n=estimate.n,
        failed=failed,
        answered=answered,
        undefined=undefined,
        method=estimate.method,
        labels=labels,
    )
