"""The loop as load tests use it: due times, clients that join, sessions that go on, ends and cuts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterator
from itertools import count, islice, pairwise, repeat
from typing import Any

import pytest

from steelyard.engine import execute
from steelyard.errors import UsageError
from steelyard.models.base import Model, clock
from steelyard.schedules import at_once, constant, trace
from steelyard.types import Request, Response, Timing

Kept = list[tuple[Any, Response]]


class Waiting(Model):
    """Answers after a while, and counts."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.now = self.most = self.asked = 0

    async def ask(self, request: Request) -> Response:
        sent = clock()
        self.asked += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.now -= 1
        return Response(text=request.id, timing=Timing(due=sent, sent=sent, done=clock()))


def items(most: int | None = None) -> Iterator[tuple[int, Request]]:
    numbers = count() if most is None else iter(range(most))
    return ((n, Request(str(n), f"question {n}")) for n in numbers)


def load(model: Model, asked: Iterator[tuple[Any, Request]], **how: Any) -> Kept:
    """All answers, each with its item, in the order of their ends; with no end of their own none hangs."""
    kept: Kept = []
    work = execute(model, asked, lambda item, _, response: kept.append((item, response)), **how)
    asyncio.run(asyncio.wait_for(work, 30))
    return kept


def timing(response: Response) -> Timing:
    assert response.timing is not None
    return response.timing


def test_all_at_once_are_in_flight_at_once() -> None:
    class Together(Waiting):
        """Answers nobody before all have asked."""

        async def ask(self, request: Request) -> Response:
            self.asked += 1
            while self.asked < 10_000:
                await asyncio.sleep(0.05)
            return Response(text="x")

    kept = load(Together(), items(10_000), schedule=at_once())
    assert len(kept) == 10_000
    assert len({timing(response).due for _, response in kept}) == 1


def test_what_could_not_be_sent_in_time_is_sent_all_the_same_and_keeps_its_due_time() -> None:
    class Blocking(Waiting):
        async def ask(self, request: Request) -> Response:
            if request.id == "5":
                # Nothing can be sent meanwhile.
                time.sleep(0.1)
            return await super().ask(request)

    start = clock() + 0.01
    kept = dict(load(Blocking(), items(40), schedule=constant(500), start=start))
    assert [timing(kept[n]).due - start for n in range(40)] == pytest.approx([n / 500 for n in range(40)])
    assert timing(kept[6]).lag > 0.09
    assert timing(kept[39]).lag > 0.02


def test_the_start_may_be_agreed_on() -> None:
    start = clock() + 0.05
    for how in ({"schedule": trace([3.0, 3.01])}, {"concurrency": 2}):
        kept = load(Waiting(), items(2), start=start, **how)
        assert sorted(timing(response).due - start for _, response in kept)[0] == pytest.approx(0, abs=1e-9)
        assert all(timing(response).sent >= start for _, response in kept)


def test_items_are_made_before_they_are_due() -> None:
    made: list[float] = []

    def slow() -> Iterator[tuple[int, Request]]:
        for item in items(10):
            time.sleep(0.001)
            made.append(clock())
            yield item

    start = clock() + 0.4
    load(Waiting(), slow(), schedule=at_once(), start=start)
    assert len(made) == 10
    assert made[-1] < start


def test_an_open_loop_takes_only_some_items_ahead() -> None:
    taken = 0

    def endless() -> Iterator[tuple[int, Request]]:
        nonlocal taken
        for item in items():
            taken += 1
            yield item

    model = Waiting()
    load(model, endless(), schedule=constant(100), until=0.2)
    assert 1 <= model.asked <= 20
    assert taken <= model.asked + 33


def test_a_limit_holds_what_is_due_back_and_says_for_how_long() -> None:
    model = Waiting(0.05)
    start = clock() + 0.01
    kept = dict(load(model, items(12), schedule=at_once(), concurrency=4, start=start))
    assert model.most == 4
    times = [timing(kept[n]) for n in range(12)]
    assert {one.due for one in times} == {start}
    assert [one.held for one in times[:4]] == [0.0] * 4
    assert all(one.held > 0.049 for one in times[4:8])
    assert all(one.held > 0.098 for one in times[8:])
    assert all(one.lag >= 0 for one in times)


class Stamped(Waiting):
    """Says that its answers had ended a while before anybody looked, as the stamps of a kernel do."""

    async def ask(self, request: Request) -> Response:
        response = await super().ask(request)
        ended = clock()
        time.sleep(0.02)
        return Response(text="x", timing=Timing(due=0, sent=timing(response).sent, done=ended))


def test_a_client_who_is_free_is_late_from_the_end_of_its_answer_on() -> None:
    kept = load(Stamped(), items(4), concurrency=1, start=clock())
    times = [timing(response) for _, response in kept]
    assert [one.due for one in times[1:]] == [one.done for one in times[:-1]]
    assert all(one.lag >= 0.02 for one in times[1:])


def test_what_is_awaited_before_the_next_question_is_no_lag() -> None:
    times: list[Timing] = []

    def answered(item: int, request: Request, response: Response) -> Awaitable[None]:
        times.append(timing(response))
        return asyncio.sleep(0.2)

    asyncio.run(execute(Waiting(0.01), items(3), answered, concurrency=1, start=clock()))
    assert all(one.due >= before.done + 0.199 for before, one in pairwise(times))


def test_what_a_limit_held_back_is_late_from_the_end_of_the_answer_before_on() -> None:
    start = clock() + 0.01
    kept = load(Stamped(), items(4), schedule=at_once(), concurrency=1, start=start)
    times = [timing(response) for _, response in kept]
    assert [one.due + one.held for one in times[1:]] == pytest.approx([one.done for one in times[:-1]])
    assert all(one.lag >= 0.02 for one in times[1:])


def test_nothing_is_begun_after_the_end_and_what_is_in_flight_is_awaited() -> None:
    for how in ({"schedule": constant(200)}, {"schedule": at_once(), "concurrency": 3}, {"concurrency": 3}):
        model, start = Waiting(0.05), clock()
        kept = load(model, items(), until=0.2, start=start, **how)
        assert len(kept) == model.asked >= 1
        assert all(response.error is None for _, response in kept)
        assert all(timing(response).due < start + 0.2 for _, response in kept)


def test_what_takes_too_long_is_cut() -> None:
    model = Waiting(60)
    start = clock()
    kept = load(model, items(), schedule=constant(100), until=0.1, grace=0.05, start=start)
    assert len(kept) == model.asked >= 1
    assert model.now == 0
    for item, response in kept:
        assert response.error is not None
        assert "cut off" in response.error
        assert response.raw == {"cut": True}
        assert timing(response).due == pytest.approx(start + item / 100)
        assert timing(response).done >= start + 0.15


def test_a_model_that_is_cut_may_give_what_it_has() -> None:
    class Partly(Waiting):
        async def ask(self, request: Request) -> Response:
            try:
                return await super().ask(request)
            except asyncio.CancelledError:
                return Response(text="so far", error="cut off", raw={"cut": True, "events": 3})

    kept = load(Partly(60), items(), concurrency=3, until=0.05, grace=0.05)
    assert [(response.text, response.raw["events"]) for _, response in kept] == [("so far", 3)] * 3


def test_clients_join_one_after_the_other_and_ask_on_and_on() -> None:
    model = Waiting(0.01)
    start = clock()
    kept = load(model, items(), concurrency=3, joining=(n * 0.05 for n in count()), until=0.5, start=start)
    assert model.most == 3
    dues = [timing(response).due - start for _, response in kept]
    for offset in (0.0, 0.05, 0.1):
        assert sum(due == pytest.approx(offset, abs=1e-9) for due in dues) == 1
    assert model.asked > 6


def test_clients_who_would_join_later_are_not_waited_for() -> None:
    start = clock()
    kept = load(Waiting(), items(4), concurrency=2, joining=[0.0, 3600.0])
    assert len(kept) == 4
    assert clock() - start < 10


@pytest.mark.parametrize("how", [{"concurrency": 2}, {"schedule": constant(100)}])
def test_a_session_goes_on_after_a_pause(how: dict[str, Any]) -> None:
    def follow(item: tuple[int, int], request: Request, response: Response) -> Any:
        session, turn = item
        return ((session, turn + 1), Request(f"{request.id}+", "more"), 0.02) if turn < 2 else None

    asked = (((n, 0), request) for n, request in items(4))
    kept = dict(load(Waiting(0.001), asked, follow=follow, **how))
    assert sorted(kept) == [(session, turn) for session in range(4) for turn in range(3)]
    for (session, turn), response in kept.items():
        assert response.text == f"{session}{'+' * turn}"
        if turn:
            before = timing(kept[session, turn - 1])
            assert timing(response).due == pytest.approx(before.done + 0.02)
            assert timing(response).sent >= timing(response).due


def test_a_session_that_goes_on_counts_for_the_limit() -> None:
    def follow(item: int, request: Request, _: Response) -> Any:
        return (item, request, 0.0) if kept.count(item) < 5 else None

    model = Waiting(0.002)
    kept: list[int] = []
    work = execute(
        model,
        items(20),
        lambda item, _, __: kept.append(item),
        schedule=at_once(),
        concurrency=3,
        follow=follow,
    )
    asyncio.run(asyncio.wait_for(work, 30))
    assert len(kept) == 100
    assert model.most == 3


@pytest.mark.parametrize("how", [{"concurrency": 2}, {"schedule": at_once()}])
def test_a_long_pause_ends_with_the_run(how: dict[str, Any]) -> None:
    def follow(item: int, request: Request, _: Response) -> Any:
        return item, request, 3600.0

    begun = clock()
    assert len(load(Waiting(), items(2), until=0.1, follow=follow, **how)) == 2
    assert clock() - begun < 10


@pytest.mark.parametrize("how", [{"schedule": constant(10)}, {"concurrency": 2, "joining": [0.0, 0.1]}])
def test_nothing_to_ask_is_soon_done(how: dict[str, Any]) -> None:
    assert load(Waiting(), items(0), **how) == []


def test_an_empty_schedule_asks_nothing() -> None:
    assert load(Waiting(), items(), schedule=iter(())) == []
    assert load(Waiting(), items(), concurrency=2, joining=()) == []


def test_an_error_in_the_schedule_comes_after_the_answers_in_flight() -> None:
    kept: list[int] = []
    work = execute(
        Waiting(0.05), items(), lambda n, _, __: kept.append(n), schedule=trace([1.0, 1.01, 1.02, 0.5])
    )
    with pytest.raises(UsageError, match="back in time"):
        asyncio.run(work)
    assert kept == [0, 1, 2]


@pytest.mark.parametrize("how", [{"schedule": constant(100)}, {"concurrency": 4}])
def test_an_error_in_what_follows_ends_the_run(how: dict[str, Any]) -> None:
    def follow(item: int, request: Request, _: Response) -> Any:
        raise ZeroDivisionError("what now?")

    with pytest.raises(ZeroDivisionError):
        load(Waiting(0.01), items(), follow=follow, **how)


def test_whoever_is_cancelled_leaves_nothing_behind() -> None:
    async def main() -> None:
        model = Waiting(60)
        work = execute(model, items(), lambda *_: None, schedule=at_once(), concurrency=5, until=60, grace=1)
        running = asyncio.create_task(work)
        while model.now < 5:
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert model.now == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_a_model_that_never_waits_keeps_no_end_from_coming() -> None:
    class Instant(Model):
        async def ask(self, request: Request) -> Response:
            return Response(text="x")

    begun = clock()
    assert load(Instant(), items(), schedule=constant(100_000), until=0.2)
    assert load(Instant(), items(), concurrency=2, until=0.2)
    assert load(Instant(), items(), schedule=islice(repeat(0.0), 20_000))
    assert clock() - begun < 15


def test_clients_that_join_keep_to_no_schedule() -> None:
    with pytest.raises(UsageError, match="keep to no schedule"):
        load(Waiting(), items(), schedule=constant(1), joining=[0.0])
