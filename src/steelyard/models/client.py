"""One service over HTTP: connections, credentials, time-outs, tries and limits.

    client = Client("https://api.example/v1/predict", api_key="env:KEY")
    delivery = await client.deliver(b"[]", read=lambda answer: answer.body)
    delivery.value, delivery.failure, delivery.tries

Broken connections, time-outs and the statuses 429 and 5xx are tried again, after a growing wait or as
long as Retry-After says; anything else is a failure at once. The key stands in no error and no repr.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import aclosing
from copy import copy
from functools import partial
from typing import Any, TypeVar

from steelyard.errors import DataError, ModelError, describe
from steelyard.models.batches import clock
from steelyard.models.credentials import Auth, Credentials
from steelyard.models.delivery import CUT, Delivery
from steelyard.models.limits import Budget, Gate, Health, Pace, check_least
from steelyard.models.tries import Fault, Tries, find_fault, read_retry_after
from steelyard.pacing import wait_for_due
from steelyard.wire.addresses import read_address
from steelyard.wire.arrivals import begin_stamps
from steelyard.wire.connection import BrokenAnswer, ConnectionLost, SlowAnswer, TimeLimits
from steelyard.wire.events import EventReader
from steelyard.wire.origin import NoAddress, NoFile, NoPort, Origin, RefusedByProxy, Stream
from steelyard.wire.reading import Answer, Reading, Take

__all__ = ["Client", "Delivery"]

T = TypeVar("T")
A = TypeVar("A", Answer, Stream)

_SHOWN = 500
_MOST_HOPS = 5
_LONGEST_FETCH = 60.0
_PHASES = ("connect_", "first_byte_", "idle_", "")
_BUSY = (429, 529)
# What a service cannot do it cannot do the next time either, nor speak another HTTP, nor sign us in.
_LASTING = (501, 505, 506, 510, 511)
_LETTERS_A_TOKEN = 4.0
# Errors whose message says all.
_SPEAKING = (BrokenAnswer, ConnectionLost, SlowAnswer, NoAddress, NoFile, NoPort, RefusedByProxy)


class Client:
    """One service, asked over HTTP."""

    _once = False

    def __init__(
        self,
        url: str,
        *,
        own_headers: Mapping[str, str] | None = None,
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
        read_failure: Callable[[bytes], str] | None = None,
    ) -> None:
        """Describe the service; nothing is sent yet. `retries` counts what comes after the first try.

        `patience` is how many seconds a service may answer nobody because it has too much to do, or is
        away; at 0 both count as tries. `retry_budget` is how many tries after the first there may be in
        all, as a share of the questions.
        """
        self.limits = TimeLimits(connect_timeout, first_byte_timeout, idle_timeout, timeout)
        check_least(1e-3, **{f"{name}timeout": limit for name, limit in zip(_PHASES, self.limits)})
        check_least(0, retries=retries, backoff=backoff, retry_budget=retry_budget, patience=patience)
        check_least(1e-6, rate_limit=rate_limit, tokens_per_minute=tokens_per_minute)
        check_least(1, connections=connections, concurrency=concurrency)
        self.timeout, self.retries, self.backoff, self.concurrency = timeout, retries, backoff, concurrency
        self.retry_statuses = None if retry_statuses is None else frozenset(retry_statuses)
        self._connect = partial(
            Origin, verify=verify, cert=cert, proxy=proxy, source_addresses=source_addresses
        )
        self._origin = self._connect(url)
        self._others: dict[tuple[Any, ...], Origin] = {}
        own = {"Accept-Encoding": "gzip, deflate", **(own_headers or {})}
        secrets = self._origin.proxy.secrets if self._origin.proxy else ()
        self.credentials = Credentials(
            url, api_key=api_key, auth=auth, own=own, headers=headers or {}, secrets=secrets
        )
        self.url = self.credentials.shown_url
        self.where = self.url.split("://", 1)[-1]
        self._read_failure = read_failure or (lambda body: body.decode("utf-8", "replace"))
        self._pace = None if rate_limit is None else Pace(rate_limit)
        self._tokens = None if tokens_per_minute is None else Pace(tokens_per_minute / 60, burst=10.0)
        self._tokens_a_byte = 1 / _LETTERS_A_TOKEN
        self._health = Health(patience, stalled=max(20, 3 * concurrency))
        self._budget = Budget(retry_budget, least=max(10, 2 * concurrency))
        self._connections = float("inf") if connections is None else float(connections)
        self._gates: list[Gate] = []

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def mask(self, text: str) -> str:
        """A text without the secrets."""
        return self.credentials.mask(text)

    def deliver(
        self,
        body: bytes,
        *,
        read: Callable[[Answer], T | Awaitable[T]],
        url: str | None = None,
        headers: Mapping[str, str] | None = None,
        give: Take | None = None,
    ) -> Coroutine[Any, Any, Delivery[T]]:
        """Post a body, and hand a good answer to `read`; what passes is tried again.

        Under load its body may be given away as it comes.

        `read` says what is wanted of an answer; CutShort from it counts as a broken connection, any
        other DataError as a failure. `url` is another address to ask at.
        """
        if self._once:
            return self._ask_once(body, read, url, headers, give)
        return self._insist(Origin.send, body, read, url, headers)

    def under_load(self, url: str | None = None) -> Client:
        """The same service over the same connections, asked each question once and at once.

        `url` is another address of it, where it is to be asked instead.
        """
        begin_stamps()
        other = copy(self)
        other._once = True
        if url is not None:
            other.credentials = self.credentials.aiming_at(url)
        return other

    async def warm(self, connections: int) -> None:
        """Open so many connections ahead; a ModelError where the service does not take them."""
        try:
            await self._origin.warm(connections, self.limits)
        except OSError as error:
            raise ModelError(self._describe(error)) from error

    async def open(
        self, body: bytes, *, url: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Stream:
        """Post a body, and read a good answer as it comes; a ModelError where there is none."""
        delivery = await self._insist(Origin.open, body, _as_it_is, url, headers)
        if delivery.value is None:
            raise ModelError(delivery.failure)
        return delivery.value

    async def read(self, stream: Stream) -> AsyncGenerator[bytes, None]:
        """The blocks of an answer as they come; a ModelError where it breaks off."""
        try:
            async for block in stream:
                yield block
        except OSError as error:
            raise ModelError(self._describe(error)) from error
        finally:
            stream.close()

    async def watch(
        self, body: bytes, *, url: str | None = None, headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The data of each event of an answer as it comes; a ModelError where the service fails."""
        events, stream = EventReader(), await self.open(body, url=url, headers=headers)
        async with aclosing(self.read(stream)) as blocks:
            async for block in blocks:
                for data in events.feed(block):
                    yield data

    async def fetch(self, path: str) -> Answer:
        """What the same service answers to a GET of another path."""
        origin, target = self._find_origin(path)
        # Nothing is computed for it: a service that says nothing for so long says nothing.
        limits = self.limits._replace(total=min(_LONGEST_FETCH, self.limits.total or _LONGEST_FETCH))
        try:
            answer = await origin.send("GET", target, headers=self.credentials.headers, limits=limits)
        except OSError as error:
            raise ModelError(self._describe(error)) from error
        if answer.status != 200:
            raise ModelError(self._explain(answer))
        return answer

    @property
    def counts_tokens(self) -> bool:
        """Whether it matters how many tokens a question took."""
        return self._tokens is not None

    def settle(self, size: int, tokens: int) -> None:
        """A question of this size in bytes took so many tokens, its answer's among them."""
        if self._tokens is not None and size:
            self._tokens.add(tokens - size * self._tokens_a_byte)
            # Learned slowly, for one odd question says little of the others.
            self._tokens_a_byte += (tokens / size - self._tokens_a_byte) / 8

    def close(self) -> None:
        """Close the connections kept open."""
        for origin in (self._origin, *self._others.values()):
            origin.close()

    async def _ask_once(
        self,
        body: bytes,
        read: Callable[[Answer], T | Awaitable[T]],
        url: str | None,
        headers: Mapping[str, str] | None,
        give: Take | None,
    ) -> Delivery[T]:
        """Send once, whatever comes of it."""
        origin, target = (self._origin, self.credentials.target) if url is None else self._find_origin(url)
        sent = self.credentials.headers if headers is None else {**self.credentials.headers, **headers}
        reading, begun = Reading(), clock()

        async def post(target: str) -> Answer:
            nonlocal reading
            reading = Reading(give=give)
            wait_for_due()
            return await origin.send(
                "POST", target, headers=sent, body=body, limits=self.limits, reading=reading
            )

        try:
            answer = await post(target)
            if 300 <= answer.status < 400:
                answer = await self._follow(post, origin, target, answer)
            if 200 <= answer.status < 300:
                found: Any = read(answer)
                value: T = await found if hasattr(found, "__await__") else found
                return Delivery(value, "", begun, answer.done, 1, answer)
            failure = self._explain(answer)
        except (DataError, OSError) as error:
            answer, failure = reading.answer_so_far(), self._describe(error)
        except asyncio.CancelledError:
            if give is None:
                raise
            # Whoever takes answers as they come has use for what came of one that is not waited for.
            answer, failure = reading.answer_so_far(), CUT
        return Delivery(None, failure, begun, answer.done or clock(), 1, answer)

    async def _insist(
        self,
        send: Callable[..., Awaitable[A]],
        body: bytes,
        read: Callable[[A], T | Awaitable[T]],
        url: str | None,
        headers: Mapping[str, str] | None,
    ) -> Delivery[T]:
        """Send until an answer is good, or no try is left."""
        origin, target = (self._origin, self.credentials.target) if url is None else self._find_origin(url)
        sent = self.credentials.headers if headers is None else {**self.credentials.headers, **headers}
        post = partial(send, origin, "POST", headers=sent, body=body, limits=self.limits)
        tries: Tries | None = None
        self._budget.asked += 1
        while True:
            gate = self._gate()
            if self._is_free and gate.is_open:
                gate.under_way += 1
            elif not await self._enter(gate, len(body), again=tries is not None):
                begun = clock()
                failure = f"not asked any more: {self._health.given_up}"
                return Delivery(None, failure, begun, begun, tries.made if tries else 0)
            begun = clock()
            if tries is None:
                tries = Tries(self.retries, self.backoff, self._health, self._budget)
            tries.made += 1
            try:
                try:
                    answer = await post(target)
                    if 300 <= answer.status < 400:
                        answer = await self._follow(post, origin, target, answer)
                finally:
                    gate.leave()
                if 200 <= answer.status < 300:
                    self._health.well()
                    gate.answered()
                    found: Any = read(answer)
                    value: T = await found if hasattr(found, "__await__") else found
                    whole = answer if isinstance(answer, Answer) else None
                    return Delivery(value, "", begun, answer.done, tries.made, whole)
                refusal = await answer.read() if isinstance(answer, Stream) else answer
                fault, failure = self._judge(refusal), self._explain(refusal)
                asked = read_retry_after(refusal)
            except (DataError, OSError) as error:
                fault, failure, asked = find_fault(error), self._describe(error), None
            if fault is Fault.BUSY:
                gate.refused(begun, asked or 0.0)
            wait = tries.wait(fault, failure, asked)
            if wait is None:
                return Delivery(None, tries.failure, begun, clock(), tries.made)
            await asyncio.sleep(wait)

    @property
    def _is_free(self) -> bool:
        return self._pace is None and self._tokens is None and not self._health.given_up

    async def _enter(self, gate: Gate, size: int, *, again: bool) -> bool:
        """Wait for the turn of a question of this size in bytes; not where the service was given up."""
        health = self._health
        probing = bool(health.given_up)
        if probing and not health.may_try():
            return False
        if self._pace is not None:
            await self._pace.wait()
        if self._tokens is not None:
            await self._tokens.wait(size * self._tokens_a_byte)
        await gate.enter(first=again)
        if health.given_up and not probing:
            gate.leave()
            return False
        return True

    def _gate(self) -> Gate:
        loop = asyncio.get_running_loop()
        for gate in self._gates:
            if gate.loop is loop:
                return gate
        known = self._gates[-1] if self._gates else None
        self._gates = [gate for gate in self._gates if not gate.loop.is_closed()]
        self._gates.append(Gate(loop, self._connections, like=known))
        return self._gates[-1]

    async def _follow(self, post: Callable[[str], Awaitable[A]], origin: Origin, target: str, answer: A) -> A:
        """Ask where an answer says, within the same service: no other gets the key, or the question."""
        for _ in range(_MOST_HOPS):
            there = origin.find_moved(target, answer.status, answer.headers.get("location", ""))
            if there is None:
                break
            if isinstance(answer, Stream):
                answer.close()
            target, answer = there, await post(there)
        return answer

    def _find_origin(self, url: str) -> tuple[Origin, str]:
        """The service at an address, or at a path of this one."""
        if url.startswith("/"):
            return self._origin, url
        address = read_address(url)
        if address[:4] == self._origin.address[:4]:
            return self._origin, address.target
        if address[:4] not in self._others:
            self._others[address[:4]] = self._connect(url)
        return self._others[address[:4]], address.target

    def _judge(self, answer: Answer) -> Fault:
        status = answer.status
        if status < 500 and status != 429:
            self._health.well()
        if self.retry_statuses is not None and status not in self.retry_statuses:
            return Fault.FINAL
        if self._health.patience and (status in _BUSY or (status == 503 and "retry-after" in answer.headers)):
            return Fault.BUSY
        named = self.retry_statuses is not None
        passing = named or status == 429 or (status >= 500 and status not in _LASTING)
        return Fault.PASSING if passing else Fault.FINAL

    def _explain(self, answer: Answer) -> str:
        if 300 <= answer.status < 400:
            moved = self.mask(answer.headers.get("location", "nowhere"))
            return f"HTTP {answer.status}: moved to {moved}: ask there"
        if answer.status == 407 and self._origin.proxy is not None:
            return f"HTTP 407: the proxy {self._origin.proxy.shown} does not let us through"
        # Masked before it is cut, so that half a key does not stay.
        said = self.mask(" ".join(self._read_failure(answer.body).split()))
        return f"HTTP {answer.status}: {said[:_SHOWN]}" if said else f"HTTP {answer.status}"

    def _describe(self, error: Exception) -> str:
        if isinstance(error, (ConnectionRefusedError, FileNotFoundError)):
            return f"nobody listens at {self.where}"
        if isinstance(error, DataError):
            return self.mask(str(error))
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"{self.where}: its certificate is not trusted: {error.verify_message}"
        said = str(error) if isinstance(error, _SPEAKING) else describe(error)
        return self.mask(f"{self.where}: {said}")


def _as_it_is(stream: Stream) -> Stream:
    return stream
