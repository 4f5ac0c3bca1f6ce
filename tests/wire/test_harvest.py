"""Answers that are taken in while they come: the same as whole ones, in little room, with the same times."""

from __future__ import annotations

import gzip
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steelyard.errors import DataError
from steelyard.types import Request, Response, Tokens
from steelyard.wire.base import CutShort, Exchange
from steelyard.wire.completions import Completions
from steelyard.wire.events import read_events
from steelyard.wire.harvest import Harvest
from steelyard.wire.openai import OpenAI
from steelyard.wire.reading import Answer, Reading

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n%s\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def opened(*, chat: bool = True) -> Exchange:
    wire = (OpenAI if chat else Completions)(model="m").streamed()
    assert wire is not None
    return wire.open([Request("1", "Hi")])


def event(delta: dict[str, Any] | None = None, **more: Any) -> bytes:
    about = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "served"}
    choice = {"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": None}
    said = {**about, "choices": [{**choice, **more}]}
    return b"data: " + msgspec.json.encode(said) + b"\n\n"


def body_of(texts: list[str]) -> bytes:
    events = [event({"role": "assistant", "content": ""}), *(event({"content": text}) for text in texts)]
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": len(texts)}}
    events += [event(finish_reason="stop"), b"data: " + msgspec.json.encode(usage) + b"\n\n"]
    return b"".join([*events, b"data: [DONE]\n\n"])


def feed(reading: Reading, head: bytes, raw: bytes, cuts: list[int]) -> list[int]:
    """Feed an answer in blocks, each with its number as its time; says in which block each byte came."""
    reading.feed(head, 0.0)
    places = sorted({cut % len(raw) for cut in cuts if cut % len(raw)} | {0, len(raw)})
    came: list[int] = []
    for number, (begin, end) in enumerate(pairwise(places), start=1):
        reading.feed(raw[begin:end], float(number))
        came += [number] * (end - begin)
    return came


def pack(body: bytes, size: int) -> tuple[bytes, list[int]]:
    """A body in chunks, and where in that each of its bytes stands."""
    raw, places = b"", []
    for start in range(0, len(body), size):
        part = body[start : start + size]
        raw += b"%x\r\n" % len(part)
        places += range(len(raw), len(raw) + len(part))
        raw += part + b"\r\n"
    return raw + b"0\r\n\r\n", places


texts = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=60)
cuts = st.lists(st.integers(0, 50_000), max_size=40)


@settings(max_examples=150, deadline=None)
@given(texts=texts, size=st.integers(1, 700), cuts=cuts, newline=st.sampled_from([b"\n", b"\r\n"]))
def test_times_and_texts_are_the_same_wherever_the_bytes_are_cut(
    texts: list[str], size: int, cuts: list[int], newline: bytes
) -> None:
    body = body_of(texts).replace(b"\n", newline)
    raw, places = pack(body, size)
    whole, head = Reading(), HEAD % CHUNKED
    came = feed(whole, head, raw, cuts)
    exchange = opened()
    (response,) = exchange.decode_answer(whole.answer().body, whole.headers)
    expected = [came[places[end - 1]] for end in exchange.ends]
    assert whole.whole and whole.answer().when(exchange.ends) == expected
    assert response.text == "".join(texts) and len(expected) == len(texts)

    harvest = Harvest(opened())
    reading = Reading(give=harvest.take)
    feed(reading, head, raw, cuts)
    assert reading.whole and reading.answer().body == b"" and reading.done == max(came)
    assert harvest.times.tolist() == expected
    assert harvest.end(reading.headers) == [response]


@settings(max_examples=40, deadline=None)
@given(texts=texts, cuts=cuts)
def test_packed_and_unbounded_answers_are_harvested_too(texts: list[str], cuts: list[int]) -> None:
    body = body_of(texts)
    for encoding, raw in ((b"identity", body), (b"gzip", gzip.compress(body))):
        harvest = Harvest(opened())
        reading = Reading(give=harvest.take)
        feed(reading, HEAD % (b"Content-Encoding: %s\r\n" % encoding), raw, cuts)
        reading.end(99.0)
        assert [one.text for one in harvest.end(reading.headers)] == ["".join(texts)]
        assert len(harvest.times) == len(texts)


def take(body: bytes, *, keeps: bool = True, chat: bool = True) -> tuple[Response, list[float]]:
    """What comes of a body whose every event comes by itself."""
    exchange = opened(chat=chat)
    exchange.keeps = keeps
    harvest, begin = Harvest(exchange), 0
    for number, (_, end) in enumerate(read_events(body)):
        harvest.take(body[begin:end], [float(number)], [end], "text/event-stream")
        begin = end
    (response,) = harvest.end({})
    return response, harvest.times.tolist()


def test_events_that_say_nothing_are_no_tokens() -> None:
    told = [
        event({"role": "assistant", "content": ""}),
        event({"reasoning_content": "hm"}),
        event({"reasoning_content": "…"}),
        event({"content": "a"}),
        event({"content": "b", "reasoning_content": None}),
        event({"content": ""}),
        event({"content": "c"}, stop_reason=None, odd=7),
        event({"content": "d", "reasoning": "both"}),
        event(finish_reason="stop"),
        b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 9}}\n\n',
        b"data: [DONE]\n\n",
    ]
    response, times = take(b"".join(told))
    assert times == [1, 2, 3, 4, 6, 7]
    assert response.text == "abcd" and response.tokens == Tokens(3, 9)
    assert response.raw["odd"] == 7 and response.raw["finish_reason"] == "stop"
    assert response.raw["model"] == "served"


def test_what_nobody_will_look_at_is_forgotten_but_judged() -> None:
    told = [
        event({"role": "assistant", "content": ""}),
        *(event({"content": f"word {n} "}, logprobs={"content": [{"token": "x"}]}) for n in range(50)),
        event(finish_reason="content_filter"),
        b"data: [DONE]\n\n",
    ]
    response, times = take(b"".join(told), keeps=False)
    assert len(times) == 50 and len(response.text) == 1 and response.error is None
    assert "logprobs" not in response.raw and response.raw["finish_reason"] == "content_filter"
    silent, times = take(b"".join([told[0], *told[-2:]]), keeps=False)
    assert times == [] and silent.error == "the service withheld the answer (content_filter)"


def test_completions_are_harvested_as_chats_are() -> None:
    told = b"".join(
        b'data: {"id": "c", "model": "m", "choices": [{"index": 0, "text": "%s", "finish_reason": %s}]}\n\n'
        % one
        for one in ((b"a", b"null"), (b"b", b"null"), (b"c", b"null"), (b"", b'"stop"'))
    )
    response, times = take(told + b"data: [DONE]\n\n", chat=False)
    assert response.text == "abc" and times == [0, 1, 2]


def test_answers_in_one_piece_and_refusals() -> None:
    whole = {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}
    harvest = Harvest(opened())
    harvest.take(msgspec.json.encode(whole), [1.0], [9], "application/json")
    assert harvest.end({})[0].text == "Hi" and not harvest.times

    with pytest.raises(CutShort):
        take(event({"content": "a"}))
    with pytest.raises(DataError, match="reports an error: no room"):
        take(event({"content": "a"}) + b'data: {"error": {"message": "no room"}}\n\n')

    given_away: list[bytes] = []
    reading = Reading(give=lambda body, *_: given_away.append(body))
    reading.feed(b"HTTP/1.1 500 Odd\r\nContent-Length: 4\r\n\r\noops", 1.0)
    assert reading.answer().body == b"oops" and given_away == []


def test_a_long_stream_is_never_held() -> None:
    sizes: list[int] = []
    reading = Reading(give=lambda body, *_: sizes.append(len(body)))
    reading.feed(HEAD % CHUNKED, 0.0)
    told = event({"content": "a word or two"})
    for number in range(3_000):
        reading.feed(b"%x\r\n%s\r\n" % (len(told), told), float(number))
    reading.feed(b"0\r\n\r\n", 3_000.0)
    assert reading.whole and sum(sizes) == 3_000 * len(told) and max(sizes) < 13_000
    assert isinstance(reading.answer(), Answer) and len(reading.times) <= 1
