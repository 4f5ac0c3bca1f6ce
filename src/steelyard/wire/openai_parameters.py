"""What a server of the OpenAI protocol is asked: the body of a call, its parameters checked.

A parameter of a wrong type is a DataError that begins with its name. What shapes the answer stays as it
is, also what only some models know.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from steelyard.errors import DataError
from steelyard.types import Request
from steelyard.wire.openai_errors import decode_json

_MOST_ANSWERS = 128
_WHOLE, _NUMBER, _TEXT = "a whole number", "a number", "a text"
_LOGIC, _OBJECT, _LIST = "true or false", "an object", "a list"
_TYPES: dict[str, Any] = {
    _WHOLE: int, _NUMBER: (int, float), _TEXT: str, _LOGIC: bool, _OBJECT: dict, _LIST: list,
}  # fmt: skip
_KINDS: dict[str, str] = {
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "n", "seed", "top_k", "top_logprobs"), _WHOLE),
    **dict.fromkeys(("best_of", "dimensions", "min_tokens", "prompt_logprobs"), _WHOLE),
    **dict.fromkeys(("temperature", "top_p", "min_p", "frequency_penalty"), _NUMBER),
    **dict.fromkeys(("presence_penalty", "repetition_penalty"), _NUMBER),
    **dict.fromkeys(("model", "suffix", "user", "encoding_format", "reasoning_effort"), _TEXT),
    **dict.fromkeys(("stream", "echo", "parallel_tool_calls"), _LOGIC),
    **dict.fromkeys(("stream_options", "response_format", "logit_bias"), _OBJECT),
    **dict.fromkeys(("tools", "functions"), _LIST),
}


class Parameters(NamedTuple):
    """What was asked beside the prompt: of the model (`params`), and of the protocol."""

    params: dict[str, Any]
    model: str | None
    answers: int
    stream: bool
    usage: bool


def read_call(body: bytes, *, wanted: str) -> dict[str, Any]:
    """The body of a call, an object that has what is wanted, its parameters of their types."""
    asked = decode_json(body)
    if not isinstance(asked, dict):
        raise DataError("an object was expected")
    if asked.get(wanted) is None:
        raise DataError(f"{wanted}: it is missing")
    for name, value in asked.items():
        kind = _KINDS.get(name)
        if kind is None or value is None:
            continue
        # What is true or false is no number.
        if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != _LOGIC):
            raise DataError(f"{name}: {str(value)[:80]!r} is not {kind}")
    count = asked.get("n")
    if count is not None and not 1 <= count <= _MOST_ANSWERS:
        raise DataError(f"n: {count} is not between 1 and {_MOST_ANSWERS}")
    for name in ("stop", "choices"):
        if asked.get(name) is not None:
            check_texts(asked[name], name=name, alone=name == "stop")
    return asked


def read_parameters(asked: Mapping[str, Any], *, own: Collection[str]) -> Parameters:
    """The parameters of a call, without its `own` part, the prompt."""
    params = {name: value for name, value in asked.items() if value is not None and name not in own}
    model, count = params.pop("model", None), params.pop("n", 1)
    stream, options = params.pop("stream", False), params.pop("stream_options", {})
    return Parameters(params, model, count, stream, bool(options.get("include_usage")))


def check_texts(value: Any, *, name: str, alone: bool = True) -> None:
    """Raise unless the value is a list of texts, or a text alone where it may be."""
    if alone and isinstance(value, str):
        return
    if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
        raise DataError(f"{name}: a {'text or a ' * alone}list of texts was expected")


def repeat(request: Request, count: int) -> list[Request]:
    """A request as often as an answer to it is wanted, each with a seed of its own."""
    seed = request.params.get("seed")
    if seed is None or count == 1:
        return [request] * count
    return [replace(request, params={**request.params, "seed": seed + place}) for place in range(count)]
