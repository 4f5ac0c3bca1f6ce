"""A model behind HTTP: one client for every wire.

    HttpModel("https://api.example/v1/predict", api_key=key, batch_size=8)

Connection errors, time-outs and the statuses 429 and 5xx are tried again, after a growing wait or
as long as Retry-After says; anything else is a failed answer at once. The key stands in no error,
no repr and no identity.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Collection, Mapping, Sequence
from email.utils import parsedate_to_datetime
from time import time
from typing import Any
from weakref import WeakKeyDictionary

from steelyard.errors import DataError, ModelError, SteelyardError, UsageError, describe
from steelyard.models.base import Model, clock
from steelyard.models.credentials import Auth, Credentials
from steelyard.plugins import resolve
from steelyard.types import Request, Response, Timing
from steelyard.wire.base import Wire
from steelyard.wire.connection import Answer, Origin

_SHOWN = 500
_LONGEST_WAIT = 600.0


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
        for option, value, least in (
            ("timeout", timeout, 1e-3),
            ("retries", retries, 0),
            ("backoff", backoff, 0),
        ):
            if value < least:
                raise UsageError(f"{option} is {value}", hint=f"it must be at least {least}")
        if batch_size < 1 or concurrency < 1 or (rate_limit is not None and rate_limit <= 0):
            raise UsageError("batch_size, concurrency and rate_limit must be above 0")
        self.wire: Wire = resolve("wires", wire)() if isinstance(wire, str) else wire
        self.chat = self.wire.chat
        self.batch_size = batch_size if self.wire.together else 1
        self.timeout, self.retries, self.backoff = timeout, retries, backoff
        self.retry_statuses = None if retry_statuses is None else frozenset(retry_statuses)
        self.rate_limit = rate_limit
        self.concurrency = concurrency * self.batch_size
        url = self.wire.locate(url)
        self._credentials = Credentials(
            url,
            api_key=api_key,
            auth=auth,
            own={**self.wire.headers, "Accept-Encoding": "gzip, deflate"},
            headers=headers or {},
        )
        self.url = self._credentials.shown_url
        self._where = self.url.split("://", 1)[-1]
        self._name = name
        self._origin = Origin(url, verify=verify)
        self._free_at = 0.0
        self._boxes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Box] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"HttpModel({self.url!r}, wire={type(self.wire).__name__})"

    @property
    def name(self) -> str:
        """The name it was given, else where it is."""
        return self._name or self._where

    def identity(self) -> Mapping[str, Any]:
        """The address, the wire, and what the headers say that is no secret."""
        return {
            "class": f"{type(self).__module__}.{type(self).__qualname__}",
            "url": self.url,
            **self.wire.identity(),
            "headers": self._credentials.shown_headers,
        }

    async def ask(self, request: Request) -> Response:
        """Ask alone, or together with the others that wait at the same time."""
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

    async def fetch(self, path: str) -> Answer:
        """What the same service answers to a GET of another path."""
        try:
            asking = self._origin.send("GET", path, headers=self._credentials.headers)
            answer = await asyncio.wait_for(asking, self.timeout)
        except (asyncio.TimeoutError, OSError) as error:
            raise ModelError(self._describe(error)) from error
        if answer.status != 200:
            raise ModelError(self._read_failure(answer))
        return answer

    def close(self) -> None:
        """Close the connections kept open."""
        self._origin.close()

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
            responses = [Response(error=self._credentials.mask(describe(error)))] * len(calls)
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
            return [Response(error=self._credentials.mask(f"the prompt cannot be sent: {error}"))]
        answer, begun = await self._deliver(body)
        failure = answer if isinstance(answer, str) else ""
        responses: Sequence[Response] = ()
        chunks: Sequence[float] = ()
        if isinstance(answer, Answer):
            try:
                responses = exchange.decode_answer(answer.body, answer.headers)
                chunks = answer.when(exchange.ends)
            except DataError as error:
                failure = self._credentials.mask(str(error))
        timing = Timing(due=sent, sent=begun, chunks=chunks, done=clock())
        if failure:
            return [Response(error=failure, timing=timing)] * len(requests)
        return [_finish(response, timing, self._credentials) for response in responses]

    async def _deliver(self, body: bytes) -> tuple[Answer | str, float]:
        """A good answer, or what went wrong in the last of the tries; and when that one began."""
        failure = ""
        for attempt in range(self.retries + 1):
            wait = self.backoff * 2.0**attempt * random.uniform(0.75, 1.25)
            await self._wait_for_turn()
            begun = clock()
            try:
                sending = self._origin.post(
                    self._credentials.target, headers=self._credentials.headers, body=body
                )
                answer = await asyncio.wait_for(sending, self.timeout)
            except (asyncio.TimeoutError, OSError) as error:
                failure = self._describe(error)
                if isinstance(error, ssl.SSLCertVerificationError):
                    break
            else:
                if 200 <= answer.status < 300:
                    return answer, begun
                failure = self._read_failure(answer)
                if not self._is_passing(answer.status):
                    break
                wait = max(wait, asked) if (asked := _retry_after(answer)) else wait
                if wait > _LONGEST_WAIT:
                    failure += f" (it asks to wait {wait:.0f} s)"
                    break
            if attempt < self.retries:
                await asyncio.sleep(wait)
        return (failure if attempt == 0 else f"{failure} (after {attempt + 1} tries)"), begun

    def _is_passing(self, status: int) -> bool:
        if self.retry_statuses is not None:
            return status in self.retry_statuses
        return status == 429 or status >= 500

    def _read_failure(self, answer: Answer) -> str:
        if 300 <= answer.status < 400:
            moved = self._credentials.mask(answer.headers.get("location", "nowhere"))
            return f"HTTP {answer.status}: moved to {moved}: ask there"
        # Masked before it is cut, so that half a key does not stay.
        said = self._credentials.mask(" ".join(self.wire.read_failure(answer.body).split()))
        return f"HTTP {answer.status}: {said[:_SHOWN]}" if said else f"HTTP {answer.status}"

    async def _wait_for_turn(self) -> None:
        if self.rate_limit is None:
            return
        now = clock()
        turn = max(now, self._free_at)
        self._free_at = turn + 1 / self.rate_limit
        if turn > now:
            await asyncio.sleep(turn - now)

    def _describe(self, error: BaseException) -> str:
        if isinstance(error, asyncio.TimeoutError):
            return f"no answer from {self._where} within {self.timeout:g} s"
        if isinstance(error, ConnectionRefusedError):
            return f"nobody listens at {self._where}"
        return self._credentials.mask(f"{self._where}: {describe(error)}")


_Call = tuple[Request, "asyncio.Future[Response]"]


class _Box:
    """What waits on one loop to be sent together, and what is under way."""

    def __init__(self) -> None:
        self.calls: list[_Call] = []
        self.tasks: set[asyncio.Task[None]] = set()


def _finish(response: Response, timing: Timing, credentials: Credentials) -> Response:
    error = None if response.error is None else credentials.mask(response.error)
    return Response(response.text, response.scores, response.tokens, timing, error, response.raw)


def _retry_after(answer: Answer) -> float | None:
    """How many seconds a service asks to be left alone: a number, or a date."""
    said = answer.headers.get("retry-after", "").strip()
    if not said:
        return None
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time())
    except (TypeError, ValueError):
        return None
