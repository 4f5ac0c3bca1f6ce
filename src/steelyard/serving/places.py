"""How many requests a model is asked at a time, who waits for that, and when nobody else may."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from contextlib import suppress

# How much the latest answer says about how long the next will take.
_FRESH = 0.1
_LONGEST_WAIT = 60


class Places:
    """As many places as a model is asked requests at a time, and a queue of those who wait for one.

    A call that comes while all places are taken and `queue` requests wait is to be turned away.
    """

    def __init__(self, most: int, *, queue: int) -> None:
        self.most, self.queue = most, queue
        self.taken = 0
        self.waiting = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._usual = 0.0

    @property
    def full(self) -> bool:
        """Whether nobody else may wait."""
        return self.taken >= self.most and self.waiting >= self.queue

    @property
    def patience(self) -> int:
        """After how many seconds it is worth asking again."""
        rounds = (self.waiting + 1) / self.most
        return max(1, min(_LONGEST_WAIT, math.ceil(self._usual * rounds)))

    async def take(self) -> None:
        """Take a place, in turn; each that is taken is to be given back."""
        if self.taken < self.most:
            self.taken += 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self.waiting += 1
        try:
            await place
        except asyncio.CancelledError:
            if place.cancelled():
                with suppress(ValueError):
                    self._waiting.remove(place)
            else:
                self._pass_on()
            raise
        finally:
            self.waiting -= 1

    def give_back(self, seconds: float) -> None:
        """Give a place back after an answer that took so long."""
        self._usual += (seconds - self._usual) * (_FRESH if self._usual else 1.0)
        self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.cancelled():
                place.set_result(None)
                return
        self.taken -= 1
