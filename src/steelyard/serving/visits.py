"""One call as it comes in over ASGI: what it says, and the bytes that answer it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, NamedTuple

from steelyard.models.base import clock

Event = MutableMapping[str, Any]
Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]


class Limits(NamedTuple):
    """The most bytes of a body, the seconds until its next part is there, and those of a whole answer."""

    body: int
    patience: float
    timeout: float


class Refusal(Exception):
    """A call that is not answered as it was meant: the status and the reason."""

    def __init__(self, status: int, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or {}


class Gone(Exception):
    """Whoever called has hung up."""


class Visit:
    """A call, and what was answered so far: `status` is 0 until something was."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self.begun = clock()
        self.status = 0
        self.route = self.wire = self.model = ""
        self._receive, self._send = receive, send

    async def read(self, limits: Limits) -> bytes:
        """The whole body; a Refusal where it is too large, stays away, or takes longer than an answer."""
        most, patience, timeout = limits
        told = self.headers.get("content-length", "")
        if told.isdigit() and int(told) > most:
            raise _too_large(most)
        if self.headers.get("content-encoding", "identity") != "identity":
            raise Refusal(415, "the body is compressed: send it as it is")
        parts: list[bytes] = []
        size, end = 0, clock() + timeout
        while True:
            if clock() > end:
                raise _too_late(f"the body was not whole within {timeout:g} s")
            event = await self._receive_within(patience)
            if event["type"] == "http.disconnect":
                raise Gone
            parts.append(event.get("body", b""))
            size += len(parts[-1])
            if size > most:
                raise _too_large(most)
            if not event.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _receive_within(self, patience: float) -> Event:
        # By hand: wait_for would make a task of every part.
        task, late = asyncio.current_task(), False

        def give_up() -> None:
            nonlocal late
            late = True
            if task is not None:
                task.cancel()

        timer = asyncio.get_running_loop().call_later(patience, give_up)
        try:
            return await self._receive()
        except asyncio.CancelledError:
            if not late:
                raise
            raise _too_late(f"nothing of the body came for {patience:g} s") from None
        finally:
            timer.cancel()

    async def hang_up(self) -> None:
        """Wait until whoever called has hung up."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def reply(
        self, status: int, body: bytes, *, kind: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer whole; of what kind the body is can be seen by how it begins."""
        kind = kind or ("application/json" if body[:1] in (b"{", b"[") else "text/plain; charset=utf-8")
        told = {"Content-Type": kind, **(headers or {}), "Content-Length": str(len(body))}
        await self.begin(status, told)
        await self._send({"type": "http.response.body", "body": b"" if self.method == "HEAD" else body})

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Begin an answer."""
        self.status = status
        # The last of two headers of one name counts, however they are written.
        lines = {name.lower().encode("latin-1"): value.encode("latin-1") for name, value in headers.items()}
        await self._send({"type": "http.response.start", "status": status, "headers": list(lines.items())})

    async def write(self, piece: bytes) -> None:
        """Send a piece of the answer."""
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def end(self, piece: bytes = b"") -> None:
        """Send the last piece of the answer."""
        await self._send({"type": "http.response.body", "body": piece})


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"the body is larger than {most} bytes")


def _too_late(why: str) -> Refusal:
    return Refusal(408, why, headers={"Connection": "close"})


def plain_path(path: str) -> str:
    """A path without a slash at its end."""
    return path.rstrip("/") or "/"
