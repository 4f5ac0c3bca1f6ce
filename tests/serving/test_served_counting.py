"""Tokens told at /tokenize, as load tests ask for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from http_calls import CHAT, call, chat
from served_models import shout

from steelyard import Server, open_model
from steelyard.models.tokenized import TokenModel
from steelyard.workloads.references import open_workload


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server([open_model("embedded"), open_model(shout)], port=0) as server:
        yield server


def test_prompts_for_a_served_model_have_exactly_the_tokens_that_are_asked_for(server: Server) -> None:
    model = open_model("openai", url=f"{server.url}/v1", model="embedded")
    workload = open_workload("synthetic", model=model, input="uniform:20:90", template="count", limit=4)
    for session in workload:
        told = call(server.url, CHAT, chat(str(session.turns[0].prompt), model="embedded", max_tokens=1))
        assert told.json["usage"]["prompt_tokens"] == session.turns[0].tokens_in
    model.close()


@pytest.mark.parametrize("path", ["/tokenize", "/embedded/tokenize"])
def test_tokens_are_those_of_the_model(server: Server, path: str) -> None:
    model = open_model("embedded")
    assert isinstance(model, TokenModel)
    bare, whole = (model.tokens("the time", special=special) for special in (False, True))
    model.close()
    named = {} if path.startswith("/embedded") else {"model": "embedded"}
    told = call(server.url, path, {"prompt": "the time", "add_special_tokens": False, **named}).json
    assert told == {"count": len(bare), "max_model_len": 1024, "tokens": bare, "token_strs": None}
    assert call(server.url, path, {"prompt": "the time", **named}).json["tokens"] == whole
    assert call(server.url, path, {**chat("the time"), **named}).json["count"] > len(bare)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"prompt": "a", "model": "shout"}, 400, "shout does not tell its tokens"),
        ({"prompt": "a"}, 400, "names no model"),
        ({"prompt": "a", "model": "other"}, 404, "no model 'other'"),
        ({"prompt": ["a", "b"], "model": "embedded"}, 400, "one prompt"),
        ({"prompt": [1, 2], "model": "embedded"}, 400, "takes a text or the turns of a chat"),
        ({"messages": 5, "model": "embedded"}, 400, "a list of messages"),
        ("[", 400, "JSON"),
        ([], 400, "an object was expected"),
    ],
)
def test_what_has_no_tokens_is_refused(server: Server, body: object, status: int, said: str) -> None:
    told = call(server.url, "/tokenize", body)
    assert told.status == status and said in told.body.decode()
    assert call(server.url, "/tokenize").status == 404


def test_a_server_of_other_protocols_tells_no_tokens() -> None:
    with Server([open_model("embedded")], port=0, wires=["tgi"]) as server:
        assert call(server.url, "/tokenize", {"prompt": "a"}).status == 404
