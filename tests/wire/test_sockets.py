"""Many connections: the addresses of ours that they come from, and how many files may be open."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from faulty_service import reply, serving
from steelyard.wire import sockets
from steelyard.wire.origin import NoAddress, NoPort, Origin
from steelyard.wire.sockets import Ways

linux = pytest.mark.skipif(sys.platform != "linux", reason="only there all of 127.0.0.0/8 is this machine")


@contextlib.contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=200) as server:
        yield server


def connect(ways: Ways, count: int) -> list[tuple[socket.socket, str]]:
    async def go() -> list[tuple[socket.socket, str]]:
        loop = asyncio.get_running_loop()
        return [await ways.connect(loop) for _ in range(count)]

    return asyncio.run(go())


def come_from(made: Sequence[tuple[socket.socket, str]]) -> list[str]:
    found = [sock.getsockname()[0] for sock, _ in made]
    for sock, _ in made:
        sock.close()
    return found


@linux
def test_more_connections_than_one_address_has_ports_come_from_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sockets, "_MOST_AT_FIRST", 1)
    monkeypatch.setattr(sockets, "_MOST_AT_ONE", 2)
    process, own = 1_000_003, 1_000_003 % len(sockets._LOOPBACKS)
    first, second = sockets._LOOPBACKS[own : own + 2]
    monkeypatch.setattr(sockets.os, "getpid", lambda: process)
    with listening() as server:
        ways = Ways("127.0.0.1", server.getsockname()[1])
        made = connect(ways, 4)
        assert [source for _, source in made] == ["", first, first, second]
        assert come_from(made) == ["127.0.0.1", first, first, second]
        ways.leave(first)
        assert come_from(connect(ways, 1)) == [first]
        # Another process goes on with another.
        process += 1
        assert come_from(connect(Ways("127.0.0.1", server.getsockname()[1]), 2)) == ["127.0.0.1", second]


@linux
def test_connections_come_by_turns_from_the_addresses_that_are_given() -> None:
    with serving(reply([1])) as service:
        origin = Origin(service.url, source_addresses="127.0.0.7, 127.0.0.8")

        async def go() -> list[str]:
            await origin.warm(4)
            await asyncio.gather(*(origin.send("POST", "/", headers={}) for _ in range(4)))
            return sorted(connection.sock.getsockname()[0] for connection in origin._places[0].idle)

        assert asyncio.run(go()) == ["127.0.0.7"] * 2 + ["127.0.0.8"] * 2
        origin.close()
        assert service.connections == 4


def test_an_address_that_is_not_ours_is_named() -> None:
    with listening() as server, pytest.raises(NoAddress, match=r"192\.0\.2\.1 is no address of this machine"):
        connect(Ways("127.0.0.1", server.getsockname()[1], sources=["192.0.2.1"]), 1)


def test_where_no_port_is_left_the_error_says_what_mends_it() -> None:
    with listening() as server:
        ways = Ways("127.0.0.1", server.getsockname()[1], sources=["127.0.0.1"])
        ways._full.add("127.0.0.1")
        with pytest.raises(NoPort, match="give several addresses"):
            connect(ways, 1)


LIMITED = """
import asyncio, resource, socket, sys
from steelyard.errors import UsageError
from steelyard.wire.sockets import NoFile, Ways, allow_files

resource.setrlimit(resource.RLIMIT_NOFILE, (60, {hard}))
with socket.create_server(("127.0.0.1", 0), backlog=200) as server:
    async def go(count):
        ways, loop = Ways("127.0.0.1", server.getsockname()[1]), asyncio.get_running_loop()
        return [await ways.connect(loop) for _ in range(count)]

    try:
        print(len(asyncio.run(go(90))))
    except NoFile as error:
        print(error)
try:
    allow_files(90)
    print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    allow_files(10_000_000_000)
except UsageError as error:
    print(error)
"""


def limited(hard: int) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LIMITED.format(hard=hard)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    return done.stdout.splitlines()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_as_many_files_are_allowed_as_are_wanted_or_the_error_says_how() -> None:
    assert limited(1_000)[:2] == ["90", "154"]
    refused = limited(1_000)[-1]
    assert refused.startswith("10,000,000,000 connections need 10,000,000,064 open files, and the system")
    assert "ulimit -n 10000000064" in refused and "more workers" in refused
