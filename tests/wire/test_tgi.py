"""The wire of text-generation-inference: its documented bytes, and what becomes of parameters."""

from __future__ import annotations

import json
from typing import Any

import pytest
from recorded import accepted, decoded, opened, recorded, shape

from steelyard.errors import DataError, UsageError
from steelyard.types import Chunk, Part, Request, Response, Tokens
from steelyard.wire.base import Call, CutShort
from steelyard.wire.events import read_events
from steelyard.wire.tgi import TGI

TOLD = recorded("tgi")
DOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAA"
    "DElEQVR4nGP4z8AAAAMBAQAY3Y2wAAAAAElFTkSuQmCC"
)


def sent(prompt: Any = "Two plus two is", wire: TGI | None = None, **params: Any) -> Any:
    return json.loads(opened(wire or TGI(), prompt, **params).encode_request())


def answer(path: str = "/generate", **asked: Any) -> Any:
    return TGI().accept(Call(path, {}, json.dumps({"inputs": "Two plus two is", **asked}).encode()))


@pytest.mark.parametrize("name", ["generate", "generate-without-details", "stream"])
def test_a_question_is_the_documented_one(name: str) -> None:
    asked = TOLD[name].request
    wire = TGI(details=asked["parameters"]["details"], stream=name == "stream")
    assert wire.locate("http://h:8080") == f"http://h:8080{TOLD[name].path}"
    params = {"details": False} if name == "generate-without-details" else {}
    assert sent(wire=wire, max_tokens=asked["parameters"]["max_new_tokens"], **params) == asked


@pytest.mark.parametrize(
    ("name", "text", "tokens", "reason"),
    [
        ("generate", " four.", Tokens(4, 3), "eos_token"),
        ("generate-without-details", " four.", Tokens(4, 3), None),
        ("root", " four.", Tokens(None, 2), "stop_sequence"),
        ("stream", " four.", Tokens(4, 2), "length"),
        ("stream-ends-by-a-special-token", " four", Tokens(4, 2), "eos_token"),
    ],
)
def test_documented_answers_are_read(name: str, text: str, tokens: Tokens, reason: str | None) -> None:
    response = decoded(TGI(), TOLD[name])
    assert (response.text, response.tokens, response.error) == (text, tokens, None)
    assert (response.raw or {}).get("finish_reason") == reason
    assert "tokens" not in (response.raw or {})


def test_tokens_are_kept_where_they_are_asked_for() -> None:
    for name in ("generate", "stream"):
        kept = decoded(TGI(), TOLD[name], details=True).raw["tokens"]
        assert [(token["text"], token["logprob"]) for token in kept[:2]] == [(" four", -0.3125), (".", -0.75)]
    wire = TGI(params={"top_n_tokens": 2})
    assert len(decoded(wire, TOLD["stream"]).raw["tokens"]) == 2


def test_the_pieces_of_a_stream_are_its_tokens_without_the_special_ones() -> None:
    for name, pieces in (("stream", [" four", "."]), ("stream-ends-by-a-special-token", [" four"])):
        exchange = opened(TGI(stream=True), "?")
        chunks = [exchange.decode_event(data) for data, _ in read_events(TOLD[name].body)]
        assert [chunk.text for chunk in chunks if chunk is not None] == pieces


def test_a_stream_without_its_last_event_is_no_answer() -> None:
    first = TOLD["stream"]._replace(body=TOLD["stream"].body.partition(b'data:{"index":2')[0])
    with pytest.raises(CutShort):
        decoded(TGI(), first)
    with pytest.raises(DataError, match="Request failed during generation: Server error: out of memory"):
        decoded(TGI(), TOLD["stream-fails"])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{}", "no generated_text .its keys: none"),
        (b'{"text": "a"}', "its keys: text"),
        (b"[1]", "an object was expected"),
        (b"<html>", "not JSON"),
        (b'{"error": "Model is overloaded", "error_type": "overloaded"}', "Model is overloaded"),
        (b'data: {"token": {"text": "a"}}\n\ndata: {"token"\n\n', "not JSON"),
    ],
)
def test_what_is_no_answer(body: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        opened(TGI(), "?").decode_answer(body)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"max_tokens": 3}, {"max_new_tokens": 3}),
        ({"max_new_tokens": 3}, {"max_new_tokens": 3}),
        ({"stop": "\n"}, {"stop": ["\n"]}),
        ({"stop": ["a", "b"], "seed": 7}, {"stop": ["a", "b"], "seed": 7}),
        ({"stop": []}, {}),
        ({"temperature": 0.7, "top_p": 0.9}, {"temperature": 0.7, "top_p": 0.9}),
        # What the service refuses, and what it would take for a wish for chance.
        ({"temperature": 0, "top_k": 50, "top_p": 0.9, "do_sample": True}, {"do_sample": False}),
        ({"temperature": 1.0}, {"temperature": 1.0, "do_sample": True}),
        ({"top_p": 1, "top_k": 0, "min_p": 0.0}, {}),
        ({"top_k": -1}, {}),
        ({"repetition_penalty": 1.1, "typical_p": 0.5}, {"repetition_penalty": 1.1, "typical_p": 0.5}),
        ({"seed": None}, {}),
    ],
)
def test_parameters_in_the_words_of_the_service(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert sent(wire=TGI(details=False), **ours)["parameters"] == theirs


def test_a_request_has_its_own_way_over_what_goes_with_all() -> None:
    wire = TGI(params={"max_new_tokens": 50, "temperature": 0}, details=False)
    assert sent(wire=wire, max_tokens=3, temperature=0.5)["parameters"] == {
        "max_new_tokens": 3,
        "temperature": 0.5,
    }
    own = {"inputs": "a", "parameters": {"max_new_tokens": 9}}
    assert sent(own, wire, max_tokens=3) == {
        "inputs": "a",
        "parameters": {"max_new_tokens": 9, "do_sample": False},
    }


def test_pictures_stand_in_the_text() -> None:
    turns = [{"role": "user", "content": [Part("image", DOT), Part("text", "What is it?")]}]
    assert opened(TGI(), turns).slow
    text = sent(turns)["inputs"]
    assert text.startswith("![](data:image/png;base64,")
    assert text.endswith(")What is it?")


@pytest.mark.parametrize(
    ("prompt", "options", "said"),
    [
        ("a", {"choices": ["x", "y"]}, "no likelihoods of choices"),
        ("a", {"params": {"stream": True}}, "one of the wire"),
        ({"text": "a"}, {}, "no inputs .its keys: text"),
    ],
)
def test_what_cannot_be_said(prompt: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        TGI().open([Request(id="0", prompt=prompt, **options)]).encode_request()


@pytest.mark.parametrize(
    ("url", "stream", "where"),
    [
        ("http://h:1", False, "http://h:1/generate"),
        ("http://h:1/", True, "http://h:1/generate_stream"),
        ("http://h:1/generate", True, "http://h:1/generate_stream"),
        ("http://h:1/generate_stream", False, "http://h:1/generate"),
        ("https://h/models/x?key=1", False, "https://h/models/x/generate?key=1"),
    ],
)
def test_where_it_is_spoken(url: str, stream: bool, where: str) -> None:
    assert TGI(stream=stream).locate(url) == where


@pytest.mark.parametrize("name", ["validation", "overloaded"])
def test_refusals_are_read_and_written(name: str) -> None:
    case = TOLD[name]
    said = json.loads(case.body)
    assert TGI().read_failure(case.body) == said["error"]
    assert json.loads(TGI().encode_failure(case.status, said["error"])) == said
    assert TGI().read_failure(b"<html>Bad Gateway") == "<html>Bad Gateway"


@pytest.mark.parametrize("name", ["generate", "generate-without-details", "root", "stream"])
def test_what_is_served_has_the_documented_form(name: str) -> None:
    case = TOLD[name]
    exchange = accepted(TGI(), case)
    assert exchange.requests[0].prompt == "Two plus two is"
    raw = {"finish_reason": "length"}
    response = Response(" four.", tokens=Tokens(4, 2), raw=raw)
    if name == "stream":
        assert exchange.stream
        pieces = [exchange.encode_chunk(0, Chunk(text)) for text in (" four", ".")]
        body = b"".join([*pieces, exchange.encode_end([response])])
        told, served = case.events, [json.loads(data) for data, _ in read_events(body)]
        # The same keys; of which token it was, and how likely, a model here does not tell.
        assert [event.keys() for event in served] == [told[0].keys(), told[0].keys(), told[1].keys()]
        assert {event["token"].keys() == told[0]["token"].keys() for event in served} == {True}
        assert served[-1]["details"] == told[-1]["details"]
        assert [event["generated_text"] for event in served] == [None, None, " four."]
        return
    served, told = json.loads(exchange.encode_answer([response])), json.loads(case.body)
    assert exchange.headers == {"x-prompt-tokens": "4", "x-generated-tokens": "2"}
    for answer in (served, told):
        details = (answer[0] if isinstance(answer, list) else answer).get("details", {})
        details.update(seed=None)
        details.pop("tokens", None)
    assert shape(served) == shape(told)


def test_tokens_that_a_service_told_are_passed_on() -> None:
    response = decoded(TGI(), TOLD["generate"], details=True)
    exchange = answer(parameters={"details": True})
    assert json.loads(exchange.encode_answer([response]))["details"] == {
        **json.loads(TOLD["generate"].body)["details"]
    }


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (TOLD["root"].request["parameters"], {"max_tokens": 3, "temperature": 0.0}),
        ({"max_new_tokens": 3, "do_sample": True}, {"max_tokens": 3, "temperature": 1.0}),
        ({"top_p": 0.9}, {"top_p": 0.9, "temperature": 1.0}),
        ({"temperature": 0.5, "do_sample": False}, {"temperature": 0.5}),
        ({"stop": ["a"], "seed": 3, "best_of": 2}, {"stop": ["a"], "seed": 3, "best_of": 2}),
        ({}, {}),
    ],
)
def test_parameters_in_our_words(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    assert dict(answer(parameters=theirs).requests[0].params) == ours


def test_what_a_call_wants() -> None:
    assert [answer(path).stream for path in ("/", "/generate", "/generate_stream")] == [False, False, True]
    assert [answer(path, stream=True).stream for path in ("/", "/generate")] == [True, False]
    whole = answer(parameters={"return_full_text": True}).encode_answer([Response(" 4")])
    assert json.loads(whole) == {"generated_text": "Two plus two is 4"}
    assert TGI().describe("/info", ["tiny"])["model_id"] == "tiny"
    assert TGI().describe("/else", ["tiny"]) is None
    broken = TGI().encode_broken("no memory")
    with pytest.raises(DataError, match="no memory"):
        opened(TGI(), "?").decode_answer(broken)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"inputs": 7}', b'{"inputs": "a", "parameters": [1]}'])
def test_what_is_no_question(body: bytes) -> None:
    with pytest.raises(DataError, match="text as inputs was expected, and an object as parameters"):
        TGI().accept(Call("/", {}, body))


@pytest.mark.parametrize("odd", [True, 3, "all", {"a": 1}])
def test_details_of_an_odd_kind_cost_only_themselves(odd: object) -> None:
    told = {"generated_text": "Hi", "details": {"prefill": odd, "generated_tokens": 1}}
    (response,) = TGI().open([Request("1", "Hello")]).decode_answer(json.dumps(told).encode())
    assert response.text == "Hi" and response.tokens is not None and response.tokens.output == 1
