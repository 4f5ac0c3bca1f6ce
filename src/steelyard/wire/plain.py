"""The plain wire: a JSON list of inputs is answered by a JSON list of as many answers.

    POST /v1/predict                           200
    [{"text": "good"}, {"text": "bad"}]   →    [{"label": "pos", "score": 0.9}, "neg"]

An input is a prompt as it is: a text, or an object of the service's own. The answers are a list,
or a list under "outputs", "predictions" or "results". Parameters are not part of this protocol.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from steelyard.errors import DataError
from steelyard.types import Request, Response
from steelyard.wire.base import Call, Exchange, Wire
from steelyard.wire.openai_errors import decode_json

LISTS = ("outputs", "predictions", "results")
TEXTS = ("text", "prediction", "summary", "label", "answer", "output", "generated_text", "content")


class Plain(Wire):
    """Bare JSON lists."""

    together = True
    routes = ("/v1/predict", "/predict")

    def open(self, requests: Sequence[Request]) -> Exchange:
        """The client's side of a list."""
        return PlainExchange(requests)

    def accept(self, call: Call) -> Exchange:
        """The server's side of a list of texts and objects."""
        inputs = decode_json(call.body)
        if not isinstance(inputs, list):
            raise DataError(f"a JSON list of inputs was expected, not {_kind(inputs)}")
        for index, value in enumerate(inputs):
            if not isinstance(value, (str, dict)):
                raise DataError(f"input {index} is {_kind(value)}", hint="a text or an object was expected")
        return PlainExchange([Request(id=str(index), prompt=value) for index, value in enumerate(inputs)])

    def encode_failure(self, status: int, message: str) -> bytes:
        """An object with the error."""
        return msgspec.json.encode({"error": message})


class PlainExchange(Exchange):
    """One list of inputs and its list of answers."""

    partial = True

    def encode_request(self) -> bytes:
        """The prompts as they are."""
        return msgspec.json.encode([request.prompt for request in self.requests])

    def decode_whole(self, body: bytes, headers: Mapping[str, str]) -> Sequence[Response]:
        """The answers, one an input; whatever else the body is, is a DataError."""
        answer = decode_json(body)
        values = answer
        if isinstance(answer, dict):
            values = next((answer[key] for key in LISTS if isinstance(answer.get(key), list)), None)
            if values is None and answer.get("error"):
                raise DataError(f"the service reports an error: {_short(answer['error'])}")
            if values is None:
                keys = ", ".join(answer) or "none"
                raise DataError(f"the answer has no list under {', '.join(LISTS)} (its keys: {keys})")
        if not isinstance(values, list):
            raise DataError(f"a JSON list of answers was expected, not {_kind(values)}")
        if len(values) != len(self.requests):
            raise DataError(f"{len(values)} answers to {len(self.requests)} inputs")
        return [to_response(value) for value in values]

    def encode_answer(self, responses: Sequence[Response]) -> bytes:
        """The answers as objects with text and scores, or error."""
        return msgspec.json.encode([_answer(response) for response in responses])


def to_response(value: Any) -> Response:
    """A plain answer (a text, a number, a mapping, a list of scores) as a Response."""
    if isinstance(value, str):
        return Response(text=value)
    if hasattr(value, "tolist"):
        # numpy and torch scalars and arrays
        value = value.tolist()
    response = Response(error=f"{_kind(value)} was given where an answer was expected")
    if isinstance(value, Response):
        response = value
    elif isinstance(value, Mapping):
        response = _of_mapping(value)
    elif isinstance(value, float):
        response = Response(text=str(value), scores={"score": value}, raw=value)
    elif isinstance(value, int):
        response = Response(text=str(value), raw=value)
    elif isinstance(value, (list, tuple)) and value and all(_is_number(item) for item in value):
        response = Response(scores=[float(item) for item in value], raw=value)
    return response


def _of_mapping(value: Mapping[str, Any]) -> Response:
    if value.get("error"):
        return Response(error=_short(value["error"]), raw=value)
    text = next((str(value[key]) for key in TEXTS if isinstance(value.get(key), (str, int, float))), None)
    scores = value.get("scores")
    if not isinstance(scores, (Mapping, list, tuple)):
        # A score is that of the label, or of whatever else was answered.
        label, score = value.get("label", text or "score"), value.get("score")
        scores = {str(label): score} if _is_number(score) else None
    if text is None:
        # Nothing is lost of an object of a service's own: its text is the object.
        text = "" if scores is not None else json.dumps(value, ensure_ascii=False, default=str)
    return Response(text=text, scores=scores, raw=value)


def _answer(response: Response) -> dict[str, Any]:
    if response.error is not None:
        return {"error": response.error}
    answer: dict[str, Any] = {"text": response.text}
    if response.scores is not None:
        answer["scores"] = response.scores
    return answer


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", type(None): "nothing", bool: "true or false"}
    return names.get(type(value), f"a {type(value).__name__}")


def _short(error: Any) -> str:
    if isinstance(error, Mapping):
        error = error.get("message", error)
    return str(error)[:500]
