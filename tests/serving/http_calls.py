"""Calls of a server as any client makes them, over http.client or a bare socket."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Mapping
from http.client import HTTPConnection
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import urlsplit

CHAT = "/v1/chat/completions"


class Reply(NamedTuple):
    """What was answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The data of the events, each read as JSON where it is."""
        data = [line[5:].strip() for line in self.body.split(b"\n") if line.startswith(b"data:")]
        return [one.decode() if one == b"[DONE]" else json.loads(one) for one in data]


def call(
    url: str, path: str, body: Any = None, *, method: str = "", headers: Mapping[str, str] | None = None
) -> Reply:
    """Ask, and read the answer whole."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        raw = body is None or isinstance(body, (bytes, str, BytesIO))
        data = body if raw else json.dumps(body)
        connection.request(method or ("GET" if body is None else "POST"), path, data, dict(headers or {}))
        answer = connection.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, told, answer.read())
    finally:
        connection.close()


def chat(text: str = "hello", **more: Any) -> dict[str, Any]:
    """The body of a chat completion."""
    return {"messages": [{"role": "user", "content": text}], **more}


def connect(url: str) -> socket.socket:
    """A bare connection."""
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=20)


def begin(url: str, body: Any, *, headers: Mapping[str, str] | None = None) -> socket.socket:
    """A connection on which a chat was asked for, and nothing read yet."""
    data = json.dumps(body).encode()
    lines = {"Host": "x", "Content-Length": len(data), **(headers or {})}
    told = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    head = f"POST {CHAT} HTTP/1.1\r\n{told}\r\n".encode()
    connection = connect(url)
    connection.sendall(head + data)
    return connection


def read_until(connection: socket.socket, mark: bytes) -> bytes:
    """What comes until a mark was seen."""
    seen = b""
    while mark not in seen:
        piece = connection.recv(65536)
        assert piece, f"the connection ended after {seen!r}"
        seen += piece
    return seen


def read_rest(connection: socket.socket) -> bytes:
    """What comes until the server ends the connection."""
    seen = b""
    with connection:
        while piece := connection.recv(65536):
            seen += piece
    return seen


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something is so; it fails where it does not become so."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.01)
