"""serve(models): any models behind any wires, on uvicorn.

serve("embedded", port=8000)                        until SIGINT or SIGTERM
with Server({"small": model}, port=0) as server:    on a thread of its own
    requests.post(server.url + "/v1/chat/completions", …)
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from steelyard.errors import UsageError
from steelyard.models.base import Model
from steelyard.models.references import open_model
from steelyard.serving.answers import Served
from steelyard.serving.app import Application
from steelyard.serving.keys import read_keys
from steelyard.serving.listening import Uvicorn, configure, is_local, listen, read_certificate
from steelyard.serving.places import Places
from steelyard.serving.routes import WIRES, Routes, open_wires
from steelyard.serving.visits import Limits
from steelyard.wire.base import Wire

Models = Any
"""A model or a reference to one, several of them, or a mapping from names to them."""


def serve(models: Models, **options: Any) -> None:
    """Serve models until SIGINT or SIGTERM; the options are those of a Server."""
    server = Server(models, **options)
    server.run(begun=lambda: server.log("\n".join(filter(None, [server.about, server.warning]))))


class Server:
    """Models behind HTTP; it listens from the moment it is made, and answers once it is run or entered."""

    def __init__(
        self,
        models: Models,
        *,
        wires: Iterable[str | Wire] = WIRES,
        host: str = "127.0.0.1",
        port: int = 8000,
        api_key: str | None = None,
        queue: int = 1024,
        concurrency: int | None = None,
        max_body: int = 64 * 2**20,
        patience: float = 30.0,
        timeout: float = 600.0,
        grace: float = 30.0,
        certificate: str | Path | None = None,
        private_key: str | Path | None = None,
        access_log: bool = False,
        log: Callable[[str], None] | None = None,
    ) -> None:
        """`api_key` is a key, env:NAME or file:PATH; `concurrency` is how many requests a model is asked at
        a time (as many as it likes), `queue` how many may wait beside. A client may take `patience` seconds
        for the next part of what it asks, an answer `timeout` in all; `grace` is what answers under way
        are given when the server ends."""
        _check(0, queue=queue, grace=grace)
        _check(1, concurrency=concurrency, max_body=max_body)
        _check(1e-3, patience=patience, timeout=timeout)
        pair = read_certificate(certificate, private_key)
        self.log = log or _write
        keys = None if api_key is None else read_keys(api_key)
        routes = Routes(open_wires([wires] if isinstance(wires, (str, Wire)) else wires))
        self._socket = listen(host, port)
        self._opened: list[Model] = []
        try:
            served = self._open(models, queue=queue, concurrency=concurrency)
        except BaseException:
            self._close()
            raise
        limits = Limits(max_body, patience, timeout)
        self.app = Application(served, routes, keys=keys, limits=limits, log=self.log, access=access_log)
        self._inner = Uvicorn(configure(self.app, grace=grace, certificate=pair), self.app)
        self._thread: threading.Thread | None = None
        scheme = "http" if pair is None else "https"
        self.host, self.port = host, int(self._socket.getsockname()[1])
        self.url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def about(self) -> str:
        """What is served where, in one line."""
        return f"serving {', '.join(self.app.models)} at {self.url} ({', '.join(self.app.routes.wires)})"

    @property
    def warning(self) -> str:
        """What to mind of how it is served, if anything."""
        if self.app.keys is not None or is_local(self.host):
            return ""
        return f"warning: whoever reaches {self.host} may ask, for there is no API key"

    def run(self, *, begun: Callable[[], None] = lambda: None) -> None:
        """Answer until SIGINT or SIGTERM, or until it is stopped from another thread.

        `begun` is called once it answers, and signals end it well.
        """
        self._inner.begun = begun
        try:
            self._inner.run(sockets=[self._socket])
        finally:
            self._close()

    def stop(self) -> None:
        """End as after SIGTERM: nothing new is taken, answers under way are finished."""
        self._inner.end()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        elif not self._inner.started:
            self._close()

    def __enter__(self) -> Server:
        begun = threading.Event()

        def run() -> None:
            try:
                self.run(begun=begun.set)
            finally:
                begun.set()

        self._thread = threading.Thread(target=run, name="steelyard.server", daemon=True)
        self._thread.start()
        begun.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _open(self, models: Models, *, queue: int, concurrency: int | None) -> dict[str, Served]:
        if isinstance(models, Mapping):
            pairs = [(str(name), self._open_one(one)) for name, one in models.items()]
        else:
            several = models if isinstance(models, (list, tuple)) else [models]
            pairs = [(one.name, one) for one in map(self._open_one, several)]
        served: dict[str, Served] = {}
        for name, model in pairs:
            if name in served:
                raise UsageError(f"two models are called {name}", hint="name=… calls one something else")
            served[name] = Served(name, model, Places(concurrency or model.concurrency, queue=queue))
        if not served:
            raise UsageError("no model is named", hint="--model embedded")
        return served

    def _open_one(self, one: Any) -> Model:
        if isinstance(one, Model):
            return one
        model = open_model(one)
        self._opened.append(model)
        return model

    def _close(self) -> None:
        self._socket.close()
        for model in self._opened:
            model.close()


def _check(least: float, **options: float | None) -> None:
    for option, value in options.items():
        if value is not None and value < least:
            raise UsageError(f"{option} is {value}", hint=f"it must be at least {least:g}")


def _write(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
