"""Where a server listens, and uvicorn as it is run there."""

from __future__ import annotations

import ipaddress
import math
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvicorn

from steelyard.errors import SteelyardError, UsageError
from steelyard.serving.app import Application
from steelyard.serving.connections import MOST, limit_connections

_KEPT_ALIVE = 75
_BACKLOG = 2048


class Uvicorn(uvicorn.Server):
    """uvicorn's server, which says when it answers, and ends quietly."""

    def __init__(self, config: uvicorn.Config, app: Application) -> None:
        super().__init__(config)
        self.app = app
        self.begun: Callable[[], None] = lambda: None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        self.begun()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End at the first signal, at once at the second; neither is raised again."""
        if self.should_exit:
            self.force_exit = True
        self.end()

    def end(self) -> None:
        """Take nothing new."""
        self.app.ending = True
        self.should_exit = True


def configure(app: Application, *, grace: float, certificate: tuple[str, str] | None) -> uvicorn.Config:
    """How uvicorn is run: it logs nothing, knows no WebSockets, and believes no proxy."""
    return uvicorn.Config(
        app,
        http=limit_connections(patience=app.limits.patience),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEPT_ALIVE,
        timeout_graceful_shutdown=math.ceil(grace),
        h11_max_incomplete_event_size=MOST,
        backlog=_BACKLOG,
        ssl_certfile=None if certificate is None else certificate[0],
        ssl_keyfile=None if certificate is None else certificate[1],
    )


def read_certificate(certificate: str | Path | None, key: str | Path | None) -> tuple[str, str] | None:
    """The files of a certificate and its private key, which are looked at before anything is opened."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UsageError("a certificate and its private key go together")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except OSError as error:
        raise UsageError(f"{certificate} and {key} are no certificate and its key: {error}") from error
    return str(certificate), str(key)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; a SteelyardError where it cannot."""
    if not host:
        # To the system that is every address there is.
        raise UsageError("the host is empty", hint="127.0.0.1 is this machine, 0.0.0.0 all that reach it")
    if not 0 <= port < 2**16:
        raise UsageError(f"port is {port}", hint="it must be from 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Said to be TCP, or asyncio would not have it send the head of an answer at once.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        hint = "--port 0 takes any that is free" if port else ""
        listening.close()
        said = error.strerror or error
        raise SteelyardError(f"cannot listen at {host}:{port}: {said}", hint=hint) from error
    return listening


def is_local(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
