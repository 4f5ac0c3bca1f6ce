"""The one loop: order, bounds, schedules, failures, stopping."""

from __future__ import annotations

import asyncio
import math
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest

from steelyard.engine import answer, answer_async, execute, run
from steelyard.errors import UsageError
from steelyard.models.base import LocalModel, Model
from steelyard.models.references import open_model
from steelyard.schedules import constant, trace
from steelyard.types import Chunk, Request, Response


class Upper(LocalModel):
    def batch(self, requests: Sequence[Request]) -> list[Response]:
        return [Response(text=str(r.prompt).upper()) for r in requests]


class Streaming(Model):
    def __init__(self) -> None:
        self.now = self.most = 0

    async def stream(self, request: Request) -> AsyncIterator[Chunk]:
        self.now += 1
        self.most = max(self.most, self.now)
        for word in str(request.prompt).split():
            await asyncio.sleep(0.001)
            yield Chunk(text=word, tokens_out=1)
        self.now -= 1


def requests(count: int) -> list[Request]:
    return [Request(id=str(n), prompt=f"question {n}") for n in range(count)]


def test_answers_keep_their_order() -> None:
    answers = answer(Upper(), requests(1000))
    assert [a.text for a in answers] == [f"QUESTION {n}" for n in range(1000)]
    assert all(a.timing is not None and a.timing.latency >= 0 for a in answers)


def test_concurrency_is_reached_and_never_passed() -> None:
    model = Streaming()
    answers = answer(model, requests(50), concurrency=7)
    assert model.most == 7
    assert [a.text for a in answers] == [f"question{n}" for n in range(50)]
    timing = answers[0].timing
    assert timing is not None
    assert len(timing.chunks) == 2
    assert timing.ttft is not None
    assert 0 < timing.ttft <= timing.latency


def test_two_hundred_at_once_are_in_flight_at_once() -> None:
    model = Streaming()
    answer(model, requests(200), concurrency=200)
    assert model.most == 200


def test_items_are_pulled_only_as_needed() -> None:
    pulled = 0
    answered = 0
    ahead = 0

    def items() -> Iterator[tuple[int, Request]]:
        nonlocal pulled, ahead
        for n, request in enumerate(requests(300)):
            pulled += 1
            ahead = max(ahead, pulled - answered)
            yield n, request

    def keep(_: int, __: Request, ___: Response) -> None:
        nonlocal answered
        answered += 1

    asyncio.run(execute(Streaming(), items(), keep, concurrency=5))
    assert answered == 300
    assert ahead <= 6


def test_works_inside_a_running_loop() -> None:
    async def main() -> list[Response]:
        return answer(Upper(), requests(3))

    assert [a.text for a in asyncio.run(main())] == ["QUESTION 0", "QUESTION 1", "QUESTION 2"]


def test_a_raising_model_gives_failed_answers() -> None:
    class Broken(Model):
        async def ask(self, request: Request) -> Response:
            raise KeyError("gone")

    (failed,) = answer(Broken(), requests(1))
    assert failed.error == "KeyError: 'gone'"
    assert failed.timing is not None


def test_choices_without_likelihoods_are_a_failure() -> None:
    (failed,) = answer(Upper(), [Request(id="1", prompt="x", choices=("a", "b"))])
    assert failed.error is not None
    assert "likelihoods" in failed.error


def test_an_error_in_the_items_comes_after_the_answers_in_flight() -> None:
    kept: list[int] = []

    def items() -> Iterator[tuple[int, Request]]:
        yield from enumerate(requests(3))
        raise ValueError("row 4 is torn")

    with pytest.raises(ValueError, match="row 4 is torn"):
        asyncio.run(execute(Streaming(), items(), lambda n, _, __: kept.append(n), concurrency=8))
    assert sorted(kept) == [0, 1, 2]


def test_an_error_in_keeping_stops_at_once() -> None:
    kept = 0

    def keep(_: int, __: Request, ___: Response) -> None:
        nonlocal kept
        kept += 1
        if kept == 10:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        asyncio.run(execute(Streaming(), enumerate(requests(1000)), keep, concurrency=4))
    assert kept == 10


def test_an_awaited_answer_handler_is_awaited() -> None:
    kept: list[str] = []

    async def keep(_: int, __: Request, response: Response) -> None:
        await asyncio.sleep(0)
        kept.append(response.text)

    asyncio.run(execute(Upper(), enumerate(requests(20)), keep, concurrency=3))
    assert len(kept) == 20


def test_open_loop_keeps_to_the_schedule_however_slow_the_model() -> None:
    class Slow(Model):
        async def ask(self, request: Request) -> Response:
            sent = time.perf_counter()
            await asyncio.sleep(0.05)
            from steelyard.types import Timing

            return Response(timing=Timing(due=sent, sent=sent, done=time.perf_counter()))

    answers: list[Response] = []
    work = execute(
        Slow(),
        enumerate(requests(20)),
        lambda _, __, r: answers.append(r),
        schedule=constant(200),
        concurrency=100,
    )
    asyncio.run(work)
    dues = sorted(r.timing.due for r in answers if r.timing)
    gaps = [b - a for a, b in pairwise(dues)]
    assert all(abs(gap - 0.005) < 1e-6 for gap in gaps)


def test_a_finite_schedule_ends_the_run() -> None:
    kept: list[int] = []
    work = execute(
        Upper(), enumerate(requests(100)), lambda n, _, __: kept.append(n), schedule=trace([5.0, 5.0, 5.01])
    )
    asyncio.run(work)
    assert sorted(kept) == [0, 1, 2]


def test_no_concurrency_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        answer(Upper(), requests(1), concurrency=0)


def test_an_instant_model_lets_the_loop_breathe() -> None:
    class Instant(Model):
        async def ask(self, request: Request) -> Response:
            return Response(text="x")

    async def main() -> int:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        beside = asyncio.create_task(tick())
        end = time.perf_counter() + 0.3

        def items() -> Iterator[tuple[int, Request]]:
            n = 0
            while time.perf_counter() < end:
                yield n, Request(id=str(n), prompt="x")
                n += 1

        await execute(Instant(), items(), lambda *_: None, concurrency=2)
        beside.cancel()
        return ticks

    assert asyncio.run(main()) >= 2


def test_run_from_another_thread() -> None:
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.extend(a.text for a in answer(Upper(), requests(2))))
    thread.start()
    thread.join()
    assert found == ["QUESTION 0", "QUESTION 1"]


def test_run_gives_the_result() -> None:
    assert [r.text for r in run(answer_async(Upper(), requests(1)))] == ["QUESTION 0"]


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (None, "no likelihoods"),
        ([-1.0], "1 likelihoods of 2 choices"),
        ([-1.0, math.nan], "odd scores: NaN"),
        ([-1.0, None], "odd scores"),
    ],
)
def test_likelihoods_that_cannot_be_compared_are_failures(scores: Any, said: str) -> None:
    request = Request("1", "x", choices=("a", "b"))

    def likelihoods(request: Request) -> Response:
        return Response(scores=scores)

    (response,) = answer(open_model(likelihoods), [request])
    assert said in str(response.error)


def test_what_is_impossible_stays_the_least_likely() -> None:
    request = Request("1", "x", choices=("a", "b"))

    def likelihoods(request: Request) -> Response:
        return Response(scores=[-math.inf, -1e6])

    (response,) = answer(open_model(likelihoods), [request])
    assert response.scores == [-sys.float_info.max, -1e6]
