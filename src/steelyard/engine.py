"""execute(model, items, answered): the only loop that asks models.

Accuracy, load, reward scoring and likelihood all pass through it. Items are pulled as they are
needed, one by one, so memory is bounded by what is in flight however many there are.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice, repeat
from typing import Any, TypeVar

from steelyard.errors import GivenUp, UsageError, describe
from steelyard.models.base import Model, clock
from steelyard.models.scores import check_scores
from steelyard.pacing import Lead, Timer, attending, set_due
from steelyard.types import Request, Response, Timing

T = TypeVar("T")

Answered = Callable[[T, Request, Response], "Awaitable[None] | None"]
Follow = Callable[[T, Request, Response], "tuple[T, Request, float] | None"]
_Taken = tuple[Any, Request]

_BREATH = 0.02
_AHEAD = 32
"""How many items of an open loop are taken before they are due, so that making one delays none."""


async def execute(
    model: Model,
    items: Iterable[tuple[T, Request]],
    answered: Answered[T],
    *,
    schedule: Iterable[float] | None = None,
    concurrency: int | None = None,
    joining: Iterable[float] | None = None,
    follow: Follow[T] | None = None,
    until: float | None = None,
    grace: float | None = None,
    start: float | None = None,
    deadline: float | None = None,
    begun: float | None = None,
) -> None:
    """Ask `model` each item's request when it is due; hand the item and its answer to `answered`.

    Without a `schedule` `concurrency` clients each ask one request after the other, from the seconds in
    `joining` on, if given; where it or `start` is, a client's next request is due when the answer before
    it ended, or what `answered` awaits. With one, its seconds after `start` (on our clock; else at once)
    are when requests are due, however slow the answers; `concurrency`, if given, is then the most in
    flight. What `follow` makes of an answer (item, request, seconds after the answer) is asked next by
    the same client.

    `until` seconds after the start nothing more is begun, and what is not answered `grace` seconds later
    is cut: answered with an error and `raw={"cut": True}`, or with what the model returns once cancelled.
    An error in `items` is raised once what is in flight has been answered; an error in `answered` at once.
    When `deadline` seconds after `begun` are over what is in flight is given up, and GivenUp raised.
    """
    limit = model.concurrency if concurrency is None and schedule is None else concurrency
    if limit is not None and limit < 1:
        raise UsageError(f"concurrency is {limit}", hint="it must be at least 1")
    if deadline is not None and not deadline > 0:
        raise UsageError(f"deadline is {deadline}", hint="it must be above 0 seconds")
    if schedule is not None and joining is not None:
        raise UsageError("clients that join keep to no schedule", hint="give joining or schedule")
    zero = clock() if start is None else start
    end = math.inf if until is None else zero + until
    told: Any = {"answered": answered, "follow": follow, "start": zero, "end": end}
    if schedule is not None:
        most = math.inf if limit is None else limit
        execution: _Execution = _Arrivals(model, items, schedule=schedule, limit=most, **told)
    else:
        joins = islice(repeat(0.0) if joining is None else joining, limit)
        timed = start is not None or joining is not None
        execution = _Clients(model, items, joining=joins, timed=timed, **told)
    await execution.finish(grace, deadline, begun)


class _Execution:
    """What is asked and what becomes of the answers; when each is asked, its subclasses say."""

    def __init__(
        self,
        model: Model,
        items: Iterable[tuple[Any, Request]],
        *,
        answered: Answered[Any],
        follow: Follow[Any] | None,
        start: float,
        end: float,
    ) -> None:
        self.model = model
        self.items = iter(items)
        self.answered = answered
        self.follow = follow
        self.start, self.end = start, end
        self.timer = Timer()
        self.workers: set[asyncio.Task[None]] = set()
        self.working = 0
        self.coming = True
        """Whether more workers will begin."""
        self.asking: set[asyncio.Task[Any] | None] = set()
        self.cutting = False
        self.timed = False
        """Whether a client's next request is due the moment its last one has ended."""
        self.source_error: BaseException | None = None
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.breathed = clock()

    async def finish(self, grace: float | None, deadline: float | None, begun: float | None) -> None:
        if grace is not None and self.end < math.inf:
            self.timer.call_at(self.end + grace, self._cut)
        if deadline is not None:
            since = clock() if begun is None else begun
            self.timer.call_at(since + deadline, lambda: self._give_up(deadline))
        try:
            self.proceed()
            await self.finished
        finally:
            self.timer.close()
            for worker in self.workers:
                worker.cancel()
            await asyncio.gather(*self.workers, return_exceptions=True)
        if self.source_error is not None:
            raise self.source_error

    def proceed(self) -> None:
        """Have all workers begin whose time has come, and come back when the next one's has."""
        raise NotImplementedError

    def begin(self, taken: _Taken | None, due: float | None, held: float = 0.0) -> None:
        """Have a worker begin, with what was taken for it if anything was."""
        self.working += 1
        worker = asyncio.create_task(self.work(taken, due, held))
        self.workers.add(worker)
        worker.add_done_callback(self.workers.discard)

    def end_if_done(self) -> None:
        """Let `finish` end once nobody works and nobody will."""
        if not self.working and not self.coming and not self.finished.done():
            self.finished.set_result(None)

    def pull(self, source: Iterator[T]) -> T | None:
        """The next thing from a source, None if there is none; an error is kept, and raised by `finish`."""
        if self.source_error is None:
            try:
                return next(source, None)
            except Exception as error:  # noqa: BLE001 - raised in the end
                self.source_error = error
        return None

    async def work(self, taken: _Taken | None, due: float | None, held: float) -> None:
        """Ask, hand on the answer, ask what follows from it; then what else there is to take."""
        try:
            while taken is not None or (taken := self.take()) is not None:
                item, request = taken
                response = await self.ask(request, due, held)
                ended = clock() if response.timing is None else response.timing.done or clock()
                self.release(ended)
                if self.finished.done():
                    return
                waiting = self.answered(item, request, response)
                if waiting is not None:
                    await waiting
                    # Whoever takes answers may have the next question wait, and that is no lag of ours.
                    ended = clock()
                if clock() - self.breathed > _BREATH:
                    # A model that never waits would keep signals and timers from running.
                    self.breathed = clock()
                    await asyncio.sleep(0)
                following = None if self.follow is None else self.follow(item, request, response)
                taken, held = None, 0.0
                # Whoever is free asks on: what that takes us is our lag, from when the answer was there.
                due = ended if self.timed else None
                if following is not None:
                    due = ended + following[2]
                    if due > clock():
                        await self.timer.reach(min(due, self.end))
                    held = await self.hold(due)
                    if clock() >= self.end:
                        self.release(clock())
                        return
                    taken = following[:2]
        except BaseException as error:
            if not self.finished.done():
                self.finished.set_exception(error)
            raise
        finally:
            self.working -= 1
            self.end_if_done()

    def take(self) -> _Taken | None:
        """What a worker who has nothing to ask asks next, if anything."""
        return None

    async def hold(self, due: float) -> float:
        """Wait until one more may be in flight; how long a request was held back by that."""
        return 0.0

    def release(self, ended: float) -> None:
        """One less is in flight since then."""

    async def ask(self, request: Request, due: float | None, held: float) -> Response:
        """Ask once; whatever a model raises becomes a failed answer."""
        sent, task = clock(), asyncio.current_task()
        self.asking.add(task)
        try:
            if self.cutting:
                raise asyncio.CancelledError
            response = await self.model.ask(request)
        except asyncio.CancelledError:
            if not self.cutting:
                raise
            timing = Timing(due=sent, sent=sent, done=clock())
            response = Response(
                error="cut off: the time for answers is over", timing=timing, raw={"cut": True}
            )
        except Exception as error:  # noqa: BLE001 - the model boundary: a failure is an answer
            response = Response(error=describe(error), timing=Timing(due=sent, sent=sent, done=clock()))
        finally:
            self.asking.discard(task)
        if response.error is None and (request.choices is not None or response.scores is not None):
            response = check_scores(self.model, request, response)
        if due is not None:
            timing = response.timing or Timing(due=due, sent=sent, done=clock(), taken_by="reader")
            response = replace(response, timing=replace(timing, due=due, held=timing.held + held))
        return response

    def _cut(self) -> None:
        self.cutting = True
        for task in self.asking:
            if task is not None:
                task.cancel()

    def _give_up(self, deadline: float) -> None:
        if not self.finished.done():
            self.finished.set_exception(GivenUp(f"the deadline of {deadline:g} s is over"))


class _Clients(_Execution):
    """A closed loop: clients who each ask one request after the other."""

    def __init__(self, *asked: Any, joining: Iterable[float], timed: bool, **told: Any) -> None:
        super().__init__(*asked, **told)
        self.joining, self.timed = iter(joining), timed

    def proceed(self) -> None:
        while self.coming:
            offset = self.pull(self.joining)
            if offset is None:
                self.coming = False
                break
            when = self.start + offset
            if when > clock():
                self.timer.call_at(min(when, self.end), partial(self._join, when))
                break
            self.begin(None, when if self.timed else None)
        self.end_if_done()

    def _join(self, when: float) -> None:
        if self.coming:
            self.begin(None, when if self.timed else None)
            self.proceed()

    def take(self) -> _Taken | None:
        taken = None if self.finished.done() or clock() >= self.end else self.pull(self.items)
        if taken is None:
            self.coming = False
        return taken


class _Arrivals(_Execution):
    """An open loop: each request begins when it is due, whatever became of the others."""

    def __init__(self, *asked: Any, schedule: Iterable[float], limit: float, **told: Any) -> None:
        self.dues, self.limit = iter(schedule), limit
        super().__init__(*asked, **told)
        self.ahead: deque[tuple[_Taken, float]] = deque()
        self.exhausted = False
        self.in_flight = 0
        self.stalled = False
        self.held: deque[asyncio.Future[float]] = deque()
        self.loop = asyncio.get_running_loop()
        self.lead = Lead(known=self.model.punctual)

    async def finish(self, grace: float | None, deadline: float | None, begun: float | None) -> None:
        # A model that computes in this process is not to delay what is due.
        with attending():
            await super().finish(grace, deadline, begun)

    def proceed(self, freed: float | None = None) -> None:
        begun = now = clock()
        while not self.finished.done():
            if not (self.ahead or self._look()) or now >= self.end:
                self.coming = False
                break
            taken, due = self.ahead[0]
            if due - self.lead.seconds > now:
                self.timer.call_at(due - self.lead.seconds, self.proceed)
                self.loop.call_soon(self._look_ahead)
                break
            if self.in_flight >= self.limit:
                self.stalled = True
                break
            if now - begun > _BREATH:
                # What has begun is to get under way.
                self.loop.call_soon(self.proceed)
                break
            self.in_flight += 1
            self.ahead.popleft()
            self.lead.see(due)
            self.begin(taken, due, 0.0 if freed is None else max(0.0, freed - due))
            freed, now = None, clock()
        self.end_if_done()

    async def ask(self, request: Request, due: float | None, held: float) -> Response:
        set_due(due or 0.0)
        response = await super().ask(request, due, held)
        if response.timing is not None:
            self.lead.learn(response.timing.lag)
        return response

    async def hold(self, due: float) -> float:
        if self.in_flight < self.limit:
            self.in_flight += 1
            return 0.0
        freed: asyncio.Future[float] = self.loop.create_future()
        self.held.append(freed)
        return max(0.0, await freed - due)

    def release(self, ended: float) -> None:
        while self.held:
            freed = self.held.popleft()
            if not freed.done():
                # Its place goes over to this one.
                freed.set_result(ended)
                return
        self.in_flight -= 1
        if self.stalled:
            self.stalled = False
            self.proceed(freed=ended)

    def _look(self) -> bool:
        """Take the next item that will be due."""
        offset = None if self.exhausted else self.pull(self.dues)
        if offset is not None and self.start + offset < self.end:
            taken = self.pull(self.items)
            if taken is not None:
                self.ahead.append((taken, self.start + offset))
                return True
        self.exhausted = True
        return False

    def _look_ahead(self) -> None:
        # One a turn, so that a slow one delays nothing but itself.
        if len(self.ahead) < _AHEAD and not self.finished.done() and self._look():
            self.loop.call_soon(self._look_ahead)


async def answer_async(
    model: Model,
    requests: Iterable[Request],
    *,
    concurrency: int | None = None,
    deadline: float | None = None,
    begun: float | None = None,
) -> list[Response]:
    """The answers to `requests`, in their order; GivenUp after `deadline` seconds."""
    answers: dict[int, Response] = {}

    def keep(index: int, _: Request, response: Response) -> None:
        answers[index] = response

    asked = enumerate(requests)
    await execute(model, asked, keep, concurrency=concurrency, deadline=deadline, begun=begun)
    return [answers[index] for index in range(len(answers))]


def answer(model: Model, requests: Iterable[Request], *, concurrency: int | None = None) -> list[Response]:
    """The answers to `requests`, in their order; for callers that are not async."""
    return run(answer_async(model, requests, concurrency=concurrency))


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run async code to its end from anywhere: the one bridge between the two worlds."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    # Inside a notebook or another async program: a loop of our own, on a thread of its own.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()
