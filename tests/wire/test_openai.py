"""The OpenAI wire: chat completions in both directions, and the errors in all their forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_service import completion, events, find_fault
from steelyard.errors import DataError, UsageError
from steelyard.media.images import as_image
from steelyard.types import Part, Request, Response, Tokens
from steelyard.wire.base import Call, Exchange
from steelyard.wire.openai import OpenAI

DOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAA"
    "DElEQVR4nGP4z8AAAAMBAQAY3Y2wAAAAAElFTkSuQmCC"
)


def question(prompt: Any, **options: Any) -> Exchange:
    return OpenAI(model="m").open([Request(id="0", prompt=prompt, **options)])


def sent(prompt: Any, wire: OpenAI | None = None, **params: Any) -> Any:
    request = Request(id="0", prompt=prompt, params=params)
    return json.loads((wire or OpenAI(model="m")).open([request]).encode_request())


def answered(body: Any) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    (response,) = question("?").decode_answer(raw)
    return response


def test_a_text_is_one_turn_of_the_user() -> None:
    assert sent("Hello") == {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
    assert "model" not in sent("Hello", OpenAI())


def test_turns_go_as_they_are_and_texts_in_parts_as_texts() -> None:
    turns = [
        {"role": "system", "content": "Short."},
        {"role": "user", "content": [Part("text", "a"), Part("text", "b")]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "user", "content": [{"type": "text", "text": "their own"}]},
    ]
    expected = [turns[0], {"role": "user", "content": "ab"}, *turns[2:]]
    assert sent(turns)["messages"] == expected


def test_pictures_become_content_parts_in_their_order() -> None:
    turns = [{"role": "user", "content": [Part("text", "this:"), Part("image", DOT), Part("text", "?")]}]
    body = sent(turns)
    assert find_fault(body) is None
    parts = body["messages"][0]["content"]
    assert [part["type"] for part in parts] == ["text", "image_url", "text"]
    assert parts[1]["image_url"].keys() == {"url"}
    assert (
        sent(turns, OpenAI(model="m", detail="low"))["messages"][0]["content"][1]["image_url"]["detail"]
        == "low"
    )


def test_a_part_of_their_own_keeps_its_detail() -> None:
    part = {"type": "image_url", "image_url": {"url": DOT, "detail": "high"}}
    turns = [{"role": "user", "content": [Part("image", part)]}]
    shown = sent(turns, OpenAI(model="m", detail="low"))["messages"][0]["content"][0]["image_url"]
    assert shown["detail"] == "high"
    assert shown["url"].startswith("data:image/")


def test_only_a_prompt_with_pictures_is_slow_to_encode() -> None:
    turns = [{"role": "user", "content": [Part("image", DOT)]}]
    prompts = ["a", [{"role": "user", "content": "a"}], turns, {"messages": turns}]
    assert [question(prompt).slow for prompt in prompts] == [False, False, True, True]


def test_parameters_go_as_they_are() -> None:
    params = {"max_tokens": 5, "stop": ["\n"], "top_k": 3, "regex": "[0-9]+", "extra_body": {"min_p": 0.1}}
    body = sent("a", **params, top_p=None)
    assert {k: v for k, v in body.items() if k not in ("model", "messages")} == {
        "max_tokens": 5, "stop": ["\n"], "top_k": 3, "regex": "[0-9]+", "min_p": 0.1,
    }  # fmt: skip
    wire = OpenAI(model="m", params={"max_tokens": 9, "seed": 1})
    assert {k: sent("a", wire, max_tokens=2)[k] for k in ("max_tokens", "seed")} == {
        "max_tokens": 2,
        "seed": 1,
    }


def test_a_mapping_is_a_body_of_its_own() -> None:
    body = sent({"messages": [{"role": "user", "content": "a"}], "tools": []}, max_tokens=1)
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "a"}],
        "tools": [],
        "max_tokens": 1,
    }


@pytest.mark.parametrize(
    ("prompt", "options", "said"),
    [
        ("a", {"choices": ["x", "y"]}, "likelihoods of choices .ask it for a letter"),
        ("a", {"params": {"stream": True}}, "stream"),
        ({"text": "a"}, {}, "its keys: text"),
        (["a"], {}, "this is a str"),
        ([{"role": "user", "content": [Part("audio", b"")]}], {}, "no sound"),
        ([{"role": "user", "content": [Part("image", "https://host/a.png")]}], {}, "https://host/a.png"),
    ],
)
def test_what_cannot_be_said(prompt: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises((UsageError, DataError), match=said):
        question(prompt, **options).encode_request()


def test_an_answer_with_tokens_and_all_else_it_says() -> None:
    response = answered(completion("four", tokens=(9, 2), reasoning_content="2 + 2"))
    assert (response.text, response.tokens, response.error) == ("four", Tokens(9, 2), None)
    assert response.raw["finish_reason"] == "stop"
    assert response.raw["reasoning"] == "2 + 2"
    assert response.raw["model"] == "served"
    assert "content" not in response.raw


def test_what_a_service_says_beside_its_choices_is_kept() -> None:
    more = {"prompt_logprobs": [None, {"5": {"logprob": -1.5}}], "system_fingerprint": "b7", "metadata": None}
    raw = answered({**completion("a"), **more}).raw
    assert (raw["prompt_logprobs"], raw["system_fingerprint"]) == (more["prompt_logprobs"], "b7")
    assert not raw.keys() & {"id", "object", "created", "choices", "metadata"}


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": None}, ""),
        ({"content": None, "refusal": "I will not."}, "I will not."),
        ({"content": [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": "…"}, "b"]}, "ab"),
        ({"content": "a", "refusal": None}, "a"),
        ({}, ""),
    ],
)
def test_contents_of_all_kinds(message: dict[str, Any], text: str) -> None:
    response = answered({"choices": [{"message": message}]})
    assert (response.text, response.error, response.tokens) == (text, None, None)


def test_tool_calls_and_further_choices_are_kept() -> None:
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    assert answered(completion(None, tool_calls=calls)).raw["tool_calls"] == calls
    two = completion("a")
    two["choices"].append({"index": 1, "message": {"content": "b"}})
    assert [choice["message"]["content"] for choice in answered(two).raw["choices"]] == ["a", "b"]


def test_what_was_withheld_is_no_answer() -> None:
    body = completion(None)
    body["choices"][0]["finish_reason"] = "content_filter"
    assert "withheld" in (answered(body).error or "")
    body["choices"][0]["error"] = {"message": "upstream died", "code": 502}
    assert answered(body).error == "upstream died"


ERRORS = [
    ({"error": {"message": "no such model", "type": "x", "code": 404}}, "no such model"),
    ({"error": "no such model"}, "no such model"),
    ([{"error": {"message": "no such model"}}], "no such model"),
    ({"object": "error", "message": "no such model", "code": 404}, "no such model"),
    ({"detail": "no such model"}, "no such model"),
    (
        {"detail": [{"loc": ["body", "top_k"], "msg": "not a number", "type": "x"}]},
        "body.top_k: not a number",
    ),
    ({"errors": ["one", {"message": "two"}]}, "one; two"),
    ({"error": {"error": {"message": "deep"}}}, "deep"),
    ({"error": {"code": 7}}, '{"code":7}'),
    ("out of memory", "out of memory"),
]


@pytest.mark.parametrize(("body", "said"), ERRORS)
def test_errors_in_all_forms(body: Any, said: str) -> None:
    raw = json.dumps(body).encode()
    assert OpenAI().read_failure(raw) == said
    with pytest.raises(DataError) as caught:
        answered(raw)
    assert str(caught.value) == f"the service reports an error: {said}"


@pytest.mark.parametrize("body", [b"<html>Bad Gateway</html>", b"", b"\xff", b"{}", b"null", b"7"])
def test_a_failure_in_no_form_is_shown_as_it_is(body: bytes) -> None:
    assert OpenAI().read_failure(body) == body.decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>Oops", "not JSON: .* begins with '<html>Oops'"),
        (b"", "not JSON"),
        (b"{}", "no choices: it begins with '{}'"),
        (b'{"choices": []}', "no choices"),
        (b'{"choices": ["a"]}', "no choices"),
        (b'{"choices": [{"mess', "not JSON"),
    ],
)
def test_what_is_no_answer(body: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        answered(body)


texts = st.text(st.characters(exclude_categories=["Cs"]))
contents = texts | st.lists(texts.map(lambda text: Part("text", text)), min_size=1)
turns = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": contents}),
    min_size=1,
)


@given(turns, st.dictionaries(st.sampled_from(["max_tokens", "seed"]), st.integers(0, 2**50)))
def test_what_a_client_sends_a_server_reads(prompt: Any, params: dict[str, int]) -> None:
    wire = OpenAI(model="m")
    body = wire.open([Request(id="0", prompt=prompt, params=params)]).encode_request()
    assert find_fault(json.loads(body)) is None
    (request,) = wire.accept(Call("", {}, body)).requests
    assert [turn["role"] for turn in request.prompt] == [turn["role"] for turn in prompt]  # type: ignore[index]
    assert [turn["content"] for turn in request.prompt] == [  # type: ignore[index]
        turn["content"] if isinstance(turn["content"], str) else "".join(p.data for p in turn["content"])
        for turn in prompt
    ]
    assert dict(request.params) == params


@given(texts, st.integers(0, 9999), st.integers(0, 9999))
def test_what_a_server_answers_a_client_reads(text: str, tokens_in: int, tokens_out: int) -> None:
    exchange = OpenAI().accept(
        Call("", {}, b'{"model": "m", "messages": [{"role": "user", "content": "a"}]}')
    )
    body = exchange.encode_answer([Response(text, tokens=Tokens(tokens_in, tokens_out))])
    assert json.loads(body)["model"] == "m"
    response = answered(body)
    assert (response.text, response.tokens) == (text, Tokens(tokens_in, tokens_out))


def test_failures_and_pictures_travel() -> None:
    body = json.dumps(sent([{"role": "user", "content": [Part("image", DOT), Part("text", "?")]}])).encode()
    exchange = OpenAI().accept(Call("", {}, body))
    picture, text = exchange.requests[0].prompt[0]["content"]  # type: ignore[index]
    assert (picture.kind, text) == ("image", Part("text", "?"))
    again = OpenAI(model="m").open(exchange.requests).encode_request()
    assert json.loads(again) == json.loads(body)
    with pytest.raises(DataError, match="too long"):
        answered(exchange.encode_answer([Response(error="too long")]))


def test_a_server_reads_no_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "own.png").write_bytes(as_image(DOT).read())
    beside = {"path": str(tmp_path / "own.png"), "bytes": "QUJD"}
    shown = {"url": "http://127.0.0.1:9/x.png", "detail": "low", **beside}
    part = {"type": "image_url", "image_url": shown, **beside}
    body = json.dumps({"messages": [{"role": "user", "content": [part]}]}).encode()
    (picture,) = OpenAI().accept(Call("", {}, body)).requests[0].prompt[0]["content"]  # type: ignore[index]
    assert picture.data == {"type": "image_url", "image_url": {"url": shown["url"], "detail": "low"}}
    with pytest.raises(DataError, match="on another machine"):
        as_image(picture.data)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([], "an object was expected"),
        ({"model": "m"}, "messages: it is missing"),
        ({"messages": "a"}, "list of messages"),
        ({"messages": []}, "no message"),
        ({"messages": [{"content": "a"}]}, "message 0 has no role"),
        ({"messages": [{"role": "user", "content": 7}]}, "content of message 0"),
        ({"messages": [{"role": "user", "content": [{"type": "video_url"}]}]}, "'video_url'"),
        ({"messages": [{"role": "user", "content": ["a"]}]}, "type None"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "/etc/passwd"}}]}
                ]
            },
            "neither a data: nor an http",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": "file:///etc/passwd"}]}
                ]
            },
            "neither a data: nor an http",
        ),
    ],
)
def test_what_is_no_question(body: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        OpenAI().accept(Call("", {}, json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("http://h:1/v1", "http://h:1/v1/chat/completions"),
        ("http://h:1/v1/", "http://h:1/v1/chat/completions"),
        ("http://h:1", "http://h:1/v1/chat/completions"),
        ("http://h/v1/chat/completions", "http://h/v1/chat/completions"),
        ("http://h/openai/x?api-version=2", "http://h/openai/x/chat/completions?api-version=2"),
    ],
)
def test_where_it_is_spoken(url: str, where: str) -> None:
    assert OpenAI().locate(url) == where


def joined(body: bytes) -> tuple[Response, Exchange]:
    exchange = OpenAI(model="m", stream=True).open([Request(id="0", prompt="?")])
    (response,) = exchange.decode_answer(body)
    return response, exchange


def test_a_stream_is_asked_for_with_its_usage() -> None:
    body = sent("?", OpenAI(model="m", stream=True))
    assert find_fault(body) is None
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})


@pytest.mark.parametrize("line", [b"\n", b"\r\n", b"\r"])
def test_the_events_of_a_stream_are_one_answer(line: bytes) -> None:
    body = b"".join([b": keepalive\n\n", *events("no, it is green")]).replace(b"\n", line)
    response, exchange = joined(body)
    (whole,) = question("?").decode_answer(json.dumps(completion("no, it is green")).encode())
    assert (response.text, response.tokens) == (whole.text, whole.tokens)
    assert response.raw["finish_reason"] == "stop"
    assert [body[:end].count(b'"content"') for end in exchange.ends] == [2, 3, 4, 5]


def test_a_stream_that_says_less_or_more_than_usual() -> None:
    first, *words, end, usage, done = events("a b")
    assert joined(b"".join([first, *words, end]))[0].text == "a b"
    thought = words[0].replace(b'"content": "a "', b'"reasoning_content": "hm"')
    assert joined(b"".join([first, thought, words[1], end, usage, done]))[0].raw["reasoning"] == "hm"
    likely = [
        word.replace(b'"logprobs": null', b'"logprobs": {"content": [%d]}' % n)
        for n, word in enumerate(words)
    ]
    assert joined(b"".join([first, *likely, end]))[0].raw["logprobs"] == {"content": [0, 1]}
    fault = b'data: {"error": {"message": "out of memory"}}\n\n'
    for pieces, said in (
        ([first, words[0]], "ended before"),
        ([first, words[0], end[:-9]], "ended before"),
        ([first, fault], "out of memory"),
        ([b'data: {"choices": 7}\n\n'], "odd choices"),
        ([b'data: {"choices": [7]}\n\n'], "odd choices"),
        ([b'data: {"choices": [{"delta": [], "logprobs": 1}]}\n\n'], "ended before"),
        ([b"data: 7\n\n"], "no object"),
        ([b"data: {oops\n\n"], "not JSON"),
    ):
        with pytest.raises(DataError, match=said):
            joined(b"".join(pieces))


def test_an_object_is_whole_whatever_is_said_of_it() -> None:
    (response,) = question("?").decode_answer(
        json.dumps(completion("green")).encode(), {"content-type": "text/event-stream"}
    )
    assert response.text == "green"


@given(st.lists(st.sampled_from([*events("one two"), b"data: {}\n\n", b"event: x\n", b"\n", b"data"])))
def test_odd_streams_are_answers_or_data_errors(pieces: list[bytes]) -> None:
    try:
        response, exchange = joined(b"data: {}\n\n" + b"".join(pieces))
    except DataError:
        return
    assert (not response.text) or exchange.ends
