"""SIGTERM, which ends a command as Ctrl-C does: what was answered is stored."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


def _interrupt() -> None:
    raise KeyboardInterrupt


@contextmanager
def stopped_like_an_interrupt(*, first: Callable[[], None] | None = None) -> Iterator[None]:
    """Within this block SIGTERM is an interrupt; `first` is called before, as to end other processes."""

    told = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal told
        again, told = told, True
        if first is not None:
            first()
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.raise_signal(signal.SIGINT)
            return
        # So it is in what a shell runs in the background, where Ctrl-C is meant for others.
        events = sys.modules.get("asyncio.events")
        loop = events._get_running_loop() if events is not None else None
        if loop is None or again:
            raise KeyboardInterrupt
        # A loop that is interrupted between two steps would lose the second, and who waits for it wait on.
        loop.call_soon_threadsafe(_interrupt)

    if threading.current_thread() is not threading.main_thread():
        # Signals belong to the main thread.
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
