"""Moments kept exactly: a timer of the kernel's, for which the loop is woken when they come.

    timer = Timer()
    await timer.reach(clock() + 0.25)
    timer.close()

The timers of asyncio are late by a millisecond as a rule, because a loop waits in whole milliseconds.
Where the platform has none of its own (all but Linux), they are what is used.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Any

_MONOTONIC = 1
_ABSOLUTE = 1
_NANO = 1_000_000_000
_TURN = 0.0002


class _Setting(ctypes.Structure):
    """`struct itimerspec`: how often the timer rings again, and when it rings."""

    _fields_ = (
        ("every_seconds", ctypes.c_long),
        ("every_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )


class Timer:
    """Calls back at moments of `time.perf_counter`, never early; all that is due in one turn of the loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._calls: list[tuple[float, int, Callable[[], object]]] = []
        self._number = count()
        self._set_for: float | None = None
        self._ringing = False
        self._later: asyncio.TimerHandle | None = None
        self._file = _open_timer()
        if self._file is not None:
            self._loop.add_reader(self._file, self._ring)

    def call_at(self, when: float, callback: Callable[[], object]) -> None:
        """Have `callback` called at a moment; at once, in the next turn, if it has passed."""
        heappush(self._calls, (when, next(self._number), callback))
        self._set()

    async def reach(self, when: float) -> None:
        """Wait for a moment."""
        reached: asyncio.Future[None] = self._loop.create_future()
        self.call_at(when, partial(_settle, reached))
        await reached

    def close(self) -> None:
        """Forget all that was to be called."""
        self._calls.clear()
        if self._later is not None:
            self._later.cancel()
        if self._file is not None:
            self._loop.remove_reader(self._file)
            os.close(self._file)
            self._file = None

    def _set(self) -> None:
        """Have the loop woken for the first of the moments."""
        if self._ringing or not self._calls or self._calls[0][0] == self._set_for:
            return
        when = self._set_for = self._calls[0][0]
        if self._file is not None:
            _set_timer(self._file, when)
            return
        if self._later is not None:
            self._later.cancel()
        self._later = self._loop.call_later(max(0.0, when - time.perf_counter()), self._ring)

    def _ring(self) -> None:
        if self._file is not None:
            try:
                os.read(self._file, 8)
            except BlockingIOError:
                # It was set for another moment since it rang.
                return
        self._set_for, self._ringing = None, True
        now = time.perf_counter()
        try:
            while self._calls and self._calls[0][0] <= now:
                heappop(self._calls)[2]()
        finally:
            self._ringing = False
            self._set()


@contextlib.contextmanager
def attending() -> Iterator[None]:
    """Within it a thread that computes in Python gives way to the loop within 0.2 ms, in the place of 5."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, _TURN))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _settle(reached: asyncio.Future[None]) -> None:
    if not reached.done():
        reached.set_result(None)


def _open_timer() -> int | None:
    """A timer of the kernel's, on the clock that `time.perf_counter` reads; None where there is none."""
    if _library is None or time.get_clock_info("perf_counter").implementation != _CLOCK:
        return None
    file = int(_library.timerfd_create(_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))
    return file if file >= 0 else None


def _set_timer(file: int, when: float) -> None:
    # Rounded up, so that it never rings before its time; zero would mean never.
    seconds, nanoseconds = divmod(max(1, int(when * _NANO) + 1), _NANO)
    setting = _Setting(0, 0, seconds, nanoseconds)
    if _library.timerfd_settime(file, _ABSOLUTE, ctypes.byref(setting), None):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


_CLOCK = "clock_gettime(CLOCK_MONOTONIC)"
_library: Any = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
