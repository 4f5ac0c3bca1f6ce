"""When a run is given up: deadlines, budgets of failures, and models that cannot answer at all."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faulty_service import Asked, reply, serving
from steelyard import Model, Request, Response, Run, Sample, Task, evaluate
from steelyard.engine import execute
from steelyard.errors import GivenUp, ModelError, SteelyardError, UnknownName, UsageError
from steelyard.metrics.text import exact
from steelyard.models.references import open_model
from steelyard.models.services import open_openai
from steelyard.report.contents import read_contents
from steelyard.report.doubts import doubt_run
from steelyard.sitting import HOPELESS


def task(count: int = 20, data: Any = None) -> Task:
    samples = [Sample(str(n), f"word {n}", f"WORD {n}") for n in range(count)]
    return Task(name="t", data=samples if data is None else data, metrics=[exact])


class Stuck(Model):
    """Answers at once, but never a question of which it holds the number."""

    def __init__(self, *held: int) -> None:
        self.held = {f"word {n}" for n in held}
        self.cancelled: list[str] = []

    def identity(self) -> dict[str, Any]:
        return {}

    async def ask(self, request: Request) -> Response:
        if request.prompt in self.held:
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                self.cancelled.append(request.id)
                raise
        return Response(str(request.prompt).upper())


def test_what_is_in_flight_at_a_deadline_is_given_up_and_asked_again(tmp_path: Path) -> None:
    model = Stuck(3, 7)
    run = evaluate(model, task(), out=tmp_path / "r", deadline=0.2)
    assert (run.about["state"], run.about["reason"]) == ("stopped", "the deadline of 0.2 s is over")
    assert (run.about["answers"], sorted(model.cancelled)) == (18, ["3", "7"])
    contents = read_contents(Run.open(run.path))
    assert not contents.complete
    assert (
        doubt_run(contents)[0]
        == "this run is not finished: 18 answers so far (the deadline of 0.2 s is over)"
    )
    again = evaluate(Stuck(), task(), out=tmp_path / "r", resume=True, deadline=60)
    assert (again.about["state"], again.about["reason"], again.about["answers"]) == ("done", None, 20)
    assert again.about["results"][0]["value"] == 1.0


def test_a_model_that_never_waits_ends_at_its_deadline(tmp_path: Path) -> None:
    def endless() -> Any:
        n = 0
        while True:
            n += 1
            yield Sample(str(n), f"word {n}", f"WORD {n}")

    run = evaluate(Stuck(), task(data=endless()), out=tmp_path / "r", deadline=0.2)
    assert run.about["state"] == "stopped" and run.about["answers"] > 10


def test_the_engine_says_that_it_gave_up() -> None:
    async def go(deadline: float) -> None:
        await execute(Stuck(1), [(0, Request("1", "word 1"))], lambda *_: None, deadline=deadline)

    with pytest.raises(GivenUp, match=r"0\.05 s"):
        asyncio.run(go(0.05))
    with pytest.raises(UsageError, match="deadline is 0"):
        asyncio.run(go(0))


def failing(*held: int) -> Callable[[str], str]:
    """A model that fails for these words."""
    words = {f"word {n}" for n in held}

    def answer(prompt: str) -> str:
        if prompt in words:
            raise ValueError("no")
        return prompt.upper()

    return answer


@pytest.mark.parametrize(
    ("allowed", "reason"),
    [
        (3, None),
        (2, "3 questions failed, and 2 were allowed to"),
        (0.3, None),
        (0.1, "2 questions failed, and 1 were allowed to"),
        (0, "question 2 failed, and none was allowed to: ValueError: no"),
    ],
)
def test_more_failures_than_allowed_stop_a_run(tmp_path: Path, allowed: float, reason: str | None) -> None:
    run = evaluate(failing(2, 5, 8), task(10), out=tmp_path / "r", max_failures=allowed, concurrency=1)
    assert run.about["state"] == ("stopped" if reason else "done")
    assert run.about["reason"] == reason and (run.about["answers"] == 10) == (reason is None)


def test_failures_of_a_sitting_before_do_not_count(tmp_path: Path) -> None:
    model = failing(2, 5, 9)
    first = evaluate(model, task(10), out=tmp_path / "r", max_failures=1, concurrency=1)
    assert (first.about["state"], first.about["answers"]) == ("stopped", 6)
    again = evaluate(model, task(10), out=tmp_path / "r", max_failures=1, resume=True)
    assert (again.about["state"], again.about["answers"]) == ("done", 10)
    assert again.about["results"][0]["failed"] == 3


def test_a_run_that_only_fails_stops(tmp_path: Path) -> None:
    count = 3 * HOPELESS
    every = failing(*range(count))
    run = evaluate(every, task(count), out=tmp_path / "r", concurrency=1)
    assert (run.about["reason"], run.about["answers"]) == ("the first 100 questions all failed", HOPELESS)
    on = evaluate(every, task(count), out=tmp_path / "on", concurrency=1, max_failures=math.inf)
    assert (on.about["state"], on.about["answers"]) == ("done", count)
    late = evaluate(failing(*range(1, count)), task(count), out=tmp_path / "late", concurrency=1)
    assert (late.about["state"], late.about["answers"]) == ("done", count)
    with pytest.raises(UsageError, match="max_failures is -1"):
        evaluate(every, task(), out=tmp_path / "x", max_failures=-1)


class Refusing(Model):
    """Fails as often as it is told to, and may know why."""

    def __init__(self, fails: int, why: SteelyardError | None) -> None:
        self.fails, self.why = fails, why
        self.doubted: list[str] = []

    def identity(self) -> dict[str, Any]:
        return {}

    async def ask(self, request: Request) -> Response:
        await asyncio.sleep(0)
        self.fails -= 1
        return Response(error="HTTP 404") if self.fails >= 0 else Response(str(request.prompt).upper())

    async def doubt(self, error: str) -> SteelyardError | None:
        self.doubted.append(error)
        await asyncio.sleep(0.02)
        return self.why


def test_where_no_answer_can_be_good_that_is_said_before_anything_is_stored(tmp_path: Path) -> None:
    model = Refusing(99, ModelError("it is elsewhere", hint="url=…"))
    with pytest.raises(ModelError, match="it is elsewhere"):
        evaluate(model, task(), out=tmp_path / "r")
    assert model.doubted == ["HTTP 404"]
    assert not (tmp_path / "r").exists()
    assert evaluate(Stuck(), task(), out=tmp_path / "r").about["state"] == "done"


def test_failures_that_nothing_is_known_of_are_failures(tmp_path: Path) -> None:
    model = Refusing(8, None)
    run = evaluate(model, task(), out=tmp_path / "r", concurrency=8)
    assert (run.about["results"][0]["failed"], len(model.doubted)) == (8, 1)


def test_a_resumed_run_is_left_as_it_was(tmp_path: Path) -> None:
    run = evaluate(Stuck(3), task(), out=tmp_path / "r", deadline=0.1)
    with pytest.raises(ModelError, match="elsewhere"):
        evaluate(Refusing(99, ModelError("elsewhere")), task(), out=tmp_path / "r", resume=True)
    assert len(list(Run.open(run.path).records())) == 19


def listing(*models: str) -> Callable[[Asked], bytes]:
    """A chat service as strict as its protocol about names and paths."""

    def step(asked: Asked) -> bytes:
        if asked.method == "GET":
            known = asked.target == "/v1/models"
            return reply({"data": [{"id": m} for m in models]}) if known else reply({}, status=404)
        if asked.target != "/v1/chat/completions":
            return reply({"detail": "Not Found"}, status=404)
        if asked.json["model"] not in models:
            return reply({"error": {"message": "no such model"}}, status=404)
        text = str(asked.json["messages"][-1]["content"]).upper()
        return reply({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})

    return step


def test_a_service_asked_in_the_wrong_way_is_one_error(tmp_path: Path) -> None:
    with serving(listing("qwen-7b", "qwen-14b")) as service:
        root = f"http://127.0.0.1:{service.port}"
        for model, kind, said in (
            (open_openai(f"{root}/v1", model="qwen-7"), UnknownName, "did you mean qwen-7b"),
            (
                open_openai(f"{root}/api", model="qwen-7b"),
                ModelError,
                rf"spoken at {root}/v1 \(--model {root}/v1\)",
            ),
            (
                open_model("tgi", url=root),
                ModelError,
                "speaks the OpenAI protocol, and was asked as if .* TGI",
            ),
            (open_model(f"{root}/predict"), ModelError, "as if it spoke plain lists"),
        ):
            with pytest.raises(kind, match=said):
                evaluate(model, task(500), out=tmp_path / "r")
            model.close()
        assert sum(asked.method == "POST" for asked in service.asked) < 200
        model = open_model(root, model="qwen-7b")
        assert evaluate(model, task(), out=tmp_path / "r").about["results"][0]["value"] == 1.0
        model.close()


class Thrifty(Model):
    """Says that each answer costs two coins, and where one was asked for that none is good any more."""

    def __init__(self, *, most: float = math.inf) -> None:
        self.coins, self.most = 0, most

    def identity(self) -> dict[str, Any]:
        return {}

    def spent(self) -> dict[str, float]:
        return {"coins": self.coins}

    async def ask(self, request: Request) -> Response:
        self.coins += 2
        if self.coins > self.most:
            return Response(error="no coins left")
        return Response(str(request.prompt).upper())


def test_what_a_model_spent_is_noted_for_all_sittings(tmp_path: Path) -> None:
    model = Thrifty(most=24)
    run = evaluate(model, task(), out=tmp_path / "r", max_failures=2)
    assert (run.about["state"], run.about["spent"]) == ("stopped", {"coins": 30})
    assert run.about["answers"] == 15
    # What it spent before it was asked here is no part of this.
    model.most = math.inf
    run = evaluate(model, task(), out=tmp_path / "r", resume=True)
    assert (run.about["state"], run.about["spent"]) == ("done", {"coins": 40})
    assert Run.open(run.path).about["spent"] == {"coins": 40}
    assert "spent" not in evaluate(Stuck(), task(), out=tmp_path / "s").about
