"""A chat service in a process of its own that speaks at a set pace, and knows when it said what.

    with paced(tokens=5, ttft=0.05, itl=0.02) as service:
        service.url                      http://127.0.0.1:PORT/v1
        service.said()                   {x-request-id: Said(asked, tokens)}: seconds of time.perf_counter

A token is handed to the kernel right after its moment was noted. What a question asks for ("max_tokens")
goes before `tokens`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from time import perf_counter
from typing import Any, NamedTuple

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Said(NamedTuple):
    """When a question was read, and when each token of its answer was sent."""

    asked: float
    tokens: list[float]


class Paced:
    """The service, from where it is asked."""

    def __init__(self, port: int, *, scheme: str = "http", control: int = 0) -> None:
        self.port = port
        self.url = f"{scheme}://127.0.0.1:{port}/v1"
        self._control = control or port

    def said(self) -> dict[str, Said]:
        """What was said so far, by the x-request-id of the question, else by its number."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._control}/record", timeout=20) as answer:
            return {name: Said(asked, tokens) for name, asked, tokens in json.load(answer)}


@contextlib.contextmanager
def paced(*, unix: str = "", cert: str = "", **options: Any) -> Iterator[Paced]:
    """A Paced for the time of a `with` block.

    `tokens` are answered, the first after `ttft` seconds, each other `itl` seconds later, with a `grid` all
    at common moments; each says `word`. `role` sends an event that only says who speaks, before the first
    token, `usage` one with the counts; `pack` tokens come in one event; `fault` is close:K, reset:K or
    stall:K, after K events. The service is reached as well by a socket `unix`, and only by TLS with a `cert`.
    """
    flags = [f"--{name}={value}" for name, value in {**options, "unix": unix, "cert": cert}.items() if value]
    command = [sys.executable, __file__, *flags]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port, control = map(int, process.stdout.readline().split())
            yield Paced(port, scheme="https" if cert else "http", control=control)
        finally:
            process.kill()


class _Visitor(asyncio.Protocol):
    """One connection of the service."""

    def __init__(self, options: argparse.Namespace, record: list[Any]) -> None:
        self.options, self.record = options, record
        self.loop = asyncio.get_running_loop()
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, end, rest = self.data.partition(b"\r\n\r\n")
        if not end:
            return
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if len(rest) < int(headers.get("content-length", 0)):
            return
        asked, self.data = perf_counter(), b""
        if lines[0].startswith("GET"):
            body = json.dumps(self.record).encode()
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            return
        name = headers.get("x-request-id", str(len(self.record)))
        self.times: list[float] = []
        self.record.append((name, asked, self.times))
        self.left = int(json.loads(rest).get("max_tokens") or self.options.tokens)
        self.total = self.left
        self.transport.write(HEAD)
        if self.options.role:
            self.say({"role": "assistant", "content": ""})
        first = asked + self.options.ttft
        if self.options.grid:
            first += -first % self.options.itl
        self.due = first
        self.loop.call_at(first, self.speak)

    def speak(self) -> None:
        kind, _, after = self.options.fault.partition(":")
        if kind and len(self.times) >= int(after):
            if kind == "reset":
                # Closed with a linger of nothing, a socket says RST.
                sock = self.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                self.transport.abort()
            elif kind == "close":
                self.transport.close()
            return
        count = min(self.options.pack, self.left)
        self.left -= count
        self.times.append(perf_counter())
        self.say({"content": self.options.word * count})
        if self.left:
            self.due += self.options.itl
            self.loop.call_at(self.due, self.speak)
            return
        self.say({}, finish_reason="stop")
        if self.options.usage:
            told = {"prompt_tokens": 7, "completion_tokens": self.total, "total_tokens": 7 + self.total}
            self.send({"choices": [], "usage": told})
        self.write(b"data: [DONE]\n\n", last=b"0\r\n\r\n")

    def say(self, delta: dict[str, str], finish_reason: str | None = None) -> None:
        self.send({"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})

    def send(self, said: dict[str, Any]) -> None:
        about = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "paced"}
        self.write(b"data: %s\n\n" % json.dumps({**about, **said}).encode())

    def write(self, event: bytes, last: bytes = b"") -> None:
        self.transport.write(b"%x\r\n%s\r\n%s" % (len(event), event, last))


async def _serve(options: argparse.Namespace) -> None:
    loop, record = asyncio.get_running_loop(), list[Any]()
    context = None
    if options.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.cert)

    def visit() -> _Visitor:
        return _Visitor(options, record)

    server = await loop.create_server(visit, "127.0.0.1", 0, ssl=context, backlog=1024)
    control = await loop.create_server(visit, "127.0.0.1", 0)
    if options.unix:
        await loop.create_unix_server(visit, options.unix)
    print(*(one.sockets[0].getsockname()[1] for one in (server, control)), flush=True)
    # It ends with whoever began it.
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Serve until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, usual in {"tokens": 8, "grid": 0, "role": 0, "usage": 0, "pack": 1}.items():
        parser.add_argument(f"--{name}", type=int, default=usual)
    for name in ("ttft", "itl"):
        parser.add_argument(f"--{name}", type=float, default=0.0)
    for name, text in {"fault": "", "word": "word ", "unix": "", "cert": ""}.items():
        parser.add_argument(f"--{name}", default=text)
    options = parser.parse_args()
    asyncio.run(_serve(options))


if __name__ == "__main__":
    main()
