"""Stored runs as a leaderboard: each model's answers compared one by one with those of the best."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from steelyard.errors import UsageError
from steelyard.metrics.base import name_of
from steelyard.report.answers import Answers
from steelyard.report.asking import way_of
from steelyard.report.comparison import Pair
from steelyard.report.contents import Contents, fields_of, known_metrics
from steelyard.report.doubts import doubt_independence
from steelyard.report.leaderboard import Column, Entry, Leaderboard, rank_results
from steelyard.store import Run

_USUAL = "dataset"
"""What a task tells apart whose results are no single score."""


class _Source(NamedTuple):
    """Where the results of a column come from: the run of each model, and the value of a field."""

    runs: dict[str, Contents]
    value: str | None


def field_of(found: Sequence[Contents]) -> str | None:
    """The column of the data that tells the parts of a leaderboard apart where nobody says which.

    That is the first that a task of several sets of data names, of those that the data has.
    """
    if not all(_USUAL in fields_of(contents.run) for contents in found):
        return None
    return next((name for contents in found for name in contents.by), None)


def rank_runs(found: Sequence[Contents], *, field: str | None = None) -> Leaderboard:
    """Runs as a leaderboard: a row a model, columns for each task and each value of a field of the data.

    A model is the same row in several tasks; `found` was read with the field.
    """
    tasks, models = name_tasks(found), name_models(found)
    sources: dict[str, _Source] = {}
    entries: list[Entry] = []
    for model, task, contents in zip(models, tasks, found):
        # What has nothing by that column is one part.
        whole = {None: contents.results}
        parts = whole if field is None else contents.by.get(field) or whole
        for value, results in parts.items():
            part = " ".join(filter(None, (task, value)))
            source = sources.setdefault(part, _Source({}, value))
            source.runs[model] = contents
            entries += [Entry(model, part, result) for result in results]
    chances = _Chances(sources, field)
    board = rank_results(
        entries,
        lower={name for one in found for name in _named(one, entries, "lower_is_better")},
        unranked={name for one in found for name in _named(one, entries, "own_scale")},
        p=chances,
        title=_title(found),
    )
    return replace(board, notes=[*_doubt(found, models), *chances.remarks()])


class _Chances:
    """How likely chance alone sets two models as far apart in a column."""

    def __init__(self, sources: Mapping[str, _Source], field: str | None) -> None:
        self._sources = sources
        self._fields = [] if field is None else [field]
        self._answers: dict[str, Answers] = {}
        self._pairs: dict[tuple[str, str], Pair | None] = {}

    def __call__(self, best: str, other: str, column: Column) -> float | None:
        """The p of the paired test; None where the two share too little to be compared."""
        source = self._sources[column.part]
        pair = self._pair(source.runs[best].run, source.runs[other].run)
        if pair is None:
            return None
        if source.value is not None:
            pair = pair.within(self._fields[0], source.value)
        try:
            return pair.measure(column.metric).comparison.p if len(pair.at_base) else None
        except (KeyError, UsageError):
            # Scored otherwise than answer by answer, or undefined for the samples that they share.
            return None

    def remarks(self) -> Iterator[str]:
        """Which of the runs that were to be compared cannot be, or were asked about other data."""
        for (best, other), pair in self._pairs.items():
            if pair is None:
                yield f"{best} and {other} have no sample in common: nothing compares them"
            else:
                told = pair.tell_changed("data differs", "asked")
                yield from (f"{best} and {other}: {line}" for line in told)

    def _pair(self, best: Run, other: Run) -> Pair | None:
        key = (str(best.path), str(other.path))
        if key not in self._pairs:
            try:
                self._pairs[key] = Pair(self._read(best), self._read(other))
            except UsageError:
                self._pairs[key] = None
        return self._pairs[key]

    def _read(self, run: Run) -> Answers:
        key = str(run.path)
        if key not in self._answers:
            self._answers[key] = Answers(run, fields=self._fields)
        return self._answers[key]


def name_tasks(found: Sequence[Contents]) -> list[str]:
    """What was asked, as far as runs differ in it."""
    named = {key: [str(c.run.about.get(key) or "") for c in found] for key in ("task", "data")}
    # A task that was made of its data has the name of it.
    columns = [
        names
        for key, names in named.items()
        if len(set(names)) > 1 and (key != "data" or names != named["task"])
    ]
    return [" ".join(filter(None, names)) for names in zip(*columns)] if columns else [""] * len(found)


def name_models(found: Sequence[Contents]) -> list[str]:
    """What answered: the model, how it was asked where that differs, and the run where nothing else tells."""
    columns = [[str(c.run.about.get("model") or "a model") for c in found]]
    for names in ([str(c.run.about.get("prompt") or "") for c in found], [way_of(c) for c in found]):
        columns += [names] if len(set(names)) > 1 else []
    models = [" ".join(filter(None, names)) for names in zip(*columns)]
    crossed = list(zip(models, name_tasks(found)))
    doubled = {model for model, task in crossed if crossed.count((model, task)) > 1}
    return [f"{model} ({c.run.path})" if model in doubled else model for model, c in zip(models, found)]


def _named(contents: Contents, entries: Sequence[Entry], trait: str) -> Iterator[str]:
    """The metrics of a run that have a trait, as its results call them."""
    having = {name_of(one) for one in known_metrics(contents.run) if getattr(one, trait, False)}
    names = {entry.result.metric for entry in entries} if having else set()
    yield from (name for name in names if name in having or name.partition(".")[0] in having)


def _title(found: Sequence[Contents]) -> str:
    tasks = dict.fromkeys(str(contents.run.about.get("task") or "a task") for contents in found)
    return ", ".join(tasks)


def _doubt(found: Sequence[Contents], models: Sequence[str]) -> Iterator[str]:
    for model, contents in zip(models, found):
        if contents.run.about.get("state") != "done":
            yield f"{model}: the run {contents.run.path} is not finished"
        told = doubt_independence(contents.run.about.get("independence") or {})
        yield from (f"{model}: {line}" for line in told)
    for task in dict.fromkeys(str(c.run.about.get("task")) for c in found):
        sizes = {c.answers for c in found if str(c.run.about.get("task")) == task}
        if len(sizes) > 1:
            yield f"{task}: not all models answered as many samples ({min(sizes):,} to {max(sizes):,})"
