"""SIGTERM, which ends a command as Ctrl-C does: what was answered is stored."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stopped_like_an_interrupt(*, first: Callable[[], None] | None = None) -> Iterator[None]:
    """Within this block SIGTERM is an interrupt; `first` is called before, as to end other processes."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        if first is not None:
            first()
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            # So it is in what a shell runs in the background, where Ctrl-C is meant for others.
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    if threading.current_thread() is not threading.main_thread():
        # Signals belong to the main thread.
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
