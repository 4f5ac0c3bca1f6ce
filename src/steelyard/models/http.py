"""A model behind HTTP: one client for every wire.

HttpModel("https://api.example/v1/predict", api_key=key, batch_size=8)
HttpModel("http://host:8000/v1", wire=OpenAI(model="m"), timeout=60)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from copy import copy
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from steelyard.errors import DataError, ModelError, SteelyardError, describe
from steelyard.models.base import Model, clock
from steelyard.models.client import Client
from steelyard.models.credentials import Auth
from steelyard.models.delivery import CUT
from steelyard.models.endpoints import explain
from steelyard.models.limits import check_least
from steelyard.plugins import resolve
from steelyard.types import Chunk, Request, Response, Timing, Tokens
from steelyard.wire.base import Exchange, Wire
from steelyard.wire.events import EventReader, are_events
from steelyard.wire.harvest import Harvest
from steelyard.wire.origin import Stream
from steelyard.wire.reading import Answer


class HttpModel(Model):
    """A service that answers requests over HTTP."""

    elsewhere = True
    wire: Wire
    _loading, _keeps = False, True

    def __init__(
        self,
        url: str,
        *,
        wire: str | Wire = "plain",
        batch_size: int = 1,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
        api_key: str | None = None,
        auth: Auth = "bearer",
        timeout: float | None = 600.0,
        connect_timeout: float | None = 30.0,
        first_byte_timeout: float | None = None,
        idle_timeout: float | None = None,
        retries: int = 2,
        backoff: float = 0.5,
        retry_statuses: Collection[int] | None = None,
        retry_budget: float | None = 0.5,
        patience: float = 300.0,
        rate_limit: float | None = None,
        tokens_per_minute: float | None = None,
        connections: int | None = None,
        concurrency: int = 32,
        verify: bool | str = True,
        cert: str | Sequence[str] | None = None,
        proxy: str | bool | None = None,
        source_addresses: Sequence[str] | str = (),
    ) -> None:
        """Describe the service; nothing is sent yet. How it is asked, a Client explains."""
        check_least(1, batch_size=batch_size)
        self._address, self.wire = url, resolve("wires", wire)() if isinstance(wire, str) else wire
        self.chat, self.batch_size = self.wire.chat, batch_size if self.wire.together else 1
        self.likelihoods = self.wire.likelihoods if self.wire.likelihood is None else (self.wire.likelihood,)
        self.client = Client(
            self.wire.locate(url),
            own_headers=self.wire.headers,
            read_failure=self.wire.read_failure,
            headers=headers,
            api_key=api_key,
            auth=auth,
            timeout=timeout,
            connect_timeout=connect_timeout,
            first_byte_timeout=first_byte_timeout,
            idle_timeout=idle_timeout,
            retries=retries,
            backoff=backoff,
            retry_statuses=retry_statuses,
            retry_budget=retry_budget,
            patience=patience,
            rate_limit=rate_limit,
            tokens_per_minute=tokens_per_minute,
            connections=connections,
            concurrency=concurrency,
            verify=verify,
            cert=cert,
            proxy=proxy,
            source_addresses=source_addresses,
        )
        self.concurrency, self.embeds, self._name = concurrency * self.batch_size, self.wire.embeds, name
        self._boxes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Box] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"HttpModel({self.client.url!r}, wire={type(self.wire).__name__})"

    @property
    def url(self) -> str:
        """Where it is, without secrets."""
        return self.client.url

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

    def under_load(self, *, keep: bool = True) -> HttpModel:
        """The same service over the same connections: nothing is tried again, held back or given up."""
        other = copy(self)
        other.wire = self.wire.streamed() or self.wire
        # Some protocols stream at another path.
        other.client = self.client.under_load(other.wire.locate(self._address))
        other.batch_size, other._boxes = 1, WeakKeyDictionary()
        other._loading, other._keeps, other.punctual = True, keep, True
        return other

    async def warm(self, connections: int) -> None:
        """Open so many connections ahead."""
        await self.client.warm(connections)

    async def doubt(self, error: str) -> SteelyardError | None:
        """Whether the address, the protocol, the model's name or the key is wrong."""
        return await explain(self.client, self.wire, error)

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

    async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """The pieces of an answer as they come, where the protocol has any; else the answer as one."""
        wire = self.wire.streamed()
        if wire is None or request.choices is not None:
            yield _as_chunk(_good(await self.ask(request)))
            return
        exchange = wire.open([request])
        try:
            encode = exchange.encode_request
            body = await asyncio.to_thread(encode) if exchange.slow else encode()
            # Some protocols stream at another path.
            where = wire.locate(self._address)
            stream = await self.client.open(body, url=where, headers=exchange.headers)
            async for chunk in self._read(exchange, stream):
                yield chunk
        except (DataError, OSError, TypeError, ValueError) as error:
            raise ModelError(self.client.mask(str(error))) from error

    async def _read(self, exchange: Exchange, stream: Stream) -> AsyncGenerator[Chunk, None]:
        """The pieces in an answer that is read as it comes."""
        events, whole, said = EventReader(), bytearray(), ""
        are = stream.headers.get("content-type", "").startswith("text/event-stream")
        async with aclosing(self.client.read(stream)) as blocks:
            async for block in blocks:
                if not are:
                    # Some services say nothing of events, or answer whole all the same.
                    whole += block
                    if not (are := are_events(whole)):
                        continue
                    block = bytes(whole)  # noqa: PLW2901 - what was kept back so far
                for data in events.feed(block):
                    if (chunk := exchange.decode_event(data)) is not None:
                        said += chunk.text
                        yield chunk
        responses = exchange.decode_end() if are else exchange.decode_whole(bytes(whole), stream.headers)
        response = _good(self._finish(responses[0], None))
        yield _as_chunk(replace(response, text=response.text.removeprefix(said)))

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

        if self._loading:
            return [await self._load(exchange, body, sent)]
        delivery = await self.client.deliver(body, read=read, headers=exchange.headers or None)
        responses, chunks = delivery.value or ((), ())
        timing = delivery.timing(sent, chunks)
        if delivery.value is None:
            return [Response(error=delivery.failure, timing=timing)] * len(requests)
        if self.client.counts_tokens:
            tokens = [sum(filter(None, response.tokens)) for response in responses if response.tokens]
            if tokens:
                self.client.settle(len(body), sum(tokens))
        return [self._finish(response, timing) for response in responses]

    async def _load(self, exchange: Exchange, body: bytes, due: float) -> Response:
        """Ask once, and take the answer in while it comes."""
        harvest = Harvest(exchange)
        exchange.keeps = self._keeps

        def read(answer: Answer) -> Sequence[Response]:
            return harvest.end(answer.headers)

        headers = exchange.headers or None
        delivery = await self.client.deliver(body, read=read, headers=headers, give=harvest.take)
        timing = delivery.timing(due, harvest.times)
        if delivery.value is None:
            raw = {"cut": True} if delivery.failure is CUT else None
            return Response(error=delivery.failure, timing=timing, raw=raw)
        response = self._finish(delivery.value[0], timing)
        return response if self._keeps else replace(response, text="")

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

    def _finish(self, response: Response, timing: Timing | None) -> Response:
        error = None if response.error is None else self.client.mask(response.error)
        return Response(response.text, response.scores, response.tokens, timing, error, response.raw)


def _good(response: Response) -> Response:
    if response.error is not None:
        raise ModelError(response.error)
    return response


def _as_chunk(response: Response) -> Chunk:
    tokens = response.tokens or Tokens()
    return Chunk(response.text, response.scores, tokens.input, tokens.output, response.raw)


_Call = tuple[Request, "asyncio.Future[Response]"]


class _Box:
    """What waits on one loop to be sent together, and what is under way."""

    def __init__(self) -> None:
        self.calls: list[_Call] = []
        self.tasks: set[asyncio.Task[None]] = set()
