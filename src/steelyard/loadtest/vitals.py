"""How the process that measures fares: how busy its loop is, what it uses."""

from __future__ import annotations

import asyncio
import os
import selectors
from pathlib import Path
from time import perf_counter as clock
from time import process_time
from typing import Any

_LEAST = 0.1
"""Of fewer seconds a share says nothing: what ends a stage is at work when it is asked."""


class _Selector(selectors.DefaultSelector):
    """The platform's selector, which adds up how long it waited."""

    idle = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        began = clock()
        found: list[tuple[selectors.SelectorKey, int]] = super().select(timeout)
        self.idle += clock() - began
        return found


class Loop(asyncio.SelectorEventLoop):
    """The platform's loop on sockets, which adds up how long it waited for anything to happen."""

    def __init__(self) -> None:
        self._waiting: Any = _Selector()
        super().__init__(self._waiting)

    @property
    def idle(self) -> float:
        """For how many seconds it did nothing so far."""
        return float(self._waiting.idle)


class Busyness:
    """Which share of the time a loop does anything but wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._at, self._idle = clock(), self._idle_so_far()
        self._share: float | None = None

    def take(self) -> float:
        """The share since it was last taken; what it was then, where that was just now."""
        at, idle = clock(), self._idle_so_far()
        seconds, waited = at - self._at, idle - self._idle
        if self._share is None or seconds >= _LEAST:
            self._at, self._idle = at, idle
            self._share = min(1.0, max(0.0, 1 - waited / seconds)) if seconds > 0 else 0.0
        return self._share

    def _idle_so_far(self) -> float:
        return self._loop.idle if isinstance(self._loop, Loop) else clock() - process_time()


def tell_usage() -> dict[str, Any]:
    """The CPU seconds of this process so far, and its memory in bytes."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    except (OSError, IndexError):
        # Elsewhere than on Linux this is not told in passing.
        return {"cpu": round(process_time(), 3), "rss": None}
    return {"cpu": round(process_time(), 3), "rss": pages * os.sysconf("SC_PAGE_SIZE")}
