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
from steelyard.models.base import LocalModel, clock
from steelyard.types import Request, Response, Timing


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


@pytest.mark.parametrize("method", ["length", "batch", "prepare"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
def test_whatever_a_model_raises_nobody_waits_for_ever(method: str, kind: type[BaseException]) -> None:
    def leave(requests: object) -> None:
        raise kind("odd")

    model = Preparing()
    setattr(model, method, leave)
    answers = ask(model, [3, 2, 1])
    expected = None if method == "prepare" else f"{kind.__name__}: odd"
    assert [one.error for one in answers] == [expected] * 3
    model.close()


class Preparing(Recording):
    """Makes ready what it answers with; without that it does so itself."""

    batch_size = 2

    def __init__(self) -> None:
        super().__init__()
        self.ready: dict[int, str] = {}
        self.begun: list[list[int]] = []

    def prepare(self, requests: Sequence[Request]) -> None:
        self.begun.append([self.length(r) for r in requests])
        self.ready.update({id(r): f"<{r.prompt}>" for r in requests})


def test_the_next_batch_is_prepared_while_one_is_answered() -> None:
    class Overlapping(Preparing):
        def __init__(self) -> None:
            super().__init__()
            self.preparing = threading.Event()
            self.alone = 0

        def prepare(self, requests: Sequence[Request]) -> None:
            super().prepare(requests)
            self.preparing.set()

        def batch(self, requests: Sequence[Request]) -> list[Response]:
            if min(self.length(r) for r in requests) > 0:
                # Ends only once the next one's preparing has begun.
                self.alone += not self.preparing.wait(10)
                self.preparing.clear()
            return super().batch(requests)

    model = Overlapping()
    answers = ask(model, [5, 4, 3, 2, 1, 0])
    assert [a.text for a in answers] == ["<5>", "<4>", "<3>", "<2>", "<1>", "<0>"]
    assert model.alone == 0
    assert model.begun == [[3, 2], [1, 0]]
    assert model.batches == [[5, 4], [3, 2], [1, 0]]
    model.close()


def test_no_more_than_one_batch_is_prepared_ahead() -> None:
    class Counting(Preparing):
        most = 0

        def batch(self, requests: Sequence[Request]) -> list[Response]:
            time.sleep(0.005)
            for request in requests:
                self.ready.pop(id(request), None)
            self.most = max(self.most, len(self.ready))
            return super().batch(requests)

    model = Counting()
    assert all(a.error is None for a in ask(model, list(range(40))))
    assert len(model.begun) == 19
    assert 0 < model.most <= 2
    model.close()


def test_what_fails_while_preparing_fails_only_itself() -> None:
    class Fragile(Preparing):
        def prepare(self, requests: Sequence[Request]) -> None:
            super().prepare(requests)
            if any(r.prompt == "3" for r in requests):
                raise SystemExit("three")

        def batch(self, requests: Sequence[Request]) -> list[Response]:
            if any(r.prompt == "3" for r in requests):
                raise ValueError("three")
            return super().batch(requests)

    model = Fragile()
    answers = ask(model, [6, 5, 4, 3, 2, 1])
    assert [a.error for a in answers] == [None, None, None, "ValueError: three", None, None]
    assert model.begun == [[4, 3], [2, 1]]
    model.close()


def test_a_full_batch_of_the_next_wave_is_prepared_too() -> None:
    started, go = threading.Event(), threading.Event()

    class Waiting(Preparing):
        def batch(self, requests: Sequence[Request]) -> list[Response]:
            started.set()
            go.wait(10)
            return super().batch(requests)

    async def main(model: LocalModel) -> None:
        first = asyncio.gather(*(model.ask(Request(id=str(n), prompt="9")) for n in range(4)))
        await asyncio.to_thread(started.wait, 10)
        second = asyncio.gather(*(model.ask(Request(id=str(n), prompt=str(n))) for n in range(5)))
        await asyncio.sleep(0.01)
        go.set()
        await first
        await second

    model = Waiting()
    asyncio.run(main(model))
    assert model.batches == [[9, 9], [9, 9], [4, 3], [2, 1], [0]]
    assert model.begun == [[9, 9], [4, 3], [2, 1], [0]]
    model.close()


def test_closing_ends_both_threads() -> None:
    class Named(Preparing):
        @property
        def name(self) -> str:
            return "ending"

    model = Named()
    ask(model, [3, 2, 1])
    mine = [t for t in threading.enumerate() if t.name.startswith("ending.")]
    assert sorted(t.name for t in mine) == ["ending.batch", "ending.prepare"]
    model.close()
    for thread in mine:
        thread.join(10)
    assert not any(thread.is_alive() for thread in mine)


def test_times_that_a_model_tells_are_kept_within_what_is_true() -> None:
    class Telling(Recording):
        def batch(self, requests: Sequence[Request]) -> list[Response]:
            now = clock()
            odd = Timing(due=0.0, sent=now - 1e6, chunks=[now - 1e6, now, now + 1e6], done=now + 1e6)
            fair = Timing(due=0.0, sent=now, chunks=[now], done=clock())
            return [Response(timing=odd if r.prompt == "1" else fair) for r in requests]

    before = clock()
    odd, fair = (a.timing for a in ask(Telling(), [1, 0]))
    assert odd is not None
    assert fair is not None
    for timing in (odd, fair):
        times = [timing.due, timing.sent, *timing.chunks, timing.done]
        assert times == sorted(times)
        assert before - 1e-6 <= times[0]
        assert times[-1] <= clock() + 1e-6
    assert len(odd.chunks) == 3
    assert fair.chunks == [fair.sent]


def test_each_answer_of_a_metered_model_carries_its_part_of_the_cost() -> None:
    class Costly(Recording):
        metered = True
        batch_size = 4

        def batch(self, requests: Sequence[Request]) -> list[Response]:
            end = time.process_time() + 0.02
            while time.process_time() < end:
                pass
            return super().batch(requests)

    costs = [a.cost for a in ask(Costly(), [1] * 5)]
    assert [cost.shared for cost in costs if cost] == [4, 4, 4, 4, 1]
    assert all(cost and cost.wall >= 0.019 for cost in costs)
    whole = [cost.cpu * cost.shared for cost in costs if cost]
    assert min(whole) >= 0.019
    assert all(cost and 0 < cost.rss_idle_bytes <= cost.rss_peak_bytes for cost in costs)
    assert [a.cost for a in ask(Recording(), [1])] == [None]
