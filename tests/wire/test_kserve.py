"""The wire of KServe's v2 protocol, against what the real Triton and its own client said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from recorded import GOLDEN, accepted, opened, recorded

from steelyard.errors import DataError, UsageError
from steelyard.types import Request, Response, Tokens
from steelyard.wire.base import Call
from steelyard.wire.kserve import KServe

TOLD = {name: case for name, case in recorded("triton").items() if name.startswith("infer")}
CLIENT = {
    name: case
    for name, case in json.loads(Path(GOLDEN / "triton.json").read_text())["cases"].items()
    if name.startswith("client")
}
PATH = "/v2/models/m/infer"
TEXT = {"name": "text_input", "datatype": "BYTES", "shape": [1, 1], "data": ["a"]}


def as_client(name: str) -> Call:
    """What Triton's own client sent."""
    first, *lines = CLIENT[name]["head"].split("\r\n")
    headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return Call(first.split(" ")[1], headers, CLIENT[name]["body"].encode())


def asked(**body: Any) -> Any:
    return KServe().accept(Call(PATH, {}, json.dumps({"inputs": [TEXT], **body}).encode()))


@pytest.mark.parametrize("name", ["infer", "infer-binary-output"])
def test_a_question_is_what_triton_was_asked(name: str) -> None:
    exchange = KServe(model="shout").open([Request("7", "one two")])
    expected = {"id": "7", **TOLD[name].request}
    expected.pop("parameters", None)
    assert json.loads(exchange.encode_request()) == expected
    assert KServe(model="shout").locate("http://h:1") == f"http://h:1{TOLD[name].path}"


def test_several_questions_are_one_tensor() -> None:
    case = TOLD["infer-several"]
    wire = KServe(model="shout", tensors={"max_tokens": "INT32"}, params={"temperature": 0.5})
    requests = [
        Request(str(n), text, params={"max_tokens": n + 1}) for n, text in enumerate(["one two", "drei vier"])
    ]
    body = json.loads(wire.open(requests).encode_request())
    inputs = [{**one, "data": [*one["data"]]} for one in case.request["inputs"]]
    inputs[0]["data"] = [text for (text,) in inputs[0]["data"]]
    assert (body["inputs"], body["parameters"]) == (inputs, case.request["parameters"])
    first, second = wire.open(requests).decode_answer(case.body, case.headers)
    assert (first.text, second.text) == ("ONE", "DREI VIER")


@pytest.mark.parametrize("name", ["infer", "infer-binary-output"])
def test_what_triton_answered_is_read(name: str) -> None:
    (response,) = opened(KServe(model="m"), "one two").decode_answer(TOLD[name].body, TOLD[name].headers)
    assert (response.text, response.tokens) == ("ONE TWO", Tokens(None, 2))
    assert response.raw == {"num_output_tokens": 2}


def test_refusals_say_what_mends_them() -> None:
    said = KServe(model="m", flat=True).read_failure(TOLD["infer-shape"].body)
    assert "Expected [-1,1], got [1]." in said
    assert said.endswith("(flat=false)")
    assert (
        KServe(model="m").read_failure(TOLD["infer-no-output"].body)
        == json.loads(TOLD["infer-no-output"].body)["error"]
    )


@pytest.mark.parametrize("name", ["client-binary", "client-binary-named", "client-json"])
def test_what_its_own_client_asks_is_understood(name: str) -> None:
    exchange = KServe().accept(as_client(name))
    assert [(request.prompt, dict(request.params)) for request in exchange.requests] == [
        ("one two", {"max_tokens": 1}),
        ("drei vier", {"max_tokens": 2}),
    ]
    assert exchange.model == "shout"
    body = exchange.encode_answer([Response("ONE"), Response("DREI é")])
    binary = name != "client-json"
    assert ("Inference-Header-Content-Length" in exchange.headers) == binary
    size = int(exchange.headers.get("Inference-Header-Content-Length", len(body)))
    head = json.loads(body[:size])
    assert (head["id"], head["model_name"]) == ("7", "shout")
    assert head["outputs"][0]["shape"] == [2, 1]
    assert body[size:] == (b"\3\0\0\0ONE\7\0\0\0DREI \xc3\xa9" if binary else b"")
    headers = {key.lower(): value for key, value in exchange.headers.items()}
    read = opened(KServe(model="m"), "a", "b").decode_answer(body, headers)
    assert [response.text for response in read] == ["ONE", "DREI é"]


@pytest.mark.parametrize("name", ["infer", "infer-several", "infer-binary-output"])
def test_what_is_served_is_what_triton_said(name: str) -> None:
    case = TOLD[name]
    exchange = accepted(KServe(), case)
    texts = ["ONE", "DREI VIER"] if name == "infer-several" else ["ONE TWO"]
    served = exchange.encode_answer([Response(text) for text in texts])
    size = int(case.headers.get("inference-header-content-length", len(case.body)))
    told = json.loads(case.body[:size])
    # What this one model says beside.
    told["outputs"] = [one for one in told["outputs"] if one["name"] == "text_output"]
    length = int(exchange.headers.get("Inference-Header-Content-Length", len(served)))
    assert json.loads(served[:length]) == told
    assert case.body[size:].startswith(served[length:])


def test_binary_questions_are_read_by_a_server() -> None:
    wire = KServe(model="m", binary=True, tensors={"max_tokens": "INT32", "temperature": "FP32"})
    params = {"max_tokens": 3, "temperature": 0.5}
    exchange = opened(wire, "é", "b", **params)
    body = exchange.encode_request()
    headers = {key.lower(): value for key, value in exchange.headers.items()}
    assert headers["content-type"] == "application/octet-stream"
    read = KServe().accept(Call(PATH, headers, body)).requests
    assert [(request.prompt, dict(request.params)) for request in read] == [("é", params), ("b", params)]


def test_shapes() -> None:
    for flat, shape in ((True, [2]), (False, [2, 1])):
        body = json.loads(opened(KServe(model="m", flat=flat), "a", "b").encode_request())
        assert body["inputs"][0]["shape"] == shape
    exchange = asked(inputs=[{**TEXT, "shape": [1]}])
    assert json.loads(exchange.encode_answer([Response("A")]))["outputs"][0]["shape"] == [1]


def test_inputs_of_a_models_own() -> None:
    body = json.loads(
        opened(KServe(model="iris"), {"size": [5.1, 3.5], "kind": "a", "n": 2}).encode_request()
    )
    assert body["inputs"] == [
        {"name": "size", "datatype": "FP32", "shape": [1, 2], "data": [5.1, 3.5]},
        {"name": "kind", "datatype": "BYTES", "shape": [1, 1], "data": ["a"]},
        {"name": "n", "datatype": "INT64", "shape": [1, 1], "data": [2]},
    ]


@pytest.mark.parametrize(
    ("scores", "text"), [({"good": 0.75, "bad": 0.25}, "good"), ([0.25, 0.75], ""), (None, "good")]
)
def test_scores_travel_as_tensors(scores: Any, text: str) -> None:
    body = asked().encode_answer([Response(text, scores=scores)])
    (read,) = opened(KServe(model="m"), "a").decode_answer(body)
    assert (read.text, read.scores) == (text, scores)


def test_outputs_that_are_numbers() -> None:
    outputs = [{"name": "y", "datatype": "FP32", "shape": [2, 3], "data": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}]
    body = json.dumps({"outputs": outputs}).encode()
    read = opened(KServe(model="m", output="y"), "a", "b").decode_answer(body)
    assert [response.scores for response in read] == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    with pytest.raises(DataError, match=r"no output text_output \(it has: y\)"):
        opened(KServe(model="m"), "a", "b").decode_answer(body)
    with pytest.raises(DataError, match=r"shape \[2, 3\], 4 rows"):
        opened(KServe(model="m", output="y"), *"abcd").decode_answer(body)


def test_what_does_not_go_together() -> None:
    wire = KServe(model="m")
    odd = [Request("0", "a", params={"seed": 1}), Request("1", "b", params={"seed": 2})]
    with pytest.raises(UsageError, match="different parameters"):
        wire.open(odd).encode_request()
    some = KServe(model="m", tensors={"seed": "INT64"})
    assert json.loads(some.open(odd).encode_request())["inputs"][1]["data"] == [1, 2]
    with pytest.raises(UsageError, match="some questions say seed"):
        some.open([odd[0], Request("1", "b")]).encode_request()
    with pytest.raises(UsageError, match="max_tokens is no INT32"):
        opened(
            KServe(model="m", binary=True, tensors={"max_tokens": "INT32"}), "a", max_tokens="x"
        ).encode_request()
    with pytest.raises(UsageError, match="no likelihoods"):
        wire.open([Request("0", "a", choices=["b"])]).encode_request()
    with pytest.raises(UsageError, match="several inputs"):
        opened(wire, {"x": 1}, {"x": 2}).encode_request()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"inputs": []}, "no input text_input"),
        ({"inputs": [{**TEXT, "datatype": "INT32", "data": [1]}]}, "has no texts"),
        ({"inputs": [{**TEXT, "shape": [2, 1]}]}, r"1 values, its shape is \[2, 1\]"),
        ({"inputs": [{**TEXT, "shape": [-1]}]}, r"the shape of the tensor text_input is \[-1\]"),
        ({"inputs": [{**TEXT, "data": 7}]}, "neither data nor"),
        ({"inputs": [7]}, "a tensor is an object"),
        ({"inputs": [{"name": "text_input"}]}, "a name, a datatype and a shape"),
        ({"inputs": [TEXT], "outputs": [7]}, "outputs are a list"),
        ({"inputs": [TEXT], "parameters": [7]}, "parameters are an object"),
    ],
)
def test_what_is_no_question(body: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        asked(**body)


@pytest.mark.parametrize(
    ("size", "blob", "said"),
    [
        (9, b"\1\0\0\0a", "5 bytes, not 9"),
        (5, b"\2\0\0\0a", "ends within a text"),
        (3, b"\1\0\0", "ends within a length"),
        (5, b"\1\0\0\0\xff", "bytes that are no text"),
    ],
)
def test_bytes_that_are_no_texts(size: int, blob: bytes, said: str) -> None:
    tensor = {
        "name": "text_input",
        "datatype": "BYTES",
        "shape": [1],
        "parameters": {"binary_data_size": size},
    }
    head = json.dumps({"inputs": [tensor]}).encode()
    with pytest.raises(DataError, match=said):
        KServe().accept(Call(PATH, {"inference-header-content-length": str(len(head))}, head + blob))


def test_a_length_that_is_none() -> None:
    for said in ("x", "99999", "²"):
        with pytest.raises(DataError, match="Inference-Header-Content-Length"):
            KServe().accept(Call(PATH, {"inference-header-content-length": said}, b"{}"))


def test_an_output_that_there_is_not() -> None:
    with pytest.raises(DataError, match="unexpected inference output 'nope' for model 'm'"):
        asked(outputs=[{"name": "nope"}]).encode_answer([Response("A")])
