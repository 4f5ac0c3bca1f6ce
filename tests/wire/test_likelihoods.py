"""How likely choices are, as services tell it: asked in each way, read, and told by our own server."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from steelyard.errors import DataError, UsageError
from steelyard.metrics.choices import acc, carried, choice_prob
from steelyard.types import Request, Response, Sample, Tokens
from steelyard.wire import likelihoods
from steelyard.wire.base import Call
from steelyard.wire.completions import Completions
from steelyard.wire.likelihoods import Odds
from steelyard.wire.openai import OpenAI

QUESTION = Request(
    "7", "2 + 2 = ", choices=(" 4", " five"), params={"max_tokens": 9, "top_k": 1, "user": "u"}
)
CHAT: Any = [{"role": "user", "content": "2 + 2?"}]


def asked(wire: Any, request: Request = QUESTION) -> list[dict[str, Any]]:
    return [json.loads(wire.open([part]).encode_request()) for part in wire.split(request)]


def test_each_way_asks_in_its_own_words() -> None:
    def completions(way: str) -> list[dict[str, Any]]:
        return asked(Completions(model="m", likelihood=way, stream=True))

    same = {"model": "m", "user": "u"}
    wholes = ["2 + 2 =", "2 + 2 =  4", "2 + 2 =  five"]
    assert completions("echo") == [{**same, "prompt": wholes, "max_tokens": 0, "echo": True, "logprobs": 1}]
    assert completions("prompt") == [
        {**same, "prompt": whole, "max_tokens": 1, "prompt_logprobs": 0} for whole in wholes
    ]
    assert completions("echo-each") == [
        {**same, "prompt": whole, "max_tokens": 1, "echo": True, "logprobs": 1} for whole in wholes
    ]
    assert completions("first-token") == [{**same, "prompt": "2 + 2 =", "max_tokens": 1, "logprobs": 5}]
    (own,) = completions("choices")
    assert own == {**same, "prompt": "2 + 2 = ", "choices": [" 4", " five"], "max_tokens": 1}


def test_a_chat_is_asked_with_each_choice_as_its_answer() -> None:
    request = Request("7", CHAT, choices=("A", "B"))
    alone, first, second = asked(OpenAI(likelihood="prompt"), request)
    assert alone == {"messages": CHAT, "max_tokens": 1, "prompt_logprobs": 0}
    answer = {"role": "assistant", "content": "A"}
    assert first["messages"] == [*CHAT, answer] and second["messages"][-1]["content"] == "B"
    assert (first["continue_final_message"], first["add_generation_prompt"]) == (True, False)
    (body,) = asked(OpenAI(likelihood="first-token"), request)
    assert body == {"messages": CHAT, "max_tokens": 1, "logprobs": True, "top_logprobs": 10}


def test_without_a_way_choices_are_refused() -> None:
    with pytest.raises(UsageError, match="likelihood=echo"):
        asked(Completions(model="m"))
    with pytest.raises(UsageError, match=r"no way of this protocol \(choices, prompt, first-token\)"):
        OpenAI(likelihood="echo")
    with pytest.raises(UsageError, match="the prompt is empty"):
        asked(Completions(likelihood="echo"), Request("0", "", choices=("a",)))
    with pytest.raises(UsageError, match="no turns"):
        asked(Completions(likelihood="echo"), Request("0", CHAT, choices=("a",)))


def odds(*tokens: tuple[str, float | None, bool]) -> list[Odds]:
    return [Odds(*token) for token in tokens]


def test_the_tokens_behind_the_prompt_are_the_choice() -> None:
    prompt = odds(("<s>", None, False), ("2", -1.0, True))
    four = odds(*prompt, (" 4", -0.5, True), ("!", -0.25, True))
    # The last token of the prompt is another one here.
    fused = odds(prompt[0], ("2five", -2.0, False))
    response = likelihoods.compare(prompt, [four, fused], Tokens(9, 1))
    assert response.scores == (-0.75, -2.0)
    assert response.raw == {"tokens": [2, 1], "greedy": [True, False]}
    assert response.tokens == Tokens(9, 1)


@pytest.mark.parametrize(
    ("prompt", "whole", "said"),
    [
        ([], [("A", None, False)], "first token of a text"),
        ([], [], "first token of a text"),
        ([("a", None, False), ("b", -1.0, True)], [("x", None, False), ("y", -1.0, True)], "does not begin"),
    ],
)
def test_what_cannot_be_compared(prompt: Any, whole: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        likelihoods.compare(odds(*prompt), [odds(*whole)], None)


def test_first_tokens_count_with_and_without_their_space() -> None:
    top = [("A", math.log(0.5)), (" A", math.log(0.25)), ("ĠB", math.log(0.125)), ("The", math.log(0.0625))]
    response = likelihoods.read_first(["A", "B", "C"], top, None)
    assert response.scores is not None and list(map(math.exp, response.scores))[:2] == pytest.approx(
        [0.75, 0.125]
    )
    # What is not told is at most what is left, and less than the least that is told.
    assert math.exp(response.scores[2]) == pytest.approx(0.0625)
    assert response.raw["greedy"] == [True, False, False] and response.raw["mass"] == pytest.approx(0.875)
    with pytest.raises(DataError, match="no top_logprobs"):
        likelihoods.read_first(["X"], [], None)


def test_an_answer_that_begins_with_none_of_the_choices_makes_none_likelier() -> None:
    top = [("The", math.log(0.7)), ("It", math.log(0.2)), ("a", math.log(0.05)), ("I", math.log(0.01))]
    response = likelihoods.read_first(["A", "B"], top, Tokens(3, 1))
    first, second = response.scores or ()
    assert first == second <= math.log(0.01)
    assert response.raw == {"greedy": [False, False], "mass": 0.0, "first": ["The", "It", "a"]}
    sample = Sample("1", "Which?", target="A", choices=["x", "y"])
    assert (acc(sample, response), choice_prob(sample, response), carried(response)) == (False, None, 0.0)


@pytest.mark.parametrize("way", ["echo", "prompt", "echo-each", "first-token", "choices"])
def test_services_that_tell_nothing_of_it_are_found_out(way: str) -> None:
    wire = Completions(likelihood=way)
    part = wire.split(QUESTION)[0]
    count = 3 if way == "echo" else 1
    for logprobs in (None, {}, {"tokens": ["a"]}, {"tokens": [], "token_logprobs": [1]}):
        choices = [{"index": n, "text": "4", "logprobs": logprobs} for n in range(count)]
        with pytest.raises(DataError, match=r"gives no|does not say"):
            wire.open([part]).decode_answer(json.dumps({"choices": choices}).encode())


@pytest.mark.parametrize("wire", [OpenAI(likelihood="choices"), Completions(likelihood="choices")])
def test_our_server_tells_our_client_what_the_model_said(wire: Any) -> None:
    request = Request("7", CHAT if wire.chat else "2 + 2 =", choices=(" 4", " five"))
    exchange = wire.open([request])
    path = "/v1/chat/completions" if wire.chat else "/v1/completions"
    server = OpenAI().accept(Call(path, {}, exchange.encode_request()))
    (seen,) = server.requests
    assert (seen.choices, server.stream) == ((" 4", " five"), False)
    told = Response(
        scores=(-0.5, -2.25), tokens=Tokens(5, 0), raw={"tokens": [1, 2], "greedy": [True, False]}
    )
    (response,) = exchange.decode_answer(server.encode_answer([told]))
    assert response == told
    with pytest.raises(DataError, match="does not say how likely"):
        server.encode_answer([Response("a text")])


@pytest.mark.parametrize("limit", [0, 1])
def test_our_server_echoes_prompts_as_others_do(limit: int) -> None:
    body = {"prompt": ["2 + 2", "a"], "echo": True, "logprobs": 1, "max_tokens": limit}
    server = OpenAI().accept(Call("/v1/completions", {}, json.dumps(body).encode()))
    assert [one.choices for one in server.requests] == [(), ()] + [None, None] * limit
    known = [Odds("2", None, False), Odds(" + 2", -1.5, False, {" + 2": -1.5, "!": -0.5})]
    told = [Response(scores=(), tokens=Tokens(2, 0), raw={"odds": one}) for one in (known, known[:1])]
    body = json.loads(server.encode_answer([*told, *[Response(" =", tokens=Tokens(2, 1))] * 2 * limit]))
    first, second = body["choices"]
    assert (first["index"], second["index"], first["text"]) == (0, 1, "2 + 2" + " =" * limit)
    assert first["logprobs"]["tokens"] == ["2", " + 2", " ="][: 2 + limit]
    assert first["logprobs"]["token_logprobs"] == [None, -1.5, None][: 2 + limit]
    assert first["logprobs"]["text_offset"] == [0, 1, 5][: 2 + limit]
    assert body["usage"]["completion_tokens"] == 2 * limit
    assert likelihoods.read_echo(first, written=limit) == known


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("completions", {"prompt": "a", "echo": True, "logprobs": 1, "max_tokens": 5}, "max_tokens"),
        ("completions", {"prompt": "a", "echo": True, "logprobs": 1}, "max_tokens"),
        ("completions", {"prompt": "a", "echo": True, "logprobs": 5, "max_tokens": 0}, "logprobs"),
        ("completions", {"prompt": "a", "echo": True, "logprobs": 1, "max_tokens": 0, "n": 2}, "echo"),
        ("completions", {"prompt": ["a", "b"], "choices": ["c"]}, "behind one text"),
        ("completions", {"prompt": "a", "choices": "b"}, "choices: a list of texts"),
        ("chat/completions", {"messages": CHAT, "choices": []}, "choices: a list of texts"),
    ],
)
def test_what_our_server_does_not_tell(path: str, body: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        OpenAI().accept(Call(f"/v1/{path}", {}, json.dumps(body).encode()))


def test_a_model_that_tells_nothing_of_tokens() -> None:
    body = b'{"prompt": "a", "echo": true, "logprobs": 1, "max_tokens": 0}'
    server = Completions().accept(Call("/v1/completions", {}, body))
    with pytest.raises(UsageError, match="does not tell"):
        server.encode_answer([Response("a text")])
