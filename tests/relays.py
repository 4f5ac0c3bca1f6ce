"""What may stand between a client and a service: an HTTP proxy, and a socket in the file system."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit


class Relay:
    """Accepts on a socket, and hands each connection to `meet`, which says where the bytes go on to."""

    def __init__(
        self, listener: socket.socket, meet: Callable[[socket.socket], socket.socket | None]
    ) -> None:
        self.listener, self.meet = listener, meet
        self.heads: list[str] = []
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            self._begin(self._serve, near)

    def _begin(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        self.threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self.threads[-1].start()

    def _serve(self, near: socket.socket) -> None:
        far = None
        with near, contextlib.suppress(OSError):
            far = self.meet(near)
            if far is not None:
                self._begin(self._pump, far, near)
                self._pump(near, far)
        if far is not None:
            far.close()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(1 << 16):
                sink.sendall(block)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def proxying(*, wanted: str | None = None) -> Iterator[tuple[str, list[str]]]:
    """A proxy at an address, and the heads of what it was asked; it may want a Proxy-Authorization."""
    heads: list[str] = []

    def meet(near: socket.socket) -> socket.socket | None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += near.recv(1)
        heads.append(head.decode())
        method, target, _ = heads[-1].split(" ", 2)
        if wanted is not None and f"proxy-authorization: {wanted}".lower() not in heads[-1].lower():
            near.sendall(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return None
        host, _, port = (target if method == "CONNECT" else urlsplit(target).netloc).rpartition(":")
        far = socket.create_connection((host, int(port)))
        if method == "CONNECT":
            near.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        else:
            far.sendall(head.replace(f" http://{host}:{port}".encode(), b" ", 1))
        return far

    listener = socket.create_server(("127.0.0.1", 0))
    relay = Relay(listener, meet)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heads
    finally:
        relay.close()


@contextlib.contextmanager
def in_the_file_system(path: Path, port: int) -> Iterator[Path]:
    """A service's port as a socket in the file system."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    relay = Relay(listener, lambda near: socket.create_connection(("127.0.0.1", port)))
    try:
        yield path
    finally:
        relay.close()
