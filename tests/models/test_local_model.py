"""LocalModel: waves, batches by length, halving, failures that cost only themselves."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steelyard.engine import answer
from steelyard.models.base import LocalModel
from steelyard.types import Request, Response


class Recording(LocalModel):
    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def length(self, request: Request) -> int:
        return int(str(request.prompt))

    def batch(self, requests: Sequence[Request]) -> list[Response]:
        self.batches.append([self.length(r) for r in requests])
        return [Response(text=f"<{r.prompt}>") for r in requests]


def ask(model: LocalModel, lengths: list[int]) -> list[Response]:
    return answer(model, [Request(id=str(n), prompt=str(length)) for n, length in enumerate(lengths)])


def test_a_subclass_need_not_call_the_base_constructor() -> None:
    assert [r.text for r in ask(Recording(), [3, 1, 2])] == ["<3>", "<1>", "<2>"]


def test_waiting_calls_are_sorted_and_cut_by_size() -> None:
    model = Recording()
    model.batch_size = 4
    ask(model, list(range(10)))
    assert model.batches == [[9, 8, 7, 6], [5, 4, 3, 2], [1, 0]]


@given(
    lengths=st.lists(st.integers(0, 100), min_size=1, max_size=60),
    size=st.integers(1, 20),
    budget=st.integers(1, 400),
)
@settings(max_examples=60, deadline=None)
def test_batches_hold_everything_once_within_their_bounds(lengths: list[int], size: int, budget: int) -> None:
    model = Recording()
    model.batch_size, model.batch_tokens = size, budget
    answers = ask(model, lengths)
    model.close()
    assert [a.text for a in answers] == [f"<{n}>" for n in lengths]
    assert sorted(n for batch in model.batches for n in batch) == sorted(lengths)
    for batch in model.batches:
        assert len(batch) <= size
        assert len(batch) == 1 or max(batch) * len(batch) <= budget


def test_one_poisoned_request_fails_alone() -> None:
    class Poisoned(Recording):
        def batch(self, requests: Sequence[Request]) -> list[Response]:
            if any(r.prompt == "13" for r in requests):
                raise ValueError("thirteen")
            return super().batch(requests)

    answers = ask(Poisoned(), list(range(32)))
    assert [n for n, a in enumerate(answers) if a.error] == [13]
    assert answers[13].error == "ValueError: thirteen"


def test_memory_errors_halve_the_batch_and_it_stays_halved() -> None:
    class Small(Recording):
        freed = 0

        def batch(self, requests: Sequence[Request]) -> list[Response]:
            if len(requests) > 5:
                raise RuntimeError("CUDA out of memory. Tried to allocate")
            return super().batch(requests)

        def free(self) -> None:
            self.freed += 1

    model = Small()
    assert all(a.error is None for a in ask(model, [1] * 64))
    assert model.freed > 0
    before = model.freed
    assert all(a.error is None for a in ask(model, [1] * 64))
    assert model.freed == before


def test_a_request_that_never_fits_is_one_failure() -> None:
    class Full(Recording):
        def batch(self, requests: Sequence[Request]) -> list[Response]:
            raise MemoryError

    assert [a.error for a in ask(Full(), [1, 2])] == ["MemoryError", "MemoryError"]


def test_too_few_answers_are_said_so() -> None:
    class Few(Recording):
        def batch(self, requests: Sequence[Request]) -> list[Response]:
            return [Response(text="only one")]

    answers = ask(Few(), [1, 2, 3])
    assert {a.error for a in answers} == {"Few gave 1 answers to 3 requests"}


def test_a_request_that_has_no_length_fails_alone() -> None:
    model = Recording()
    answers = answer(model, [Request(id="1", prompt="3"), Request(id="2", prompt="three")])
    assert answers[0].text == "<3>"
    assert answers[1].error is not None


def test_callers_on_several_threads_share_the_model() -> None:
    model = Recording()
    results: dict[int, list[str]] = {}

    def work(n: int) -> None:
        results[n] = [a.text for a in ask(model, [n] * 20)]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: [f"<{n}>"] * 20 for n in range(4)}


def test_calls_given_up_are_not_answered() -> None:
    started, go = threading.Event(), threading.Event()

    class Waiting(Recording):
        def batch(self, requests: Sequence[Request]) -> list[Response]:
            started.set()
            go.wait(5)
            return super().batch(requests)

    async def main(model: LocalModel) -> None:
        first = asyncio.create_task(model.ask(Request(id="1", prompt="1")))
        await asyncio.to_thread(started.wait, 5)
        second = asyncio.create_task(model.ask(Request(id="2", prompt="2")))
        await asyncio.sleep(0.01)
        second.cancel()
        await asyncio.sleep(0)
        go.set()
        await first

    model = Waiting()
    asyncio.run(main(model))
    ask(model, [7])
    assert [n for batch in model.batches for n in batch] == [1, 7]


def test_stream_gives_the_whole_answer_or_raises() -> None:
    async def text(prompt: str) -> str:
        return "".join([chunk.text async for chunk in Recording().stream(Request(id="1", prompt=prompt))])

    assert asyncio.run(text("5")) == "<5>"
    with pytest.raises(RuntimeError, match="invalid literal"):
        asyncio.run(text("five"))


def test_waiting_for_a_batch_is_lag_and_not_latency() -> None:
    class Slow(Recording):
        batch_size = 1

        def batch(self, requests: Sequence[Request]) -> list[Response]:
            time.sleep(0.02)
            return super().batch(requests)

    timings = [a.timing for a in ask(Slow(), [1] * 5) if a.timing]
    assert len(timings) == 5
    spans = sorted((t.sent, t.done) for t in timings)
    assert all(done <= sent for (_, done), (sent, _) in itertools.pairwise(spans))
    assert all(t.lag >= 0 for t in timings)


def test_a_closed_model_begins_anew_when_asked_again() -> None:
    model = Recording()
    ask(model, [1])
    model.close()
    assert [a.text for a in ask(model, [2])] == ["<2>"]
    model.close()


def test_a_subclass_may_use_any_names_of_its_own() -> None:
    class Crowded(Recording):
        _work = _post = _cut = _answer = boxes = inbox = most = None

    assert [a.text for a in ask(Crowded(), [3, 1])] == ["<3>", "<1>"]


def test_what_is_no_response_is_a_failure() -> None:
    class Plain(Recording):
        def batch(self, requests: Sequence[Request]) -> list[Response]:
            return ["a text" for _ in requests]  # type: ignore[misc]

    assert ask(Plain(), [1])[0].error == "Plain gave a str, not a Response"


def test_a_model_that_exits_fails_and_does_not_hang() -> None:
    class Leaving(Recording):
        def length(self, request: Request) -> int:
            raise SystemExit(3)

    assert ask(Leaving(), [1])[0].error == "SystemExit: 3"
