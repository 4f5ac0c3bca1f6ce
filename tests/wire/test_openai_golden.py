"""What real servers have said, read by the client; and what our server says, held against its forms."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded import Case
from recordings import SERVERS, decode, find, load, open_exchange

from steelyard.types import Chunk, Request, Response, Tokens
from steelyard.wire import likelihoods
from steelyard.wire.base import Call
from steelyard.wire.completions import Completions
from steelyard.wire.embeddings import Embeddings
from steelyard.wire.events import EventReader
from steelyard.wire.openai import OpenAI

# The same weights say the same behind every server.
SAID = {"chat": ("sGis", 19), "completions": ("i4 r", 3)}


def name(found: Any) -> str:
    return found if isinstance(found, str) else ""


def cases(*names: str) -> list[tuple[str, str, Case]]:
    return [(server, name, one) for name in names for server, one in find(name)]


@pytest.mark.parametrize(
    ("server", "case", "recording"),
    cases("chat", "chat-stream", "chat-logprobs", "chat-logprobs-stream")
    + cases("completions", "completions-stream", "completions-logprobs", "completions-logprobs-stream"),
    ids=name,
)
def test_what_servers_say_is_read(server: str, case: str, recording: Case) -> None:
    (response,), exchange = decode(recording)
    text, read = SAID[case.split("-")[0]]
    assert (response.text, response.error, response.raw["finish_reason"]) == (text, None, "length")
    # Some tell no tokens of what they stream, or only where they were asked to.
    silent = case.endswith("stream") and (server == "llamacpp" or "stream_options" not in recording.request)
    assert response.tokens == (None if silent else Tokens(read, 3))
    if case.endswith("stream"):
        assert [recording.body[:end].count(b"\n\n") for end in exchange.ends] == sorted(
            {recording.body[:end].count(b"\n\n") for end in exchange.ends}
        )
        assert 0 < len(exchange.ends) <= 3


@pytest.mark.parametrize("server", ["vllm", "llamacpp"])
@pytest.mark.parametrize("kind", ["chat", "completions"])
def test_streamed_log_probabilities_are_those_of_a_whole_answer(server: str, kind: str) -> None:
    told = load(server)
    (whole,), _ = decode(told[f"{kind}-logprobs"])
    (streamed,), _ = decode(told[f"{kind}-logprobs-stream"])
    first, second = whole.raw["logprobs"], streamed.raw["logprobs"]
    key = "content" if kind == "chat" else "tokens"
    assert len(first[key]) == len(second[key]) == 3
    if kind == "chat":
        assert [one["logprob"] for one in first[key]] == [one["logprob"] for one in second[key]]
    else:
        assert first["token_logprobs"] == second["token_logprobs"] and first["tokens"] == second["tokens"]


def test_calls_of_tools_come_whole_out_of_their_pieces() -> None:
    told = load("llamacpp")
    (whole,), _ = decode(told["chat-tool"])
    (streamed,), _ = decode(told["chat-tool-stream"])
    assert whole.text == streamed.text == "" and streamed.raw["finish_reason"] == "tool_calls"
    (first,), (second,) = whole.raw["tool_calls"], streamed.raw["tool_calls"]
    assert second["function"] == first["function"] and second["function"]["name"] == "weigh"
    assert json.loads(second["function"]["arguments"]).keys() == {"heavy"}
    assert second.keys() == first.keys()
    assert streamed.raw["function_call"] == whole.raw["function_call"]
    (from_vllm,), _ = decode(load("vllm")["chat-tool-stream"])
    (call,) = from_vllm.raw["tool_calls"]
    assert call["function"]["name"] == "weigh" and call["id"].startswith("chatcmpl-tool-")
    assert call["function"]["arguments"] and from_vllm.raw["finish_reason"] == "length"


def test_several_answers_to_one_question() -> None:
    told = load("vllm")
    for case in ("chat-n", "chat-n-stream"):
        (response,), _ = decode(told[case])
        contents = [choice["message"]["content"] for choice in response.raw["choices"]]
        assert len(contents) == 2 and response.text == contents[0] and contents[1]
        assert response.tokens == Tokens(19, 6)
    (first, second), _ = decode(told["completions-n"])
    assert [len(one.raw["choices"]) for one in (first, second)] == [2, 2]
    assert first.raw["choices"][1]["text"] == json.loads(told["completions-n"].body)["choices"][1]["text"]
    assert second.text == json.loads(told["completions-n"].body)["choices"][2]["text"]


@pytest.mark.parametrize("case", ["completions-two", "completions-two-stream"])
def test_several_prompts_of_one_call(case: str) -> None:
    (first, second), _ = decode(load("vllm")[case])
    assert (first.text, second.text) == ("i4 r", "r12 a")
    # Only their sum is told.
    assert first.tokens is None and second.tokens is None


def test_likelihoods_are_read_as_each_server_tells_them() -> None:
    told = load("vllm")
    answer = json.loads(told["completions-echo-0"].body)
    sat, mat = [likelihoods.read_echo(choice) for choice in answer["choices"]]
    assert [one.token for one in sat] == ["<s>", "The", " cat", " sat"]
    assert sat[0].logprob is None and sat[3].logprob == pytest.approx(-5.6366, abs=1e-4)
    (one,) = json.loads(told["completions-echo-1"].body)["choices"]
    assert likelihoods.read_echo(one, written=1) == sat
    prompts = [
        likelihoods.read_prompt(choice["prompt_logprobs"])
        for choice in json.loads(told["completions-prompt-logprobs"].body)["choices"]
    ]
    assert [[one[1:3] for one in each] for each in prompts] == [
        [one[1:3] for one in each] for each in (sat, mat)
    ]
    scored = likelihoods.compare(sat[:3], [sat, mat], None)
    assert scored.scores == pytest.approx((-5.6366, -3.6138), abs=1e-4)
    assert scored.raw == {"tokens": [1, 1], "greedy": [False, False]}
    (one,) = json.loads(load("llamacpp")["completions-echo-1"].body)["choices"]
    theirs = likelihoods.read_echo(one, written=1)
    assert [odds.token for odds in theirs] == ["The", " cat", " sat"]
    assert theirs[2].logprob == pytest.approx(sat[3].logprob, abs=2e-3)


@pytest.mark.parametrize(
    ("server", "case", "said"),
    [
        ("vllm", "chat-wrong-type", "max_tokens"),
        ("vllm", "chat-too-long", "maximum context length is 512 tokens"),
        ("vllm", "wrong-model", "The model `nothing` does not exist"),
        ("llamacpp", "chat-wrong-type", "1 validation error"),
        ("llamacpp", "chat-too-long", "maximum context length is 512 tokens"),
        ("mlx", "chat-wrong-type", "max_tokens must be of type int"),
        ("transformers", "chat-wrong-type", "Internal Server Error"),
        ("transformers", "completions-two", "prompt must be a string."),
        ("documented", "wrong-key", "Incorrect API key provided."),
    ],
)
def test_errors_are_read(server: str, case: str, said: str) -> None:
    recording = load(server)[case]
    assert recording.status >= 400
    assert OpenAI().read_failure(recording.body).startswith(("1 validation", "This model's", said))
    assert said in OpenAI().read_failure(recording.body)


def test_documented_forms_are_read() -> None:
    told = load("documented")
    (whole,), _ = decode(told["chat"])
    (streamed,), exchange = decode(told["chat-stream"])
    assert streamed.text == whole.text == "Good day." and streamed.tokens == whole.tokens == Tokens(19, 10)
    assert len(exchange.ends) == 2
    (whole,), _ = decode(told["chat-tools"])
    (streamed,), _ = decode(told["chat-tools-stream"])
    assert streamed.raw["tool_calls"] == whole.raw["tool_calls"] and len(whole.raw["tool_calls"]) == 2
    (refused,), _ = decode(told["chat-refusal-stream"])
    assert refused.text == refused.raw["refusal"] == "I cannot weigh that."
    (thought,), exchange = decode(told["chat-reasoning-stream"])
    assert (thought.text, thought.raw["reasoning"]) == ("4", "Two and two.")
    assert len(exchange.ends) == 3 and thought.tokens == Tokens(19, 10)
    (vector,) = Embeddings().open([Request("0", "a")]).decode_answer(told["embeddings"].body)
    assert vector.raw == [0.25, -0.5]


STREAMS = [
    one
    for server in (*SERVERS, "documented")
    for case, one in load(server).items()
    if case.endswith("stream") and len(one.body) < 2000
]


@given(st.sampled_from(STREAMS), st.data())
def test_streams_cut_anywhere_are_the_same_answer(recording: Case, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(recording.body)), max_size=8)))
    reader, live = EventReader(), open_exchange(recording)
    blocks = [recording.body[a:b] for a, b in zip([0, *cuts], [*cuts, len(recording.body)])]
    chunks = [live.decode_event(event) for block in blocks for event in reader.feed(block)]
    (first, *_), (expected, *_) = live.decode_end(), decode(recording)[0]
    assert first == expected
    assert "".join(chunk.text for chunk in chunks if chunk is not None) in (expected.text, "")


@given(st.sampled_from(STREAMS), st.data())
def test_streams_that_are_cut_off_are_no_answers(recording: Case, data: st.DataObject) -> None:
    last = max(recording.body.rfind(b'"finish_reason":"'), recording.body.rfind(b'"finish_reason": "'))
    end = data.draw(st.integers(1, last))
    cut = recording._replace(body=recording.body[:end])
    with pytest.raises(Exception) as caught:
        decode(cut)
    assert type(caught.value).__name__ in ("CutShort", "DataError")


def shape(value: Any) -> Any:
    """What of a JSON value is form: keys and kinds."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    if isinstance(value, list):
        return [shape(one) for one in value[:1]]
    return (
        "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__
    )


def check_form(ours: Any, theirs: Any, *, at: str = "") -> None:
    """Raise unless ours says nothing that theirs does not say, in the same kinds."""
    if ours == "NoneType" or theirs == "NoneType":
        return
    assert type(ours) is type(theirs), at
    if isinstance(ours, dict):
        assert ours.keys() <= theirs.keys(), at
        for key, one in ours.items():
            check_form(one, theirs[key], at=f"{at}.{key}")
    elif isinstance(ours, list):
        for one, other in zip(ours, theirs):
            check_form(one, other, at=f"{at}[]")
    else:
        assert ours == theirs, at


MUST = {"id", "object", "created", "model", "choices"}


@pytest.mark.parametrize("case", ["chat", "completions", "chat-tool", "completions-two", "chat-n"])
def test_our_answers_have_the_form_of_theirs(case: str) -> None:
    recording = load("vllm" if case != "chat-tool" else "llamacpp")[case]
    exchange = OpenAI().accept(Call(recording.path, {}, json.dumps(recording.request).encode()))
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    raw = {"tool_calls": [call]} if case == "chat-tool" else {"finish": "length"}
    body = json.loads(
        exchange.encode_answer([Response("hm", tokens=Tokens(3, 2), raw=raw)] * len(exchange.requests))
    )
    theirs = json.loads(recording.body)
    assert body.keys() >= MUST and body["object"] == theirs["object"]
    assert len(body["choices"]) == len(theirs["choices"])
    assert [choice["index"] for choice in body["choices"]] == [
        choice["index"] for choice in theirs["choices"]
    ]
    # It has no place for what was refused.
    if case == "chat-tool":
        body["choices"][0]["message"].pop("refusal")
    check_form(shape(body), shape(theirs))


@pytest.mark.parametrize(
    "case", ["chat-stream", "completions-stream", "chat-n-stream", "completions-two-stream"]
)
def test_our_events_have_the_form_and_the_order_of_theirs(case: str) -> None:
    recording = load("vllm")[case]
    exchange = OpenAI().accept(Call(recording.path, {}, json.dumps(recording.request).encode()))
    count = len(exchange.requests)
    body = b"".join(exchange.encode_chunk(place, Chunk("hm")) for place in range(count))
    body += exchange.encode_end([Response("hm", tokens=Tokens(3, 1), raw={"finish": "length"})] * count)
    ours, theirs = EventReader().feed(body), EventReader().feed(recording.body)
    assert ours[-1] == theirs[-1] == b"[DONE]"
    events, others = [[json.loads(one) for one in told[:-1]] for told in (ours, theirs)]
    for event in events:
        assert event.keys() >= MUST and event["object"] == others[0]["object"]
    alike = [(events[0], others[0]), (events[-1], others[-1])]
    finish = [
        next(e for e in told if e["choices"] and e["choices"][0]["finish_reason"])
        for told in (events, others)
    ]
    for event, other in [*alike, (finish[0], finish[1])]:
        check_form(
            shape(event),
            {**shape(other), "usage": shape({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2})},
        )
    assert ("usage" in events[-1]) == ("usage" in others[-1])
    assert (events[-1]["choices"] == []) == (others[-1]["choices"] == [])
    (first, *_) = decode(recording._replace(body=body))[0]
    assert first.text == "hm"


def test_our_errors_have_the_form_of_theirs() -> None:
    theirs = json.loads(load("vllm")["chat-wrong-type"].body)["error"]
    ours = json.loads(Completions().encode_failure(400, "max_tokens: 'many' is not a whole number"))["error"]
    assert ours.keys() == theirs.keys() and ours["param"] == "max_tokens"
    assert json.loads(OpenAI().encode_failure(401, "no: key"))["error"]["code"] == "invalid_api_key"
