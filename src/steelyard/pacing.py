"""Moments kept exactly: a timer of the kernel's, for which the loop is woken when they come.

    timer = Timer()
    await timer.reach(clock() + 0.25)
    timer.close()

What is to go out at a moment is begun a little before it, and waits for it where it is ready too early:

    set_due(moment)                                who begins
    wait_for_due()                                 who sends, right before

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
from contextvars import ContextVar
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Any

_MONOTONIC = 1
_ABSOLUTE = 1
_NANO = 1_000_000_000
_TURN = 0.0002
# Nobody waits longer for a moment without giving way.
_LONGEST = 0.002
_STEP, _IN_TIME, _FIRST_LEAD, _LONGEST_LEAD = 2e-5, 1e-4, 4e-4, 1e-3
# How much of the time between requests is spent on waiting at most; how much each weighs in their mean.
_MOST_WAITING, _WEIGHT = 0.2, 0.05
_due: ContextVar[float] = ContextVar("due", default=0.0)


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


class Lead:
    """How much before it is due something is begun, so that nine of ten go out in time.

    It is learned from how late things were, in small steps; no more than a share of the time between
    them goes into waiting for the moment. Where it is not `known` that this is waited for, there is none.
    """

    def __init__(self, *, known: bool) -> None:
        self.seconds = _FIRST_LEAD if known else 0.0
        self._known = known
        self._gap = self._last = 0.0

    def see(self, due: float) -> None:
        """One more is due then."""
        if self._last:
            self._gap += _WEIGHT * (due - self._last - self._gap)
        self._last = due

    def learn(self, lag: float) -> None:
        """One of them went out so late."""
        if self._known:
            most = min(_LONGEST_LEAD, _MOST_WAITING * (self._gap or 1.0))
            self.seconds = max(0.0, min(most, self.seconds + (_STEP if lag > _IN_TIME else -_STEP / 9)))


def set_due(due: float) -> None:
    """What is asked from here on is due at this moment."""
    _due.set(due)


def wait_for_due() -> None:
    """Wait for the moment in which what is asked here is due, where it is very near."""
    due, now = _due.get(), time.perf_counter()
    if due - _LONGEST < now:
        # No sleep is short enough, and who sleeps wakes late.
        while now < due:
            now = time.perf_counter()


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
