"""The wire of Triton's generate extension, against what the real Triton said."""

from __future__ import annotations

import json
from typing import Any

import pytest
from recorded import accepted, decoded, opened, recorded, shape

from steelyard.errors import DataError, UsageError
from steelyard.types import Chunk, Request, Response, Tokens
from steelyard.wire.base import Call, CutShort
from steelyard.wire.events import read_events
from steelyard.wire.triton import Triton

TOLD = recorded("triton")
STREAMED = {"stream", "stream-fails"}


def sent(prompt: Any = "a", wire: Triton | None = None, **params: Any) -> Any:
    return json.loads(opened(wire or Triton(model="m"), prompt, **params).encode_request())


def asked(path: str = "/v2/models/m/generate", **body: Any) -> Any:
    return Triton().accept(Call(path, {}, json.dumps({"text_input": "a", **body}).encode()))


def test_a_question_is_what_triton_was_asked() -> None:
    case = TOLD["generate"]
    body = Triton(model="shout").open([Request("7", "one zwö", params={"max_tokens": 2})]).encode_request()
    assert json.loads(body) == case.request
    assert sent(wire=Triton(model="m", stream=True)) == {
        "id": "0",
        "text_input": "a",
        "parameters": {"stream": True},
    }


@pytest.mark.parametrize(
    ("name", "text", "tokens"),
    [
        ("generate", "ONE ZWÖ", Tokens(None, 2)),
        ("generate-flat", "ONE", Tokens(None, 1)),
        ("generate-version", "A", Tokens(None, 1)),
        ("stream", "ONE ZWÖ ✓", None),
    ],
)
def test_what_triton_answered_is_read(name: str, text: str, tokens: Tokens | None) -> None:
    response = decoded(Triton(model="m"), TOLD[name])
    assert (response.text, response.tokens, response.error) == (text, tokens, None)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("generate-several-responses", "exactly 1 response.*stream=true, or params={.stream.: false}"),
        ("stream-fails", "this word fails"),
    ],
)
def test_failures_that_triton_calls_fine_are_failures(name: str, said: str) -> None:
    assert TOLD[name].status == 200
    with pytest.raises(DataError, match=said):
        decoded(Triton(model="m"), TOLD[name])


def test_refusals_of_triton_are_read_and_written() -> None:
    refused = [case for name, case in TOLD.items() if case.status >= 400]
    assert len(refused) >= 6
    for case in refused:
        said = json.loads(case.body)["error"]
        assert Triton(model="m").read_failure(case.body) == said[:500]
        assert json.loads(Triton().encode_failure(case.status, said)) == {"error": said}


def test_the_pieces_of_a_stream_are_one_answer() -> None:
    exchange = opened(Triton(model="m", stream=True), "?")
    chunks = [exchange.decode_event(data) for data, _ in read_events(TOLD["stream"].body)]
    assert [chunk and chunk.text for chunk in chunks] == ["ONE", " ZWÖ", " ✓"]
    (response,) = exchange.decode_end()
    assert response.text == "ONE ZWÖ ✓"
    with pytest.raises(CutShort):
        opened(Triton(model="m", stream=True), "?").decode_end()


def test_counts_and_reasons_of_a_stream() -> None:
    events = [
        {"text_output": "a", "num_output_tokens": 1, "num_input_tokens": 3, "finish_reason": None},
        {"text_output": "b", "num_output_tokens": 2, "num_input_tokens": 3, "finish_reason": "stop"},
    ]
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\r\n\r\n" for event in events)
    (response,) = opened(Triton(model="m"), "?").decode_answer(body)
    assert (response.text, response.tokens, response.raw["finish_reason"]) == ("ab", Tokens(3, 3), "stop")


@pytest.mark.parametrize(
    ("output", "text", "scores"),
    [
        (["four"], "four", None),
        (["four", "4"], "four", None),
        (0.75, "0.75", {"score": 0.75}),
        ([0.25, 0.75], "", [0.25, 0.75]),
    ],
)
def test_outputs_of_all_kinds(output: Any, text: str, scores: Any) -> None:
    body = json.dumps({"model_name": "m", "out": output}).encode()
    (response,) = opened(Triton(model="m", output="out"), "?").decode_answer(body)
    assert (response.text, response.scores) == (text, scores)
    assert (response.raw or {}).get("out") == (output if text == "four" and len(output) == 2 else None)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"model_name": "m", "answer": "a"}', "no text_output .its keys: model_name, answer. .output=NAME"),
        (b'{"error": "unknown model"}', "reports an error: unknown model"),
        (b'data: {"text_output": 7}\n\n', "no text: 7"),
        (b"{", "not JSON"),
    ],
)
def test_what_is_no_answer(body: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        opened(Triton(model="m"), "?").decode_answer(body)


def test_parameters_go_as_they_are_or_by_the_names_of_the_model() -> None:
    assert sent(max_tokens=2, top_k=1, x="y")["parameters"] == {"max_tokens": 2, "top_k": 1, "x": "y"}
    wire = Triton(
        model="m", names={"max_tokens": "max_new_tokens", "stop": "stop_words"}, params={"max_tokens": 9}
    )
    assert sent(wire=wire, stop=["a", "b"])["parameters"] == {"max_new_tokens": 9, "stop_words": ["a", "b"]}
    # A list would be refused where the model has no input of that name.
    assert sent(stop=["a"], seed=None)["parameters"] == {"stop": "a"}
    assert sent(stop=[])["parameters"] == {}
    assert sent({"question": "a", "parameters": {"k": 1}}, max_tokens=2) == {
        "id": "0", "question": "a", "parameters": {"max_tokens": 2, "k": 1},
    }  # fmt: skip


def test_a_prompt_that_is_echoed_is_cut_off() -> None:
    body = b'{"text_output": "What? That."}'
    assert opened(Triton(model="m", echoed=True), "What?").decode_answer(body)[0].text == " That."
    assert opened(Triton(model="m"), "What?").decode_answer(body)[0].text == "What? That."
    assert opened(Triton(model="m", echoed=True), "Who?").decode_answer(body)[0].text == "What? That."


@pytest.mark.parametrize(
    ("url", "options", "where"),
    [
        ("http://h:1", {"model": "m"}, "/v2/models/m/generate"),
        ("http://h:1/v2/", {"model": "m", "stream": True}, "/v2/models/m/generate_stream"),
        ("http://h:1/v2/models/m", {"version": "2"}, "/v2/models/m/versions/2/generate"),
        (
            "http://h:1/v2/models/m/versions/2/generate",
            {"stream": True},
            "/v2/models/m/versions/2/generate_stream",
        ),
        ("http://h:1/v2/models/m/infer", {}, "/v2/models/m/generate"),
        ("http://h:1", {"model": "org/m ü"}, "/v2/models/org/m%20%C3%BC/generate"),
        ("http://h:1/at/v2", {"model": "m"}, "/at/v2/models/m/generate"),
    ],
)
def test_where_it_is_spoken(url: str, options: dict[str, Any], where: str) -> None:
    assert Triton(**options).locate(url) == f"http://h:1{where}"


def test_a_model_has_to_be_named() -> None:
    with pytest.raises(UsageError, match="model=NAME"):
        Triton().locate("http://h:1")
    with pytest.raises(UsageError, match="no likelihoods"):
        Triton(model="m").open([Request("0", "a", choices=["b"])]).encode_request()


@pytest.mark.parametrize("name", ["generate", "generate-several", "generate-version", "stream"])
def test_what_is_served_has_the_form_of_triton(name: str) -> None:
    case = TOLD[name]
    exchange = accepted(Triton(), case)
    assert exchange.model == case.path.split("/")[3]
    told = case.events if name == "stream" else [json.loads(case.body)]
    for answer in told:
        # What this one model says beside.
        answer.pop("num_output_tokens", None)
    if name == "stream":
        assert exchange.stream
        body = b"".join([exchange.encode_chunk(0, Chunk(text)) for text in ("ONE", " ZWÖ", " ✓")])
        assert exchange.encode_end([Response("ONE ZWÖ ✓")]) == b""
        assert [json.loads(data) for data, _ in read_events(body)] == told
        assert body == case.body
        return
    texts = told[0]["text_output"] if name == "generate-several" else [told[0]["text_output"]]
    served = json.loads(exchange.encode_answer([Response(text) for text in texts]))
    assert served == told[0]
    assert shape(served) == shape(told[0])


def test_what_is_asked_for_beside_the_text() -> None:
    flags = {"return_num_input_tokens": True, "return_num_output_tokens": True, "return_finish_reason": True}
    response = Response("b", tokens=Tokens(3, 1), raw={"finish_reason": "length"})
    served = json.loads(asked(parameters=flags).encode_answer([response]))
    assert (served["num_input_tokens"], served["num_output_tokens"], served["finish_reason"]) == (
        3,
        1,
        "length",
    )
    exchange = asked("/v2/models/m/generate_stream", **flags, exclude_input_in_output=False)
    body = exchange.encode_chunk(0, Chunk("b")) + exchange.encode_end([response])
    (read,) = opened(Triton(model="m"), "?").decode_answer(body)
    assert (read.text, read.tokens, read.raw["finish_reason"]) == ("ab", Tokens(3, 1), "length")
    empty = asked("/v2/models/m/generate_stream").encode_end([Response("")])
    assert opened(Triton(model="m"), "?").decode_answer(empty)[0].text == ""


@pytest.mark.parametrize(
    ("body", "ours"),
    [
        ({"max_tokens": 2, "bad_words": "", "stop_words": ""}, {"max_tokens": 2}),
        (
            {"parameters": {"max_new_tokens": 2, "stream": False, "temperature": 0}},
            {"max_tokens": 2, "temperature": 0},
        ),
        ({"stop_words": ["x"], "random_seed": 7, "top_k": 1}, {"stop": ["x"], "seed": 7, "top_k": 1}),
        (
            {"sampling_parameters": '{"temperature": 0.5, "max_tokens": 3}'},
            {"temperature": 0.5, "max_tokens": 3},
        ),
    ],
)
def test_parameters_in_our_words(body: dict[str, Any], ours: dict[str, Any]) -> None:
    assert dict(asked(**body).requests[0].params) == ours


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"[]", "text_input was expected"),
        (b'{"text": "a"}', "text_input was expected"),
        (b'{"text_input": 5}', "neither a text nor a list"),
        (b'{"text_input": []}', "neither a text nor a list"),
        (b'{"text_input": "a", "parameters": [1]}', "parameters is no object"),
        (b'{"text_input": "a", "bad_words": ["x"]}', "bad_words"),
        (b'{"text_input": "a", "sampling_parameters": "[]"}', "sampling_parameters is no object"),
        (b'{"text_inp', "not JSON"),
    ],
)
def test_what_is_no_question(body: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        Triton().accept(Call("/v2/models/m/generate", {}, body))


def test_several_texts_are_answered_whole() -> None:
    with pytest.raises(DataError, match="not answered in one stream"):
        asked("/v2/models/m/generate_stream", text_input=["a", "b"])


def test_what_a_server_tells_of_itself() -> None:
    tell = Triton().describe
    assert tell("/v2", ["m"])["name"] == "steelyard"
    assert tell("/v2/models/org/m", ["org/m"])["inputs"][0] == {
        "name": "text_input", "datatype": "BYTES", "shape": [-1, 1],
    }  # fmt: skip
    assert tell("/v2/models/m/versions/1/ready", ["m"]) == {"name": "m", "ready": True}
    assert tell("/v2/models/m/config", ["m"])["input"][0]["data_type"] == "TYPE_STRING"
    assert tell("/v2/repository/index", ["m", "n"]) == [
        {"name": name, "version": "1", "state": "READY"} for name in ("m", "n")
    ]
    assert [tell(path, ["m"]) for path in ("/v2/models/n", "/v2/models/m/versions/2", "/v2/else", "/")] == [
        None
    ] * 4
