"""What a model is: `stream(request)` for one that is asked singly, `batch(requests)` for a local one.

    class Shout(LocalModel):
        def batch(self, requests):
            return [Response(text=r.prompt.upper()) for r in requests]

Calls of a LocalModel's `ask` that wait at the same time are answered together, sorted by
length, on one thread that belongs to the model: evaluations, serving and the doors get
batching from the same few lines.
"""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue
from types import MappingProxyType
from typing import Any

from steelyard.errors import describe
from steelyard.models.credentials import show_options
from steelyard.plugins import source_digest
from steelyard.types import Chunk, Request, Response, Timing, Tokens

clock = time.perf_counter


class Model:
    """Anything that answers Requests. Write `stream`; the rest is there."""

    concurrency: int = 32
    """How many requests it likes to have waiting at a time."""

    chat: bool = False
    """Whether it wants prompts as the turns of a chat."""
    options: Mapping[str, Any] = MappingProxyType({})
    """The options it was opened with."""

    @property
    def name(self) -> str:
        """What reports call this model."""
        return type(self).__name__

    def identity(self) -> Mapping[str, Any]:
        """All that shapes the answers, and no secret: two models with equal identities answer alike."""
        cls = type(self)
        source, options = source_digest(cls), show_options(self.options)
        return {"class": f"{cls.__module__}.{cls.__qualname__}", "source": source, "options": options}

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
            timing=Timing(due=sent, sent=sent, chunks=stamps, done=clock()),
            raw=raw,
        )

    def close(self) -> None:
        """Give back memory, connections and threads. A closed model is not asked again."""


class LocalModel(Model):
    """A model in this process. Write `batch`; calls that wait together come to it together."""

    concurrency = 512
    batch_size: int = 32
    """The most requests in one call of `batch`."""
    batch_tokens: int | None = None
    """The most `length` in one call of `batch`, counted as longest times number."""

    def batch(self, requests: Sequence[Request]) -> Sequence[Response]:
        """Answer several requests at once, in their order."""
        raise TypeError(f"{type(self).__name__} has no batch() method")

    def length(self, request: Request) -> int:
        """How long a request is, in what `batch_tokens` counts; batches are sorted by it."""
        return len(request.prompt) if isinstance(request.prompt, str) else 0

    def free(self) -> None:
        """Let go of cached memory after a batch did not fit."""

    async def stream(self, request: Request) -> AsyncIterator[Chunk]:
        """The whole answer as one chunk."""
        response = await self.ask(request)
        if response.error is not None:
            raise RuntimeError(response.error)
        tokens = response.tokens or Tokens()
        yield Chunk(response.text, response.scores, tokens.input, tokens.output, response.raw)

    async def ask(self, request: Request) -> Response:
        """Wait for the batch that this request ends up in."""
        # Made when it is first needed, so that a subclass need not call __init__; under a name of
        # its own, so that no subclass comes in its way.
        if self.__batches is None:
            self.__batches = _Batches(self)
        return await self.__batches.ask(request)

    def close(self) -> None:
        """End the thread; a batch under way is finished first."""
        if self.__batches is not None:
            self.__batches.close()
            self.__batches = None

    __batches: _Batches | None = None


class _Call:
    """One waiting call of LocalModel.ask."""

    __slots__ = ("asked", "future", "loop", "request")

    def __init__(self, request: Request, loop: asyncio.AbstractEventLoop) -> None:
        self.request = request
        self.loop = loop
        self.future: asyncio.Future[Response] = loop.create_future()
        self.asked = clock()


class _Batches:
    """The thread that answers for a local model: waves of waiting calls, cut into batches."""

    def __init__(self, model: LocalModel) -> None:
        self.model = model
        self.boxes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, list[_Call]]
        self.boxes = weakref.WeakKeyDictionary()
        self.inbox: SimpleQueue[list[_Call] | None] = SimpleQueue()
        self.most: int | None = None
        # A daemon: an interrupted program does not wait for a long batch to end.
        threading.Thread(target=self._work, name=f"{model.name}.batch", daemon=True).start()

    async def ask(self, request: Request) -> Response:
        loop = asyncio.get_running_loop()
        call = _Call(request, loop)
        box = self.boxes.setdefault(loop, [])
        box.append(call)
        if len(box) == 1:
            # Posted once the loop has run all that is ready, so that calls made together stay together.
            loop.call_soon(self._post, loop)
        return await call.future

    def close(self) -> None:
        self.inbox.put(None)

    def _post(self, loop: asyncio.AbstractEventLoop) -> None:
        self.inbox.put(self.boxes.pop(loop))

    def _work(self) -> None:
        last = False
        while not last and (wave := self.inbox.get()) is not None:
            try:
                while (more := self.inbox.get_nowait()) is not None:
                    wave.extend(more)
                last = True
            except Empty:
                pass
            for batch in self._cut(wave):
                # Calls given up in the meantime (an interrupted run) are not worth a batch.
                calls = [call for call in batch if not call.future.done()]
                if calls:
                    begun = clock()
                    _deliver(calls, self._answer([call.request for call in calls]), begun)

    def _cut(self, wave: list[_Call]) -> Iterator[list[_Call]]:
        """Cut waiting calls into batches of like length, the longest first."""
        model = self.model
        sized: list[tuple[int, _Call]] = []
        for call in wave:
            try:
                sized.append((model.length(call.request), call))
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the model boundary
                _deliver([call], [Response(error=describe(error))], clock())
        sized.sort(key=lambda pair: pair[0], reverse=True)
        batch: list[_Call] = []
        longest = 0
        for length, call in sized:
            size = min(model.batch_size, self.most or model.batch_size)
            over = model.batch_tokens is not None and longest * (len(batch) + 1) > model.batch_tokens
            if batch and (len(batch) >= size or over):
                yield batch
                batch = []
            longest = longest if batch else length
            batch.append(call)
        if batch:
            yield batch

    def _answer(self, requests: list[Request]) -> list[Response]:
        """Answer a batch; where it fails, its halves, so that one bad request costs only itself."""
        name = self.model.name
        try:
            responses = list(self.model.batch(requests))
            if len(responses) != len(requests):
                given = f"{len(responses)} answers to {len(requests)} requests"
                return [Response(error=f"{name} gave {given}")] * len(requests)
            return [
                response if isinstance(response, Response) else _odd(name, response) for response in responses
            ]
        # A model that calls exit() would end this thread, and all would wait for ever.
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the model boundary: a failure is an answer
            failure = describe(error)
            short_of_memory = _is_out_of_memory(error)
        # Outside the handler: the traceback, and the tensors it holds, are gone here.
        if len(requests) == 1:
            return [Response(error=failure)]
        half = len(requests) // 2
        if short_of_memory:
            self.most = half
            self.model.free()
        return self._answer(requests[:half]) + self._answer(requests[half:])


def _odd(name: str, response: object) -> Response:
    return Response(error=f"{name} gave a {type(response).__name__}, not a Response")


def _deliver(calls: list[_Call], responses: list[Response], begun: float) -> None:
    """Hand the answers of a batch to the loops that wait for them."""
    done = clock()
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Call, Response]]] = {}
    for call, response in zip(calls, responses):
        by_loop.setdefault(call.loop, []).append((call, response))
    for loop, pairs in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, pairs, begun, done)
        except RuntimeError:
            # The loop was closed under us: nobody waits any more.
            continue


def _settle(pairs: list[tuple[_Call, Response]], begun: float, done: float) -> None:
    for call, response in pairs:
        if call.future.done():
            continue
        timed = response
        if response.timing is None:
            # Waiting for a batch is not the model's time: it counts as lag.
            timed = replace(response, timing=Timing(due=call.asked, sent=begun, done=done))
        call.future.set_result(timed)


def _is_out_of_memory(error: BaseException) -> bool:
    # By name: torch.OutOfMemoryError without importing torch; some backends raise RuntimeError.
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "out of memory" in str(error).lower())
    )
