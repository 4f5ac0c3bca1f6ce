"""Sockets to a service, thousands of them: how many files may be open, which address each comes from.

    allow_files(10_000)                              a UsageError where the system does not let us
    ways = Ways("gpu-box", 8000)
    sock = await ways.connect(loop)

One address has some 28,000 ports for connections to one service. Whoever needs more connects from several:
from other loopback addresses where the service is on this machine, else from those that are given.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any

from steelyard.errors import UsageError

resource: Any
try:
    import resource
except ImportError:  # no Unix
    resource = None

# Few enough that a free port is found at once, also where several processes connect from there.
_MOST_AT_FIRST = 5_000
_MOST_AT_ONE = 20_000
# Only there all of them are this machine without further ado.
_LOOPBACKS = tuple(f"127.0.0.{last}" for last in range(2, 202)) if sys.platform == "linux" else ()
_PAUSE = 0.02
# Files beside the connections.
_OTHERS = 64
_LATE_PORT = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)
# The other side had too much to do with others who connect.
_PASSING = (errno.ECONNRESET, errno.ECONNABORTED, errno.ETIMEDOUT, errno.EAGAIN)


class NoAddress(ConnectionError):
    """There is no host of this name."""


class NoPort(OSError):
    """There is no port left for one more connection; says what mends it."""


class NoFile(OSError):
    """No more files may be open; says what mends it."""


def allow_files(connections: int) -> None:
    """Have the system allow as many open files as connections need; a UsageError where it does not."""
    wanted = connections + _OTHERS
    most = _raise_limit(wanted)
    if most < wanted:
        raise UsageError(
            f"{connections:,} connections need {wanted:,} open files, and the system allows {most:,}",
            hint=f"ulimit -n {wanted}, by a user who may, or more workers, which need fewer each",
        )


def _raise_limit(wanted: int) -> int:
    """How many files may be open, once as many are allowed as the system allows us, up to those wanted."""
    if resource is None:
        return wanted
    soft: int
    hard: int
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY in (soft, hard) and soft != hard:
        hard = max(wanted, soft)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    # Some may raise even the hard limit.
    for most in (wanted, min(wanted, hard)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, max(most, hard)))
            return most
    return soft


class Ways:
    """The ways to one service: its addresses, and those of ours that connections come from."""

    def __init__(self, host: str, port: int, *, path: str = "", sources: Sequence[str] = ()) -> None:
        """`path` is a socket of this machine instead; `sources` are addresses of ours."""
        self.host, self.port, self.path = host, port, path
        self._sources = list(sources)
        self._taken: dict[str, int] = dict.fromkeys(sources, 0)
        self._full: set[str] = set()

    async def connect(self, loop: asyncio.AbstractEventLoop) -> tuple[socket.socket, str]:
        """A connected socket, and the address of ours that it was given; an OSError where there is none."""
        if self.path:
            return await self._take(loop, socket.AF_UNIX, self.path, "")
        failure: OSError | None = None
        for family, _, _, _, address in await _look_up(loop, self.host, self.port):
            while (source := self._choose(address[0])) is not None:
                try:
                    return await self._take(loop, family, address, source)
                except NoPort:
                    self._full.add(source)
                except OSError as error:
                    failure = error
                    break
            else:
                raise NoPort(self._explain())
        raise failure or NoAddress(f"{self.host} has no address")

    def leave(self, source: str) -> None:
        """A connection from this address is no more."""
        self._taken[source] -= 1

    async def _take(
        self, loop: asyncio.AbstractEventLoop, family: int, address: Any, source: str
    ) -> tuple[socket.socket, str]:
        self._taken[source] = self._taken.get(source, 0) + 1
        try:
            return await self._dial(loop, family, address, source), source
        except BaseException:
            self.leave(source)
            raise

    def _choose(self, address: str) -> str | None:
        """The address to connect from, empty where the system chooses; None where none has a port left."""
        free = [one for one in self._sources if one not in self._full]
        if self._sources:
            return min(free, key=self._taken.__getitem__, default=None)
        if not (_LOOPBACKS and address.startswith("127.")):
            return None if "" in self._full else ""
        # Each process has its own to go on with.
        own = os.getpid() % len(_LOOPBACKS)
        for source in ("", *_LOOPBACKS[own:], *_LOOPBACKS[:own]):
            most = _MOST_AT_ONE if source else _MOST_AT_FIRST
            if source not in self._full and self._taken.get(source, 0) < most:
                return source
        return None

    async def _dial(
        self, loop: asyncio.AbstractEventLoop, family: int, address: Any, source: str
    ) -> socket.socket:
        while True:
            sock = _open_socket(family)
            try:
                sock.setblocking(False)
                if family == getattr(socket, "AF_UNIX", None):
                    # Here nothing is under way that one could wait for.
                    sock.connect(address)
                else:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    _bind(sock, source)
                    await loop.sock_connect(sock, address)
            except OSError as error:
                sock.close()
                if error.errno == errno.EADDRNOTAVAIL:
                    raise NoPort(self._explain()) from error
                if error.errno not in _PASSING:
                    raise
                await asyncio.sleep(_PAUSE)
            except BaseException:
                sock.close()
                raise
            else:
                return sock

    def _explain(self) -> str:
        return (
            f"no port is left for one more connection to {self.host}:{self.port}: give several addresses "
            "of this machine (source_addresses=10.0.0.2,10.0.0.3)"
        )


async def _look_up(loop: asyncio.AbstractEventLoop, host: str, port: int) -> list[tuple[Any, ...]]:
    try:
        # What is a number already needs no thread.
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
    except socket.gaierror:
        pass
    try:
        return list(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except socket.gaierror as error:
        raise NoAddress(f"there is no host {host}: {error.strerror}") from error


def _open_socket(family: int) -> socket.socket:
    try:
        return socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        if error.errno != errno.EMFILE or resource is None:
            raise
        before = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if _raise_limit(2 * before) > before:
            return socket.socket(family, socket.SOCK_STREAM)
        raise NoFile(f"only {before:,} files may be open at once: ulimit -n {2 * before}") from error


def _bind(sock: socket.socket, source: str) -> None:
    if not source:
        return
    with contextlib.suppress(OSError):
        # The port is chosen when it is known whereto, so that each of ours serves every service.
        sock.setsockopt(socket.IPPROTO_IP, _LATE_PORT, 1)
    try:
        sock.bind((source, 0))
    except OSError as error:
        raise NoAddress(f"{source} is no address of this machine to connect from") from error
