"""Rendered: a model of the engine that is told prompts by a template of roles, or as one text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any

from ais_bench.benchmark.models.calls import plain
from ais_bench.benchmark.models.turns import to_prompt
from steelyard.errors import SteelyardError
from steelyard.models.base import Model
from steelyard.models.client import Client
from steelyard.types import Chunk, Request, Response


class Rendered(Model):
    """Asks another model what `render` makes of each prompt."""

    def __init__(self, model: Model, render: Callable[[Any], Any], *, template: Any) -> None:
        self.model, self._render, self._template = model, render, template
        # A template says whose each turn is, even where they end as one text.
        self.chat = bool(template) or model.chat
        self.concurrency, self.elsewhere, self.punctual = model.concurrency, model.elsewhere, model.punctual
        self.likelihoods, self.remarks, self.load_cost = model.likelihoods, model.remarks, model.load_cost

    @property
    def name(self) -> str:
        """That of the model."""
        return self.model.name

    @property
    def client(self) -> Client | None:
        """The connections to the service, where the model is one."""
        found = getattr(self.model, "client", None)
        return found if isinstance(found, Client) else None

    def identity(self) -> Mapping[str, Any]:
        """The model's, with the template."""
        return {**self.model.identity(), "meta_template": plain(self._template)}

    def asking(self, likelihood: str) -> Model:
        """The same model, asked in one of its ways how likely choices are."""
        return Rendered(self.model.asking(likelihood), self._render, template=self._template)

    def under_load(self, *, keep: bool = True) -> Model:
        """The model under load, told the same."""
        return Rendered(self.model.under_load(keep=keep), self._render, template=self._template)

    async def warm(self, connections: int) -> None:
        """Open so many connections ahead, where there are any."""
        await self.model.warm(connections)

    async def doubt(self, error: str) -> SteelyardError | None:
        """Why no question can be answered."""
        return await self.model.doubt(error)

    def stream(self, request: Request) -> AsyncIterator[Chunk]:
        """The answer, piece by piece."""
        return self.model.stream(self._tell(request))

    async def ask(self, request: Request) -> Response:
        """The answer, whole."""
        return await self.model.ask(self._tell(request))

    def close(self) -> None:
        """Close the model."""
        self.model.close()

    def _tell(self, request: Request) -> Request:
        told = self._render(to_prompt(request.prompt))
        if request.choices and self._joins_lines(request.prompt, told):
            # A choice is the next turn, on a line of its own, unless it goes on in the last.
            told += "" if any(choice[:1].isspace() for choice in request.choices) else "\n"
        return replace(request, prompt=told)

    def _joins_lines(self, prompt: Any, told: Any) -> bool:
        """Whether turns became lines of a text."""
        return not self._template and isinstance(told, str) and not isinstance(prompt, (str, Mapping))
