"""What a model is: `stream(request)` for one that is asked singly, `batch(requests)` for a local one.

    class Shout(LocalModel):
        def batch(self, requests):
            return [Response(text=r.prompt.upper()) for r in requests]

Calls of a LocalModel's `ask` that wait at the same time are answered together, sorted by
length, on one thread that belongs to the model: evaluations, serving and the doors get
batching from the same few lines. A model that reads images or other files does that in `prepare`,
which runs beside the batch before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from threading import Lock
from types import MappingProxyType
from typing import Any

from steelyard.errors import SteelyardError, UsageError
from steelyard.models.batches import Batches, Listener, clock, watched
from steelyard.models.credentials import show_options
from steelyard.plugins import source_digest
from steelyard.types import Chunk, Cost, Request, Response, Timing, Tokens

__all__ = ["Listener", "LocalModel", "Model", "clock"]

_beginning = Lock()


class Model:
    """Anything that answers Requests. Write `stream`; the rest is there."""

    concurrency: int = 32
    """How many requests it likes to have waiting at a time."""

    chat: bool = False
    """Whether it wants prompts as the turns of a chat."""
    options: Mapping[str, Any] = MappingProxyType({})
    """The options it was opened with."""
    embeds: bool = False
    """Whether it answers with a vector, in the `raw` of a response, and with no text."""
    elsewhere: bool = False
    """Whether it computes in other processes, whose time and memory no cost told here includes."""
    punctual: bool = False
    """Whether it waits for the moment in which a request is due, where it is ready to ask a little before."""
    known_tokens: int = 0
    """How many tokens it has, where a prompt may come in them; 0 where it may not."""
    tells_tokens: bool = False
    """Whether it tells how likely each token of a prompt is, asked with echo=True and no choices."""
    likelihoods: Sequence[str] = ("own",)
    """The ways in which it may tell how likely choices are, the best first; asking shows whether it does."""
    load_cost: Cost | None = None
    """What it cost to open it, where `open_model` did."""
    remarks: Sequence[str] = ()
    """What whoever opened it should be told."""

    @property
    def name(self) -> str:
        """What reports call this model."""
        return type(self).__name__

    def identity(self) -> Mapping[str, Any]:
        """All that shapes the answers, and no secret: two models with equal identities answer alike."""
        cls = type(self)
        source, options = source_digest(cls), show_options(self.options)
        return {"class": f"{cls.__module__}.{cls.__qualname__}", "source": source, "options": options}

    def asking(self, likelihood: str) -> Model:
        """The same model, asked in one of its ways how likely choices are."""
        return self

    def under_load(self, *, keep: bool = True) -> Model:
        """The same model as a load test asks it: each request once and at once, in pieces where it can.

        Unless `keep`, nobody looks at the texts of its answers, which may then be forgotten.
        """
        return self

    async def warm(self, connections: int) -> None:
        """Have so many connections ready before they are needed, where there are any to be had."""

    def spent(self) -> Mapping[str, float]:
        """What it spent since it was opened, by what it was spent on; a run notes what it added to that."""
        return {}

    async def doubt(self, error: str) -> SteelyardError | None:
        """Why no question can be answered, asked where the first answers fail; None if nothing is known."""
        return None

    def stream(self, request: Request) -> AsyncIterator[Chunk]:
        """Answer one request, piece by piece."""
        raise TypeError(f"{type(self).__name__} has no stream() method")

    async def ask(self, request: Request) -> Response:
        """Answer one request whole, with its Timing."""
        sent = clock()
        texts: list[str] = []
        stamps: list[float] = []
        tokens_in = tokens_out = scores = raw = None
        async for chunk in self.stream(request):
            if chunk.text:
                stamps.append(clock())
                texts.append(chunk.text)
            tokens_in = chunk.tokens_in if chunk.tokens_in is not None else tokens_in
            tokens_out = chunk.tokens_out if chunk.tokens_out is not None else tokens_out
            scores = chunk.scores if chunk.scores is not None else scores
            raw = chunk.raw if chunk.raw is not None else raw
        counted = tokens_in is not None or tokens_out is not None
        return Response(
            text="".join(texts),
            scores=scores,
            tokens=Tokens(tokens_in, tokens_out) if counted else None,
            timing=Timing(due=sent, sent=sent, chunks=stamps, done=clock(), taken_by="reader"),
            raw=raw,
        )

    async def attend(self, request: Request) -> Response:
        """As `ask`, for a caller who may leave; a request that is itself at fault is a UsageError."""
        return await self.ask(request)

    def close(self) -> None:
        """Give back memory, connections and threads. A closed model is not asked again."""


class LocalModel(Model):
    """A model in this process. Write `batch`; calls that wait together come to it together."""

    concurrency = 512
    batch_size: int = 32
    """The most requests in one call of `batch`."""
    takes_batches: bool = True
    """Whether what is asked is answered by `batch`, and in no other way."""
    batch_tokens: int | None = None
    """The most `length` in one call of `batch`, counted as longest times number."""
    metered: bool = False
    """Whether each batch is measured, so that its answers carry their `cost`."""

    def batch(self, requests: Sequence[Request]) -> Sequence[Response]:
        """Answer several requests at once, in their order."""
        raise TypeError(f"{type(self).__name__} has no batch() method")

    def prepare(self, requests: Sequence[Request]) -> None:
        """Make ready what the next batch needs, on a second thread, while the batch before is answered.

        At most one batch is prepared ahead, and only where it is known; `batch` must do with what
        was not prepared. What fails here fails again in `batch`, for the request at fault. Requests
        may be given up once prepared: of what was prepared two calls ago, nothing is asked any more.
        """

    def length(self, request: Request) -> int:
        """How long a request is, in what `batch_tokens` counts; batches are sorted by it."""
        return len(request.prompt) if isinstance(request.prompt, str) else 0

    def free(self) -> None:
        """Let go of cached memory after a batch did not fit."""

    def under_load(self, *, keep: bool = True) -> Model:
        """The same model, whose time begins when it is asked: waiting for a batch is part of it."""
        return _Waited(self)

    def listener(self, request: Request) -> Listener | None:
        """Who hears the answer to a request of the batch under way while it is written, if anybody."""
        return None if self.__batches is None else self.__batches.listeners.get(id(request))

    def refuse(self, request: Request, why: str) -> Response:
        """The failed answer to a request that is itself at fault; whoever waits for it is told so."""
        listener = self.listener(request)
        if listener is not None:
            listener.refused = True
        return Response(error=why)

    @property
    def batch_sizes(self) -> Mapping[int, int]:
        """How many batches of each size were answered so far."""
        return {} if self.__batches is None else dict(self.__batches.sizes)

    async def attend(self, request: Request) -> Response:
        """As `ask`, for a caller who may leave: once this is cancelled, the answer is not written on.

        A request that is itself at fault is a UsageError.
        """
        listener = Listener(asyncio.get_running_loop(), quiet=True)
        asking = self.__begin(request, listener)
        try:
            response = await asking
        finally:
            listener.gone = True
            asking.cancel()
        if listener.refused:
            raise UsageError(response.error or "")
        return response

    def __begin(self, request: Request, listener: Listener) -> asyncio.Future[Response]:
        # A request of our own: who hears it is found by it, and others may ask the same one.
        request = replace(request)
        token = watched.set((request, listener))
        try:
            return asyncio.ensure_future(self.ask(request))
        finally:
            watched.reset(token)

    async def stream(self, request: Request) -> AsyncIterator[Chunk]:
        """The answer in the pieces that it is written in, as far as the model tells; else as one chunk."""
        listener = Listener(asyncio.get_running_loop())
        asking = self.__begin(request, listener)
        try:
            async for piece in listener.pieces(asking):
                yield Chunk(piece)
            response = await asking
        finally:
            listener.gone = True
            asking.cancel()
        if response.error is not None:
            raise (UsageError if listener.refused else RuntimeError)(response.error)
        if not response.text.startswith(listener.said):
            raise RuntimeError("the answer was begun anew while it was streamed, and became another one")
        tokens = response.tokens or Tokens()
        rest = response.text[len(listener.said) :]
        yield Chunk(rest, response.scores, tokens.input, tokens.output, response.raw)

    async def ask(self, request: Request) -> Response:
        """Wait for the batch that this request ends up in."""
        # Made when it is first needed, so that a subclass need not call __init__; under a name of
        # its own, so that no subclass comes in its way.
        batches = self.__batches
        if batches is None:
            with _beginning:
                batches = self.__batches
                if batches is None:
                    looks_ahead = getattr(self.prepare, "__func__", None) is not LocalModel.prepare
                    batches = self.__batches = Batches(self, ahead=looks_ahead)
        return await batches.ask(request)

    def close(self) -> None:
        """End the threads; a batch under way is finished first."""
        if self.__batches is not None:
            self.__batches.close()
            self.__batches = None

    __batches: Batches | None = None


class _Waited(Model):
    """A local model as who waits for it sees it."""

    def __init__(self, model: LocalModel) -> None:
        self._model = model
        self.chat, self.concurrency, self.options = model.chat, model.concurrency, model.options

    @property
    def name(self) -> str:
        return self._model.name

    def identity(self) -> Mapping[str, Any]:
        return self._model.identity()

    def spent(self) -> Mapping[str, float]:
        return self._model.spent()

    async def ask(self, request: Request) -> Response:
        sent = clock()
        # What is cut is not written on, so that it is in nobody's way.
        response = await self._model.attend(request)
        timing = response.timing or Timing(due=sent, sent=sent, done=clock())
        taken_by = timing.taken_by or "model"
        return replace(response, timing=replace(timing, due=sent, sent=sent, taken_by=taken_by))
