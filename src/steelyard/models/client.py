"""One service over HTTP: connections, credentials, time-outs, tries and limits.

    client = Client("https://api.example/v1/predict", api_key="env:KEY")
    delivery = await client.deliver(b"[]", read=lambda answer: answer.body)
    delivery.value, delivery.failure, delivery.tries

Connection errors, time-outs and the statuses 429 and 5xx are tried again, after a growing wait or
as long as Retry-After says; anything else is a failure at once. The key stands in no error and no
repr.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from steelyard.errors import DataError, ModelError, UsageError, describe
from steelyard.models.batches import clock
from steelyard.models.credentials import Auth, Credentials
from steelyard.wire.base import CutShort
from steelyard.wire.connection import Answer
from steelyard.wire.events import read_events
from steelyard.wire.origin import Origin

T = TypeVar("T")

_SHOWN = 500
_LONGEST_WAIT = 600.0


@dataclass(slots=True)
class Delivery(Generic[T]):
    """What came of one question: a value or a failure, when its last try began and ended, how many tries."""

    value: T | None
    failure: str
    begun: float
    done: float
    tries: int
    answer: Answer | None = None


class Client:
    """One service, asked over HTTP."""

    def __init__(
        self,
        url: str,
        *,
        own_headers: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        api_key: str | None = None,
        auth: Auth = "bearer",
        timeout: float = 600.0,
        retries: int = 2,
        backoff: float = 0.5,
        retry_statuses: Collection[int] | None = None,
        rate_limit: float | None = None,
        verify: bool | str = True,
        concurrency: int = 32,
        read_failure: Callable[[bytes], str] | None = None,
    ) -> None:
        """Describe the service; nothing is sent yet. `retries` counts what comes after the first try."""
        for option, value, least in (
            ("timeout", timeout, 1e-3),
            ("retries", retries, 0),
            ("backoff", backoff, 0),
        ):
            if value < least:
                raise UsageError(f"{option} is {value}", hint=f"it must be at least {least}")
        if concurrency < 1 or (rate_limit is not None and rate_limit <= 0):
            raise UsageError("concurrency and rate_limit must be above 0")
        self.timeout, self.retries, self.backoff = timeout, retries, backoff
        self.retry_statuses = None if retry_statuses is None else frozenset(retry_statuses)
        self.rate_limit, self.concurrency = rate_limit, concurrency
        self.credentials = Credentials(
            url,
            api_key=api_key,
            auth=auth,
            own={"Accept-Encoding": "gzip, deflate", **(own_headers or {})},
            headers=headers or {},
        )
        self.url = self.credentials.shown_url
        self.where = self.url.split("://", 1)[-1]
        self._read_failure = read_failure or (lambda body: body.decode("utf-8", "replace"))
        self._origin = Origin(url, verify=verify)
        self._free_at = 0.0

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def mask(self, text: str) -> str:
        """A text without the secrets."""
        return self.credentials.mask(text)

    async def deliver(
        self,
        body: bytes,
        *,
        read: Callable[[Answer], T | Awaitable[T]],
        url: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Delivery[T]:
        """Post a body, and hand a good answer to `read`; what passes is tried again.

        `read` says what is wanted of an answer; CutShort from it counts as a broken connection, any
        other DataError as a failure. `url` is another address at the same service.
        """
        target = self._locate(url)
        sent = self.credentials.headers if headers is None else {**self.credentials.headers, **headers}
        failure, begun = "", clock()
        for attempt in range(self.retries + 1):
            wait = self.backoff * 2.0**attempt * random.uniform(0.75, 1.25)
            await self._wait_for_turn()
            begun = clock()
            try:
                sending = self._origin.send("POST", target, headers=sent, body=body)
                answer = await asyncio.wait_for(sending, self.timeout)
                if 200 <= answer.status < 300:
                    found = read(answer)
                    value = await found if inspect.isawaitable(found) else found
                    return Delivery(value, "", begun, clock(), attempt + 1, answer)
            except CutShort as error:
                failure = self.mask(str(error))
            except DataError as error:
                return Delivery(None, self.mask(str(error)), begun, clock(), attempt + 1, answer)
            except (asyncio.TimeoutError, OSError) as error:
                failure = self._describe(error)
                if isinstance(error, ssl.SSLCertVerificationError):
                    break
            else:
                failure = self._explain(answer)
                if not self._is_passing(answer.status):
                    break
                wait = max(wait, asked) if (asked := _retry_after(answer)) else wait
                if wait > _LONGEST_WAIT:
                    failure += f" (it asks to wait {wait:.0f} s)"
                    break
            if attempt < self.retries:
                await asyncio.sleep(wait)
        failure = failure if attempt == 0 else f"{failure} (after {attempt + 1} tries)"
        return Delivery(None, failure, begun, clock(), attempt + 1)

    async def fetch(self, path: str) -> Answer:
        """What the same service answers to a GET of another path."""
        try:
            asking = self._origin.send("GET", path, headers=self.credentials.headers)
            answer = await asyncio.wait_for(asking, self.timeout)
        except (asyncio.TimeoutError, OSError) as error:
            raise ModelError(self._describe(error)) from error
        if answer.status != 200:
            raise ModelError(self._explain(answer))
        return answer

    async def watch(
        self, body: bytes, *, url: str | None = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[bytes]:
        """The data of each event of an answer as it comes; a ModelError where the service fails."""
        delivery = await self.deliver(body, read=lambda answer: answer, url=url, headers=headers)
        if delivery.value is None:
            raise ModelError(delivery.failure)
        for data, _ in read_events(delivery.value.body):
            yield data

    def close(self) -> None:
        """Close the connections kept open."""
        self._origin.close()

    def _locate(self, url: str | None) -> str:
        if url is None:
            return self.credentials.target
        parts = urlsplit(url)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def _is_passing(self, status: int) -> bool:
        if self.retry_statuses is not None:
            return status in self.retry_statuses
        return status == 429 or status >= 500

    def _explain(self, answer: Answer) -> str:
        if 300 <= answer.status < 400:
            moved = self.mask(answer.headers.get("location", "nowhere"))
            return f"HTTP {answer.status}: moved to {moved}: ask there"
        # Masked before it is cut, so that half a key does not stay.
        said = self.mask(" ".join(self._read_failure(answer.body).split()))
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
            return f"no answer from {self.where} within {self.timeout:g} s"
        if isinstance(error, ConnectionRefusedError):
            return f"nobody listens at {self.where}"
        return self.mask(f"{self.where}: {describe(error)}")


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
