"""The wire of MindIE: the text so far, pieces, and whatever servers make of it."""

from __future__ import annotations

import json

import pytest
from recorded import accepted, decoded, opened, recorded

from steelyard.errors import DataError
from steelyard.types import Chunk, Response, Tokens
from steelyard.wire.base import CutShort
from steelyard.wire.events import read_events
from steelyard.wire.mindie import MindIE

TOLD = recorded("mindie")


def pieces(*events: object) -> list[str]:
    exchange = opened(MindIE(stream=True), "?")
    chunks = [exchange.decode_event(json.dumps(event).encode()) for event in events]
    return ["" if chunk is None else chunk.text for chunk in chunks]


def token(text: str) -> dict[str, object]:
    return {"prefill_time": None, "decode_time": 1.5, "token": {"id": [1], "text": text}}


@pytest.mark.parametrize("name", ["infer", "stream-so-far"])
def test_a_question_is_the_documented_one(name: str) -> None:
    asked = TOLD[name].request
    wire = MindIE(stream=asked["stream"])
    body = opened(wire, asked["inputs"], max_tokens=2).encode_request()
    assert json.loads(body) == asked
    assert wire.locate("http://h:1025") == wire.locate("http://h:1025/infer") == "http://h:1025/infer"


@pytest.mark.parametrize("name", [name for name in TOLD if name != "validation"])
def test_answers_of_all_forms_are_read(name: str) -> None:
    response = decoded(MindIE(), TOLD[name])
    assert response.text == " four."
    told = response.tokens, (response.raw or {}).get("finish_reason")
    written = 3 if name == "stream-pieces-so-far" else 2
    reason = "eos_token" if written == 3 else "length"
    assert told == ((None, None) if name == "stream-so-far" else (Tokens(None, written), reason))


@pytest.mark.parametrize("name", [name for name in TOLD if name.startswith("stream")])
def test_pieces_are_what_each_event_adds(name: str) -> None:
    said = pieces(*TOLD[name].events)
    assert (said[:2], "".join(said)) == ([" four", "."], " four.")


def test_a_character_that_is_not_whole_yet_waits() -> None:
    so_far = [{"generated_text": text} for text in ("caf", "caf\ufffd", "café", "café\ufffd")]
    assert pieces(*so_far) == ["caf", "", "é", ""]
    assert pieces(*so_far, {"generated_text": "café\ufffd", "details": {}})[-1] == "\ufffd"


def test_pieces_that_repeat_one_another() -> None:
    assert pieces(token("ha"), token("ha"), token("ha")) == ["ha", "ha", "ha"]
    assert pieces(token("1"), token("12"), token("3"))[2] == "3"
    assert pieces(token("1"), token("12"), token("123"), token("123")) == ["1", "2", "3", ""]


def test_the_whole_text_decides() -> None:
    body = b"".join(
        b"data: " + json.dumps(event).encode() + b"\n\n"
        for event in (token("1"), token("12"), {**token("3"), "generated_text": "1123"})
    )
    (response,) = opened(MindIE(), "?").decode_answer(body)
    assert response.text == "1123"


def test_a_stream_without_its_end_is_no_answer() -> None:
    case = TOLD["stream-pieces"]
    first, _ = read_events(case.body)
    with pytest.raises(CutShort):
        decoded(MindIE(), case._replace(body=case.body[: first[1]]))
    with pytest.raises(DataError, match="out of memory"):
        opened(MindIE(), "?").decode_answer(b'data: {"error": "out of memory"}\n\n')


def test_what_is_served_is_read_by_clients_of_both_kinds() -> None:
    exchange = accepted(MindIE(), TOLD["stream-so-far"])
    assert exchange.stream
    response = Response(" four.", tokens=Tokens(4, 2), raw={"finish_reason": "length"})
    body = b"".join(
        [*(exchange.encode_chunk(0, Chunk(text)) for text in (" four", ".")), exchange.encode_end([response])]
    )
    events = [json.loads(data) for data, _ in read_events(body)]
    assert [event["generated_text"] for event in events] == [" four", " four.", " four."]
    assert "".join(event["token"]["text"] for event in events) == " four."
    assert events[-1]["details"] == {
        "finish_reason": "length",
        "generated_tokens": 2,
        "seed": None,
        "input_length": 4,
    }
    whole = accepted(MindIE(), TOLD["infer"])
    assert not whole.stream
    served = json.loads(whole.encode_answer([response]))
    assert served["generated_text"] == " four."
    assert served["details"]["generated_tokens"] == 2


def test_a_refusal_is_read() -> None:
    assert MindIE().read_failure(TOLD["validation"].body).startswith("Input validation error: temperature")
