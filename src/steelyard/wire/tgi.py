"""The wire of text-generation-inference: a text in, its continuation out.

    POST /generate                                     200
    {"inputs": "2 + 2 =",                         →    {"generated_text": " 4", "details": {
     "parameters": {"max_new_tokens": 2}}               "finish_reason": "length", "generated_tokens": 2}}

    POST /generate_stream                              data:{"token": {"id": 7, "text": " 4", …},
                                                             "generated_text": null, "details": null}

The last event has the whole text. At the root the answer is a list of one, or in events where the body
says so. Its own names of parameters go as they are; of ours, max_tokens is max_new_tokens there, and
temperature=0, which it refuses, is do_sample=false. How likely choices are is told by the tokens of the
prompt (likelihood=prefill, where the service has that on), or by the likeliest of the first token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from steelyard.errors import DataError, UsageError
from steelyard.media.images import as_image
from steelyard.types import Chunk, Request, Response, Tokens
from steelyard.wire import likelihoods
from steelyard.wire.base import Call, CutShort, Exchange
from steelyard.wire.likelihoods import Odds
from steelyard.wire.openai_errors import decode_json
from steelyard.wire.texts import TextExchange, TextWire, as_text, below, read_object, read_tokens
from steelyard.wire.turns import has_pictures

PREFILL = "prefill"
_PATHS = ("/generate", "/generate_stream")
_THEIRS = {"max_tokens": "max_new_tokens"}
_OURS = {theirs: ours for ours, theirs in _THEIRS.items()}
# What asks for nothing, and is refused for that.
_NOTHING: Mapping[str, Sequence[Any]] = {"top_p": (1,), "top_k": (0, -1), "min_p": (0,), "stop": ([], ())}
_CHOOSING = ("top_k", "top_p", "typical_p")
_TOP = 5
"""As many of the likeliest tokens as services tell unless they are set up otherwise."""
_SCORED = ("adapter_id", "truncate")
_REASONS = ("length", "eos_token", "stop_sequence")
# Whoever asks for one of these wants the tokens themselves kept.
_TELLING = ("details", "top_n_tokens", "decoder_input_details")


class TGI(TextWire):
    """Generation as text-generation-inference has it; with `details` it counts the tokens."""

    routes: Sequence[str] = ("/", *_PATHS)
    likelihoods: Sequence[str] = (PREFILL, likelihoods.FIRST)

    def __init__(
        self,
        *,
        model: str | None = None,
        params: Mapping[str, Any] | None = None,
        stream: bool = False,
        details: bool = True,
        likelihood: str | None = None,
    ) -> None:
        if likelihood is not None and likelihood not in self.likelihoods:
            known = ", ".join(self.likelihoods)
            raise UsageError(f"likelihood={likelihood} is no way of this protocol", hint=known)
        super().__init__(model=model, params=params, stream=stream)
        self.details, self.likelihood = details, likelihood

    def locate(self, url: str) -> str:
        """The address with /generate or /generate_stream below it."""
        return below(url, _PATHS[self.stream], known=_PATHS)

    def open(self, requests: Sequence[Request]) -> TGIExchange:
        """The client's side of one generation."""
        return TGIExchange(self, requests)

    def split(self, request: Request) -> Sequence[Request]:
        """The prompt alone and with each choice behind it, where their tokens are compared."""
        if request.choices is None or self.likelihood != PREFILL:
            return (request,)
        return [replace(request, choices=some) for some in ((), *((choice,) for choice in request.choices))]

    def join(self, request: Request, responses: Sequence[Response]) -> Response:
        """How likely each choice is, of the tokens of the prompt and of each whole."""
        if len(responses) == 1:
            return responses[0]
        prompt, *wholes = [response.raw for response in responses]
        tokens = Tokens(sum(map(len, (prompt, *wholes))), len(responses))
        found = likelihoods.compare(prompt, wholes, tokens)
        # Whether another token was likelier is not told of a prompt.
        return replace(found, raw={"tokens": found.raw["tokens"]})

    def accept(self, call: Call) -> Exchange:
        """The server's side of one generation."""
        asked = decode_json(call.body)
        prompt = asked.get("inputs") if isinstance(asked, dict) else None
        parameters = (asked.get("parameters") if isinstance(asked, dict) else None) or {}
        if not isinstance(prompt, str) or not isinstance(parameters, dict):
            raise DataError("an object with a text as inputs was expected, and an object as parameters")
        exchange = self.open([Request(id="0", prompt=prompt, params=read_parameters(parameters))])
        exchange.rooted = call.path == "/"
        exchange.stream = self.is_stream(call.path, asked)
        exchange.detailed = bool(parameters.get("details"))
        exchange.before = prompt if parameters.get("return_full_text") else ""
        return exchange

    def is_stream(self, path: str, asked: Mapping[str, Any]) -> bool:
        """Whether a call wants its answer in events."""
        return path.endswith(_PATHS[1]) or (path == "/" and asked.get("stream") is True)

    def encode_failure(self, status: int, message: str) -> bytes:
        """An object with the error and its type."""
        kind = "overloaded" if status in (429, 503) else "validation" if status < 500 else "generation"
        return msgspec.json.encode({"error": message, "error_type": kind})

    def describe(self, path: str, models: Sequence[str]) -> Any:
        """What GET /info tells of the first model."""
        if path != "/info" or not models:
            return None
        return {
            "model_id": models[0],
            "model_sha": None,
            "model_pipeline_tag": "text-generation",
            "max_best_of": 1,
            "router": "steelyard",
        }


class TGIExchange(TextExchange):
    """One generation."""

    rooted = False
    detailed = False
    before = ""
    streams_in_body = False

    def __init__(self, wire: TGI, requests: Sequence[Request]) -> None:
        super().__init__(wire, requests)
        self.wire = wire
        self.slow = any(has_pictures(request.prompt) for request in requests)
        self.text: str | None = None
        self.details: dict[str, Any] = {}
        self.tokens: list[Any] = []
        params = [{**wire.params, **request.params} for request in requests]
        self.telling = any(one.get(name) for one in params for name in _TELLING)

    def encode_request(self) -> bytes:
        """The body of the one request; a UsageError or DataError where it cannot be said."""
        (request,) = self.requests
        if request.choices is not None and self.wire.likelihood is not None:
            return msgspec.json.encode(self.score(as_text(request.prompt), request.choices))
        prompt, params = self.ask(self.wire.params, names=_THEIRS)
        if params.get("stream"):
            raise UsageError("stream= is not a parameter of an answer", hint="it is one of the wire")
        body: dict[str, Any] = {}
        if isinstance(prompt, Mapping):
            if "inputs" not in prompt:
                raise UsageError(f"the object has no inputs (its keys: {', '.join(map(str, prompt))})")
            body, params = dict(prompt), {**params, **(prompt.get("parameters") or {})}
        else:
            body = {"inputs": as_text(prompt, show=_show)}
        if self.wire.details:
            params.setdefault("details", True)
        if self.streams_in_body:
            body["stream"] = self.stream
        return msgspec.json.encode({**body, "parameters": write_parameters(params)})

    def decode_whole(self, body: bytes, headers: Mapping[str, str]) -> Sequence[Response]:
        """The one response; whatever else the body is, is a DataError."""
        answer = read_object(body)
        text = answer.get("generated_text")
        if not isinstance(text, str):
            raise DataError(f"the answer has no generated_text (its keys: {', '.join(answer) or 'none'})")
        details = answer.get("details")
        details = details if isinstance(details, dict) else {}
        if self.requests[0].choices is not None:
            return [self.read_scored(details, self.requests[0].choices)]
        return [self.read(text, details, headers)]

    def decode_event(self, data: bytes) -> Chunk | None:
        """The text of a token; what the last event says beside is kept for the end."""
        said = read_object(data)
        token = said.get("token")
        token = token if isinstance(token, dict) else {}
        if self.telling and token:
            self.tokens.append(token)
        if isinstance(said.get("generated_text"), str):
            self.text = said["generated_text"]
        if isinstance(said.get("details"), dict):
            self.details = said["details"]
        text = token.get("text")
        return Chunk(text) if isinstance(text, str) and text and not token.get("special") else None

    def decode_end(self) -> Sequence[Response]:
        """The whole answer, which the last event has."""
        if self.text is None:
            raise CutShort("the stream of the answer ended before the answer did")
        details = {**self.details, "tokens": self.tokens} if self.tokens else self.details
        return [self.read(self.text, details, {})]

    def read(self, text: str, details: dict[str, Any], headers: Mapping[str, str]) -> Response:
        """The text, the counts of its tokens, and what else is said of it."""
        prefill = details.get("prefill")
        known = len(prefill) if prefill and isinstance(prefill, list) else None
        counted = details.get("input_length", known or _number(headers, "x-prompt-tokens"))
        written = details.get("generated_tokens", _number(headers, "x-generated-tokens"))
        raw = {name: value for name, value in details.items() if value is not None}
        if not self.telling:
            for name in ("tokens", "prefill", "top_tokens"):
                raw.pop(name, None)
        return Response(text, tokens=read_tokens(counted, written), raw=raw or None)

    def score(self, prompt: str, choices: Sequence[str]) -> dict[str, Any]:
        """The body that asks for the log-probabilities of a text, or of what it may go on with."""
        params = {**self.wire.params, **self.requests[0].params}
        kept = {name: params[name] for name in _SCORED if params.get(name) is not None}
        told = {"max_new_tokens": 1, "do_sample": False, "details": True}
        # Tokens mostly begin with a space, not end with one: it goes with what follows.
        context = prompt.rstrip()
        if self.wire.likelihood == likelihoods.FIRST:
            return {"inputs": context, "parameters": {**kept, **told, "top_n_tokens": _TOP}}
        text = prompt + choices[0] if choices else context
        return {"inputs": text, "parameters": {**kept, **told, "decoder_input_details": True}}

    def read_scored(self, details: Mapping[str, Any], choices: Sequence[str]) -> Response:
        """How likely the choices are; or the tokens of one text, to be compared with others."""
        if self.wire.likelihood == likelihoods.FIRST:
            first = (details.get("top_tokens") or [[]])[0]
            return likelihoods.read_first(choices, [(one["text"], one["logprob"]) for one in first], None)
        odds = [Odds(str(one["id"]), one.get("logprob"), False) for one in details.get("prefill") or ()]
        if not odds:
            raise DataError(
                "the service tells no log-probabilities of a prompt", hint="--enable-prefill-logprobs there"
            )
        return Response(raw=odds)

    def encode_answer(self, responses: Sequence[Response]) -> bytes:
        """The object with the text, at the root in a list."""
        (response,) = responses
        answer: dict[str, Any] = {"generated_text": self.before + response.text}
        if self.detailed:
            raw = response.raw if isinstance(response.raw, Mapping) else {}
            listed = {name: raw.get(name) or [] for name in ("prefill", "tokens")}
            answer["details"] = {**self.tell(response), **listed}
        counts = zip(("x-prompt-tokens", "x-generated-tokens"), response.tokens or ())
        self.headers = {name: str(count) for name, count in counts if count is not None}
        return msgspec.json.encode([answer] if self.rooted else answer)

    def encode_chunk(self, place: int, chunk: Chunk) -> bytes:
        """The event of a token; which one it is, is not known here."""
        return self.encode_token(chunk.text) if chunk.text else b""

    def encode_end(self, responses: Sequence[Response]) -> bytes:
        """The event with the whole text, whose token says nothing more."""
        (response,) = responses
        details = {**self.tell(response), "input_length": response.tokens.input if response.tokens else None}
        return self.encode_token("", text=self.before + response.text, details=details)

    def encode_token(
        self, said: str, *, text: str | None = None, details: Mapping[str, Any] | None = None
    ) -> bytes:
        """One event."""
        self.said.append(said)
        token = {"id": 0, "text": said, "logprob": None, "special": text is not None}
        value = {
            "index": len(self.said),
            "token": token,
            "generated_text": text,
            "details": details if self.detailed else None,
        }
        return b"data:" + msgspec.json.encode(value) + b"\n\n"

    def tell(self, response: Response) -> dict[str, Any]:
        """Why an answer ended, and how long it is."""
        raw = response.raw if isinstance(response.raw, Mapping) else {}
        reason = raw.get("finish_reason")
        counted = response.tokens.output if response.tokens else None
        return {
            "finish_reason": reason if reason in _REASONS else "eos_token",
            "generated_tokens": len(self.said) if counted is None else counted,
            "seed": self.requests[0].params.get("seed"),
        }


def write_parameters(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as the service takes them."""
    kept = {
        name: value
        for name, value in params.items()
        if value is not None and not any(value == nothing for nothing in _NOTHING.get(name, ()))
    }
    if isinstance(kept.get("stop"), str):
        kept["stop"] = [kept["stop"]]
    if kept.get("temperature") == 0:
        # Each of the others would have it choose by chance again.
        kept = {name: kept[name] for name in kept if name not in ("temperature", *_CHOOSING)}
        kept["do_sample"] = False
    elif kept.get("temperature") == 1:
        kept.setdefault("do_sample", True)
    return kept


def read_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by our names, as a server takes them."""
    params = {_OURS.get(name, name): value for name, value in parameters.items() if value is not None}
    for name in ("details", "return_full_text"):
        params.pop(name, None)
    for name, nothing in (
        ("watermark", False),
        ("decoder_input_details", False),
        ("best_of", 1),
        ("stop", []),
    ):
        if params.get(name) == nothing:
            del params[name]
    sampling = params.pop("do_sample", None)
    chosen = sampling or any(name in params for name in _CHOOSING)
    if "temperature" not in params and (chosen or sampling is False):
        params["temperature"] = 1.0 if chosen else 0.0
    return params


def _show(picture: Any) -> str:
    return f"![]({as_image(picture).url()})"


def _number(headers: Mapping[str, str], name: str) -> int | None:
    said = headers.get(name, "")
    return int(said) if said.isascii() and said.isdigit() else None
