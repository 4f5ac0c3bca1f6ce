"""A cache of answers: found again where all is equal that shapes them, and nowhere else."""

from __future__ import annotations

import asyncio
import math
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chat_service import chatting
from faulty_service import Asked
from steelyard import Model, Part, Request, Response, Run, Sample, Task, answer, evaluate
from steelyard.errors import StoreError
from steelyard.metrics.text import exact
from steelyard.models.cache import Cache, Cached, default_path
from steelyard.models.services import open_openai
from steelyard.report.asking import tell_asking
from steelyard.report.contents import read_contents
from steelyard.report.spending import spending_of
from steelyard.types import Timing, Tokens

KEY = "sk-live-2718281828"


class Counting(Model):
    """Answers with how often it was asked; says of itself what it is given."""

    def __init__(self, **identity: Any) -> None:
        self.count = 0
        self.given = identity

    def identity(self) -> dict[str, Any]:
        return self.given

    async def ask(self, request: Request) -> Response:
        self.count += 1
        return Response(str(self.count), tokens=Tokens(5, 2), timing=Timing(0.0, 0.0, (), 1.0), raw={"id": 7})


def ask(cache: Path, model: Model, *requests: Request, repeat: int = 1) -> list[Response]:
    cached = Cached(model, Cache(cache), repeat=repeat)
    try:
        return answer(cached, requests)
    finally:
        cached.close()


def test_an_answer_is_found_again_and_marked(tmp_path: Path) -> None:
    model, request = Counting(), Request("a", "What?", params={"max_tokens": 3, "stop": ["x"]})
    (fresh,) = ask(tmp_path / "c", model, request)
    (found,) = ask(tmp_path / "c", model, Request("b", "What?", params={"stop": ["x"], "max_tokens": 3}))
    assert model.count == 1
    assert (fresh.raw, found.raw) == ({"id": 7}, {"id": 7, "cached": True})
    assert (found.text, found.tokens, found.timing) == ("1", Tokens(5, 2), None)
    assert fresh.timing is not None


@pytest.mark.parametrize(
    "other",
    [
        Request("a", "Who?"),
        Request("a", [{"role": "user", "content": "What?"}]),
        Request("a", "What?", params={"max_tokens": 4}),
        Request("a", "What?", params={"seed": 1}),
        Request("a", "What?", choices=("x", "y")),
    ],
)
def test_whatever_shapes_an_answer_tells_it_apart(tmp_path: Path, other: Request) -> None:
    model = Counting()
    ask(tmp_path / "c", model, Request("a", "What?", params={}))
    ask(tmp_path / "c", model, other)
    assert model.count == 2


def test_models_are_told_apart_by_their_identities(tmp_path: Path) -> None:
    one, other, same = Counting(model="m"), Counting(model="n"), Counting(model="m")
    for model in (one, other, same):
        ask(tmp_path / "c", model, Request("a", "What?"))
    assert (one.count, other.count, same.count) == (1, 1, 0)


def test_repeats_of_one_question_are_answers_of_their_own(tmp_path: Path) -> None:
    turns = [Request("a#0", "What?"), Request("a#1", "What?")]
    assert [r.text for r in ask(tmp_path / "c", Counting(), *turns, repeat=2)] == ["1", "2"]
    assert [r.text for r in ask(tmp_path / "c", Counting(), *turns, repeat=2)] == ["1", "2"]
    # An id may have a # in it where nothing is repeated.
    assert [r.text for r in ask(tmp_path / "d", Counting(), turns[0])] == ["1"]
    assert [r.text for r in ask(tmp_path / "d", Counting(), Request("b#5", "What?"))] == ["1"]


def test_pictures_are_told_apart_by_what_they_show(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for name, colour in (("a", "red"), ("b", "red"), ("c", "blue")):
        image.new("RGB", (4, 4), colour).save(tmp_path / f"{name}.png")
    model = Counting()
    for name in "abc":
        picture = Part("image", str(tmp_path / f"{name}.png"))
        prompt = [{"role": "user", "content": [picture, Part("text", "What?")]}]
        ask(tmp_path / "cache", model, Request("x", prompt))  # type: ignore[arg-type]
    assert model.count == 2


def test_failures_and_what_is_no_answer_are_not_kept(tmp_path: Path) -> None:
    answers = [
        Response(error="HTTP 500"),
        Response(scores=[-1.0]),
        Response(scores=[-1.0, math.nan]),
        Response("not asked for"),
        Response(scores=[-1.0, -2.0], raw=object()),
        Response(scores=[-1.0, -2.0]),
    ]

    class Mending(Model):
        def identity(self) -> dict[str, Any]:
            return {}

        async def ask(self, request: Request) -> Response:
            return answers.pop(0)

    model, request = Mending(), Request("a", "What?", choices=("x", "y"))
    for _ in range(8):
        (last,) = ask(tmp_path / "c", model, request)
    assert answers == [] and list(last.scores or ()) == [-1.0, -2.0] and last.raw == {"cached": True}


def test_the_key_and_the_prompt_are_not_in_the_file(tmp_path: Path) -> None:
    with chatting(lambda asked: "yes") as service:
        for key in (KEY, KEY[::-1]):
            model = open_openai(service.url, model="m", api_key=key)
            assert ask(tmp_path / "c", model, Request("a", "a secret question"))[0].text == "yes"
            model.close()
        # Who asks does not shape the answer.
        assert len(service.asked) == 1
    content = (tmp_path / "c").read_bytes()
    assert KEY.encode() not in content and b"secret question" not in content


def test_several_processes_use_one_file(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from steelyard.models.cache import Cache\n"
        "from steelyard import Response\n"
        "cache = Cache(sys.argv[1])\n"
        "for n in range(200):\n"
        "    cache.keep(f'{sys.argv[2]} {n}'.encode(), Response(f'{n}'))\n"
        "assert not cache.broken, cache.broken\n"
        "cache.close()\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "c"), str(n)], stderr=subprocess.PIPE)
        for n in range(4)
    ]
    for process in started:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said.decode()
    cache = Cache(tmp_path / "c")
    found = [cache.find(f"{process} {n}".encode()) for process in range(4) for n in range(200)]
    cache.close()
    assert [one.text for one in found if one is not None] == [str(n) for n in range(200)] * 4


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database, but long enough to be looked at as one " * 20)
    with pytest.raises(StoreError, match=r"the cache .*text cannot be used.*--cache FILE"):
        Cache(tmp_path / "text")
    other = sqlite3.connect(tmp_path / "other")
    other.execute("CREATE TABLE birds (name)")
    other.close()
    with pytest.raises(StoreError, match="a database of something else"):
        Cache(tmp_path / "other")
    with pytest.raises(StoreError, match="cannot be used"):
        Cache(tmp_path)


def test_a_file_that_cannot_be_written_costs_no_answer(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "c")
    cached = Cached(Counting(), cache)
    other = sqlite3.connect(tmp_path / "c")
    other.execute("DROP TABLE answers")
    other.close()
    assert [r.text for r in answer(cached, [Request("a", "What?"), Request("b", "Who?")])] == ["1", "2"]
    assert "cannot be written" in cached.note()["broken"]
    cached.close()


def test_the_default_lies_where_caches_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert default_path() == tmp_path / "caches" / "steelyard" / "answers.sqlite"
    run = evaluate(str.upper, Task(name="t", data=[Sample("1", "a", "A")], metrics=[exact]),
                   out=tmp_path / "r", cache=True)  # fmt: skip
    assert run.about["cache"]["file"] == str(default_path()) and default_path().exists()


def test_a_second_run_asks_nothing_and_says_so(tmp_path: Path) -> None:
    def answered(asked: Asked) -> str:
        return str(asked.json["messages"][-1]["content"]).upper()

    samples = [Sample(str(n), f"word {n}", f"WORD {n}") for n in range(30)]
    task = Task(name="t", data=samples, metrics=[exact], params={"temperature": 0.5})
    with chatting(answered) as service:
        model = open_openai(service.url, model="m")
        first = evaluate(model, task, out=tmp_path / "a", cache=tmp_path / "c", limit=20)
        second = evaluate(model, task, out=tmp_path / "b", cache=tmp_path / "c")
        model.close()
        assert len(service.asked) == 30
    assert first.about["results"][0]["value"] == second.about["results"][0]["value"] == 1.0
    assert (first.about["cache"]["hits"], second.about["cache"]["hits"]) == (0, 20)
    assert second.about["cost"][0]["cached"] == 20
    contents = read_contents(Run.open(second.path))
    assert (contents.known, contents.counted, len(contents.latency)) == (20, 10, 10)
    told = dict(tell_asking(contents))
    assert told["cache"] == "20 answers of 30 given before, not asked again"
    spent = spending_of(contents)
    assert spent.tokens is not None and spent.tokens["input"] == 70
    assert first.about["identity"] | {"sampling": None} == second.about["identity"] | {"sampling": None}


def test_a_notebook_finds_its_answers_again(tmp_path: Path) -> None:
    task = Task(name="t", data=[Sample(str(n), f"q{n}", target="1") for n in range(40)], metrics=(exact,))

    async def in_a_loop(out: str) -> Run:
        return evaluate(Counting(), task, out=tmp_path / out, cache=tmp_path / "c")

    asyncio.run(in_a_loop("first"))
    again = asyncio.run(in_a_loop("second"))
    assert (again.about["cache"]["hits"], again.about["cache"]["broken"]) == (40, "")


def test_a_service_that_says_cached_of_itself_was_asked(tmp_path: Path) -> None:
    class Boasting(Model):
        async def ask(self, request: Request) -> Response:
            return Response("1", tokens=Tokens(5, 2), timing=Timing(0.0, 0.0, (), 1.0), raw={"cached": True})

    task = Task(name="t", data=[Sample("1", "q", target="1")], metrics=(exact,))
    run = evaluate(Boasting(), task, out=tmp_path / "r")
    assert (read_contents(run).known, read_contents(run).counted) == (0, 1)
