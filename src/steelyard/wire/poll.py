"""The connections of one loop that wait for bytes, however many: one entry among what the loop waits for.

A loop makes an object for every socket that has something to read, and a turn of its own for few of them.
Here the kernel keeps the list, and whoever is in it is called at once, some of them in each turn.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections import deque
from collections.abc import Callable
from time import perf_counter as clock

from steelyard.wire.arrivals import Calendar

Read = Callable[[bool, bool], float]

# As many as delay a timer by no more than a few tenths of a millisecond.
_A_TURN = 24
# How many of those who wait for an answer go on in a turn.
_WOKEN = 12
# Nothing that waited for less is worth a second look.
_LATE = 1e-3
# Who has not caught up by then will not with so much care.
_CATCHING_UP = 0.05


class Poll:
    """Calls whoever has something to read. `read(careful, hurried)` says when what it read first was there.

    It is to read carefully, event by event, where events of several moments may wait: where nobody has
    looked for a while. When it is hurried it is to do so for what matters most alone.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.calendar = Calendar()
        self._process = os.getpid()
        self._readers: dict[int, Read] = {}
        self._list: select.epoll | None = None
        self._drained = True
        self._looked = self._begun = 0.0
        self._woken = 0
        self._sleeping: deque[Callable[[], None]] = deque()

    def wake(self, call: Callable[[], None]) -> None:
        """Wake who waits for an answer, which is whole; where many are in a moment, some a turn.

        What is done with many answers takes long, and meanwhile the kernel would put together what comes.
        """
        if self._woken < _WOKEN:
            self._woken += 1
            call()
            return
        if not self._sleeping:
            self.loop.call_soon(self._wake_more)
        self._sleeping.append(call)

    def add(self, file: int, read: Read) -> None:
        """Call `read` when there is something to read in this file."""
        if not hasattr(select, "epoll"):
            self.loop.add_reader(file, self._call, read)
            return
        if self._list is None:
            self._list, self._drained, self._looked = select.epoll(), True, clock()
            self.loop.add_reader(self._list.fileno(), self._look)
        self._list.register(file, select.EPOLLIN)
        self._readers[file] = read

    def remove(self, file: int) -> None:
        """Call for this file no more; where the loop has been closed, that is so already."""
        if self._list is None:
            if not self.loop.is_closed():
                self.loop.remove_reader(file)
        elif self._readers.pop(file, None) is not None:
            # A process that was forked has the very same list, which the one that made it waits with.
            ours = self._process == os.getpid()
            if ours:
                self._list.unregister(file)
            if not self._readers:
                if ours and not self.loop.is_closed():
                    self.loop.remove_reader(self._list.fileno())
                self._list.close()
                self._list = None

    def _wake_more(self) -> None:
        for _ in range(min(_WOKEN, len(self._sleeping))):
            self._sleeping.popleft()()
        if self._sleeping:
            self.loop.call_soon(self._wake_more)

    def _call(self, read: Read) -> None:
        self._woken = 0
        self.calendar.look(drained=True)
        read(False, False)

    def _look(self) -> None:
        listed = self._list
        if listed is None:
            return
        self._woken = _WOKEN if self._sleeping else 0
        now = self.calendar.look(drained=self._drained)
        if self._drained:
            self._begun = now
        careful = now - self._looked > _LATE
        hurried = now - self._begun > _CATCHING_UP
        readers, ready = self._readers, listed.poll(0, _A_TURN)
        for file, _ in ready:
            if file in readers:
                first = readers[file](careful, hurried)
                # Who waits longest is called first: where that was not long, nobody waited long.
                careful = careful and now - first > _LATE
        self._drained = len(ready) < _A_TURN
        if self._drained:
            self._looked = clock()
