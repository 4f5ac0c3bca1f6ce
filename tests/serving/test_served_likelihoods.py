"""How likely choices are, told by our own server in every way that it has, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from http_calls import call
from served_models import shout

from steelyard.engine import answer
from steelyard.models.embedded import Embedded
from steelyard.models.functions import FunctionModel
from steelyard.models.http import HttpModel
from steelyard.serving.server import Server
from steelyard.types import Request
from steelyard.wire.completions import Completions
from steelyard.wire.openai import OpenAI

CHAT: Any = [{"role": "user", "content": "What is 3 + 4?"}]
TEXTS = ["Question: What is 12 + 7?\nAnswer:", "Q", "Tom has 3 pens. "]
CHOICES = [(" 19", " 7", " nineteen pens"), ("A", "B")]


@pytest.fixture(scope="module")
def served() -> Iterator[Server]:
    models = {"small": "embedded", "shout": FunctionModel(shout)}
    with Server(models, port=0, wires=["openai"], log=lambda line: None) as server:
        yield server


@pytest.mark.parametrize(
    ("wire", "likelihood"),
    [(Completions, "choices"), (Completions, "echo"), (Completions, "echo-each"), (OpenAI, "choices")],
)
def test_choices_are_as_likely_as_to_the_model_itself(served: Server, wire: Any, likelihood: str) -> None:
    prompts = [CHAT] if wire is OpenAI else TEXTS
    asked = [Request("0", prompt, choices=these) for prompt in prompts for these in CHOICES]
    theirs = HttpModel(f"{served.url}/v1", wire=wire(model="small", likelihood=likelihood), retries=0)
    ours = Embedded()
    try:
        for their, our in zip(answer(theirs, asked), answer(ours, asked), strict=True):
            assert their.error is None
            assert their.scores == pytest.approx(our.scores, abs=1e-3)
            assert their.raw == our.raw
    finally:
        theirs.close()
        ours.close()


def test_a_prompt_is_echoed_with_what_is_written_behind_it(served: Server) -> None:
    body = {"model": "small", "prompt": TEXTS[0], "echo": True, "logprobs": 1, "max_tokens": 1}
    (choice,) = call(served.url, "/v1/completions", body).json["choices"]
    told = choice["logprobs"]
    assert len({len(values) for values in told.values()}) == 1 and len(told["tokens"]) > 5
    assert "".join(told["tokens"]) == choice["text"] and choice["text"].startswith(TEXTS[0])
    assert told["token_logprobs"][0] is None and max(told["token_logprobs"][1:-1]) < 0
    for token, logprob, top in list(zip(told["tokens"], told["token_logprobs"], told["top_logprobs"]))[1:-1]:
        assert top[token] == logprob <= max(top.values())


def test_a_model_that_knows_no_likelihoods_says_so(served: Server) -> None:
    body = {"model": "shout", "prompt": "a", "echo": True, "logprobs": 1, "max_tokens": 0}
    answered = call(served.url, "/v1/completions", body)
    assert answered.status in (400, 500) and "error" in answered.json
    answered = call(served.url, "/v1/completions", {"model": "shout", "prompt": "a", "choices": ["b"]})
    assert answered.status == 400
