"""Embeddings in the OpenAI protocol: texts become vectors.

    POST /v1/embeddings                                  200
    {"model": "m", "input": ["a", "b"]}             →    {"data": [{"index": 0, "embedding": [0.1, …]}, …]}

A vector is the `raw` of its response. With `encoding_format` base64, which libraries ask for without
telling, it is its numbers as 32-bit floats.
"""

from __future__ import annotations

import base64
import binascii
from array import array
from collections.abc import Mapping, Sequence
from sys import byteorder
from typing import Any

import msgspec

from steelyard.errors import DataError, UsageError
from steelyard.types import Request, Response
from steelyard.wire.base import Call, Exchange
from steelyard.wire.openai_choices import read_usage, write_usage
from steelyard.wire.openai_errors import decode_json, read_error, show_begin
from steelyard.wire.openai_parameters import check_texts, read_call, read_parameters
from steelyard.wire.openai_service import OpenAIService


class Embeddings(OpenAIService):
    """Vectors of texts by one model of a service."""

    together = True
    streams = False
    embeds = True
    path = "/embeddings"
    routes = ("/v1/embeddings", "/embeddings")

    def open(self, requests: Sequence[Request]) -> Exchange:
        """The client's side of a call with one or more texts."""
        return _EmbeddingExchange(self, requests)

    def accept(self, call: Call) -> Exchange:
        """The server's side of a call with one or more texts."""
        asked = read_call(call.body, wanted="input")
        texts = asked["input"]
        if isinstance(texts, list) and texts and not isinstance(texts[0], str):
            raise DataError("input: tokens are not taken, only texts")
        check_texts(texts, name="input")
        form = asked.get("encoding_format") or "float"
        if form not in ("float", "base64"):
            raise DataError(f"encoding_format: {form!r} is neither float nor base64")
        parameters = read_parameters(asked, own=("input", "encoding_format"))
        texts = [texts] if isinstance(texts, str) else texts
        requests = [Request(str(n), text, params=parameters.params) for n, text in enumerate(texts)]
        exchange = _EmbeddingExchange(self, requests, packed=form == "base64")
        exchange.model = parameters.model or self.model
        return exchange


class _EmbeddingExchange(Exchange):
    """One call for vectors."""

    embeds = True

    def __init__(self, wire: Embeddings, requests: Sequence[Request], *, packed: bool = False) -> None:
        super().__init__(requests)
        self.wire, self.model, self.packed = wire, wire.model, packed

    def encode_request(self) -> bytes:
        """The texts, and what goes with every request."""
        texts = [request.prompt for request in self.requests]
        if not all(isinstance(text, str) for text in texts):
            raise UsageError("embeddings are made of texts")
        named = {} if self.model is None else {"model": self.model}
        params = {**self.wire.params, **self.requests[0].params}
        return msgspec.json.encode({**params, **named, "input": texts if len(texts) > 1 else texts[0]})

    def decode_whole(self, body: bytes, headers: Mapping[str, str]) -> Sequence[Response]:
        """The vectors in the order of their texts; whatever else the body is, is a DataError."""
        answer = decode_json(body)
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, list):
            said = read_error(answer)
            raise DataError(
                f"the service reports an error: {said}"
                if said
                else f"the answer has no vectors: it begins with {show_begin(body)}"
            )
        vectors = {one.get("index"): _unpack(one.get("embedding")) for one in data if isinstance(one, dict)}
        if sorted(vectors, key=str) != sorted(range(len(self.requests)), key=str):
            raise DataError(f"{len(data)} vectors were answered to {len(self.requests)} texts")
        tokens = read_usage(answer.get("usage")) if len(self.requests) == 1 else None
        return [Response(raw=vectors[place], tokens=tokens) for place in range(len(self.requests))]

    def encode_answer(self, responses: Sequence[Response]) -> bytes:
        """The vectors, or an error."""
        failed = next((response.error for response in responses if response.error is not None), None)
        if failed is not None:
            return self.wire.encode_failure(500, failed)
        vectors = [response.raw for response in responses]
        if not all(isinstance(vector, (list, tuple)) for vector in vectors):
            raise DataError("the model gives no vectors")
        data = [
            {"object": "embedding", "index": place, "embedding": _pack(vector) if self.packed else vector}
            for place, vector in enumerate(vectors)
        ]
        told = {"prompt_tokens": 0, "total_tokens": 0, **(write_usage(responses, 1) or {})}
        usage = {name: told[name] for name in ("prompt_tokens", "total_tokens")}
        answer = {"object": "list", "model": self.model or "", "data": data, "usage": usage}
        return msgspec.json.encode(answer)


def _pack(vector: Sequence[float]) -> str:
    numbers = array("f", vector)
    if byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()


def _unpack(vector: Any) -> list[float]:
    if isinstance(vector, list):
        return vector
    try:
        numbers = array("f", base64.b64decode(vector, validate=True))
    except (TypeError, ValueError, binascii.Error) as error:
        raise DataError(f"a vector is neither a list of numbers nor base64 of them: {error}") from error
    if byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
