"""The server's side of the OpenAI protocol: what is asked, how it is answered, and what is refused."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.errors import DataError, UsageError
from steelyard.types import TOKENS, Chunk, Part, Request, Response, Tokens
from steelyard.wire.base import Call, Exchange
from steelyard.wire.completions import Completions
from steelyard.wire.embeddings import Embeddings
from steelyard.wire.events import read_events
from steelyard.wire.openai import OpenAI

TURNS: Any = [{"role": "user", "content": "Hi"}]
SOUND = b"RIFF\x24\0\0\0WAVEfmt "


def accept(path: str, **body: Any) -> Exchange:
    return OpenAI().accept(Call(f"/v1/{path}", {}, json.dumps(body).encode()))


def chat(**body: Any) -> Exchange:
    return accept("chat/completions", **{"messages": TURNS, **body})


def said(exchange: Exchange, *responses: Response) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(exchange.encode_answer(responses))
    return answer


def test_what_shapes_the_answer_goes_to_the_model_and_the_rest_does_not() -> None:
    exchange = chat(
        model="m", n=2, seed=5, stream=True, stream_options={"include_usage": True}, top_k=3, tools=[]
    )
    assert (exchange.model, exchange.stream) == ("m", True)
    assert [dict(one.params) for one in exchange.requests] == [
        {"seed": 5, "top_k": 3, "tools": []},
        {"seed": 6, "top_k": 3, "tools": []},
    ]
    assert dict(chat(temperature=None, logprobs=0).requests[0].params) == {"logprobs": 0}


@pytest.mark.parametrize(
    ("path", "body", "parameter"),
    [
        ("chat/completions", {"messages": TURNS, "max_tokens": "many"}, "max_tokens"),
        ("chat/completions", {"messages": TURNS, "max_tokens": True}, "max_tokens"),
        ("chat/completions", {"messages": TURNS, "temperature": "hot"}, "temperature"),
        ("chat/completions", {"messages": TURNS, "stream": 1}, "stream"),
        ("chat/completions", {"messages": TURNS, "n": 0}, "n"),
        ("chat/completions", {"messages": TURNS, "n": 1000}, "n"),
        ("chat/completions", {"messages": TURNS, "stop": [1]}, "stop"),
        ("chat/completions", {"messages": [{"content": "a"}]}, "messages"),
        ("chat/completions", {}, "messages"),
        ("completions", {"prompt": [1, "a"]}, "prompt"),
        ("completions", {"prompt": [[1, -2.5]]}, "prompt"),
        ("completions", {"prompt": []}, "prompt"),
        ("completions", {"prompt": "a", "suffix": "b"}, "suffix"),
        ("completions", {"prompt": "a", "best_of": 3}, "best_of"),
        ("completions", {}, "prompt"),
        ("embeddings", {"input": 3}, "input"),
        ("embeddings", {"input": [1]}, "input"),
        ("embeddings", {"input": "a", "encoding_format": "int8"}, "encoding_format"),
    ],
)
def test_bad_values_are_refused_by_the_name_of_their_parameter(path: str, body: Any, parameter: str) -> None:
    with pytest.raises(DataError) as caught:
        accept(path, **body)
    error = json.loads(OpenAI().encode_failure(400, str(caught.value)))["error"]
    assert (error["param"], error["type"]) == (parameter, "invalid_request_error")


def test_an_error_that_begins_with_no_parameter_names_none() -> None:
    assert json.loads(OpenAI().encode_failure(500, "memory: gone"))["error"] == {
        "message": "memory: gone", "type": "server_error", "param": None, "code": None,
    }  # fmt: skip
    with pytest.raises(DataError, match="on fire"):
        OpenAI(stream=True).open([Request("0", "?")]).decode_answer(OpenAI().encode_broken("on fire"))


def test_several_prompts_with_several_answers_each() -> None:
    exchange = accept("completions", prompt=["a", "b"], n=2, max_tokens=3)
    assert [one.prompt for one in exchange.requests] == ["a", "a", "b", "b"]
    answers = [Response(f"{n}", tokens=Tokens(5, 1)) for n in range(4)]
    body = said(exchange, *answers)
    assert [choice["text"] for choice in body["choices"]] == ["0", "1", "2", "3"]
    # A prompt is read once, however many answers it has.
    assert body["usage"] == {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
    client = Completions().open([Request("0", "a"), Request("1", "b")])
    first, second = client.decode_answer(json.dumps(body).encode())
    assert (first.text, second.text) == ("0", "2")
    assert [choice["text"] for choice in second.raw["choices"]] == ["2", "3"]


def test_a_prompt_that_is_wanted_back_stands_before_its_answer() -> None:
    exchange = accept("completions", prompt="2 + 2 =", echo=True, logprobs=False, best_of=None)
    assert said(exchange, Response(" 4"))["choices"][0]["text"] == "2 + 2 = 4"
    exchange = accept("completions", prompt="2 + 2 =", echo=True, stream=True)
    body = exchange.encode_chunk(0, Chunk(" 4")) + exchange.encode_end([Response(" 4")])
    (response,) = Completions(stream=True).open([Request("0", "")]).decode_answer(body)
    assert response.text == "2 + 2 = 4"


def test_tokens_that_nobody_counted_are_not_told() -> None:
    assert "usage" not in said(chat(), Response("a"))
    exchange = chat(stream=True, stream_options={"include_usage": True})
    assert b"usage" not in exchange.encode_end([Response("a")])


def test_more_than_a_text_goes_through_a_server_whole_and_in_pieces() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "weigh", "arguments": '{"kg": 3}'}}
    raw = {"tool_calls": [call], "reasoning": "hm", "finish_reason": "tool_calls", "model": "m"}
    told = Response("", tokens=Tokens(2, 1), raw=raw)
    server = chat(model="m", stream=True, stream_options={"include_usage": True})
    whole = OpenAI().open([Request("0", "?")]).decode_answer(server.encode_answer([told]))[0]
    delta = {"tool_calls": [{"index": 0, **call}]}
    events = server.encode_chunk(0, Chunk("", raw={"delta": {"reasoning": "h"}}))
    events += server.encode_chunk(0, Chunk("", raw={"delta": {"reasoning": "m"}}))
    events += server.encode_chunk(0, Chunk("", raw={"delta": delta})) + server.encode_chunk(
        0, Chunk("", raw=raw)
    )
    events += server.encode_end([told])
    client = OpenAI(stream=True).open([Request("0", "?")])
    (pieces,) = client.decode_answer(events)
    for response in (whole, pieces):
        assert (response.text, response.tokens) == ("", Tokens(2, 1))
        assert {key: response.raw[key] for key in raw} == raw
    # What was not said in pieces is said at the end.
    server = chat(stream=True)
    (late,) = OpenAI(stream=True).open([Request("0", "?")]).decode_answer(server.encode_end([told]))
    assert late.raw["tool_calls"] == [call] and late.raw["reasoning"] == "hm"


pieces = st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5)


@given(st.lists(pieces, min_size=1, max_size=3), st.randoms(), st.booleans())
def test_what_a_server_streams_a_client_reads(answers: list[list[str]], order: Any, chatting: bool) -> None:
    body = {"n": len(answers), "stream": True, "stream_options": {"include_usage": True}}
    server = chat(**body) if chatting else accept("completions", prompt="a", **body)
    waiting = [(place, Chunk(text)) for place, texts in enumerate(answers) for text in texts]
    order.shuffle(places := [place for place, _ in waiting])
    queues = {place: [chunk for at, chunk in waiting if at == place] for place, _ in waiting}
    events = b"".join(server.encode_chunk(place, queues[place].pop(0)) for place in places)
    events += server.encode_end([Response("".join(texts), tokens=Tokens(2, len(texts))) for texts in answers])
    wire: Any = OpenAI(stream=True) if chatting else Completions(stream=True)
    client = wire.open([Request("0", "?")])
    (response,) = client.decode_answer(events)
    assert response.text == "".join(answers[0])
    assert response.tokens == Tokens(2, sum(map(len, answers)))
    assert len(client.ends) == len([text for text in answers[0] if text])
    if len(answers) > 1:
        told = [one["message"]["content"] if chatting else one["text"] for one in response.raw["choices"]]
        assert told == ["".join(texts) for texts in answers]
    assert all(json.loads(data) for data, _ in read_events(events)[:-1])


def test_sounds_travel_in_both_directions(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    file.write_bytes(SOUND)
    for sound in (
        file,
        str(file),
        SOUND,
        {"path": str(file)},
        {"input_audio": {"data": base64.b64encode(SOUND).decode()}},
    ):
        turns: Any = [{"role": "user", "content": [Part("audio", sound), Part("text", "Who speaks?")]}]
        client = OpenAI(model="m").open([Request("0", turns)])
        assert client.slow
        body = client.encode_request()
        (part, _) = json.loads(body)["messages"][0]["content"]
        assert part == {
            "type": "input_audio",
            "input_audio": {"data": base64.b64encode(SOUND).decode(), "format": "wav"},
        }
        (request,) = OpenAI().accept(Call("/v1/chat/completions", {}, body)).requests
        again = OpenAI(model="m").open([request]).encode_request()
        assert json.loads(again)["messages"] == json.loads(body)["messages"]


def test_a_server_reads_no_sound_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    file.write_bytes(SOUND)
    part = {"type": "input_audio", "input_audio": {"path": str(file), "data": "QUJD", "format": "mp3"}}
    (request,) = chat(messages=[{"role": "user", "content": [part]}]).requests
    (sound,) = request.prompt[0]["content"]  # type: ignore[index]
    assert sound == Part("audio", {"data": "QUJD", "format": "mp3"})
    with pytest.raises(DataError, match="the sound of message 0 has no data"):
        chat(messages=[{"role": "user", "content": [{"type": "input_audio", "input_audio": str(file)}]}])


@pytest.mark.parametrize("sound", [b"no sound", 7, {"url": "x"}, "/nowhere/a.wav"])
def test_what_is_no_sound(sound: Any) -> None:
    turns: Any = [{"role": "user", "content": [Part("audio", sound)]}]
    with pytest.raises(DataError, match="sound"):
        OpenAI().open([Request("0", turns)]).encode_request()


@pytest.mark.parametrize("form", ["float", "base64"])
def test_vectors_travel_in_both_forms(form: str) -> None:
    texts = ["a", "b", "c"]
    client = Embeddings(model="m", params={"encoding_format": form}).open([Request(t, t) for t in texts])
    server = OpenAI().accept(Call("/v1/embeddings", {}, client.encode_request()))
    assert server.embeds and server.model == "m" and [one.prompt for one in server.requests] == texts
    vectors = [[0.5, -1.25, float(place)] for place in range(3)]
    body = server.encode_answer([Response(raw=vector, tokens=Tokens(2, 0)) for vector in vectors])
    told = json.loads(body)
    assert isinstance(told["data"][0]["embedding"], str if form == "base64" else list)
    assert told["usage"] == {"prompt_tokens": 6, "total_tokens": 6}
    assert [response.raw for response in client.decode_answer(body)] == vectors
    with pytest.raises(DataError, match="no vectors"):
        server.encode_answer([Response("a text")] * 3)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({"error": {"message": "too long"}}, "too long"),
        ({}, "no vectors"),
        ({"data": [{"index": 0, "embedding": [1.0]}]}, "1 vectors were answered to 2 texts"),
        ({"data": [{"index": 0, "embedding": None}, {"index": 1, "embedding": []}]}, "neither a list"),
    ],
)
def test_what_is_no_answer_to_texts(body: Any, what: str) -> None:
    with pytest.raises(DataError, match=what):
        Embeddings().open([Request("0", "a"), Request("1", "b")]).decode_answer(json.dumps(body).encode())


def test_the_models_that_are_listed() -> None:
    told = OpenAI().describe("/v1/models", ["a", "org/b"])
    assert told["object"] == "list" and [one["id"] for one in told["data"]] == ["a", "org/b"]
    assert OpenAI().describe("/v1/models/org/b", ["a", "org/b"])["id"] == "org/b"
    assert OpenAI().describe("/v1/other", ["a"]) is None


@pytest.mark.parametrize(
    ("wire", "url", "where"),
    [
        (Completions(), "http://h:1", "http://h:1/v1/completions"),
        (Completions(), "http://h:1/v1/chat/completions", "http://h:1/v1/completions"),
        (Completions(), "http://h:1/v1/completions/", "http://h:1/v1/completions"),
        (OpenAI(), "http://h:1/v1/completions", "http://h:1/v1/chat/completions"),
        (Embeddings(), "http://h:1/v1", "http://h:1/v1/embeddings"),
        (OpenAI(path="/talk"), "http://h:1/x", "http://h:1/x/talk"),
    ],
)
def test_where_each_path_is(wire: Any, url: str, where: str) -> None:
    assert wire.locate(url) == where


def test_prompts_of_completions() -> None:
    def body(*prompts: Any, **params: Any) -> Any:
        requests = [Request(str(n), prompt, params=params) for n, prompt in enumerate(prompts)]
        return json.loads(Completions(model="m").open(requests).encode_request())

    assert body("a", top_k=1) == {"model": "m", "prompt": "a", "top_k": 1}
    assert body("a", "b") == {"model": "m", "prompt": ["a", "b"]}
    assert body({"prompt": [1, 2], "suffix": "x"}) == {"model": "m", "prompt": [1, 2], "suffix": "x"}
    assert body({TOKENS: [1, 2]}) == {"model": "m", "prompt": [1, 2]}
    assert body({TOKENS: [1]}, {TOKENS: [2]}) == {"model": "m", "prompt": [[1], [2]]}
    with pytest.raises(UsageError, match="its keys: text"):
        body({"text": "a"})
    with pytest.raises(UsageError, match="wire=openai takes turns"):
        body(TURNS)
    different = [Request("0", "a", params={"seed": 1}), Request("1", "b")]
    with pytest.raises(UsageError, match="different parameters"):
        Completions().open(different).encode_request()
