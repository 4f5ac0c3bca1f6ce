"""What all paths of the OpenAI protocol share: addresses, names of models, errors, calls and choices."""

from __future__ import annotations

import time
import uuid
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from steelyard.errors import DataError, UsageError
from steelyard.types import Chunk, Request, Response, Tokens
from steelyard.wire import likelihoods
from steelyard.wire.base import CutShort, Exchange, Wire
from steelyard.wire.openai_choices import (
    Pieces,
    group_choices,
    read_response,
    read_usage,
    write_choice,
    write_message,
    write_usage,
)
from steelyard.wire.openai_errors import decode_json, read_error, show_begin, write_error
from steelyard.wire.openai_events import read_piece, read_text
from steelyard.wire.openai_parameters import Parameters

_PATHS = ("/chat/completions", "/completions", "/embeddings")
_DONE = b"data: [DONE]\n\n"
_MOST_ODD = 8


class OpenAIService(Wire):
    """One path of the protocol at one model; `params` go with every request that has no other."""

    streams = True
    path: str

    def __init__(
        self,
        *,
        model: str | None = None,
        path: str | None = None,
        params: Mapping[str, Any] | None = None,
        stream: bool = False,
        likelihood: str | None = None,
    ) -> None:
        if likelihood is not None and likelihood not in self.likelihoods:
            known = ", ".join(self.likelihoods)
            raise UsageError(f"likelihood={likelihood} is no way of this protocol", hint=known)
        self.model, self.path = model, path or self.path
        self.stream, self.likelihood = stream, likelihood
        self.params = dict(params or {})
        self.since = int(time.time())

    def locate(self, url: str) -> str:
        """The address with this path below it, in place of another one of the protocol's."""
        parts = urlsplit(url)
        begin = parts.path.rstrip("/")
        if begin.endswith(self.path) and not (self.path == "/completions" and begin.endswith(_PATHS[0])):
            return urlunsplit(parts._replace(path=begin))
        known = next((path for path in _PATHS if begin.endswith(path)), "")
        begin = begin.removesuffix(known)
        return urlunsplit(parts._replace(path=(begin or "/v1") + self.path))

    def identity(self) -> Mapping[str, Any]:
        """The protocol, the model's name, and what goes with every request."""
        return {**super().identity(), "model": self.model, "params": self.params}

    def read_failure(self, body: bytes) -> str:
        """The message of an error, in whichever form the service gives it."""
        try:
            return read_error(msgspec.json.decode(body)) or super().read_failure(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return super().read_failure(body)

    def encode_failure(self, status: int, message: str) -> bytes:
        """The error object."""
        return msgspec.json.encode(write_error(status, message))

    def encode_broken(self, message: str) -> bytes:
        """An event with the error object, and none that ends the answer."""
        return _event(write_error(500, message))

    def describe(self, path: str, models: Sequence[str]) -> Any:
        """The models, or the one whose name the path ends in."""
        told = [{"id": n, "object": "model", "created": self.since, "owned_by": "steelyard"} for n in models]
        if path == "/v1/models":
            return {"object": "list", "data": told}
        return next((one for one in told if path == f"/v1/models/{one['id']}"), None)

    def split(self, request: Request) -> Sequence[Request]:
        """The prompt alone and with each choice behind it, where each goes in a call of its own."""
        if request.choices is None or not self.asks_each:
            return (request,)
        each = [Request(request.id, request.prompt, (choice,), request.params) for choice in request.choices]
        return [Request(request.id, request.prompt, (), request.params), *each]

    def join(self, request: Request, responses: Sequence[Response]) -> Response:
        """How likely each choice is, of the tokens that were read of the prompt and of each whole."""
        if len(responses) == 1:
            return responses[0]
        prompt, *wholes = [response.raw["odds"] for response in responses]
        return likelihoods.compare(prompt, wholes, _add_up(responses))

    @property
    def asks_each(self) -> bool:
        """Whether each choice goes in a call of its own."""
        return False


class OpenAIExchange(Exchange):
    """One call. What goes out and what a likelihood is read from differs from path to path."""

    chat: bool
    kinds: tuple[str, str]
    letters: str

    def __init__(
        self, wire: OpenAIService, requests: Sequence[Request], asked: Parameters | None = None
    ) -> None:
        super().__init__(requests)
        self.wire, self.model, self.stream = wire, wire.model, wire.stream
        self.count, self.usage = 1, True
        if asked is not None:
            self.model, self.stream = asked.model or wire.model, asked.stream
            self.count, self.usage = asked.answers, asked.usage
        self.scored = any(request.choices is not None for request in requests)
        self.pieces = Pieces()
        self.whole = False
        self._odd = 0
        self._written: set[int] = set()
        self._about: dict[str, Any] | None = None

    @abstractmethod
    def encode_prompts(self) -> dict[str, Any]:
        """What of the body says the prompts."""

    @abstractmethod
    def encode_scored(self, request: Request) -> dict[str, Any]:
        """The body that asks how likely the choices of a request are; without its parameters."""

    @abstractmethod
    def read_scored(self, answer: Mapping[str, Any], choices: Sequence[dict[str, Any]]) -> Response:
        """How likely the choices of the one request are."""

    def encode_request(self) -> bytes:
        """The body of the call; a UsageError or DataError where it cannot be said."""
        params = self._params()
        if self.scored:
            (request,) = self.requests
            self.stream = False
            params = likelihoods.plain_params(params)
            body = {**params, **self.encode_scored(request)}
        else:
            body = {**params, **self.encode_prompts()}
            if self.stream:
                body = {"stream_options": {"include_usage": True}, **body, "stream": True}
        if self.wire.model is not None:
            # A question may name another, as an adapter of it.
            body.setdefault("model", self.wire.model)
        return msgspec.json.encode(body)

    def _params(self) -> dict[str, Any]:
        """The parameters that all requests of the call have."""
        first, *others = self.requests
        if others and any(request.params != first.params for request in others):
            raise UsageError("requests with different parameters do not go together")
        params = {**self.wire.params, **first.params}
        params.update(params.pop("extra_body", None) or {})
        if params.pop("stream", False):
            raise UsageError("stream= is not a parameter of an answer")
        return {name: value for name, value in params.items() if value is not None}

    def decode_whole(self, body: bytes, headers: Mapping[str, str]) -> Sequence[Response]:
        """The responses; whatever else the body is, is a DataError."""
        answer = decode_json(body)
        choices = answer.get("choices") if isinstance(answer, dict) else None
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            if said := read_error(answer):
                raise DataError(f"the service reports an error: {said}")
            raise DataError(f"the answer has no choices: it begins with {show_begin(body)}")
        return self._read(answer)

    def _read(self, answer: dict[str, Any]) -> Sequence[Response]:
        if self.scored:
            return [self.read_scored(answer, group_choices(answer, 1)[0])]
        groups = group_choices(answer, len(self.requests))
        if len(groups) > 1:
            # Nobody knows which of them took how many tokens.
            answer = {name: value for name, value in answer.items() if name != "usage"}
        return [read_response(answer, choices) for choices in groups]

    def decode_event(self, data: bytes) -> Chunk | None:
        """The piece in one event; what it says beside is kept for the end."""
        if self.whole or data.strip() == b"[DONE]":
            self.whole = True
            return None
        event = decode_json(data)
        if not isinstance(event, dict):
            raise DataError(f"an event of the answer is no object: {show_begin(data)}")
        if event.get("error") or (not event.get("choices") and event.get("object") == "error"):
            raise DataError(f"the service reports an error: {read_error(event)}")
        return self.pieces.add(event)

    def decode_events(self, events: Sequence[tuple[bytes, int]]) -> list[int]:
        """Take events, each with its end; the ends of those that say something of the answer."""
        read, ends, texts, last = read_piece if self.chat else read_text, [], list[str](), ""
        for data, end in events:
            # The first says what holds for all; and where they all say more there is nothing to be won.
            piece = read(data) if 0 in self.pieces.choices and self._odd < _MOST_ODD else None
            if piece is None or self.whole:
                if texts:
                    self.pieces.extend(last, texts)
                    texts = []
                self._odd += 1
                if self.decode_event(data) is not None:
                    ends.append(end)
                continue
            self._odd = 0
            field, text = piece
            if text:
                if texts and field != last:
                    self.pieces.extend(last, texts)
                    texts = []
                last = field
                texts.append(text)
                ends.append(end)
        if texts:
            self.pieces.extend(last, texts)
        if not self.keeps:
            self.pieces.forget()
        return ends

    def decode_end(self) -> Sequence[Response]:
        """The completion that the events made together."""
        if not self.whole and not self.pieces.ended:
            raise CutShort("the stream of the answer ended before the answer did")
        if not self.pieces.choices:
            raise DataError("the answer has no choices: its stream ended without one")
        return self._read(self.pieces.whole())

    def encode_answer(self, responses: Sequence[Response]) -> bytes:
        """The body of an answer, or of an error."""
        failed = next((response.error for response in responses if response.error is not None), None)
        if failed is not None:
            return self.wire.encode_failure(500, failed)
        choices: list[dict[str, Any]] = []
        for place, (request, response) in enumerate(zip(self.requests, responses)):
            if request.choices is None:
                before = self.echoed(request)
                choices.append(write_choice(response, chat=self.chat, index=place, before=before))
            else:
                choices += likelihoods.write_choices(response, request.choices, chat=self.chat)
        usage = write_usage(responses, self.count)
        more = {} if usage is None else {"usage": usage}
        return msgspec.json.encode({**self._head(self.kinds[0]), "choices": choices, **more})

    def encode_chunk(self, place: int, chunk: Chunk) -> bytes:
        """The events with a piece of an answer; none where the piece says nothing."""
        more = chunk.raw.get("delta") if isinstance(chunk.raw, Mapping) else None
        if not chunk.text and not more:
            return b""
        said = {"content": chunk.text} if chunk.text else {}
        return self._begin(place) + self._piece(place, {**said, **(more or {})})

    def encode_end(self, responses: Sequence[Response]) -> bytes:
        """What is left to say of each answer, why it ended, and the tokens where they were asked for."""
        failed = next((response.error for response in responses if response.error is not None), None)
        if failed is not None:
            return self.wire.encode_broken(failed)
        events = b""
        for place, response in enumerate(responses):
            if place not in self._written:
                message = write_message(response)
                said = {key: value for key, value in message.items() if value and key != "role"}
                events += self._begin(place) + (self._piece(place, said) if said else b"")
            choice = write_choice(response, chat=self.chat, index=place)
            events += self._piece(place, {}, finish=choice["finish_reason"])
        usage = write_usage(responses, self.count)
        if self.usage and usage is not None:
            events += _event({**self._head(self.kinds[1]), "choices": [], "usage": usage})
        return events + _DONE

    def echoed(self, request: Request) -> str:
        """What an answer is to begin with."""
        return ""

    def _begin(self, place: int) -> bytes:
        """The event before the first piece of an answer: who speaks, or the prompt that is echoed."""
        if place in self._written:
            return b""
        self._written.add(place)
        if self.chat:
            return self._piece(place, {"role": "assistant", "content": ""})
        before = self.echoed(self.requests[place])
        return self._piece(place, {"content": before}) if before else b""

    def _piece(self, place: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
        said = {"delta": delta} if self.chat else {"text": delta.get("content", "")}
        choice = {"index": place, **said, "logprobs": None, "finish_reason": finish}
        return _event({**self._head(self.kinds[1]), "choices": [choice]})

    def _head(self, kind: str) -> dict[str, Any]:
        if self._about is None:
            name = f"{self.letters}-{uuid.uuid4().hex}"
            self._about = {"id": name, "created": int(time.time()), "model": self.model or ""}
        return {**self._about, "object": kind}


def odds_response(odds: Sequence[likelihoods.Odds], answer: Mapping[str, Any]) -> Response:
    """The tokens that were read of one text, to be compared with others."""
    return Response(scores=(), tokens=read_usage(answer.get("usage")), raw={"odds": odds})


def _add_up(responses: Sequence[Response]) -> Tokens | None:
    told = [response.tokens for response in responses if response.tokens is not None]
    if not told:
        return None
    return Tokens(sum(one.input or 0 for one in told), sum(one.output or 0 for one in told))


def _event(said: Mapping[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(said) + b"\n\n"
