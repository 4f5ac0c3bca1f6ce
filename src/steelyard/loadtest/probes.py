"""Probes: the questions of a task, asked among those of a load.

Probes(task, chat=True)                     a workload of them alone, each once: what is asked when it is idle
Probed(workload, Probes(…), share=0.1)      a workload of which every tenth session is one of them

A session with a probe has `meta["check"]`, the id of its sample; performance is told without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import cycle, islice
from typing import Any

from steelyard.errors import DataError, UsageError
from steelyard.tasks.base import Task
from steelyard.tasks.prompts import with_media
from steelyard.types import Record, Sample, Score
from steelyard.workloads.base import Session, Turn, Workload

CHECK = "check"
ANSWER = "answer"
"""Under this name the records of probes hold what was answered."""

_GOLDEN = (5**0.5 - 1) / 2


class Probes:
    """The first samples of a task as sessions of one turn."""

    def __init__(self, task: Task, *, chat: bool, limit: int = 100) -> None:
        self.task, self.chat = task, chat
        self.samples: dict[str, Sample] = {}
        self._turns: dict[str, Turn] = {}
        for given in islice(task.data, limit):
            sample, request = with_media(given, task.request(given, chat=chat))
            if request.choices is not None:
                hint = "answers under load are texts; take a task that has them written"
                raise UsageError(f"the task {task.name} compares likelihoods", hint=hint)
            if sample.id in self.samples:
                raise DataError(f"two samples of the task {task.name} are called {sample.id}")
            params = {**request.params}
            longest = params.pop("max_tokens", None)
            self.samples[sample.id] = sample
            self._turns[sample.id] = Turn(request.prompt, longest, params=params, target=sample.target)
        if not self.samples:
            raise DataError(f"the data of the task {task.name} is empty")
        self.name = f"{task.name} alone"

    def identity(self) -> Mapping[str, Any]:
        """The task, and how much of it."""
        return {"task": self.task.identity(), "samples": len(self.samples), "chat": self.chat}

    def __iter__(self) -> Iterator[Session]:
        """Each sample once."""
        for sample_id in self.samples:
            yield self.session(sample_id)

    def session(self, sample_id: str, *, at: float | None = None) -> Session:
        """The session that asks one sample."""
        return Session(f"check-{sample_id}", [self._turns[sample_id]], at, {CHECK: sample_id})


class Probed:
    """A workload with probes among its sessions, as evenly as can be without a beat."""

    def __init__(self, workload: Workload, probes: Probes, *, share: float = 0.1) -> None:
        """`share` is that of the probes in all sessions."""
        if not 0 < share < 1:
            raise UsageError(f"a share of {share:g} probes", hint="between 0 and 1")
        self.workload, self.probes, self._part = workload, probes, share
        self.name = workload.name

    @property
    def remarks(self) -> Any:
        """What the workload has to tell."""
        return getattr(self.workload, "remarks", ())

    def identity(self) -> Mapping[str, Any]:
        """The workload, the probes and how many these are."""
        return {**self.workload.identity(), "probes": {**self.probes.identity(), "share": self._part}}

    def __iter__(self) -> Iterator[Session]:
        """The sessions of both; a probe is due with the session that it goes before."""
        waiting = cycle(self.probes.samples)
        place = 0
        for session in self.workload:
            # Multiples of the golden ratio are nowhere dense, and in step with nothing.
            while (place := place + 1) * _GOLDEN % 1 < self._part:
                yield self.probes.session(next(waiting), at=session.at)
            yield session


def keep_answer(record: Record) -> Mapping[str, Score]:
    """What is stored of an answer for later: of a probe its text, of others nothing."""
    if CHECK in record.sample.meta and record.response.error is None:
        return {ANSWER: record.response.text}
    return {}
