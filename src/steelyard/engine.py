"""execute(model, items, answered): the only loop that asks models.

Accuracy, load, reward scoring and likelihood all pass through it. Items are pulled as they are
needed, one by one, so memory is bounded by what is in flight however many there are.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from steelyard.errors import GivenUp, UsageError, describe
from steelyard.models.base import Model, clock
from steelyard.types import Request, Response, Timing

T = TypeVar("T")

Answered = Callable[[T, Request, Response], "Awaitable[None] | None"]

_BREATH = 0.02


async def execute(
    model: Model,
    items: Iterable[tuple[T, Request]],
    answered: Answered[T],
    *,
    schedule: Iterable[float] | None = None,
    concurrency: int | None = None,
    deadline: float | None = None,
    begun: float | None = None,
) -> None:
    """Ask `model` each item's request when it is due; hand the item and its answer to `answered`.

    `schedule` gives the seconds after the start at which each request is due; without one a
    request is due as soon as fewer than `concurrency` are in flight. An error in `items` is
    raised once what is in flight has been answered; an error in `answered` at once. When
    `deadline` seconds after `begun` are over what is in flight is given up, and GivenUp raised.
    """
    limit = model.concurrency if concurrency is None else concurrency
    if limit < 1:
        raise UsageError(f"concurrency is {limit}", hint="it must be at least 1")
    if deadline is not None and not deadline > 0:
        raise UsageError(f"deadline is {deadline}", hint="it must be above 0 seconds")
    await _Execution(model, items, answered, schedule, limit).finish(deadline, begun)


class _Execution:
    """Workers that pull from one iterator.

    With a schedule each worker hires the next when it takes an item, so that there are only as
    many as are in flight; without one all are there from the start.
    """

    def __init__(
        self,
        model: Model,
        items: Iterable[tuple[Any, Request]],
        answered: Answered[Any],
        schedule: Iterable[float] | None,
        limit: int,
    ) -> None:
        self.model = model
        self.items = iter(items)
        self.answered = answered
        self.dues: Iterator[float] | None = None if schedule is None else iter(schedule)
        self.limit = limit
        self.workers: list[asyncio.Task[None]] = []
        self.running = 0
        self.source_error: BaseException | None = None
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.start = clock()
        self.breathed = self.start

    async def finish(self, deadline: float | None, begun: float | None) -> None:
        timer = None
        if deadline is not None:
            left = deadline - (0.0 if begun is None else self.start - begun)
            timer = asyncio.get_running_loop().call_later(left, self._give_up, deadline)
        for _ in range(self.limit if self.dues is None else 1):
            self._hire()
        try:
            await self.finished
        finally:
            if timer is not None:
                timer.cancel()
            for worker in self.workers:
                worker.cancel()
            await asyncio.gather(*self.workers, return_exceptions=True)
        if self.source_error is not None:
            raise self.source_error

    def _give_up(self, deadline: float) -> None:
        if not self.finished.done():
            self.finished.set_exception(GivenUp(f"the deadline of {deadline:g} s is over"))

    def _hire(self) -> None:
        if len(self.workers) < self.limit:
            self.running += 1
            self.workers.append(asyncio.create_task(self._work()))

    async def _work(self) -> None:
        try:
            while (taken := self._take()) is not None:
                item, request, due = taken
                if due is not None:
                    self._hire()
                    await asyncio.sleep(max(0.0, due - clock()))
                response = await _ask(self.model, request, due)
                if self.finished.done():
                    return
                waiting = self.answered(item, request, response)
                if waiting is not None:
                    await waiting
                if clock() - self.breathed > _BREATH:
                    # A model that never waits would keep signals and timers from running.
                    self.breathed = clock()
                    await asyncio.sleep(0)
        except BaseException as error:
            if not self.finished.done():
                self.finished.set_exception(error)
            raise
        finally:
            self.running -= 1
            if self.running == 0 and not self.finished.done():
                self.finished.set_result(None)

    def _take(self) -> tuple[Any, Request, float | None] | None:
        if self.source_error is not None:
            return None
        try:
            due = None
            if self.dues is not None:
                offset = next(self.dues, None)
                if offset is None:
                    return None
                due = self.start + offset
            item, request = next(self.items)
        except StopIteration:
            return None
        except Exception as error:  # noqa: BLE001 - kept, and raised by finish()
            self.source_error = error
            return None
        return item, request, due


async def _ask(model: Model, request: Request, due: float | None) -> Response:
    """Ask once; whatever a model raises becomes a failed answer."""
    sent = clock()
    try:
        response = await model.ask(request)
    except Exception as error:  # noqa: BLE001 - the model boundary: a failure is an answer
        timing = Timing(due=sent if due is None else due, sent=sent, done=clock())
        return Response(error=describe(error), timing=timing)
    if response.error is None and (request.choices is not None or response.scores is not None):
        response = _check_scores(model, request, response)
    if due is not None and response.timing is not None:
        response = replace(response, timing=replace(response.timing, due=due))
    return response


def _check_scores(model: Model, request: Request, response: Response) -> Response:
    """The response with scores that can be compared and stored, else with the error that it is."""
    given, choices = response.scores, request.choices
    if given is None:
        error = f"{model.name} gives no likelihoods of choices (ask it for a letter instead)"
        return replace(response, error=error)
    if choices is not None and len(given) != len(choices):
        error = f"{model.name} gave {len(given)} likelihoods of {len(choices)} choices"
        return replace(response, error=error, scores=None)
    try:
        if isinstance(given, Mapping):
            return replace(response, scores={str(name): _number(score) for name, score in given.items()})
        return replace(response, scores=[_number(score) for score in given])
    except (TypeError, ValueError) as odd:
        return replace(response, error=f"{model.name} gave odd scores: {odd}", scores=None)


def _number(score: Any) -> float:
    number = float(score)
    if math.isnan(number):
        raise ValueError("NaN")
    # What is impossible has the log-probability -inf, which JSON does not know.
    return max(-sys.float_info.max, min(number, sys.float_info.max))


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
