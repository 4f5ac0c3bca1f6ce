"""A model behind HTTP: one client for every wire.

HttpModel("https://api.example/v1/predict", api_key=key, batch_size=8)
HttpModel("http://host:8000/v1", wire=OpenAI(model="m"), timeout=60)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from steelyard.errors import ModelError, SteelyardError, UsageError, describe
from steelyard.models.base import Model, clock
from steelyard.models.client import Client
from steelyard.models.credentials import Auth
from steelyard.plugins import resolve
from steelyard.types import Chunk, Request, Response, Timing
from steelyard.wire.base import Exchange, Wire
from steelyard.wire.connection import Answer


class HttpModel(Model):
    """A service that answers requests over HTTP."""

    elsewhere = True

    def __init__(
        self,
        url: str,
        *,
        wire: str | Wire = "plain",
        api_key: str | None = None,
        auth: Auth = "bearer",
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        retries: int = 2,
        backoff: float = 0.5,
        retry_statuses: Collection[int] | None = None,
        rate_limit: float | None = None,
        batch_size: int = 1,
        verify: bool | str = True,
        concurrency: int = 32,
        name: str | None = None,
    ) -> None:
        """Describe the service; nothing is sent yet. `retries` counts what comes after the first try."""
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}", hint="it must be at least 1")
        self.wire: Wire = resolve("wires", wire)() if isinstance(wire, str) else wire
        self.chat = self.wire.chat
        known = self.wire.likelihood
        self.likelihoods = self.wire.likelihoods if known is None else (known,)
        self.batch_size = batch_size if self.wire.together else 1
        self.client = Client(
            self.wire.locate(url),
            own_headers=self.wire.headers,
            headers=headers,
            api_key=api_key,
            auth=auth,
            timeout=timeout,
            retries=retries,
            backoff=backoff,
            retry_statuses=retry_statuses,
            rate_limit=rate_limit,
            verify=verify,
            concurrency=concurrency,
            read_failure=self.wire.read_failure,
        )
        self.timeout, self.retries, self.backoff = timeout, retries, backoff
        self.concurrency = concurrency * self.batch_size
        self.url = self.client.url
        self._name = name
        self._boxes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Box] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"HttpModel({self.url!r}, wire={type(self.wire).__name__})"

    @property
    def name(self) -> str:
        """The name it was given, else where it is."""
        return self._name or self.client.where

    def identity(self) -> Mapping[str, Any]:
        """The address, the wire, and what the headers say that is no secret."""
        return {
            "class": f"{type(self).__module__}.{type(self).__qualname__}",
            "url": self.url,
            **self.wire.identity(),
            "headers": self.client.credentials.shown_headers,
        }

    def asking(self, likelihood: str) -> HttpModel:
        """The same service over the same connections, asked in one of these ways."""
        other = copy(self)
        other.wire = self.wire.asking(likelihood)
        other._boxes = WeakKeyDictionary()
        return other

    async def ask(self, request: Request) -> Response:
        """Ask alone, or together with the others that wait at the same time."""
        if request.choices is not None:
            parts = self.wire.split(request)
            if len(parts) > 1:
                return self._join(request, await asyncio.gather(*map(self._ask, parts)))
        return await self._ask(request)

    async def _ask(self, request: Request) -> Response:
        if self.batch_size == 1:
            return (await self._send([request]))[0]
        loop = asyncio.get_running_loop()
        box = self._boxes.get(loop)
        if box is None:
            box = self._boxes[loop] = _Box()
        waiting: asyncio.Future[Response] = loop.create_future()
        box.calls.append((request, waiting))
        if len(box.calls) == 1:
            loop.call_soon(self._post, loop, box, 1)
        return await waiting

    async def stream(self, request: Request) -> AsyncIterator[Chunk]:
        """The pieces of an answer as they come, where the protocol has any; else the answer as one."""
        wire = self.wire.streamed()
        if wire is None:
            (response,) = await self._send([request])
            if response.error is not None:
                raise ModelError(response.error)
            tokens = response.tokens
            yield Chunk(
                response.text,
                response.scores,
                tokens.input if tokens else None,
                tokens.output if tokens else None,
                response.raw,
            )
            return
        exchange = wire.open([request])
        encode = exchange.encode_request
        body = await asyncio.to_thread(encode) if exchange.slow else encode()
        async for data in self.client.watch(body, headers=exchange.headers):
            chunk = exchange.decode_event(data)
            if chunk is not None:
                yield chunk
        (response,) = exchange.decode_end()
        if response.error is not None:
            raise ModelError(self.client.mask(response.error))
        tokens = response.tokens
        yield Chunk(
            "",
            response.scores,
            tokens.input if tokens else None,
            tokens.output if tokens else None,
            response.raw,
        )

    async def fetch(self, path: str) -> Answer:
        """What the same service answers to a GET of another path."""
        return await self.client.fetch(path)

    def close(self) -> None:
        """Close the connections kept open."""
        self.client.close()

    def _post(self, loop: asyncio.AbstractEventLoop, box: _Box, seen: int) -> None:
        if len(box.calls) > seen:
            # More came while the loop went round: perhaps there is more to come.
            loop.call_soon(self._post, loop, box, len(box.calls))
            return
        calls, box.calls = box.calls, []
        for start in range(0, len(calls), self.batch_size):
            task = loop.create_task(self._answer(calls[start : start + self.batch_size]))
            box.tasks.add(task)
            task.add_done_callback(box.tasks.discard)

    async def _answer(self, calls: list[_Call]) -> None:
        try:
            responses = await self._send([request for request, _ in calls])
        except Exception as error:  # noqa: BLE001 - the model boundary: a failure is an answer
            responses = [Response(error=self.client.mask(describe(error)))] * len(calls)
        for (_, waiting), response in zip(calls, responses):
            if not waiting.done():
                waiting.set_result(response)

    async def _send(self, requests: list[Request]) -> list[Response]:
        sent = clock()
        try:
            exchange = self.wire.open(requests)
            encode = exchange.encode_request
            body = await asyncio.to_thread(encode) if exchange.slow else encode()
        except (SteelyardError, OSError, TypeError, ValueError) as error:
            if len(requests) > 1:
                # One that cannot be said in JSON shall cost only itself.
                return [response for request in requests for response in await self._send([request])]
            return [Response(error=self.client.mask(f"the prompt cannot be sent: {error}"))]

        reading: Exchange | None = exchange

        def read(answer: Answer) -> tuple[Sequence[Response], Sequence[float]]:
            nonlocal reading
            # Each try begins empty: an exchange remembers what it has seen.
            fresh, reading = reading or self.wire.open(requests), None
            responses = fresh.decode_answer(answer.body, answer.headers)
            return responses, answer.when(fresh.ends)

        delivery = await self.client.deliver(body, read=read, headers=exchange.headers or None)
        responses, chunks = delivery.value or ((), ())
        timing = Timing(due=sent, sent=delivery.begun, chunks=chunks, done=delivery.done)
        if delivery.value is None:
            return [Response(error=delivery.failure, timing=timing)] * len(requests)
        return [self._finish(response, timing) for response in responses]

    def _join(self, request: Request, responses: Sequence[Response]) -> Response:
        """The answer to a request that went in several calls."""
        failed = next((response for response in responses if response.error is not None), None)
        if failed is not None:
            return failed
        timings = [response.timing for response in responses if response.timing is not None]
        sent, done = min(timing.sent for timing in timings), max(timing.done for timing in timings)
        timing = Timing(due=min(timing.due for timing in timings), sent=sent, done=done)
        try:
            return replace(self.wire.join(request, responses), timing=timing)
        except SteelyardError as error:
            return Response(error=self.client.mask(str(error)), timing=timing)

    def _finish(self, response: Response, timing: Timing) -> Response:
        error = None if response.error is None else self.client.mask(response.error)
        return Response(response.text, response.scores, response.tokens, timing, error, response.raw)


_Call = tuple[Request, "asyncio.Future[Response]"]


class _Box:
    """What waits on one loop to be sent together, and what is under way."""

    def __init__(self) -> None:
        self.calls: list[_Call] = []
        self.tasks: set[asyncio.Task[None]] = set()
