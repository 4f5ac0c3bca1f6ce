"""One service's address, and the connections kept open to it.

origin = Origin("https://api.example/v1")
answer = await origin.send("POST", "/v1/predict", headers={...}, body=b"[]")
answer.status, answer.headers["content-type"], answer.body

stream = await origin.open("POST", …)              once its head is in
async for block in stream: …
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import weakref
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter as clock
from urllib.parse import urljoin

from steelyard.errors import UsageError
from steelyard.wire.addresses import read_address
from steelyard.wire.connection import Connection, ConnectionLost, SlowAnswer, TimeLimits, Watch
from steelyard.wire.proxies import find_proxy
from steelyard.wire.reading import Answer, Reading
from steelyard.wire.sockets import NoAddress, NoFile, NoPort, Ways, allow_files

__all__ = ["NoAddress", "NoFile", "NoPort", "Origin", "RefusedByProxy", "Stream"]

_NO_LIMITS = TimeLimits(None, None, None, None)
# 303 asks for a GET of something else; the others, of a POST again.
_MOVED = (301, 302, 307, 308)
# A service takes only so many new connections at a time.
_MOST_DIALLED = 128


class RefusedByProxy(ConnectionError):
    """The proxy on the way does not let us through."""


class Origin:
    """One service."""

    def __init__(
        self,
        url: str,
        *,
        verify: bool | str = True,
        cert: str | Sequence[str] | None = None,
        proxy: str | bool | None = None,
        source_addresses: Sequence[str] | str = (),
    ) -> None:
        """`verify` may name the authorities to believe, `cert` who we are: a PEM file, or it and its key.

        `source_addresses` are those of this machine that connections are to come from, by turns.
        """
        self.address = address = read_address(url)
        self.proxy = find_proxy(address, proxy)
        self.tls = _tls(verify, cert) if address.scheme == "https" else None
        # Without TLS a proxy is told where to, with it there is a tunnel to the service.
        plain = self.proxy is not None and self.tls is None
        self._prefix = f"http://{address.authority}" if plain else ""
        self._signing = self.proxy.signing if plain and self.proxy is not None else {}
        host, port = (address.host, address.port) if self.proxy is None else self.proxy[:2]
        sources = source_addresses.split(",") if isinstance(source_addresses, str) else source_addresses
        self._ways = Ways(host, port, path=address.socket, sources=[one.strip() for one in sources if one])
        self._said: tuple[str, Mapping[str, str], str] = ("", {}, "")
        self._places: list[_Place] = []
        # Not by __del__: in a cycle the sockets might be collected first, and complain.
        weakref.finalize(self, _close_all, self._places)

    async def send(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        limits: TimeLimits = _NO_LIMITS,
        reading: Reading | None = None,
    ) -> Answer:
        """Send one request and read its whole answer; `reading` takes it, and knows of it if it breaks."""
        place, message = self._place(), self._message(method, target, headers, body)
        connection, fresh = place.take(), False
        reading = Reading() if reading is None else reading
        while True:
            if connection is None:
                begun = clock()
                connection, fresh = await self._connect(place, limits), True
                reading.connecting = clock() - begun
            try:
                connection.ask(message, reading, limits)
                while not reading.whole:
                    await connection.progress()
            except ConnectionLost:
                connection.close()
                if fresh:
                    raise
                # The service had closed it just then, and has not seen the request.
                connection = None
            except BaseException:
                connection.close()
                raise
            else:
                place.keep(connection)
                return reading.answer()

    async def open(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        limits: TimeLimits = _NO_LIMITS,
    ) -> Stream:
        """Send one request and read the head of its answer; the rest is read as it comes."""
        place, message = self._place(), self._message(method, target, headers, body)
        connection, fresh = place.take(), False
        while True:
            if connection is None:
                connection, fresh = await self._connect(place, limits), True
            stream = Stream(place, connection)
            try:
                connection.ask(message, stream.reading, limits, live=True)
                while not stream.reading.opened:
                    await connection.progress()
            except ConnectionLost:
                stream.close()
                if fresh:
                    raise
                connection = None
            except BaseException:
                stream.close()
                raise
            else:
                return stream

    def find_moved(self, target: str, status: int, location: str) -> str | None:
        """What to ask for instead, where an answer sends whoever posts on to this same service."""
        if status not in _MOVED or not location:
            return None
        scheme = "http" if self.address.scheme == "unix" else self.address.scheme
        url = urljoin(f"{scheme}://{self.address.authority}{target}", location)
        try:
            there = read_address(url)
        except UsageError:
            return None
        if self.address.scheme == "unix":
            return there.target if location.startswith("/") and not location.startswith("//") else None
        return there.target if there[:4] == self.address[:4] else None

    async def warm(self, connections: int, limits: TimeLimits = _NO_LIMITS) -> None:
        """Have so many connections open that nobody uses; an OSError where one cannot be opened."""
        place = self._place()
        missing = connections - len(place.idle)
        allow_files(connections)
        wanted = iter(range(missing))

        async def open_some() -> None:
            for _ in wanted:
                place.idle.append(await self._connect(place, limits))

        await asyncio.gather(*(open_some() for _ in range(min(_MOST_DIALLED, missing))))

    def close(self) -> None:
        """Close the connections that nobody uses."""
        _close_all(self._places)

    def _place(self) -> _Place:
        loop = asyncio.get_running_loop()
        for place in self._places:
            if place.loop is loop:
                return place
        place = _Place(loop)
        for old in [old for old in self._places if old.loop.is_closed()]:
            self._places.remove(old)
            if old.process == place.process:
                place.idle += [connection for connection in old.idle if connection.move(place.watch)]
            else:
                # The process that this one was forked from talks over them.
                _close_all([old])
        self._places.append(place)
        return place

    def _message(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
        said_to, said, head = self._said
        if said is not headers or said_to != target:
            lines = [f" {self._prefix}{target} HTTP/1.1", f"Host: {self.address.authority}"]
            lines += [f"{name}: {value}" for name, value in [*headers.items(), *self._signing.items()]]
            head = "\r\n".join(lines)
            self._said = (target, headers, head)
        length = f"\r\nContent-Length: {len(body)}" if body or method != "GET" else ""
        return f"{method}{head}{length}\r\n\r\n".encode("latin-1") + body

    async def _connect(self, place: _Place, limits: TimeLimits) -> Connection:
        given = [limit for limit in (limits.connect, limits.total) if limit is not None]
        try:
            return await asyncio.wait_for(self._open(place), min(given, default=None))
        except asyncio.TimeoutError:
            raise SlowAnswer(f"no connection within {min(given):g} s", connecting=True) from None

    async def _open(self, place: _Place) -> Connection:
        async with place.dialling:
            sock, source = await self._socket(place.loop)
        connection = Connection(sock, place.watch, partial(self._ways.leave, source))
        try:
            if self.tls is not None:
                if self.proxy is not None:
                    await self._tunnel(connection)
                await connection.secure(self.tls, self.address.host)
        except BaseException:
            connection.close()
            raise
        return connection

    async def _tunnel(self, connection: Connection) -> None:
        if self.proxy is None:
            return
        where = f"{self.address.authority.removesuffix(f':{self.address.port}')}:{self.address.port}"
        lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}"]
        lines += [f"{name}: {value}" for name, value in self.proxy.signing.items()]
        reading = Reading(tunnel=True)
        connection.ask("\r\n".join([*lines, "\r\n"]).encode("latin-1"), reading, _NO_LIMITS)
        await connection.progress()
        if not 200 <= reading.status < 300:
            raise RefusedByProxy(f"the proxy {self.proxy.shown} says HTTP {reading.status}")
        connection.finish()

    async def _socket(self, loop: asyncio.AbstractEventLoop) -> tuple[socket.socket, str]:
        try:
            return await self._ways.connect(loop)
        except (NoPort, NoFile):
            raise
        except OSError as error:
            if self.proxy is None:
                raise
            why = os.strerror(error.errno) if error.errno else error
            raise RefusedByProxy(f"the proxy {self.proxy.shown}: {why}") from error


class Stream:
    """An answer that is read as it comes; it is closed when its end was read, or by `close`."""

    def __init__(self, place: _Place, connection: Connection) -> None:
        self.reading = Reading()
        self._place, self._connection = place, connection
        self._closed = False

    @property
    def status(self) -> int:
        """The status of the answer."""
        return self.reading.status

    @property
    def done(self) -> float:
        """When all of it was in; 0 before."""
        return self.reading.done

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the answer, their names in lower case."""
        return self.reading.headers

    async def read(self) -> Answer:
        """All that was not read yet."""
        blocks = [block async for block in self]
        return self.reading.answer()._replace(body=b"".join(blocks))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while True:
                whole = self.reading.whole
                if block := self.reading.take():
                    yield block
                elif whole:
                    return
                else:
                    await self._connection.progress()
        finally:
            self.close()

    def close(self) -> None:
        """Read no more of it."""
        if not self._closed:
            self._closed = True
            self._place.keep(self._connection)


class _Place:
    """The connections of one loop that nobody uses."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.process = os.getpid()
        self.watch = Watch(loop)
        self.dialling = asyncio.Semaphore(_MOST_DIALLED)
        self.idle: list[Connection] = []

    def take(self) -> Connection | None:
        while self.idle:
            connection = self.idle.pop()
            if not connection.lost:
                return connection
        return None

    def keep(self, connection: Connection) -> None:
        """Use a connection again if one can, else close it."""
        if connection.finish():
            self.idle.append(connection)
        else:
            connection.close()


def _close_all(places: list[_Place]) -> None:
    for place in places:
        while (connection := place.take()) is not None:
            connection.close()


def _tls(verify: bool | str, cert: str | Sequence[str] | None) -> ssl.SSLContext:
    hint = 'PEM files: verify=authorities.pem, cert=own.pem or cert=\'["own.pem", "key.pem"]\''
    try:
        own = () if cert is None else (cert,) if isinstance(cert, (str, os.PathLike)) else tuple(cert)
        for path in (*own, *([verify] if isinstance(verify, str) else [])):
            if not Path(path).exists():
                raise UsageError(f"there is no certificate {path}", hint=hint)
        if isinstance(verify, str) and Path(verify).is_dir():
            context = ssl.create_default_context(capath=verify)
        else:
            context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
        if own:
            context.load_cert_chain(*own)
    except (OSError, TypeError) as error:
        raise UsageError(f"the certificates cannot be read: {error}", hint=hint) from error
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
