"""Any task as a workload: its questions as an evaluation asks them, with what a right answer says.

Tasked("gsm8k", data="data/gsm8k", shots=4, model=model)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from steelyard.errors import DataError
from steelyard.models.base import Model
from steelyard.tasks.base import Task
from steelyard.tasks.references import open_task
from steelyard.types import Sample
from steelyard.workloads.base import Planned, Session, Turn


class Tasked(Planned[Sample]):
    """The questions of a task, a session each; `max_tokens` is how long an answer may be where given.

    Where the model wants a chat, or `chat` says so, they are turns, else texts.
    """

    def __init__(
        self,
        task: Any,
        *,
        chat: bool | None = None,
        model: Model | None = None,
        max_tokens: int | None = None,
        **options: Any,
    ) -> None:
        self.task = task if isinstance(task, Task) else open_task(task, **options)
        self.name = self.task.name
        self._chat = (model is not None and model.chat) if chat is None else chat
        self._most = max_tokens

    def identity(self) -> Mapping[str, Any]:
        """The task, and how it is asked."""
        return {**self.task.identity(), "chat": self._chat, "max_tokens": self._most}

    def size(self) -> int | None:
        """How many questions there are, where that is cheap to know."""
        size = getattr(self.task.data, "size", None)
        return size() if callable(size) else None

    @property
    def skipped(self) -> int:
        """How many rows were passed over."""
        return getattr(self.task.data, "skipped", 0)

    def plans(self) -> Iterator[Sample]:
        """The samples."""
        return iter(self.task.data)

    def session(self, number: int, plan: Sample) -> Session:
        """One question."""
        request = self.task.request(plan, chat=self._chat)
        if request.choices is not None:
            message = f"the task {self.name} compares likelihoods, which no load test asks for"
            raise DataError(message, hint="by=letter asks for the answer")
        params = dict(request.params)
        most = params.pop("max_tokens", None) if self._most is None else self._most
        params.pop("max_tokens", None)
        return Session(plan.id, [Turn(request.prompt, most, params=params, target=plan.target)])
