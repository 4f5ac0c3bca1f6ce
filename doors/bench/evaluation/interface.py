"""What an interface model is, and how any model is hung on the beam."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.evaluation.wording import Item, plain
from steelyard.engine import answer, answer_async
from steelyard.models.base import LocalModel
from steelyard.models.functions import FunctionModel
from steelyard.models.http import HttpModel
from steelyard.types import Prompt, Request, Response

_WAVE = 512


class ModelInterface(ABC):
    """A model with `predict` over a list of dictionaries and a `model_id`."""

    @abstractmethod
    def predict(self, inputs: list[Item]) -> list[Item]:
        """One answer an input, in their order."""

    @property
    @abstractmethod
    def model_id(self) -> str:
        """The name it is run under."""

    @property
    def metadata(self) -> Item:
        """What is to be known about it."""
        return {}


@dataclass
class Hung:
    """A model as the engine asks it: inputs become prompts, responses become answers."""

    thing: Any
    model: LocalModel | HttpModel
    about: Callable[[], Item]
    prompt: Callable[[Item], Prompt] = field(default=lambda item: item)
    params: Callable[[Mapping[str, Any]], Mapping[str, Any]] = field(default=lambda given: given)
    answer: Callable[[Item, Response], Item] = field(default=plain)
    batches: int | None = None
    """How many batches may be under way at a time; None where the model looks to that itself."""
    identity: Callable[[], Mapping[str, Any] | None] = field(default=lambda: None)
    """All that shapes its answers; None where that cannot be known."""

    def requests(self, inputs: Sequence[Item], given: Mapping[str, Any]) -> list[Request]:
        """The inputs as the model's requests."""
        params = self.params(given)
        return [
            Request(id=str(place), prompt=self.prompt(item), params=params)
            for place, item in enumerate(inputs)
        ]

    def run(self, inputs: Sequence[Item], *, batch_size: int, given: Mapping[str, Any]) -> list[Item]:
        """One answer an input, in their order."""
        waiting = self.take(batch_size)
        responses = answer(self.model, self.requests(inputs, given), concurrency=waiting)
        return [self.answer(item, response) for item, response in zip(inputs, responses)]

    async def run_async(
        self, inputs: Sequence[Item], *, batch_size: int, given: Mapping[str, Any]
    ) -> list[Item]:
        """The same, awaited."""
        waiting = self.take(batch_size)
        responses = await answer_async(self.model, self.requests(inputs, given), concurrency=waiting)
        return [self.answer(item, response) for item, response in zip(inputs, responses)]

    def take(self, batch_size: int) -> int:
        """Batches of this size from now on; how many requests have to wait for them to be full."""
        self.model.batch_size = batch_size
        batches = max(1, _WAVE // batch_size) if self.batches is None else self.batches
        return batches * batch_size


def hang(model: Any) -> Hung:
    """An interface model on the beam: our own as they know best, any other by its `predict`."""
    own = getattr(model, "hung", None)
    if isinstance(own, Hung):
        return own
    about = {"type": "interface", **dict(getattr(model, "metadata", None) or {})}
    return Hung(model, FunctionModel(model.predict, batched=True), lambda: about)
