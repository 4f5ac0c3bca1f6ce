"""The plain wire: lists of inputs, lists of answers, in both directions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.errors import DataError
from steelyard.types import Request, Response
from steelyard.wire.base import Call
from steelyard.wire.plain import Plain, to_response

inputs = st.lists(st.text() | st.dictionaries(st.text(), st.text() | st.integers(-(2**50), 2**50)))


def requests(*prompts: Any) -> list[Request]:
    return [Request(id=str(n), prompt=prompt) for n, prompt in enumerate(prompts)]


@given(inputs)
def test_what_a_client_sends_a_server_reads(prompts: list[Any]) -> None:
    body = Plain().open(requests(*prompts)).encode_request()
    assert json.loads(body) == prompts
    assert [request.prompt for request in Plain().accept(Call("", {}, body)).requests] == prompts


@given(st.lists(st.text(), min_size=1))
def test_what_a_server_answers_a_client_reads(texts: list[str]) -> None:
    exchange = Plain().open(requests(*texts))
    given_back = exchange.decode_answer(exchange.encode_answer([Response(text=text) for text in texts]))
    assert [response.text for response in given_back] == texts


def test_failures_and_scores_travel() -> None:
    exchange = Plain().open(requests("a", "b"))
    body = exchange.encode_answer([Response(error="no"), Response(text="yes", scores={"p": 0.5})])
    failed, answered = exchange.decode_answer(body)
    assert (failed.error, answered.text, answered.scores) == ("no", "yes", {"p": 0.5})


@pytest.mark.parametrize("key", ["outputs", "predictions", "results"])
def test_a_list_under_a_key(key: str) -> None:
    body = json.dumps({key: ["x"], "model": "m"}).encode()
    assert Plain().open(requests("a")).decode_answer(body)[0].text == "x"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>Oops", "not JSON: .* begins with '<html>Oops'"),
        (b'"text"', "list of answers was expected, not a text"),
        (b'{"answers": []}', "no list under outputs, predictions, results .its keys: answers"),
        (b'{"error": {"message": "no such model"}}', "no such model"),
        (b'["a", "b"]', "2 answers to 1 inputs"),
        (b"[]", "0 answers to 1 inputs"),
        (b"\xff\xfe", "not JSON"),
    ],
)
def test_what_is_no_answer(body: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        Plain().open(requests("a")).decode_answer(body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{}", "list of inputs"),
        (b"[1]", "input 0 is a int"),
        (b'["a", null]', "input 1"),
        (b"[", "not JSON"),
    ],
)
def test_what_is_no_question(body: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        Plain().accept(Call("", {}, body))


class Scalar:
    """What numpy and torch have in common."""

    def tolist(self) -> float:
        return 0.25


@pytest.mark.parametrize(
    ("value", "text", "scores"),
    [
        ("word", "word", None),
        (3, "3", None),
        (True, "True", None),
        (Scalar(), "0.25", {"score": 0.25}),
        ([-1, -2.5], "", [-1.0, -2.5]),
        ({"label": "pos", "score": 0.9}, "pos", {"pos": 0.9}),
        ({"score": 2}, "", {"score": 2}),
        ({"prediction": "yes", "score": 0.9}, "yes", {"yes": 0.9}),
        ({"summary": "short", "cost": 1}, "short", None),
        ({"label": "a", "scores": {"a": 0.6, "b": 0.4}}, "a", {"a": 0.6, "b": 0.4}),
        ({"diagnosis": "flu"}, '{"diagnosis": "flu"}', None),
    ],
)
def test_plain_values_as_responses(value: Any, text: str, scores: Any) -> None:
    response = to_response(value)
    assert (response.text, response.scores, response.error) == (text, scores, None)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "nothing was given"),
        (object(), "a object was given"),
        ({"error": "out of ink"}, "out of ink"),
        ([], "a list was given"),
    ],
)
def test_values_that_are_no_answer(value: Any, said: str) -> None:
    assert said in (to_response(value).error or "")


def test_a_response_is_one_already() -> None:
    response = Response(text="x")
    assert to_response(response) is response
