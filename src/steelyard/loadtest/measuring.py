"""What a process that measures does: ask its share of a stage, store what comes, note how it fares itself.

It does nothing else, for all that it does is in the times that it takes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import Any

from steelyard.engine import execute
from steelyard.errors import SteelyardError, UsageError
from steelyard.loadtest.sessions import Arrival, Asking, Sessions, Share
from steelyard.loadtest.ticks import Tally
from steelyard.loadtest.vitals import Busyness, tell_usage
from steelyard.models.base import Model, clock
from steelyard.timings.shards import Shard
from steelyard.types import Record, Request, Response, Score
from steelyard.workloads.base import Workload

Judge = Callable[[Record], Mapping[str, Score]]

LEAD = 0.05
"""How many seconds before its start a stage is announced to all who measure it."""
_MOST_WARM = 256
_FAILED_PACE = 0.1
"""In how many seconds a client of a closed loop asks but once, if that fails.

A service that is away would be asked thousands of times a second else, and all be asked before it is back.
"""
_SLICE = 0.0004
"""For how many seconds answers are stored before the loop may look whether anything is due."""


@dataclass(kw_only=True)
class Orders:
    """What holds for all processes of a sitting: `zero` is its zero by our clock, `began` by the calendar."""

    model: Model
    workload: Workload
    run: Path
    sitting: int
    began: float
    zero: float
    token: str
    keep: bool = False
    judge: Judge | None = None


class Refused(Exception):
    """The first answer failed, and so will all others."""

    def __init__(self, why: SteelyardError) -> None:
        super().__init__(str(why))
        self.why = why


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How the measuring of a stage went; `begin` and `end` are seconds after the sitting's zero.

    `reached` is the place behind the last session that was begun; `unsent` were due, and not begun before
    the time was over; `skipped` rows of the workload were passed over so far, and `ended` says whether all
    its sessions were had. `busy` is the share of the time that the busiest process was at work. `lost`
    says why it is not whole, if it is not.
    """

    begin: float
    end: float
    reached: int
    unsent: int = 0
    skipped: int = 0
    ended: bool = False
    busy: float = 0.0
    workers: int = 1
    lost: str | None = None


class Measuring:
    """One process's part in a load."""

    def __init__(self, orders: Orders, worker: int, shard: int, *, failed: Callable[[str], None]) -> None:
        """`failed` is told the error of the first answer, if nothing was answered well before."""
        self.orders, self.tally = orders, Tally()
        self._counted = _Counted(orders.model, self.tally, keep=orders.keep or orders.judge is not None)
        self._shard = Shard(
            orders.run / "shards" / str(shard),
            sitting=orders.sitting,
            worker=worker,
            began=orders.began,
            zero=orders.zero,
        )
        self._sessions = Sessions(orders.workload)
        self._failed: Callable[[str], None] | None = failed
        self._waiting: deque[Record] = deque()
        self._storing: asyncio.Handle | None = None
        self._trouble: Exception | None = None
        self.reached = 0
        """The place behind the last session of the stage that was begun."""
        self.unsent = 0
        """How many sessions of the stage were due and not begun."""
        self._share: Share | None = None

    async def prepare(self, share: Share) -> None:
        """Have connections ready for a stage."""
        wanted = count_connections(share)
        try:
            await self._counted.warm(wanted)
        except UsageError:
            raise
        except Exception:  # noqa: BLE001 - the requests will tell
            return

    async def run(self, share: Share, start: float) -> None:
        """Ask a share of a stage, from `start` on our clock."""
        stage = share.stage
        self._share, self.reached, self.unsent = share, 0, 0
        self.tally.begin()
        arrivals = self._sessions.arrivals(share)
        schedule: Iterator[float] | None = None
        if stage.arrival is not None:
            arrivals, dues = tee(arrivals)
            schedule = (one.due or 0.0 for one in dues)
        async with self._noting(share, start):
            try:
                await execute(
                    self._counted,
                    self._questions(arrivals, share),
                    self._keep,
                    schedule=schedule,
                    concurrency=share.clients,
                    joining=share.joining,
                    follow=self._follow,
                    until=share.left,
                    grace=stage.grace,
                    start=start,
                )
            except asyncio.CancelledError:
                # Who is stopped leaves it to a later sitting.
                self.unsent = 0
                raise
            if schedule is not None:
                # Those that nobody looked at any more were due all the same.
                self.unsent += sum(1 for _ in arrivals)

    @property
    def skipped(self) -> int:
        """How many rows of the workload were passed over so far."""
        return self._sessions.skipped

    @property
    def ended(self) -> bool:
        """Whether the stage had all sessions that the workload has."""
        return self._sessions.ended

    def close(self) -> None:
        """Store what is not stored yet."""
        try:
            self._store_all()
        finally:
            self._shard.close()

    def note(self, busy: float) -> dict[str, Any]:
        """How this process fares, as it is kept."""
        share, tally = self._share, self.tally
        return {
            "t": round(clock() - self.orders.zero, 3),
            "stage": None if share is None else share.number,
            "in_flight": tally.in_flight,
            "sent": tally.sent,
            "done": tally.done,
            "failed": tally.failed,
            "cut": tally.cut,
            "lag": round(tally.take_worst(), 6),
            "busy": round(busy, 3),
            **tell_usage(),
        }

    def _questions(self, arrivals: Iterator[Arrival], share: Share) -> Iterator[tuple[Asking, Request]]:
        for arrival in arrivals:
            self.reached = max(self.reached, arrival.place + 1)
            self.unsent += 1
            asking = Asking(arrival, share.number)
            yield asking, self._request(asking)

    def _request(self, asking: Asking) -> Request:
        request = asking.request(self.orders.token, chat=self._counted.chat)
        if not asking.is_last:
            self._counted.wordy.add(request.id)
        return request

    def _follow(
        self, asking: Asking, request: Request, response: Response
    ) -> tuple[Asking, Request, float] | None:
        following = asking.follow(request, response)
        if following is None:
            self.tally.sessions += 1
            return None
        return following, self._request(following), following.now.think

    def _keep(self, asking: Asking, request: Request, response: Response) -> Awaitable[None] | None:
        if self._trouble is not None:
            raise self._trouble
        cut = isinstance(response.raw, Mapping) and bool(response.raw.get("cut"))
        self.tally.add(response, cut=cut)
        self.unsent -= asking.turn == 0
        if self._failed is not None:
            if response.error is not None and not cut:
                self._failed(response.error)
            self._failed = None
        self._waiting.append(self._record(asking, request, response))
        if self._storing is None:
            self._storing = asyncio.get_running_loop().call_soon(self._store)
        closed = self._share is not None and self._share.stage.arrival is None
        if not closed or response.error is None or response.timing is None:
            return None
        rest = _FAILED_PACE - (response.timing.done - response.timing.sent)
        return asyncio.sleep(rest) if rest > 0 else None

    def _record(self, asking: Asking, request: Request, response: Response) -> Record:
        keep, place = self.orders.keep, asking.arrival.place
        sample = asking.sample(kept=request.prompt if keep else None)
        scores: Mapping[str, Score] = {}
        if self.orders.judge is not None:
            scores = self.orders.judge(Record(place, sample, request, response))
        if not keep:
            request = Request(request.id, "", params=request.params)
            response = Response("", None, response.tokens, response.timing, response.error, response.raw)
        return Record(place, sample, request, response, scores)

    def _store(self) -> None:
        """Store some of what waits; the rest once the loop has looked what else is to be done."""
        self._storing = None
        end = clock() + _SLICE
        try:
            while self._waiting:
                some = [self._waiting.popleft() for _ in range(min(4, len(self._waiting)))]
                self._shard.add_all(some)
                if clock() >= end:
                    break
        except Exception as error:  # noqa: BLE001 - raised where the next answer comes in
            self._trouble = error
            return
        if self._waiting:
            self._storing = asyncio.get_running_loop().call_soon(self._store)

    def _store_all(self) -> None:
        if self._storing is not None:
            self._storing.cancel()
            self._storing = None
        if self._trouble is not None:
            raise self._trouble
        if self._waiting:
            self._shard.add_all(self._waiting)
            self._waiting.clear()

    def _note(self, busyness: Busyness) -> None:
        try:
            self._shard.note(**self.note(busyness.take()))
        except Exception as error:  # noqa: BLE001 - raised where the next answer comes in
            self._trouble = self._trouble or error

    @asynccontextmanager
    async def _noting(self, share: Share, start: float) -> AsyncIterator[None]:
        """Note each second how this process fares."""
        loop = asyncio.get_running_loop()
        busyness = Busyness(loop)

        def note() -> None:
            timers[0] = loop.call_later(1.0, note)
            self._note(busyness)

        timers = [loop.call_later(max(0.0, start - clock()) + 1.0, note)]
        try:
            yield
        finally:
            timers[0].cancel()
            self._note(busyness)
            self._store_all()


class _Counted(Model):
    """A model under load whose questions are counted as they go out."""

    def __init__(self, model: Model, tally: Tally, *, keep: bool) -> None:
        self.wordy: set[str] = set()
        """The requests whose answers are said again in the next turn."""
        self._texts = model.under_load(keep=True)
        self._times = self._texts if keep else model.under_load(keep=False)
        self.punctual = self._times.punctual
        self._tally = tally
        self.chat = model.chat

    @property
    def name(self) -> str:
        return self._texts.name

    async def warm(self, connections: int) -> None:
        await self._times.warm(connections)

    def ask(self, request: Request) -> Coroutine[Any, Any, Response]:
        self._tally.sent += 1
        if request.id in self.wordy:
            self.wordy.discard(request.id)
            return self._texts.ask(request)
        return self._times.ask(request)


def count_connections(share: Share) -> int:
    """How many connections a share of a stage is begun with."""
    stage, most = share.stage, share.clients
    if stage.arrival is None:
        return most or 0
    if stage.arrival == "at_once" and share.sessions is not None:
        wanted = -(-share.sessions // share.of)
    else:
        wanted = min(_MOST_WARM, int((stage.rate or 1.0) / share.of) + 1)
    return wanted if most is None else min(wanted, most)
