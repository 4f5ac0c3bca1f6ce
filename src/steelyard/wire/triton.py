"""The wire of Triton's generate extension: a text in, its continuation out, for a model by its name.

    POST /v2/models/llm/generate                       200
    {"id": "0", "text_input": "2 + 2 =",          →    {"id": "0", "model_name": "llm",
     "parameters": {"max_tokens": 2}}                   "model_version": "1", "text_output": " 4"}

    POST /v2/models/llm/generate_stream                data: {"model_name": "llm", …, "text_output": " 4"}

Parameters are inputs of the model, and what these are called is its own affair: they go as they are, or
by other `names` ({"max_tokens": "max_new_tokens"}). A model that has no input of that name gets them as
parameters of the request, which Triton lets be texts and numbers only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from steelyard.errors import DataError
from steelyard.types import Chunk, Request, Response, Tokens
from steelyard.wire.base import Call, CutShort, Exchange
from steelyard.wire.openai_errors import decode_json
from steelyard.wire.plain import to_response
from steelyard.wire.repository import VERSION, Place, RepositoryWire, read_parameters
from steelyard.wire.texts import TextExchange, as_text, event, read_count, read_object, read_tokens

_VERBS = ("generate", "generate_stream")
_ECHO = "exclude_input_in_output"
_ASKED = {
    "return_num_input_tokens": "num_input_tokens",
    "return_num_output_tokens": "num_output_tokens",
    "return_finish_reason": "finish_reason",
}
_WRAPPING = ("id", "model_name", "model_version")


class Triton(RepositoryWire):
    """Generation as Triton has it."""

    routes = tuple(f"/v2/models/{{model}}{at}/{verb}" for at in ("", "/versions/1") for verb in _VERBS)

    def locate(self, url: str) -> str:
        """The address with the model's generate or generate_stream below it."""
        return self.locate_verb(url, _VERBS[self.stream])

    def open(self, requests: Sequence[Request]) -> Exchange:
        """The client's side of one generation."""
        return _Generation(self, requests)

    def accept(self, call: Call) -> Exchange:
        """The server's side of one generation, or of several texts together."""
        asked = decode_json(call.body)
        if not isinstance(asked, dict) or self.input not in asked:
            raise DataError(f"an object with {self.input} was expected")
        texts = asked[self.input]
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise DataError(f"{self.input} is neither a text nor a list of texts")
        given = {name: value for name, value in asked.items() if name not in (self.input, "id", "parameters")}
        more = asked.get("parameters") or {}
        if not isinstance(more, dict):
            raise DataError("parameters is no object")
        given.update(more)
        manners = {name: given.pop(name) for name in (_ECHO, *_ASKED) if name in given}
        params = read_parameters(given)
        exchange = _Generation(self, [Request(str(n), text, params=params) for n, text in enumerate(texts)])
        exchange.id, exchange.manners = asked.get("id"), manners
        place = Place.of(call.path)
        exchange.model, exchange.stream = place.model or self.model, place.verb == _VERBS[1]
        if exchange.stream and len(texts) > 1:
            raise DataError("several texts are not answered in one stream", hint="generate")
        return exchange


class _Generation(TextExchange):
    """One generation."""

    id: Any = None

    def __init__(self, wire: Triton, requests: Sequence[Request]) -> None:
        super().__init__(wire, requests)
        self.wire = wire
        self.manners: dict[str, Any] = {}
        self.told: dict[str, Any] = {}
        self.written: int | None = None

    def encode_request(self) -> bytes:
        """The body of the one request; a UsageError where it cannot be said."""
        prompt, params = self.ask(self.wire.params, names=self.wire.names)
        if self.stream:
            params.setdefault("stream", True)
        if isinstance(prompt, Mapping):
            body, params = dict(prompt), {**params, **(prompt.get("parameters") or {})}
        else:
            body = {self.wire.input: as_text(prompt)}
        stop = params.get("stop")
        if isinstance(stop, (list, tuple)) and len(stop) < 2:
            # Where the model has no input for it, it may not be a list.
            params["stop"] = stop[0] if stop else None
        spelt = {name: value for name, value in params.items() if value is not None}
        return msgspec.json.encode({"id": self.requests[0].id, **body, "parameters": spelt})

    def decode_whole(self, body: bytes, headers: Mapping[str, str]) -> Sequence[Response]:
        """The one response; whatever else the body is, is a DataError."""
        try:
            answer = read_object(body)
        except DataError as error:
            if "generate stream" not in str(error):
                raise
            raise DataError(str(error), hint='stream=true, or params={"stream": false}') from error
        return [self.read(self.find(answer), answer)]

    def decode_event(self, data: bytes) -> Chunk | None:
        """A piece of the text; what is said beside is kept for the end."""
        told = read_object(data)
        self.told.update(told)
        piece = self.find(told)
        if not isinstance(piece, str):
            raise DataError(f"an event's {self.wire.output} is no text: {piece!r:.80}")
        self.said.append(piece)
        if (count := read_count(told.get("num_output_tokens"))) is not None:
            self.written = (self.written or 0) + count
        return Chunk(piece) if piece else None

    def decode_end(self) -> Sequence[Response]:
        """The pieces together; there is no mark of the end."""
        if not self.said:
            raise CutShort("the answer had no event")
        told = self.told if self.written is None else {**self.told, "num_output_tokens": self.written}
        return [self.read("".join(self.said), told)]

    def find(self, answer: Mapping[str, Any]) -> Any:
        """The output in an answer."""
        if self.wire.output not in answer:
            keys = ", ".join(answer) or "none"
            raise DataError(f"the answer has no {self.wire.output} (its keys: {keys})", hint="output=NAME")
        found = answer[self.wire.output]
        return found[0] if isinstance(found, list) and len(found) == 1 else found

    def read(self, found: Any, answer: Mapping[str, Any]) -> Response:
        """An answer, of which a model that is none of texts may have given anything."""
        rest = (self.wire.output, *_WRAPPING)
        raw: dict[str, Any] = {name: value for name, value in answer.items() if name not in rest}
        if isinstance(found, list) and all(isinstance(one, str) for one in found):
            # The likeliest first, where several are given.
            raw[self.wire.output] = found
            found = found[0] if found else ""
        response = to_response(found)
        text = self.wire.cut(response.text, self.requests[0].prompt)
        tokens = read_tokens(answer.get("num_input_tokens"), answer.get("num_output_tokens"))
        return Response(text, scores=response.scores, tokens=tokens, error=response.error, raw=raw or None)

    def encode_answer(self, responses: Sequence[Response]) -> bytes:
        """The object with the text, or with the list of texts where there were several."""
        texts = [self.before(n) + response.text for n, response in enumerate(responses)]
        tokens = [self.tell(response) for response in responses]
        rows = [{**more, self.wire.output: text} for more, text in zip(tokens, texts)]
        merged = {name: [row[name] for row in rows] for name in rows[0]}
        return msgspec.json.encode({**self.about(), **(merged if len(rows) > 1 else rows[0])})

    def encode_chunk(self, place: int, chunk: Chunk) -> bytes:
        """The event of a piece."""
        said = ("" if self.said else self.before(place)) + chunk.text
        self.said.append(said)
        return event({**self.about(), self.wire.output: said}) if said else b""

    def encode_end(self, responses: Sequence[Response]) -> bytes:
        """Nothing more, or what was asked for beside the text."""
        more = self.tell(responses[0])
        return event({**self.about(), **more, self.wire.output: ""}) if more or not any(self.said) else b""

    def about(self) -> dict[str, Any]:
        """What stands in every answer."""
        named = {"model_name": self.model or "", "model_version": VERSION}
        return named if self.id is None else {"id": self.id, **named}

    def before(self, place: int) -> str:
        """The prompt, where it is asked for."""
        prompt = self.requests[place].prompt
        return prompt if self.manners.get(_ECHO) is False and isinstance(prompt, str) else ""

    def tell(self, response: Response) -> dict[str, Any]:
        """What was asked for beside the text."""
        raw = response.raw if isinstance(response.raw, Mapping) else {}
        tokens = response.tokens or Tokens()
        known = {
            "num_input_tokens": tokens.input,
            "num_output_tokens": tokens.output,
            "finish_reason": raw.get("finish_reason"),
        }
        return {told: known[told] for asked, told in _ASKED.items() if self.manners.get(asked)}
