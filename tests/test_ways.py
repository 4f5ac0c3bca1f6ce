"""by="auto": options are picked by the best way that a model really offers, and a run keeps to it."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from chat_service import completion, refusal
from faulty_service import Asked, reply, serving
from steelyard import LocalModel, Model, Request, Response, Run, Sample, evaluate
from steelyard.errors import GivenUp, ModelError, RunMismatch, UsageError
from steelyard.models.http import HttpModel
from steelyard.models.services import open_completions, open_openai
from steelyard.report.asking import tell_asking
from steelyard.report.contents import read_contents
from steelyard.report.samples import chosen_of
from steelyard.tasks.choice import choice_task
from steelyard.tasks.references import open_task

COLOURS = ("sky", "rose", "grass")


def samples(count: int = 6) -> list[Sample]:
    return [Sample(str(n), f"Which is red, in line {n}?", target="B", choices=COLOURS) for n in range(count)]


def tells(run: Run) -> dict[str, str]:
    return dict(tell_asking(read_contents(Run.open(run.path))))


def value(run: Run, metric: str = "choice") -> Any:
    return next(result["value"] for result in run.about["results"] if result["metric"] == metric)


class Knowing(LocalModel):
    """Tells likelihoods of its own; B is the likeliest."""

    def batch(self, requests: Sequence[Request]) -> list[Response]:
        scored = [math.log(share) for share in (0.2, 0.6, 0.1)]
        return [Response(text="C") if r.choices is None else Response(scores=scored) for r in requests]


class Thinking(Knowing):
    """A chat that thinks first, so that no letter is likely to begin its answer."""

    chat = True

    def batch(self, requests: Sequence[Request]) -> list[Response]:
        scored = [-9.0, -8.0, -10.0]
        return [
            Response(text="<think>A?</think>B") if r.choices is None else Response(scores=scored)
            for r in requests
        ]


def test_a_model_that_tells_likelihoods_is_asked_for_those_of_letters(tmp_path: Path) -> None:
    run = evaluate(Knowing(), choice_task(data=samples()), out=tmp_path / "r")
    assert (value(run), run.about["choices"]["by"]) == (1.0, "letter-likelihood")
    assert value(run, "choice_prob") == pytest.approx(2 / 3)
    (first, *_) = run.records()
    assert list(first.request.choices or ()) == [" A", " B", " C"]
    told = tells(run)
    assert told["choices"].startswith("the model's own log-probabilities of letters")
    assert told["letters carry"].startswith("90 %")


def test_one_that_only_writes_is_asked_for_a_letter_by_the_same_prompt(tmp_path: Path) -> None:
    run = evaluate(lambda prompt: "The answer is (B).", choice_task(data=samples()), out=tmp_path / "r")
    other = evaluate(Knowing(), choice_task(data=samples()), out=tmp_path / "o")
    assert (value(run), tells(run)["choices"]) == (1.0, "a letter in the text (the best way that it offers)")
    assert "gives no likelihoods" in tells(run)["not by"]
    assert [r.request.prompt for r in run.records()] == [r.request.prompt for r in other.records()]


def test_letters_that_no_answer_begins_with_say_nothing(tmp_path: Path) -> None:
    run = evaluate(Thinking(), choice_task(data=samples()), out=tmp_path / "r")
    assert (value(run), run.about["choices"]["by"]) == (1.0, "letter")
    assert "begins with one of the letters only with 0.05 %" in tells(run)["not by"]
    (first, *_) = run.records()
    assert dict(first.request.params) == {"max_tokens": 1024}


def test_what_was_chosen_otherwise_stays(tmp_path: Path) -> None:
    task = open_task("choice", data=samples(), metrics=["exact"], extract="letter", params={"max_tokens": 7})
    run = evaluate(lambda prompt: "B", task, out=tmp_path / "r")
    assert value(run, "exact") == 1.0
    assert {r.request.params["max_tokens"] for r in run.records()} == {7}
    asked = evaluate(Knowing(), choice_task(data=samples(), by="letter"), out=tmp_path / "o")
    assert value(asked) == 0.0 and "choices" not in asked.about


def test_data_that_can_be_read_once_is_read_once(tmp_path: Path) -> None:
    read = []

    def once() -> Any:
        for sample in samples(5):
            read.append(sample.id)
            yield sample

    run = evaluate(Knowing(), choice_task(data=once()), out=tmp_path / "r")
    assert read == ["0", "1", "2", "3", "4"]
    assert sorted(r.sample.id for r in run.records()) == read


LISTED = {"object": "list", "data": [{"id": "m", "object": "model"}]}


def service(answer: Callable[[Mapping[str, Any]], Any]) -> Callable[[Asked], bytes]:
    """A step of a service of one model that answers what `answer` makes of the body of a question."""

    def step(asked: Asked) -> bytes:
        if asked.method == "GET":
            known = asked.target == "/v1/models"
            return reply(LISTED) if known else reply({"detail": "Not Found"}, status=404)
        found = answer(asked.json)
        return found if isinstance(found, bytes) else reply(found)

    return step


def first_tokens(body: Mapping[str, Any], odds: Mapping[str, float], text: str) -> Any:
    """A chat that tells the likeliest first tokens, and nothing else about likelihoods."""
    if unknown := body.keys() - {"model", "messages", "max_tokens", "stop", "logprobs", "top_logprobs"}:
        return refusal(f"unknown: {sorted(unknown)[0]}")
    if not body.get("logprobs"):
        return completion(text)
    top = [{"token": token, "logprob": math.log(share), "bytes": None} for token, share in odds.items()]
    found = completion(max(odds, key=odds.__getitem__))
    found["choices"][0]["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
    return found


def test_a_chat_service_is_asked_for_the_odds_of_its_first_token(tmp_path: Path) -> None:
    odds = {"B": 0.7, " B": 0.1, "A": 0.15, "The": 0.05}
    with serving(service(lambda body: first_tokens(body, odds, "A"))) as found:
        model = open_openai(f"http://127.0.0.1:{found.port}/v1")
        run = evaluate(model, choice_task(data=samples()), out=tmp_path / "r")
        model.close()
    told = tells(run)
    assert (value(run), run.about["choices"]["likelihood"]) == (1.0, "first-token")
    assert run.about["identity"]["model"]["likelihood"] == "first-token"
    assert told["choices"].startswith("first-token log-probabilities of letters")
    assert told["letters carry"].startswith("95 %")
    assert set(run.about["choices"]["tried"]) == {"choices", "prompt"}


@pytest.mark.parametrize("odds", [{"The": 0.9, "B": 0.05}, {"<think>": 0.99}])
def test_a_chat_that_begins_otherwise_writes_its_letter(tmp_path: Path, odds: dict[str, float]) -> None:
    with serving(service(lambda body: first_tokens(body, odds, "The answer is B."))) as found:
        model = open_openai(f"http://127.0.0.1:{found.port}/v1")
        run = evaluate(model, choice_task(data=samples()), out=tmp_path / "r")
        model.close()
    assert (value(run), run.about["choices"]["by"]) == (1.0, "letter")
    assert "likelihood" not in run.about["identity"]["model"]
    assert "first-token" in run.about["choices"]["tried"]


def test_an_answer_that_begins_with_no_letter_is_wrong_and_no_failure(tmp_path: Path) -> None:
    def answer(body: Mapping[str, Any]) -> Any:
        begins = "The" if "line 4" in body["messages"][-1]["content"] else "B"
        return first_tokens(body, {begins: 0.9}, "The answer is B.")

    with serving(service(answer)) as found:
        model = open_openai(f"http://127.0.0.1:{found.port}/v1")
        run = evaluate(model, choice_task(data=samples()), out=tmp_path / "r")
        model.close()
    assert value(run) == pytest.approx(5 / 6)
    results = {result["metric"]: result for result in run.about["results"]}
    assert (results["choice"]["failed"], results["choice_prob"]["undefined"]) == (0, 1)
    contents = read_contents(Run.open(run.path), keep=6)
    assert tells(run)["letters carry"] == "75 % of what it would say; 1 begins with none and counts as wrong"
    assert [chosen_of(record) for record in contents.kept][4] == "(none of them: 'The')"


def test_letters_that_were_asked_for_and_begin_no_answer_are_an_error(tmp_path: Path) -> None:
    with serving(service(lambda body: first_tokens(body, {"<think>": 0.99}, "B"))) as found:
        model = open_openai(f"http://127.0.0.1:{found.port}/v1")
        with pytest.raises(UsageError, match=r"first-token: an answer begins with one of the letters .* 0 %"):
            evaluate(model, choice_task(data=samples(), by="letter-likelihood"), out=tmp_path / "r")
        model.close()


def test_a_question_that_always_fails_decides_nothing(tmp_path: Path) -> None:
    class Poisoned(Knowing):
        def batch(self, requests: Sequence[Request]) -> list[Response]:
            if any("line 1" in str(request.prompt) for request in requests):
                raise ValueError("no such picture")
            return super().batch(requests)

    run = evaluate(Poisoned(), choice_task(data=samples()), out=tmp_path / "r")
    assert (run.about["choices"]["by"], run.about["choices"]["likelihood"]) == ("letter-likelihood", "own")
    assert [record.response.error for record in run.records() if record.response.error] != []


def test_a_deadline_holds_for_finding_out_too(tmp_path: Path) -> None:
    class Stuck(Model):
        async def ask(self, request: Request) -> Response:
            await asyncio.Event().wait()
            return Response("B")

    with pytest.raises(GivenUp, match=r"deadline of 0\.2 s"):
        evaluate(Stuck(), choice_task(data=samples()), out=tmp_path / "r", deadline=0.2)
    assert not (tmp_path / "r").exists()


def echo(body: Mapping[str, Any]) -> Any:
    """Completions that echo their prompts in tokens of a word each; " rose" and " B" are likely."""
    if not body.get("echo"):
        return (
            refusal("echo is needed")
            if body.keys() - {"model", "prompt", "max_tokens", "stop"}
            else said(" C")
        )
    prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
    choices = []
    for place, prompt in enumerate(prompts):
        tokens = re.findall(r"\s*\S+", prompt)
        odds = [None, *(-0.5 if token in (" rose", " B") else -2.0 for token in tokens[1:])]
        told = {"tokens": tokens, "token_logprobs": odds, "top_logprobs": None, "text_offset": []}
        choices.append({"index": place, "text": prompt, "logprobs": told, "finish_reason": "length"})
    return {"object": "text_completion", "model": "m", "choices": choices}


def said(text: str) -> Any:
    return {
        "object": "text_completion",
        "model": "m",
        "choices": [{"index": 0, "text": text, "logprobs": None}],
    }


@pytest.mark.parametrize("by", ["auto", "letter-likelihood", "likelihood"])
def test_completions_that_echo_tell_exact_likelihoods(tmp_path: Path, by: str) -> None:
    with serving(service(echo)) as found:
        model = open_completions(f"http://127.0.0.1:{found.port}/v1")
        run = evaluate(model, choice_task(data=samples(), by=by), out=tmp_path / "r")
        model.close()
    assert value(run, "choice" if by == "auto" else "acc") == 1.0
    what = "options" if by == "likelihood" else "letters"
    assert tells(run)["choices"].startswith(f"echoed log-probabilities of {what}")


def test_likelihoods_that_were_asked_for_and_are_not_told_are_an_error(tmp_path: Path) -> None:
    with serving(
        service(lambda body: completion("B") if body.keys() <= {"model", "messages"} else refusal("no"))
    ) as found:
        model = open_openai(f"http://127.0.0.1:{found.port}/v1")
        with pytest.raises(
            UsageError, match=r"does not tell how likely.*tried choices: .*prompt: .*by=letter"
        ):
            evaluate(model, choice_task(data=samples(), by="likelihood"), out=tmp_path / "r")
        model.close()
    assert not (tmp_path / "r").exists()


def test_nobody_is_asked_five_times_whether_he_listens(tmp_path: Path) -> None:
    model = open_openai("http://127.0.0.1:1/v1", model="m", retries=0)
    with pytest.raises(ModelError, match=r"nobody listens at 127\.0\.0\.1:1"):
        evaluate(model, choice_task(data=samples()), out=tmp_path / "r")


class Changing:
    """A service that echoes until it is told not to."""

    def __init__(self) -> None:
        self.echoes = True
        self.asked: list[Any] = []

    def __call__(self, body: Mapping[str, Any]) -> Any:
        self.asked.append(body)
        return echo(body) if self.echoes or not body.get("echo") else refusal("echo is not there any more")


def cut(run: Run, keep: int) -> None:
    """Leave only some records of a run, as if it had been stopped."""
    lines = run.log.read_bytes().splitlines(keepends=True)
    run.log.write_bytes(b"".join(lines[:keep]))


@pytest.fixture
def opened() -> Iterator[Callable[..., HttpModel]]:
    """Opens services of completions, and closes them in the end."""
    models: list[HttpModel] = []

    def make(url: str, **options: Any) -> HttpModel:
        models.append(open_completions(url, **options))
        return models[-1]

    yield make
    for model in models:
        model.close()


def test_a_run_goes_on_in_the_way_it_began(tmp_path: Path, opened: Callable[..., HttpModel]) -> None:
    changing = Changing()
    with serving(service(changing)) as found:
        url = f"http://127.0.0.1:{found.port}/v1"
        run = evaluate(opened(url), choice_task(data=samples()), out=tmp_path / "r")
        cut(run, 2)
        changing.asked.clear()
        again = evaluate(opened(url), choice_task(data=samples()), out=tmp_path / "r", resume=True)
        assert again.about["answers"] == 6
        assert len(changing.asked) == 4 and all(body["echo"] for body in changing.asked)

        cut(run, 2)
        changing.echoes = False
        with pytest.raises(RunMismatch, match=r"no more how likely choices are.*not there any more"):
            evaluate(opened(url), choice_task(data=samples()), out=tmp_path / "r", resume=True)
        with pytest.raises(RunMismatch, match=r"echoed log-probabilities.*\(likelihood=echo\)"):
            other = opened(url, likelihood="prompt")
            evaluate(other, choice_task(data=samples()), out=tmp_path / "r", resume=True)
    assert len(list(Run.open(run.path).records())) == 2


def test_a_run_begun_by_letter_goes_on_by_letter(tmp_path: Path) -> None:
    run = evaluate(Knowing(), choice_task(data=samples(), by="letter"), out=tmp_path / "r")
    cut(run, 2)
    again = evaluate(Knowing(), choice_task(data=samples()), out=tmp_path / "r", resume=True)
    assert [r.response.text for r in again.records()] == ["C"] * 6


def test_what_was_found_is_stored_with_the_run(tmp_path: Path) -> None:
    run = evaluate(Knowing(), choice_task(data=samples()), out=tmp_path / "r")
    stored = json.loads((run.path / "run.json").read_text())
    assert stored["choices"] == {
        "asked": "auto",
        "by": "letter-likelihood",
        "likelihood": "own",
        "tried": {},
    }
    assert stored["identity"]["task"]["by"] == "letter-likelihood"


def test_a_model_that_fails_when_it_is_tried_is_no_reason_to_stop(tmp_path: Path) -> None:
    class Odd(Model):
        async def ask(self, request: Request) -> Response:
            if request.choices is not None:
                raise ValueError("what are choices?")
            return Response("B")

    run = evaluate(Odd(), choice_task(data=samples()), out=tmp_path / "r")
    assert (value(run), tells(run)["not by"]) == (
        1.0,
        "the model's own log-probabilities (own): ValueError: what are choices?",
    )
