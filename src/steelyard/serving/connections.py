"""Connections that say nothing, or say it for ever, are closed: uvicorn's protocols with two limits.

The beginning of a call, its line and headers, must be there within a time and not be too large.
"""

from __future__ import annotations

import asyncio
import importlib.util
from importlib import import_module
from typing import Any

MOST = 2**16
"""The most bytes of a call's line and headers."""


def limit_connections(*, patience: float, most: int = MOST) -> type[asyncio.Protocol]:
    """The protocol that uvicorn speaks with what is installed, with both limits."""
    fast = importlib.util.find_spec("httptools") is not None
    module = import_module(f"uvicorn.protocols.http.{'httptools' if fast else 'h11'}_impl")
    protocol: Any = module.HttpToolsProtocol if fast else module.H11Protocol

    class Limited(protocol):  # type: ignore[misc]
        _timer: asyncio.TimerHandle | None = None
        _size = 0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait()

        def data_received(self, data: bytes) -> None:
            begins = self.cycle is None or self.cycle.response_complete
            # What is left of a body that was not wanted is no beginning of a call.
            unread = self.cycle is not None and self.cycle.more_body
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._stop_waiting()
                return
            self._size += 0 if unread or not begins else len(data)
            if self._size > most:
                self._stop_waiting()
                self.transport.write(
                    b"HTTP/1.1 431 Headers Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )
                self.transport.close()
            elif self._timer is None:
                self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def _wait(self) -> None:
            self._timer = self.loop.call_later(patience, self.transport.close)

        def _stop_waiting(self) -> None:
            self._size = 0
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return Limited
