"""How much is asked of a service: how fast, how many at a time, how often again, and until when.

A service that says it has too much to do (429, or 503 with Retry-After) is obeyed: fewer questions are
under way at a time, the pause it asks for holds for all, and it counts as no try. One that cannot be
reached any more is waited for. Both end when nothing was answered for as long as `patience` says; from
then on only a question every few seconds tries whether it is back, and the others fail at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from steelyard.errors import UsageError
from steelyard.models.batches import clock

_NEVER = float("inf")
_PROBE = 5.0
_STALLED = 20
# As many times the pause that a refusal costs pass before it is risked again.
_WORTH = 10


class Pace:
    """At most so much a second; what was not used up to `burst` seconds ago may be made up for."""

    def __init__(self, rate: float, *, burst: float = 0.0) -> None:
        self.rate, self.burst = rate, burst
        self._free_at = 0.0

    async def wait(self, amount: float = 1.0) -> None:
        """Wait for the turn of this much."""
        now = clock()
        turn = max(now - self.burst, self._free_at)
        self._free_at = turn + amount / self.rate
        if turn > now:
            await asyncio.sleep(turn - now)

    def add(self, amount: float) -> None:
        """It was more than was waited for, or less."""
        self._free_at += amount / self.rate


class Gate:
    """How many questions are under way at a time, on one loop: as many as the service bears.

    Each refusal halves their number, each answer lets it grow by one a round; near where it was
    refused before, much more slowly, and not before the pause that one more may cost is worth it.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, most: float = _NEVER, *, like: Gate | None = None
    ) -> None:
        """What one on another loop has learned of the service holds here too."""
        self.loop, self.most, self.under_way = loop, most, 0
        self.allowed: float = most if like is None else like.allowed
        self._refused_at: float = most if like is None else like._refused_at
        self._paused_until: float = 0.0 if like is None else like._paused_until
        self._cut_at = self._held_until = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether one more may go at once."""
        return (
            self.under_way + 1 <= self.allowed
            and not self._waiting
            and (not self._paused_until or clock() >= self._paused_until)
        )

    async def enter(self, *, first: bool = False) -> None:
        """Wait for one's turn; who was refused before goes `first`."""
        if self.is_open:
            self.under_way += 1
            return
        turn: asyncio.Future[None] = self.loop.create_future()
        (self._waiting.appendleft if first else self._waiting.append)(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        """One less is under way."""
        self.under_way -= 1
        if self._waiting:
            self._admit()

    def answered(self) -> None:
        """The service bore one more."""
        if self.allowed < self.most:
            near = self.allowed + 1 >= self._refused_at
            if near and clock() < self._held_until:
                return
            self.allowed = min(self.most, self.allowed + (0.1 if near else 1.0) / self.allowed)

    def refused(self, begun: float, pause: float) -> None:
        """The service had too much to do with what went out then; it wants a pause of seconds."""
        now = clock()
        if begun >= self._cut_at:
            # Once for all that were under way together.
            self._refused_at = max(2.0, min(self.allowed, self.under_way + 1.0))
            self.allowed = max(1.0, self._refused_at / 2)
            self._cut_at = now
        self._paused_until = max(self._paused_until, now + pause)
        self._held_until = now + _WORTH * pause

    def _admit(self) -> None:
        pause = self._paused_until - clock() if self._paused_until else 0.0
        if pause > 0:
            if self._timer is None:
                self._timer = self.loop.call_later(pause, self._resume)
            return
        self._paused_until = 0.0
        while self._waiting and self.under_way + 1 <= self.allowed:
            turn = self._waiting.popleft()
            if not turn.done():
                self.under_way += 1
                turn.set_result(None)

    def _resume(self) -> None:
        self._timer = None
        self._admit()


class Budget:
    """How many tries after the first there are in all: a share of what was asked, some at least."""

    def __init__(self, share: float | None, *, least: int) -> None:
        self.share, self.least = share, least
        self.asked = self.spent = 0

    def take(self) -> bool:
        """Take one more, if there is one."""
        if self.share is not None and self.spent >= max(self.least, self.share * self.asked):
            return False
        self.spent += 1
        return True


@dataclass(slots=True)
class Health:
    """Whether the service answers at all, as far as the last tries tell."""

    patience: float
    stalled: int = _STALLED
    answered: bool = False
    given_up: str = ""
    ill_since: float | None = None
    probed: float = 0.0
    slow: int = 0

    def well(self) -> None:
        """It has answered."""
        if self.answered and self.ill_since is None and not self.slow:
            return
        self.answered, self.given_up, self.ill_since, self.slow = True, "", None, 0

    def ill(self) -> float:
        """It cannot be reached, or refuses to answer; says for how long by now."""
        now = clock()
        if self.ill_since is None:
            self.ill_since = now
        return now - self.ill_since

    def give_up(self, failure: str) -> None:
        """Ask it no more, but now and then."""
        self.given_up, self.probed = failure, clock()

    def stall(self, failure: str) -> None:
        """A question got no answer in time, in none of its tries; many in a row are enough."""
        self.slow += 1
        if self.slow >= self.stalled:
            self.give_up(failure)

    def may_try(self) -> bool:
        """Whether a service that was given up is tried again by now."""
        now = clock()
        if now - self.probed < _PROBE:
            return False
        self.probed = now
        return True


def check_least(least: float, **options: float | None) -> None:
    """Refuse an option that is less than it must be."""
    for option, value in options.items():
        if value is not None and not value >= least:
            raise UsageError(f"{option} is {value}", hint=f"it must be at least {least}")
