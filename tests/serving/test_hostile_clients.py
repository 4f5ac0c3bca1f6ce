"""Clients that are slow, huge or broken: each is shown out, and the others are answered meanwhile."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from http_calls import CHAT, call, chat, connect, read_rest, read_until
from served_models import shout

from steelyard.models.functions import FunctionModel
from steelyard.serving.server import Server

HEAD = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\n".encode()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(FunctionModel(shout), port=0, wires="openai", patience=0.3, log=lambda line: None) as server:
        yield server


def answers(server: Server) -> bool:
    return bool(call(server.url, CHAT, chat()).status == 200)


def send(server: Server, data: bytes) -> socket.socket:
    connection = connect(server.url)
    connection.sendall(data)
    return connection


def test_half_a_body_is_waited_for_a_while(server: Server) -> None:
    waiting = [send(server, HEAD + b'Content-Length: 100\r\n\r\n{"mess') for _ in range(20)]
    assert answers(server)
    for connection in waiting:
        assert read_rest(connection).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_comes_drop_by_drop_is_waited_for_no_longer_than_an_answer() -> None:
    with Server(FunctionModel(shout), port=0, wires="openai", timeout=0.5) as server:
        dripping = send(server, HEAD + b"Content-Length: 100000\r\n\r\n")
        sent, told = 0, b""
        dripping.settimeout(0.25)
        while not told and sent < 80:
            dripping.sendall(b" ")
            sent += 1
            with suppress(TimeoutError):
                told = dripping.recv(65536)
        dripping.settimeout(20)
        told += read_rest(dripping)
    assert told.startswith(b"HTTP/1.1 408 ") and b"not whole within 0.5 s" in told


def test_connections_that_say_nothing_are_closed(server: Server) -> None:
    waiting = [connect(server.url) for _ in range(300)]
    waiting += [send(server, HEAD) for _ in range(20)]
    assert answers(server)
    assert [read_rest(connection) for connection in waiting] == [b""] * 320


def test_half_a_second_call_is_waited_for_no_longer_than_a_first(server: Server) -> None:
    body = b'{"messages":[{"role":"user","content":"a"}]}'
    connection = send(server, HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    read_until(connection, b'"finish_reason"')
    connection.sendall(HEAD)
    assert b"HTTP" not in read_rest(connection)


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"X-Long: " + b"a" * 300_000,
        b"GET /" + b"a" * 300_000,
        HEAD + b"".join(b"X-%d: a\r\n" % n for n in range(30_000)),
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
        HEAD + b"Content-Length: -5\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_call_or_an_endless_one_is_shown_out(server: Server, data: bytes) -> None:
    connection = connect(server.url)
    try:
        connection.sendall(data)
        said = read_rest(connection)
    except ConnectionError:
        said = b""
    assert said == b"" or said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 ", b"HTTP/1.1 408 "))
    assert answers(server)


def test_a_body_too_large_is_refused_before_it_is_there(server: Server) -> None:
    connection = send(server, HEAD + b"Content-Length: 999999999999\r\n\r\n")
    assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")
    connection.close()
    assert answers(server)


def test_a_body_nested_without_end_is_no_call(server: Server) -> None:
    for body in (b"[" * 200_000, b'{"messages":' + b"[" * 100_000):
        assert call(server.url, CHAT, body).status == 400


def test_clients_that_leave_at_any_moment_harm_nobody(server: Server) -> None:
    body = b'{"stream": true, "messages":[{"role":"user","content":"a"}]}'
    data = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body

    async def leave(after: int) -> None:
        _, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(data[:after])
        await writer.drain()
        writer.transport.abort()

    async def main() -> None:
        await asyncio.gather(*(leave(after) for after in range(0, len(data) + 1, 3)))

    asyncio.run(main())
    assert answers(server)
