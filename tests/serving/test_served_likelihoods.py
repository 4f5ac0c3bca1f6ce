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
from steelyard.types import TOKENS, Request
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


def test_prompts_in_tokens_are_read_as_they_are(served: Server) -> None:
    model = Embedded()
    ids = [model.tokens(text, special=True) for text in TEXTS]
    echo = {"model": "small", "echo": True, "logprobs": 1, "max_tokens": 1}
    texts = call(served.url, "/v1/completions", {**echo, "prompt": TEXTS}).json
    tokens = call(served.url, "/v1/completions", {**echo, "prompt": ids}).json
    assert tokens["choices"] == texts["choices"] and tokens["usage"] == texts["usage"]
    # Nothing is put before them: without the first, others follow.
    (bare,) = call(served.url, "/v1/completions", {**echo, "prompt": ids[0][1:]}).json["choices"]
    assert len(bare["logprobs"]["tokens"]) == len(texts["choices"][0]["logprobs"]["tokens"]) - 1


def test_a_model_behind_a_service_is_asked_in_tokens(served: Server) -> None:
    ours = Embedded()
    theirs = HttpModel(f"{served.url}/v1", wire=Completions(model="small"), retries=0)
    asked = [
        Request("0", {TOKENS: ours.tokens(text, special=True)}, params={"max_tokens": 5}) for text in TEXTS
    ]
    try:
        for their, our in zip(answer(theirs, asked), answer(ours, asked), strict=True):
            assert their.error is None and their.text == our.text
            assert our.tokens is not None and our.tokens.output and their.tokens == our.tokens
    finally:
        theirs.close()
        ours.close()


@pytest.mark.parametrize(
    ("prompt", "why"),
    [
        ([1, 10**6], "no token 1000000"),
        ([[1], [-1]], "no token -1"),
        ([[1], []], "one prompt a list of them"),
        ([1, "a"], "whole numbers"),
        ([True], "whole numbers"),
        (["a", [1]], "list of texts"),
        ([1.5], "list of texts"),
        ([1] * 1024, "needs 1025 tokens"),
    ],
)
def test_tokens_that_are_none_are_refused(served: Server, prompt: Any, why: str) -> None:
    answered = call(served.url, "/v1/completions", {"model": "small", "prompt": prompt})
    assert answered.status == 400 and why in answered.json["error"]["message"]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"model": "small", "prompt": [1, 2], "choices": ["a"]}, "behind one text"),
        ({"model": "small", "prompt": [1, 2], "echo": True}, "with logprobs only"),
        ({"model": "shout", "prompt": [1, 2]}, "takes texts, no tokens"),
    ],
)
def test_what_tokens_are_not_taken_for(served: Server, more: Any, why: str) -> None:
    answered = call(served.url, "/v1/completions", more)
    assert answered.status == 400 and why in answered.json["error"]["message"]


def test_a_model_that_knows_no_likelihoods_says_so(served: Server) -> None:
    body = {"model": "shout", "prompt": "a", "echo": True, "logprobs": 1, "max_tokens": 0}
    answered = call(served.url, "/v1/completions", body)
    assert answered.status == 400 and answered.json["error"]["param"] == "echo"
    answered = call(served.url, "/v1/completions", {"model": "shout", "prompt": "a", "choices": ["b"]})
    assert answered.status == 400
