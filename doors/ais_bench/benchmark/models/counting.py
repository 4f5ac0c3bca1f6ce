"""Counted: a model whose answers say how many tokens they have, by a tokenizer if nobody else does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ais_bench.benchmark.models.local_models.base import BaseModel
from ais_bench.benchmark.models.turns import is_text, to_prompt, to_text
from ais_bench.benchmark.utils.prompt import PromptList
from steelyard.errors import SteelyardError
from steelyard.models.base import Model
from steelyard.models.client import Client
from steelyard.types import Chunk, Request, Response, Tokens
from steelyard.workloads.tokens import Tokenizer


class OwnCounts:
    """What a local class says itself of how many tokens a text has."""

    def __init__(self, made: BaseModel) -> None:
        self._made = made

    def encode(self, text: str) -> Sequence[int]:
        """The numbers of its tokens, from 0."""
        return range(self._made.get_token_len(text))

    def count_special(self, text: str) -> int:
        """How many it has."""
        return self._made.get_token_len(text)

    @classmethod
    def of(cls, made: BaseModel) -> OwnCounts | None:
        """What a class says; None where it says nothing."""
        own = (
            type(made).encode is not BaseModel.encode
            or type(made).get_token_len is not BaseModel.get_token_len
        )
        return cls(made) if own else None


class Counted(Model):
    """Asks another model, and counts what it leaves uncounted; that it did so is noted with the answer."""

    def __init__(self, model: Model, tokenizer: Tokenizer | OwnCounts) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.chat, self.concurrency, self.elsewhere = model.chat, model.concurrency, model.elsewhere
        self.punctual = model.punctual
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
        """The model's."""
        return self.model.identity()

    def under_load(self, *, keep: bool = True) -> Model:
        """The model under load; its texts are kept until they are counted."""
        return Counted(self.model.under_load(keep=True), self.tokenizer)

    async def warm(self, connections: int) -> None:
        """Open so many connections ahead, where there are any."""
        await self.model.warm(connections)

    async def doubt(self, error: str) -> SteelyardError | None:
        """Why no question can be answered."""
        return await self.model.doubt(error)

    def stream(self, request: Request) -> AsyncIterator[Chunk]:
        """The answer, piece by piece."""
        return self.model.stream(request)

    async def ask(self, request: Request) -> Response:
        """The answer with its tokens."""
        response = await self.model.ask(request)
        given, written = response.tokens or Tokens()
        if response.error is not None or written is not None:
            return response
        raw = response.raw if isinstance(response.raw, Mapping) else {}
        thought = raw.get("reasoning") or raw.get("reasoning_content") or ""
        written = len(self.tokenizer.encode(f"{thought}{response.text}"))
        given = self._count_prompt(request) if given is None else given
        return replace(response, tokens=Tokens(given, written), raw={**raw, "counted_by": "tokenizer"})

    def close(self) -> None:
        """Close the model."""
        self.model.close()

    def _count_prompt(self, request: Request) -> int | None:
        """How many tokens a prompt has; None where it is more than words."""
        prompt = to_prompt(request.prompt)
        if isinstance(prompt, PromptList) and all(map(is_text, prompt)):
            prompt = to_text(prompt)
        return self.tokenizer.count_special(prompt) if isinstance(prompt, str) else None
