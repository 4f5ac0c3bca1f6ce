"""Models in this process under load: when they are asked, what of their time is whose, batches that grow."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import numpy
import pytest

from steelyard import open_model
from steelyard.engine import execute
from steelyard.models.base import LocalModel, Model, clock
from steelyard.schedules import at_once, constant, poisson
from steelyard.types import Request, Response, Timing

Kept = dict[int, Response]


def questions(most: int) -> Iterator[tuple[int, Request]]:
    for n in range(most):
        yield n, Request(str(n), f"What is {n} + {n % 7}?", params={"max_tokens": 12})


def load(model: Model, most: int, **how: Any) -> Kept:
    kept: Kept = {}

    def keep(n: int, _: Request, response: Response) -> None:
        kept[n] = response

    work = execute(model.under_load(), questions(most), keep, **how)
    asyncio.run(asyncio.wait_for(work, 60))
    return kept


def timing(response: Response) -> Timing:
    assert response.timing is not None
    return response.timing


@pytest.fixture(scope="module")
def embedded() -> Iterator[LocalModel]:
    model = open_model("embedded")
    assert isinstance(model, LocalModel)
    yield model
    model.close()


class Slow(LocalModel):
    """Takes a while for a batch, however large, and counts what it answered."""

    batch_size = 8

    def __init__(self) -> None:
        self.answered = 0

    def batch(self, requests: Sequence[Request]) -> Sequence[Response]:
        self.answered += len(requests)
        time.sleep(0.4)
        return [Response(text=request.id) for request in requests]


class Patient(LocalModel):
    """Answers nobody before so many were asked; it computes meanwhile."""

    def __init__(self, wanted: int, compute: Callable[[], object]) -> None:
        self.wanted, self.compute = wanted, compute
        self.asked = 0

    def under_load(self, *, keep: bool = True) -> Model:
        return _Counted(self, super().under_load(keep=keep))

    def batch(self, requests: Sequence[Request]) -> Sequence[Response]:
        end = clock() + 20
        while self.asked < self.wanted and clock() < end:
            self.compute()
        return [Response(text=str(self.asked)) for _ in requests]


class _Counted(Model):
    def __init__(self, patient: Patient, model: Model) -> None:
        self.patient, self.model = patient, model

    async def ask(self, request: Request) -> Response:
        self.patient.asked += 1
        return await self.model.ask(request)


def test_every_token_has_its_time(embedded: LocalModel) -> None:
    start = clock() + 0.01
    kept = load(embedded, 30, schedule=poisson(200, seed=3), start=start)
    assert sorted(kept) == list(range(30))
    for response in kept.values():
        times = timing(response)
        assert response.error is None
        assert response.tokens is not None
        assert len(times.chunks) == response.tokens.output
        assert start <= times.due <= times.sent <= times.chunks[0] <= times.chunks[-1] <= times.done
        assert list(times.chunks) == sorted(times.chunks)


def test_answers_are_the_same_as_without_a_load(embedded: LocalModel) -> None:
    kept = load(embedded, 20, schedule=at_once())
    alone = embedded.batch([request for _, request in questions(20)])
    assert [kept[n].text for n in range(20)] == [one.text for one in alone]


@pytest.mark.parametrize("kind", ["sleep", "numpy", "python"])
def test_what_comes_while_the_model_computes_is_sent_and_waits_for_its_batch(kind: str) -> None:
    def compute() -> object:
        if kind == "sleep":
            time.sleep(0.001)
        return matrix @ matrix if kind == "numpy" else sum(range(1000))

    matrix = numpy.ones((256, 256), dtype="float32")
    model, before = Patient(10, compute), sys.getswitchinterval()
    kept = load(model, 10, schedule=constant(100))
    # Had anybody been kept waiting before asking, nobody would have been answered.
    assert [one.text for one in kept.values()] == ["10"] * 10
    assert all(timing(kept[n]).sent < timing(kept[0]).done for n in range(10))
    assert all(timing(kept[n]).due <= timing(kept[n]).sent for n in range(10))
    # What waited was answered together.
    assert sum(size * times for size, times in model.batch_sizes.items()) == 10
    assert max(model.batch_sizes) > 1
    assert sys.getswitchinterval() == before


def test_what_is_cut_is_not_written_on() -> None:
    model = Slow()
    kept = load(model, 100, schedule=at_once(), until=0.03, grace=0.02)
    assert len(kept) == 100
    assert all(response.raw == {"cut": True} for response in kept.values())
    assert all(timing(response).done >= timing(response).sent for response in kept.values())
    asyncio.run(model.ask(Request("after", "x")))
    assert model.answered < 50


def test_functions_of_every_kind_keep_their_due_times() -> None:
    def plain(prompt: str) -> str:
        return prompt.upper()

    async def waiting(prompt: str) -> str:
        await asyncio.sleep(0.001)
        return prompt.upper()

    for model in (open_model(plain), open_model(waiting), open_model(plain, workers=2)):
        start = clock() + 0.01
        kept = load(model, 20, schedule=constant(500), start=start)
        assert [kept[n].text for n in range(20)] == [str(r.prompt).upper() for _, r in questions(20)]
        dues = [timing(kept[n]).due - start for n in range(20)]
        assert dues == pytest.approx([n / 500 for n in range(20)])
        assert all(timing(one).due <= timing(one).sent <= timing(one).done for one in kept.values())


def test_a_question_that_fails_costs_only_itself() -> None:
    def picky(prompt: str) -> str:
        if "3 + 3" in prompt:
            raise ValueError("not that one")
        return "fine"

    kept = load(open_model(picky), 8, schedule=constant(500))
    assert [n for n, one in kept.items() if one.error is not None] == [3]
    assert timing(kept[3]).due <= timing(kept[3]).done


def test_clients_of_a_model_here_may_join_and_leave(embedded: LocalModel) -> None:
    kept: Kept = {}
    asked = ((n, Request(str(n), f"What is {n} + 1?", params={"max_tokens": 4})) for n in count())
    work = execute(
        embedded.under_load(),
        asked,
        lambda n, _, response: kept.__setitem__(n, response),
        concurrency=3,
        joining=[0.0, 0.02, 0.04],
        until=0.3,
    )
    asyncio.run(asyncio.wait_for(work, 60))
    assert len(kept) >= 3
    assert all(one.error is None for one in kept.values())
