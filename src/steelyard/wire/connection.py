"""HTTP/1.1 over sockets that outlive the event loop they were opened in.

    origin = Origin("https://api.example/v1")
    answer = await origin.post("/v1/predict", headers={...}, body=b"[]")
    answer.status, answer.headers["content-type"], answer.body

Connections are kept open and used again, also by a later loop: whoever asks from plain code has
a new loop with every call, and would connect anew each time.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
import weakref
import zlib
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from steelyard.errors import UsageError

_BLOCK = 1 << 16
_MOST_HEAD = 1 << 18


class BrokenAnswer(ConnectionError):
    """The bytes that came are not a whole HTTP answer."""


class ConnectionLost(ConnectionError):
    """The connection ended before the first byte of an answer."""


class Answer(NamedTuple):
    """What a service answered; the names of the headers are in lower case.

    `stamps` says of a body that came in pieces when each was in, and where it ended.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    stamps: Sequence[tuple[float, int]] = ()

    def when(self, ends: Sequence[int]) -> list[float]:
        """When what ends at these places of the body was in; nothing where nobody knows."""
        places = [place for _, place in self.stamps]
        if not places:
            return []
        return [self.stamps[min(bisect_left(places, end), len(places) - 1)][0] for end in ends]


class Origin:
    """One service's address, and the connections kept open to it."""

    def __init__(self, url: str, *, verify: bool | str = True) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError as error:
            raise UsageError(f"the port of {parts.hostname} is not a number below 65536") from error
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageError(
                f"{url!r} is not an address of a service", hint="like https://host:8000/v1/predict"
            )
        self.host = parts.hostname
        self.port = port or (443 if parts.scheme == "https" else 80)
        self.tls = _tls(verify) if parts.scheme == "https" else None
        shown = f"[{self.host}]" if ":" in self.host else self.host
        self.authority = shown if port is None else f"{shown}:{port}"
        self._idle: list[_Connection] = []
        # Not by __del__: in a cycle the sockets might be collected first, and complain.
        weakref.finalize(self, _close_all, self._idle)

    async def post(self, target: str, *, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one POST and read its whole answer."""
        return await self.send("POST", target, headers=headers, body=body)

    async def send(
        self, method: str, target: str, *, headers: Mapping[str, str], body: bytes = b""
    ) -> Answer:
        """Send one request and read its whole answer."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.authority}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        message = "\r\n".join([*lines, "\r\n"]).encode("latin-1") + body
        while (connection := self._take_idle()) is not None:
            try:
                return await self._exchange(connection, message)
            except ConnectionLost:
                # The service had closed it just then, and has not seen the request.
                continue
        return await self._exchange(await self._connect(), message)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while (connection := self._take_idle()) is not None:
            connection.close()

    def _take_idle(self) -> _Connection | None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                # Not asked for first: loops on several threads take from the same list.
                return None
            if connection.is_open():
                return connection
            connection.close()

    async def _exchange(self, connection: _Connection, message: bytes) -> Answer:
        try:
            answer, reusable = await connection.exchange(message)
        except BaseException:
            connection.close()
            raise
        if reusable:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        failure: OSError | None = None
        for family, kind, protocol, _, address in await loop.getaddrinfo(
            self.host, self.port, type=socket.SOCK_STREAM
        ):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await loop.sock_connect(sock, address)
                connection = _Connection(sock)
                if self.tls is not None:
                    await connection.secure(self.tls, self.host)
                return connection
            except OSError as error:
                sock.close()
                failure = error
            except BaseException:
                sock.close()
                raise
        raise failure or ConnectionError(f"{self.host} has no address")


class _Connection:
    """One socket, with TLS on it or not, and what was read of it ahead."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.ahead = bytearray()
        self.stamps: list[tuple[float, int]] = []
        self.tls: ssl.SSLObject | None = None
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()

    def close(self) -> None:
        self.sock.close()

    def is_open(self) -> bool:
        """Whether the other side still listens, as far as one can see without asking."""
        if self.ahead:
            return False
        try:
            seen = self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        # TLS may have left a session ticket; on a plain connection nothing may come unasked.
        return bool(seen) and self.tls is not None

    async def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Shake hands."""
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=host)
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLError:
                # The other side is told why before we hang up.
                with contextlib.suppress(OSError):
                    await self._flush()
                raise
        await self._flush()

    async def exchange(self, message: bytes) -> tuple[Answer, bool]:
        """Send a request, read its answer; says too whether the connection can be used again."""
        try:
            await self._write(message)
            first = await self._read()
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError) as error:
            raise ConnectionLost(f"the connection was lost: {error.strerror or error}") from error
        if not first:
            raise ConnectionLost("the connection was closed before an answer came")
        self.ahead += first
        version, status, headers = await self._head()
        while 100 <= status < 200:
            version, status, headers = await self._head()
        self.stamps = []
        body, whole = await self._body(status, headers)
        wishes = headers.get("connection", "").lower()
        keeps = "close" not in wishes if version == "HTTP/1.1" else "keep-alive" in wishes
        unpacked = _unpack(body, headers)
        # Of a packed body nobody knows which piece held what.
        stamps = self.stamps if unpacked is body else ()
        return Answer(status, headers, unpacked, stamps), keeps and whole

    async def _head(self) -> tuple[str, int, dict[str, str]]:
        lines = (await self._until(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        version, _, rest = lines[0].partition(" ")
        if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
            raise BrokenAnswer(f"this is not HTTP/1.1: {lines[0][:80]!r}")
        headers: dict[str, str] = {}
        for line in lines[1:-2]:
            name, colon, value = line.partition(":")
            if not colon:
                raise BrokenAnswer(f"this is not a header: {line[:80]!r}")
            key, value = name.strip().lower(), value.strip()
            headers[key] = f"{headers[key]}, {value}" if key in headers else value
        return version, int(rest[:3]), headers

    async def _body(self, status: int, headers: Mapping[str, str]) -> tuple[bytes, bool]:
        """The body, and whether its end was marked (else the connection ended with it)."""
        if status in {204, 304}:
            return b"", True
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return await self._chunks(), True
        length = headers.get("content-length")
        if length is not None:
            if not length.isdecimal():
                raise BrokenAnswer(f"this is not a length: {length[:80]!r}")
            return await self._exactly(int(length)), True
        while block := await self._read():
            self.ahead += block
            self._stamp(len(self.ahead))
        body, self.ahead = bytes(self.ahead), bytearray()
        return body, False

    async def _chunks(self) -> bytes:
        body = bytearray()
        while True:
            line = await self._until(b"\r\n")
            try:
                size = int(line.split(b";")[0], 16)
            except ValueError as error:
                raise BrokenAnswer(f"this is not the length of a chunk: {line[:80]!r}") from error
            if size == 0:
                break
            body += await self._exactly(size)
            self._stamp(len(body))
            if await self._exactly(2) != b"\r\n":
                raise BrokenAnswer(f"a chunk is longer than its length, {size}")
        while await self._until(b"\r\n") != b"\r\n":
            pass
        return bytes(body)

    async def _until(self, mark: bytes) -> bytes:
        seen = 0
        while (end := self.ahead.find(mark, seen)) < 0:
            seen = max(0, len(self.ahead) - len(mark) + 1)
            if len(self.ahead) > _MOST_HEAD:
                raise BrokenAnswer(f"a head of more than {_MOST_HEAD} bytes")
            block = await self._read()
            if not block:
                raise BrokenAnswer("the connection was closed within the head of an answer")
            self.ahead += block
        return self._take(end + len(mark))

    async def _exactly(self, size: int) -> bytes:
        while len(self.ahead) < size:
            block = await self._read()
            if not block:
                raise BrokenAnswer(f"the connection was closed after {len(self.ahead)} of {size} bytes")
            self.ahead += block
        return self._take(size)

    def _stamp(self, end: int) -> None:
        self.stamps.append((time.perf_counter(), end))

    def _take(self, size: int) -> bytes:
        taken = bytes(self.ahead[:size])
        del self.ahead[:size]
        return taken

    async def _write(self, message: bytes) -> None:
        if self.tls is None:
            await asyncio.get_running_loop().sock_sendall(self.sock, message)
        else:
            self.tls.write(message)
            await self._flush()

    async def _read(self) -> bytes:
        """The next bytes; none at the end."""
        if self.tls is None:
            return await asyncio.get_running_loop().sock_recv(self.sock, _BLOCK)
        while True:
            try:
                return self.tls.read(_BLOCK)
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLEOFError:
                # Closed without a farewell: whether that came too early is seen by the lengths.
                return b""

    async def _flush(self) -> None:
        if waiting := self.outgoing.read():
            await asyncio.get_running_loop().sock_sendall(self.sock, waiting)

    async def _fill(self) -> None:
        block = await asyncio.get_running_loop().sock_recv(self.sock, _BLOCK)
        if block:
            self.incoming.write(block)
        else:
            self.incoming.write_eof()


def _close_all(connections: list[_Connection]) -> None:
    for connection in connections:
        connection.close()


def _tls(verify: bool | str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _unpack(body: bytes, headers: Mapping[str, str]) -> bytes:
    encoding = headers.get("content-encoding", "identity").lower()
    if encoding == "identity" or not body:
        return body
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise BrokenAnswer(f"the answer is packed as {encoding!r}, which was not asked for")
    try:
        return zlib.decompress(body, wbits=47)
    except zlib.error:
        pass
    try:
        # Some services send deflate without its zlib frame.
        return zlib.decompress(body, wbits=-15)
    except zlib.error as error:
        raise BrokenAnswer(f"the answer is not {encoding}: {error}") from error
