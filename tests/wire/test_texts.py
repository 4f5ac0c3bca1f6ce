"""What the wires of texts share: turns as one text, and every wire's client against its own server."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import opened

from steelyard.errors import DataError, UsageError
from steelyard.plugins import call_with, resolve
from steelyard.types import Chunk, Part, Request, Response, Tokens
from steelyard.wire.base import Call, Wire
from steelyard.wire.events import EventReader
from steelyard.wire.texts import as_text

NAMES = ("tgi", "mindie", "triton", "kserve")
STREAMED = ("tgi", "mindie", "triton")
texts = st.text(st.characters(exclude_categories=["Cs"]))
# A text so far that ends so is not shown until more of it came.
pieces = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffd"), min_size=1, max_size=8),
    max_size=6,
)


def wire_of(name: str, *, stream: bool = False) -> Wire:
    options: dict[str, Any] = {"model": "org/m"}
    wire: Wire = call_with(name, resolve("wires", name), options | ({"stream": True} if stream else {}))
    return wire


def path_of(wire: Wire) -> str:
    return wire.locate("http://h").removeprefix("http://h")


def accepted(wire: Wire, body: bytes) -> Any:
    return wire.accept(Call(path_of(wire), {}, body))


@pytest.mark.parametrize("name", NAMES)
@given(
    prompt=texts,
    params=st.fixed_dictionaries(
        {},
        optional={
            "max_tokens": st.integers(1, 2**31),
            "temperature": st.floats(0, 9),
            "top_p": st.floats(0.01, 0.99),
            "top_k": st.integers(1, 99),
            "seed": st.integers(0, 2**50),
            "stop": st.lists(texts.filter(bool), min_size=2, max_size=3),
            "repetition_penalty": st.floats(0.5, 2),
        },
    ),
)
def test_what_a_client_asks_a_server_reads(name: str, prompt: str, params: dict[str, Any]) -> None:
    wire = wire_of(name)
    (request,) = accepted(wire, opened(wire, prompt, **params).encode_request()).requests
    expected = dict(params)
    if name in ("tgi", "mindie") and params.get("temperature") == 0:
        # The likeliest is taken, whatever else was said of it.
        for ignored in ("top_p", "top_k"):
            expected.pop(ignored, None)
    elif name in ("tgi", "mindie") and params.keys() & {"top_p", "top_k"}:
        expected.setdefault("temperature", 1.0)
    assert (request.prompt, dict(request.params)) == (prompt, expected)


@pytest.mark.parametrize("name", NAMES)
@given(text=texts)
def test_what_a_server_answers_a_client_reads(name: str, text: str) -> None:
    wire = wire_of(name)
    exchange = accepted(wire, opened(wire, "a").encode_request())
    body = exchange.encode_answer([Response(text, tokens=Tokens(3, 2), raw={"finish_reason": "length"})])
    headers = {key.lower(): value for key, value in exchange.headers.items()}
    (response,) = opened(wire, "a").decode_answer(body, headers)
    assert (response.text, response.error) == (text, None)
    if name in ("tgi", "mindie"):
        assert (response.tokens, response.raw["finish_reason"]) == (Tokens(3, 2), "length")


@pytest.mark.parametrize("name", STREAMED)
@settings(deadline=None, max_examples=50)
@given(
    said=pieces,
    cuts=st.lists(st.integers(1, 40), min_size=1, max_size=9),
    line=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_what_a_server_streams_a_client_reads(name: str, said: list[str], cuts: list[int], line: str) -> None:
    wire = wire_of(name, stream=True)
    asked = opened(wire, "a")
    exchange = accepted(wire, asked.encode_request())
    assert exchange.stream
    whole = Response("".join(said), tokens=Tokens(3, len(said)), raw={"finish_reason": "stop"})
    sent = [*(exchange.encode_chunk(0, Chunk(piece)) for piece in said), exchange.encode_end([whole])]
    body = b"".join(sent).replace(b"\n", line.encode())
    reader, blocks, place = EventReader(), [], 0
    while place < len(body):
        cut = cuts[len(blocks) % len(cuts)]
        blocks.append(body[place : place + cut])
        place += cut
    chunks = [asked.decode_event(data) for block in blocks for data in reader.feed(block)]
    assert [chunk.text for chunk in chunks if chunk is not None] == said
    assert asked.decode_end()[0].text == whole.text
    (response,) = opened(wire, "a").decode_answer(body)
    assert response.text == whole.text


KEYS = (
    "inputs", "parameters", "text_input", "stream", "id", "outputs", "name", "datatype", "shape", "data",
    "generated_text", "details", "token", "text", "prefill", "tokens", "generated_tokens", "text_output",
    "num_output_tokens", "binary_data_size", "sampling_parameters", "stop", "best_of", "error",
)  # fmt: skip
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.just(1.5)
    | st.sampled_from(["", "a", "BYTES", *KEYS]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
TENSOR = {"name": "text_input", "datatype": "BYTES", "shape": [1], "data": ["a"]}


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=40)
@given(value=st.dictionaries(st.sampled_from(KEYS), anything), blob=anything)
def test_a_server_understands_or_refuses_whatever_comes(name: str, value: Any, blob: Any) -> None:
    asked = {
        "inputs": [{**TENSOR, "parameters": blob}] if name == "kserve" else "a",
        "text_input": "a",
        **value,
    }
    for body in (value, asked, blob):
        try:
            exchange = accepted(wire_of(name), json.dumps(body).encode())
        except DataError:
            continue
        exchange.encode_answer([Response("b")] * len(exchange.requests))


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=40)
@given(value=st.dictionaries(st.sampled_from(KEYS), anything), other=anything)
def test_a_client_understands_or_refuses_whatever_comes(name: str, value: Any, other: Any) -> None:
    answer = {
        "generated_text": "b",
        "text_output": "b",
        "outputs": [{**TENSOR, "name": "text_output"}],
        **value,
    }
    for body in (value, answer, other):
        for written in (json.dumps(body).encode(), f"data: {json.dumps(body)}\n\n".encode()):
            try:
                (response,) = opened(wire_of(name), "a", details=True).decode_answer(written)
            except DataError:
                continue
            assert isinstance(response.text, str)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_nested_without_end_is_refused(name: str) -> None:
    deep = b'{"inputs":' + b"[" * 100_000
    with pytest.raises(DataError, match="not JSON"):
        accepted(wire_of(name), deep)
    with pytest.raises(DataError, match="not JSON"):
        opened(wire_of(name), "a").decode_answer(deep)


@pytest.mark.parametrize("name", NAMES)
def test_failures_are_read(name: str) -> None:
    wire = wire_of(name)
    body = wire.encode_failure(500, "no memory")
    assert wire.read_failure(body) == "no memory"
    with pytest.raises(DataError, match="reports an error: no memory"):
        opened(wire, "a").decode_answer(body)
    if name in STREAMED:
        with pytest.raises(DataError, match="reports an error: no memory"):
            opened(wire, "a").decode_answer(wire.encode_broken("no memory"))


@pytest.mark.parametrize("name", NAMES)
def test_what_shapes_the_answers_is_told(name: str) -> None:
    wire = wire_of(name)
    assert wire.identity()["model"] == "org/m"
    assert wire.identity() != type(wire)(model="org/m", params={"seed": 1}).identity()  # type: ignore[call-arg]
    streamed = wire.streamed()
    assert (streamed is None) == (name not in STREAMED)
    assert streamed is None or streamed.identity() == wire.identity()


@pytest.mark.parametrize("name", NAMES)
def test_a_server_listens_where_the_client_asks(name: str) -> None:
    for stream in (False, True) if name in STREAMED else (False,):
        wire = wire_of(name, stream=stream)
        routes = [re.escape(route).replace(r"\{model\}", ".+") for route in wire.routes]
        assert any(re.fullmatch(route, path_of(wire)) for route in routes)


@pytest.mark.parametrize(
    ("turns", "text"),
    [
        ([("user", "2 + 2 =")], "2 + 2 ="),
        (
            [("system", "Add."), ("user", "1 + 1 ="), ("assistant", "2"), ("user", "2 + 2 =")],
            "Add.\n\n1 + 1 = 2\n\n2 + 2 =",
        ),
        ([("user", "Go on:"), ("assistant", " well")], "Go on: well"),
        ([("user", "a"), ("assistant", "b"), ("assistant", "c")], "a b\n\nc"),
        ([("user", [Part("text", "a"), Part("text", "b")])], "ab"),
    ],
)
def test_turns_are_joined_as_worked_examples_are(turns: Any, text: str) -> None:
    assert as_text([{"role": role, "content": content} for role, content in turns]) == text


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ([{"role": "user", "content": [Part("image", "a.png")]}], "no image .wire=openai"),
        ([{"role": "user", "content": ["a"]}], "another kind"),
        ([{"role": "assistant", "content": None, "tool_calls": []}], "without a text"),
        ({"x": 1}, "its keys: x"),
    ],
)
def test_what_no_text_can_say(prompt: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        as_text(prompt)


def test_choices_are_refused() -> None:
    for name in NAMES:
        with pytest.raises(UsageError, match="no likelihoods of choices"):
            wire_of(name).open([Request("0", "a", choices=["b", "c"])]).encode_request()
