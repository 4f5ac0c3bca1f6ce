"""Models asked for a server: each request in its turn, whole or in pieces, and failures with a status."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from steelyard.errors import SteelyardError, UsageError, describe
from steelyard.models.base import LocalModel, Model, clock
from steelyard.serving.metrics import Standing
from steelyard.serving.places import Places
from steelyard.serving.visits import Refusal
from steelyard.types import Chunk, Request, Response, Timing, Tokens

# What a service answers that the asker can mend; its other refusals are ours to mend.
_PASSED_ON = {400, 404, 413, 415, 422, 429}
_STATUS = re.compile(r"HTTP (\d{3})\b")
# As a model behind HTTP begins when its protocol has no words for what is asked.
_UNSENT = "the prompt cannot be sent: "
Pieces = AsyncGenerator[tuple[int, Chunk], None]


@dataclass
class Served:
    """A model under the name that it is asked by."""

    name: str
    model: Model
    places: Places

    @property
    def embeds(self) -> bool:
        """Whether it answers with vectors."""
        return self.model.embeds

    def standing(self) -> Standing:
        """How it stands now."""
        sizes = self.model.batch_sizes if isinstance(self.model, LocalModel) else {}
        return Standing(self.name, self.places.taken, self.places.waiting, sizes)

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None, None]:
        """A place, once there is one."""
        await self.places.take()
        begun = clock()
        try:
            yield
        finally:
            self.places.give_back(clock() - begun)

    async def answer(self, request: Request) -> Response:
        """The answer to a request; a Refusal where it failed."""
        async with self.turn():
            try:
                response = await self.model.attend(request)
            except Exception as error:
                raise self._refusal(error) from error
        if response.error is not None:
            raise self._failure(response.error)
        if request.choices is not None and response.scores is None:
            raise Refusal(400, f"{self.name} does not tell how likely choices are")
        return _with_finish(response)

    async def pieces(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """The answer to a request as it is written; a Refusal where it fails."""
        async with self.turn():
            stream = self.model.stream(request)
            try:
                async for chunk in stream:
                    yield chunk
            except Exception as error:
                raise self._refusal(error) from error
            finally:
                # At once, and not when somebody collects it: the model is to write for others.
                if isinstance(stream, AsyncGenerator):
                    await stream.aclose()

    def _refusal(self, error: Exception) -> Refusal:
        if isinstance(error, UsageError):
            return Refusal(400, str(error))
        # What a model says of an answer that failed needs no type before it.
        told = isinstance(error, SteelyardError) or type(error) is RuntimeError
        return self._failure(str(error) if told else describe(error))

    def _failure(self, error: str) -> Refusal:
        if not self.model.elsewhere:
            return Refusal(500, error)
        if error.startswith(_UNSENT):
            return Refusal(400, error.removeprefix(_UNSENT))
        said = _STATUS.match(error)
        status = int(said[1]) if said else 0
        busy = {"Retry-After": "1"} if status == 429 else {}
        return Refusal(status if status in _PASSED_ON else 502, error, headers=busy)


@dataclass
class Gathered:
    """An answer put together of its pieces."""

    begun: float = field(default_factory=clock)
    texts: list[str] = field(default_factory=list)
    stamps: list[float] = field(default_factory=list)
    tokens_in: int | None = None
    tokens_out: int | None = None
    scores: Any = None
    raw: Any = None

    def add(self, chunk: Chunk) -> None:
        """Take a piece."""
        if chunk.text:
            self.texts.append(chunk.text)
            self.stamps.append(clock())
        self.tokens_in = self.tokens_in if chunk.tokens_in is None else chunk.tokens_in
        self.tokens_out = self.tokens_out if chunk.tokens_out is None else chunk.tokens_out
        self.scores = self.scores if chunk.scores is None else chunk.scores
        self.raw = self.raw if chunk.raw is None else chunk.raw

    def response(self) -> Response:
        """The whole answer."""
        counted = self.tokens_in is not None or self.tokens_out is not None
        timing = Timing(due=self.begun, sent=self.begun, chunks=self.stamps, done=clock())
        tokens = Tokens(self.tokens_in, self.tokens_out) if counted else None
        return _with_finish(
            Response("".join(self.texts), scores=self.scores, tokens=tokens, timing=timing, raw=self.raw)
        )


async def pieces_of(served: Served, requests: Sequence[Request]) -> Pieces:
    """The pieces of several answers that are written at the same time, each with its request's place."""
    if len(requests) == 1:
        async with aclosing(served.pieces(requests[0])) as chunks:
            async for chunk in chunks:
                yield 0, chunk
        return
    news: asyncio.Queue[tuple[int, Chunk] | Exception | None] = asyncio.Queue(2 * len(requests))

    async def read(place: int, request: Request) -> None:
        try:
            async with aclosing(served.pieces(request)) as chunks:
                async for chunk in chunks:
                    await news.put((place, chunk))
            await news.put(None)
        except Refusal as refusal:
            await news.put(refusal)

    tasks = [asyncio.create_task(read(place, request)) for place, request in enumerate(requests)]
    try:
        left = len(tasks)
        while left:
            piece = await news.get()
            if isinstance(piece, Exception):
                raise piece
            if piece is None:
                left -= 1
            else:
                yield piece
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _with_finish(response: Response) -> Response:
    """The answer with the reason for its end under the name that wires know it by."""
    raw = response.raw
    if not isinstance(raw, Mapping) or "finish" not in raw or "finish_reason" in raw:
        return response
    return replace(response, raw={**raw, "finish_reason": raw["finish"]})
