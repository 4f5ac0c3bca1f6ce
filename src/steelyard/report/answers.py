"""A run column by column, a few bytes an answer, so that runs of a million can be laid side by side."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from steelyard.metrics.base import is_about, name_of
from steelyard.metrics.columns import Statistics
from steelyard.report.contents import known_metrics, sampling
from steelyard.store import Run
from steelyard.types import Record, Sample

Places = NDArray[np.int64]
# As a summary calls it.
_NO_VALUE = "(none)"
_encoder = msgspec.json.Encoder(enc_hook=str)


class Answers:
    """What a comparison needs of each answer: who was asked what, in which words, and the scores.

    `fields` are the columns of the data by which answers shall be told apart.
    """

    def __init__(self, run: Run, *, fields: Sequence[str] = ()) -> None:
        self.run = run
        self.repeat = int(sampling(run).get("repeat") or 1)
        self.grouped = self.repeat > 1
        self.index = array("q")
        self.keys = array("Q")
        self.asked = array("Q")
        self.prompts = array("Q")
        self.groups = array("Q")
        self.failed = bytearray()
        self.values: dict[str, array[float]] = {}
        self.statistics: dict[str, Statistics] = {}
        self._choosers = [(name_of(one), one) for one in known_metrics(run) if hasattr(one, "concerns")]
        self._concerned = {name: bytearray() for name, _ in self._choosers}
        self._zeros = {name: bytearray() for name, _ in self._choosers}
        self._rows: dict[str, dict[int, Sequence[Any]]] = {}
        self._parts = {field: array("q") for field in fields}
        self._names: dict[str, dict[str, int]] = {field: {} for field in fields}
        for record in run.records():
            self._add(record)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def metrics(self) -> list[str]:
        """The names of the metrics that can be compared."""
        return [*self.values, *self.statistics]

    def questions(self) -> tuple[NDArray[np.uint64], Places]:
        """Each question once, with the place of its first answer."""
        keys, places = np.unique(as_numbers(self.keys), return_index=True)
        return keys, places

    def rows(self, metric: str) -> Mapping[int, Sequence[Any]]:
        """The statistics of a metric over a whole set, by the places of the answers."""
        if metric not in self._rows:
            self._rows[metric] = dict(self.statistics[metric])
        return self._rows[metric]

    def values_of(self, field: str) -> list[str]:
        """The values that a column of the data has."""
        return sorted(self._names[field])

    def among(self, field: str, value: str) -> NDArray[np.bool_]:
        """Which answers have some value in a column of the data."""
        found: NDArray[np.bool_] = as_numbers(self._parts[field]) == self._names[field].get(value, -1)
        return found

    def numbers(self, metric: str, places: Places, *, failure: float) -> NDArray[np.float64]:
        """The values of a metric at some places: NaN where undefined, a failed answer as a failure."""
        column = self.values[metric]
        _pad(column, len(self))
        failed = np.frombuffer(self.failed, dtype=np.uint8)[places] == 1
        found = np.where(failed, failure, np.frombuffer(column, dtype=np.float64)[places])
        # A failed answer is a failure only of what its sample was asked for.
        found[failed & ~self._told(self._zeros, metric, places)] = math.nan
        return found

    def concerned(self, metric: str, places: Places) -> NDArray[np.bool_]:
        """At which of some places a metric has something to say."""
        return self._told(self._concerned, metric, places)

    def _told(self, by_metric: Mapping[str, bytearray], metric: str, places: Places) -> NDArray[np.bool_]:
        told = by_metric.get(metric)
        if told is None:
            return np.ones(len(places), dtype=np.bool_)
        found: NDArray[np.bool_] = np.frombuffer(told, dtype=np.uint8)[places] == 1
        return found

    def _add(self, record: Record) -> None:
        sample, place = record.sample, len(self)
        self.index.append(record.index)
        self.keys.append(_digest(sample.id, record.index % self.repeat))
        self.asked.append(_digest(sample.input, sample.target, sample.choices))
        self.prompts.append(_digest(record.request.prompt, record.request.choices))
        group = sample.meta.get("group")
        self.grouped = self.grouped or group is not None
        self.groups.append(_digest("sample", sample.id) if group is None else _digest("group", group))
        for field, parts in self._parts.items():
            names = self._names[field]
            parts.append(names.setdefault(str(sample.meta.get(field, _NO_VALUE)), len(names)))
        failed = record.response.error is not None
        self.failed.append(failed)
        for name, metric in self._choosers:
            about = is_about(metric, sample)
            self._concerned[name].append(about)
            # Of a sample of which nothing known was said, a failure is no more wrong than an answer.
            self._zeros[name].append(about and bool(getattr(metric, "parts", _one_part)(sample)))
        for name, score in record.scores.items():
            if isinstance(score, (list, tuple)):
                if score:
                    self.statistics.setdefault(name, Statistics()).add(place, score)
            elif isinstance(score, (bool, int, float)) and not failed:
                column = self.values.setdefault(name, array("d"))
                _pad(column, place)
                column.append(score)


def _one_part(sample: Sample) -> list[str]:
    return [""]


def as_numbers(column: array[int]) -> NDArray[Any]:
    """A column as an array that shares its memory."""
    kind = {"q": np.int64, "Q": np.uint64}[column.typecode]
    return np.frombuffer(column, dtype=kind)


def _pad(column: array[float], size: int) -> None:
    if size > len(column):
        column.extend([math.nan] * (size - len(column)))


def _digest(*parts: Any) -> int:
    return int.from_bytes(blake2b(_encoder.encode(parts), digest_size=8).digest(), "big")
