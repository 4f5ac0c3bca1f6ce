"""A real HTTP/1.1 server on a socket that answers by script, faults and all."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Asked:
    """One request as the server saw it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int
    at: float = field(default_factory=time.perf_counter)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def reply(
    value: Any = None,
    *,
    status: int = 200,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> bytes:
    """The bytes of an answer with a Content-Length."""
    body = json.dumps(value).encode() if body is None else body
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {text}" for name, text in (headers or {}).items()]
    return "\r\n".join([*lines, "\r\n"]).encode() + body


def chunked(value: Any, *, size: int = 7, headers: str = "") -> bytes:
    """The bytes of an answer in chunks, with an extension and a trailer."""
    body = json.dumps(value).encode()
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    chunks = b"".join(b"%x;note=1\r\n%s\r\n" % (len(part), part) for part in parts)
    head = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{headers}\r\n".encode()
    return head + chunks + b"0\r\nX-Trailer: 1\r\n\r\n"


class Service:
    """Answers each request by the next step of its script; the last step is repeated.

    A step is bytes (sent whole), a list of bytes (sent with a pause after each), or a function of
    the request that gives one of these. HANG never answers, CLOSE closes, RESET resets; a step in
    a tuple with CLOSE or RESET does that after it was sent.
    """

    CLOSE, RESET, HANG = "close", "reset", "hang"

    def __init__(self, *script: Any, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.script = list(script)
        self.asked: list[Asked] = []
        self.tls = tls
        self.connections = 0
        self.running = True
        self.lock = threading.Lock()
        self.open: set[socket.socket] = set()
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/v1/predict"
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def close(self) -> None:
        self.running = False
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock in list(self.open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(5)

    def _accept(self) -> None:
        while self.running:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(sock, self.connections), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        try:
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True)
            self.open.add(sock)
            with sock.makefile("rb") as reader:
                while asked := _read(reader, number):
                    with self.lock:
                        self.asked.append(asked)
                        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                    if not self._play(step(asked) if callable(step) else step, sock):
                        return
        except OSError:
            return
        finally:
            self.open.discard(sock)
            sock.close()

    def _play(self, step: Any, sock: socket.socket) -> bool:
        """Send what a step says; whether the connection goes on."""
        then = None
        if isinstance(step, tuple):
            step, then = step
        if isinstance(step, str):
            step, then = b"", step
        for block in [step] if isinstance(step, bytes) else step:
            sock.sendall(block)
            if isinstance(step, list):
                time.sleep(0.002)
        if then == self.RESET:
            # Closed with a linger of nothing, a socket says RST.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        while then == self.HANG and self.running:
            time.sleep(0.01)
        return then is None


def _read(reader: Any, number: int) -> Asked | None:
    first = reader.readline()
    if not first.strip():
        return None
    if first.count(b" ") != 2 or not first.isascii():
        return None  # no HTTP: somebody tries whether this is TLS
    method, target, _ = first.decode().split(" ", 2)
    headers: dict[str, str] = {}
    while (line := reader.readline().strip()) != b"":
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    return Asked(method, target, headers, reader.read(int(headers.get("content-length", 0))), number)


def echo(make: Callable[[Any], Any]) -> Callable[[Asked], bytes]:
    """A step that answers a list with `make` of each of its items."""
    return lambda asked: reply([make(item) for item in asked.json])


@contextlib.contextmanager
def serving(*script: Any, tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[Service]:
    """A Service for the time of a `with` block."""
    service = Service(*script, tls=tls, port=port)
    try:
        yield service
    finally:
        service.close()
