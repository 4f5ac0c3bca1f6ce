"""The questions of a data set as a workload, and a workload that begins anew where it ends."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from ais_bench.benchmark.datasets.merging import Batch
from steelyard.errors import DataError, UnknownName, UsageError
from steelyard.models.base import Model
from steelyard.types import Sample
from steelyard.workloads.base import Session, Workload
from steelyard.workloads.tasked import Tasked

LIMIT = "max_tokens"
"""The column of a row that says how many tokens its answer may have."""

_METHODS = ("uniform", "percentage")


class Questions(Tasked):
    """Each sample of a data set as a session of one turn."""

    def __init__(self, batch: Batch, *, model: Model) -> None:
        super().__init__(batch.task, chat=batch.chat, model=model)
        self.name = batch.name
        told = batch.sets[0].output_config if len(batch.sets) == 1 else None
        self._lengths = None if not told else Lengths(told, batch.name)

    def identity(self) -> Mapping[str, Any]:
        """All that shapes the questions."""
        told = super().identity()
        return told if self._lengths is None else {**told, "lengths": self._lengths.told}

    def session(self, number: int, plan: Sample) -> Session:
        """The question of one sample; how long its answer may be, its row says first."""
        session = super().session(number, plan)
        if type(row := plan.meta.get(LIMIT)) is int and row > 0:
            most = row
        elif self._lengths is not None:
            most = self._lengths.draw(number)
        else:
            return session
        return replace(session, turns=[replace(turn, max_tokens=most) for turn in session.turns])


class Lengths:
    """How long answers are to be, drawn for each question by its number.

    {"method": "uniform", "params": {"min_value": 50, "max_value": 500}}
    {"method": "percentage", "params": {"percentage_distribute": [[100, 0.3], [500, 0.7]]}}
    """

    def __init__(self, told: Mapping[str, Any], name: str) -> None:
        self.told = dict(told)
        method, params = told.get("method"), told.get("params") or {}
        if method not in _METHODS:
            raise UnknownName(f"method in output_config of {name}", str(method), _METHODS)
        try:
            if method == "uniform":
                low, high = int(params["min_value"]), int(params["max_value"])
                self._values: Sequence[int] = range(low, high + 1)
                self._weights: Sequence[float] | None = None
            else:
                pairs = [(int(tokens), float(share)) for tokens, share in params["percentage_distribute"]]
                self._values, self._weights = [t for t, _ in pairs], [share for _, share in pairs]
        except (KeyError, TypeError, ValueError) as error:
            hint = 'params of uniform: {"min_value": 50, "max_value": 500}'
            raise UsageError(f"output_config of {name} cannot be read: {error}", hint=hint) from error
        if not self._values or min(self._values) < 1 or (self._weights and not sum(self._weights) > 0):
            raise UsageError(f"output_config of {name} names no lengths", hint="whole numbers, at least 1")

    def draw(self, number: int) -> int:
        """The length of the answer to the question of this number."""
        source = random.Random(f"{self.told.get('seed', 0)}:{number}")
        return source.choices(self._values, self._weights)[0]


class Endless:
    """A workload that begins anew where it ends, its sessions under names of their own."""

    def __init__(self, workload: Workload) -> None:
        self._workload, self.name = workload, workload.name

    def identity(self) -> Mapping[str, Any]:
        """That of the workload."""
        return {**self._workload.identity(), "endless": True}

    def __iter__(self) -> Iterator[Session]:
        for turn in count():
            empty = True
            for session in self._workload:
                empty = False
                yield replace(session, id=f"{session.id}~{turn}") if turn else session
            if empty:
                raise DataError(f"{self.name} is empty")
