"""The real Triton: asked over both its protocols, held against its recorded answers and a local model."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from recorded import recorded
from triton_server import PYTHON, find_port, serving_triton
from triton_traffic import QUESTIONS, ask

from loaded import check_times, load_by_command, read_counter, total
from steelyard import Task, evaluate, open_model
from steelyard.engine import answer
from steelyard.metrics.text import exact
from steelyard.types import Request, Response, Sample, Tokens

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not PYTHON.exists(), reason="needs Triton: make .venv-triton/ready"),
]
PROMPTS = ["2 + 2 =", "Question: 17 + 25 =\nAnswer:", "The", "a b c", "7 * 8 ="]


@pytest.fixture(scope="module")
def metrics() -> int:
    return find_port()


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory, metrics: int) -> Iterator[str]:
    with serving_triton(tmp_path_factory.mktemp("triton"), metrics=metrics) as address:
        yield address


def asked(triton: str, *prompts: Any, params: dict[str, Any] | None = None, **options: Any) -> list[Response]:
    model = open_model(triton, retries=0, **options)
    requests = [Request(str(n), prompt, params=params or {}) for n, prompt in enumerate(prompts)]
    try:
        return answer(model, requests)
    finally:
        model.close()


@pytest.mark.parametrize("name", QUESTIONS)
def test_triton_says_what_was_recorded(triton: str, name: str) -> None:
    told, kept = ask(triton, *QUESTIONS[name]), recorded("triton")[name]
    assert (told["status"], told["headers"], told["body"].encode()) == (kept.status, kept.headers, kept.body)


def test_texts_go_on(triton: str) -> None:
    short, long = asked(triton, "one zwö ✓ four", "x", wire="triton", model="shout", params={"max_tokens": 3})
    assert (short.text, short.tokens, short.error) == ("ONE ZWÖ ✓", Tokens(None, 3), None)
    assert long.text == "X"
    (stopped,) = asked(triton, "a", wire="triton", model="shout", params={"stop": ["b"], "temperature": 0})
    assert (stopped.text, stopped.error) == ("A", None)


def test_pieces_come_one_by_one(triton: str) -> None:
    options = {"wire": "triton", "model": "pieces"}
    (response,) = asked(triton, "one zwö ✓ four", stream=True, params={"max_tokens": 3}, **options)
    assert (response.text, response.error) == ("ONE ZWÖ ✓", None)
    assert response.timing is not None
    assert len(response.timing.chunks) == 3
    (whole,) = asked(triton, "one two", params={"stream": False}, **options)
    assert (whole.text, whole.error) == ("ONE TWO", None)
    (with_last,) = asked(triton, "one", stream=True, params={"last": "ü"}, **options)
    assert with_last.text == "ONE ü"

    async def watch() -> list[str]:
        model = open_model(triton, **options)
        try:
            return [chunk.text async for chunk in model.stream(Request("0", "a b c")) if chunk.text]
        finally:
            model.close()

    assert asyncio.run(watch()) == ["A", " B", " C"]


@pytest.mark.parametrize("binary", [False, True])
def test_tensors(triton: str, binary: bool) -> None:
    options = {"wire": "kserve", "model": "shout", "binary": binary, "tensors": {"max_tokens": "INT32"}}
    texts = [f"a{n} é ✓ d" for n in range(9)]
    responses = asked(triton, *texts, batch_size=4, params={"max_tokens": 3}, **options)
    assert [response.text for response in responses] == [f"A{n} É ✓" for n in range(9)]
    assert {response.tokens for response in responses} == {Tokens(None, 3)}
    own = {"text_input": "own names", "max_tokens": 1}
    named, typed = (
        asked(triton, own, wire="kserve", model="shout", tensors=tensors)[0]
        for tensors in ({}, {"max_tokens": "INT32"})
    )
    assert "'max_tokens' data-type is 'INT64', but model 'shout' expects 'INT32'" in (named.error or "")
    assert (typed.text, typed.error) == ("OWN", None)


@pytest.mark.parametrize(
    ("options", "params", "error"),
    [
        ({"wire": "triton", "model": "none"}, {}, "HTTP 404: Request for unknown model: 'none' is not found"),
        ({"wire": "triton", "model": "pieces", "input": "text"}, {}, "missing required input"),
        ({"wire": "triton", "model": "pieces"}, {}, "exactly 1 response.*stream=true"),
        ({"wire": "triton", "model": "shout"}, {"stop": ["a", "b"]}, "parameter 'stop' has invalid type"),
        ({"wire": "kserve", "model": "shout", "flat": True}, {}, "got [1]. (flat=false)"),
        ({"wire": "kserve", "model": "none"}, {}, "unknown model"),
        ({"wire": "kserve", "model": "pieces", "flat": True}, {}, "HTTP 501"),
        ({"wire": "kserve", "model": "shout", "output": "x"}, {}, "it has: text_output, num_output_tokens"),
    ],
)
def test_failures_are_answers(
    triton: str, options: dict[str, Any], params: dict[str, Any], error: str
) -> None:
    (response,) = asked(triton, "a b", params=params, **options)
    first, _, second = error.partition(".*")
    assert first in (response.error or "")
    assert second in (response.error or "")


def test_an_answer_that_fails_in_the_middle_is_no_answer(triton: str) -> None:
    good, bad = asked(triton, "one two", "one fail two", wire="triton", model="pieces", stream=True)
    assert (good.text, good.error) == ("ONE TWO", None)
    assert (bad.text, bad.error) == ("", "the service reports an error: this word fails")


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_says_through_triton_what_it_says_here(triton: str, stream: bool) -> None:
    local = open_model("embedded")
    requests = [Request(str(n), prompt, params={"max_tokens": 12}) for n, prompt in enumerate(PROMPTS)]
    here = [response.text for response in answer(local, requests)]
    local.close()
    params = {"max_tokens": 12} | ({} if stream else {"stream": False})
    there = asked(triton, *PROMPTS, wire="triton", model="embedded", stream=stream, params=params)
    assert [response.error for response in there] == [None] * len(PROMPTS)
    assert [response.text for response in there] == here


def test_an_evaluation_over_triton(triton: str, tmp_path: Path) -> None:
    samples = [Sample(str(n), f"word {n}", target=f"WORD {n}") for n in range(50)]
    model = open_model(triton, wire="triton", model="shout")
    run = evaluate(model, Task(name="shouting", data=samples, metrics=[exact]), out=tmp_path / "run")
    model.close()
    scores = [record.scores["exact"] for record in run.records()]
    assert (len(scores), all(scores)) == (50, True)


def test_the_command_evaluates_over_triton(triton: str, tmp_path: Path) -> None:
    data = tmp_path / "words.jsonl"
    data.write_text("".join(json.dumps({"input": f"w {n}", "target": f"W {n}"}) + "\n" for n in range(20)))
    command = ["-m", "steelyard", "eval", "--model", triton, "wire=triton", "model=shout"]
    command += ["--data", str(data), "--metric", "exact", "--out", str(tmp_path / "run")]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "exact   1.000  0.000" in done.stdout


def test_a_load_counts_what_triton_counts(triton: str, metrics: int, tmp_path: Path) -> None:
    data = tmp_path / "asked.jsonl"
    data.write_text("".join(json.dumps({"prompt": " ".join("w" * (n % 5 + 1))}) + "\n" for n in range(40)))
    told = f"http://127.0.0.1:{metrics}/metrics"
    before = read_counter(told, "nv_inference_request_success", model="pieces")
    model = [triton, "wire=triton", "model=pieces"]
    flags = ["--data", str(data), "--rate", "100", "--requests", "30", "--warmup", "2", "--workers", "1"]
    stage = load_by_command(tmp_path, model, *flags, "--scrape", told)
    one = stage["performance"]
    # It tells no usage: each word is an event.
    assert (one["total"], one["counted_by"]) == (30, {"events": 30})
    assert total(one, "output_tokens") == sum(n % 5 + 1 for n in range(2, 32))
    check_times(one)
    assert stage["server"]["requests"] == 30
    assert read_counter(told, "nv_inference_request_success", model="pieces") - before == 32
