"""The OpenAI wire: chat completions, as OpenAI, vLLM, SGLang, llama.cpp and many others speak them.

    POST /v1/chat/completions                            200
    {"model": "m", "max_tokens": 8, "messages": [   →    {"choices": [{"message": {"content": "Hi"},
      {"role": "user", "content": "Hello"}]}              "finish_reason": "stop"}], "usage": {…}}

A text becomes one turn of the user. Pictures travel within the body, as data: URLs. Parameters go
as they are, beside the messages: also those that only some services know (top_k, regex, …). With
`stream` the answer comes in events, and it is known when each piece of it was there.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from steelyard.errors import DataError, UsageError
from steelyard.types import Chunk, Request, Response, Tokens
from steelyard.wire.base import Call, CutShort, Exchange, Wire
from steelyard.wire.turns import accept_turn, encode_prompt, has_pictures

_LONGEST_ERROR = 500
_ROLES = {"content", "role", "model"}
# What of a whole answer says nothing about what was asked.
_WRAPPING = {"id", "object", "created", "choices"}


class OpenAI(Wire):
    """Chat completions of one model of a service; `params` go with every request that has no other."""

    chat = True
    streams = True
    routes = ("/v1/chat/completions",)

    def __init__(
        self,
        *,
        model: str | None = None,
        path: str = "/chat/completions",
        params: Mapping[str, Any] | None = None,
        detail: str | None = None,
        stream: bool = False,
    ) -> None:
        self.model, self.path, self.detail, self.stream = model, path, detail, stream
        self.params = dict(params or {})

    def locate(self, url: str) -> str:
        """The address with the path of chat completions below it, unless it is there already."""
        parts = urlsplit(url)
        path = parts.path.rstrip("/")
        if not path.endswith(self.path):
            path = (path or "/v1") + self.path
        return urlunsplit(parts._replace(path=path))

    def identity(self) -> Mapping[str, Any]:
        """The protocol, the model's name, and what goes with every request."""
        return {**super().identity(), "model": self.model, "params": self.params, "detail": self.detail}

    def read_failure(self, body: bytes) -> str:
        """The message of an error, in whichever form the service gives it."""
        try:
            return read_error(msgspec.json.decode(body)) or super().read_failure(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return super().read_failure(body)

    def open(self, requests: Sequence[Request]) -> Exchange:
        """The client's side of one completion."""
        return _ChatExchange(self, requests)

    def accept(self, call: Call) -> Exchange:
        """The server's side of one completion; pictures are to come within the body, or from http(s)."""
        asked = _decode(call.body)
        if not isinstance(asked, dict) or not isinstance(asked.get("messages"), list):
            raise DataError("an object with a list of messages was expected")
        turns = [accept_turn(turn, place) for place, turn in enumerate(asked["messages"])]
        if not turns:
            raise DataError("there is no message")
        params = {name: value for name, value in asked.items() if name not in ("messages", "model")}
        exchange = _ChatExchange(self, [Request(id="0", prompt=turns, params=params)])
        exchange.model = asked.get("model") or self.model
        return exchange


class _ChatExchange(Exchange):
    """One chat completion."""

    def __init__(self, wire: OpenAI, requests: Sequence[Request]) -> None:
        super().__init__(requests)
        self.wire, self.model, self.stream = wire, wire.model, wire.stream
        self.answer: dict[str, Any] = {}
        self.choice: dict[str, Any] = {}
        self.message: dict[str, Any] = {}
        self.whole = False
        self.slow = any(has_pictures(request.prompt) for request in requests)

    def encode_request(self) -> bytes:
        """The body of the one request; a UsageError or DataError where it cannot be said."""
        (request,) = self.requests
        if request.choices is not None:
            raise UsageError(
                "a chat service gives no likelihoods of choices", hint="ask it for a letter instead"
            )
        params = {**self.wire.params, **request.params}
        params.update(params.pop("extra_body", None) or {})
        if params.pop("stream", False):
            raise UsageError("stream= is not a parameter of an answer")
        body = {name: value for name, value in params.items() if value is not None}
        if self.wire.stream:
            if body.get("n", 1) != 1:
                raise UsageError(f"n={body['n']} answers do not come in one stream", hint="stream=false")
            body = {"stream_options": {"include_usage": True}, **body, "stream": True}
        if self.wire.model is not None:
            body["model"] = self.wire.model
        return msgspec.json.encode({**body, **encode_prompt(request.prompt, detail=self.wire.detail)})

    def decode_whole(self, body: bytes, headers: Mapping[str, str]) -> Sequence[Response]:
        """The one response; whatever else the body is, is a DataError."""
        answer = _decode(body)
        choices = answer.get("choices") if isinstance(answer, dict) else None
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            if said := read_error(answer):
                raise DataError(f"the service reports an error: {said}")
            raise DataError(f"the answer has no choices: it begins with {_begin(body)}")
        return [_read_choice(answer, choices[0])]

    def decode_event(self, data: bytes) -> Chunk | None:
        """The piece in one event; what it says beside is kept for the end."""
        if self.whole or data.strip() == b"[DONE]":
            self.whole = True
            return None
        event = _decode(data)
        if not isinstance(event, dict):
            raise DataError(f"an event of the answer is no object: {_begin(data)}")
        if event.get("error") or (not event.get("choices") and event.get("object") == "error"):
            raise DataError(f"the service reports an error: {read_error(event)}")
        parts = event.pop("choices", None) or [{}]
        if not isinstance(parts, list) or not isinstance(parts[0], dict):
            raise DataError(f"an event of the answer has odd choices: {_begin(data)}")
        self.answer.update((key, value) for key, value in event.items() if value is not None)
        delta = parts[0].get("delta")
        said = delta.get("content") if isinstance(delta, dict) else None
        if not _join_choice(self.choice, self.message, parts[0]):
            return None
        return Chunk(said if isinstance(said, str) else "")

    def decode_end(self) -> Sequence[Response]:
        """The completion that the events made together."""
        if not self.whole and "finish_reason" not in self.choice:
            raise CutShort("the stream of the answer ended before the answer did")
        return [
            _read_choice({**self.answer, "choices": [self.choice]}, {**self.choice, "message": self.message})
        ]

    def encode_answer(self, responses: Sequence[Response]) -> bytes:
        """The body of a completion, or of an error."""
        (response,) = responses
        if response.error is not None:
            error = {"message": response.error, "type": "server_error", "param": None, "code": None}
            return msgspec.json.encode({"error": error})
        raw = response.raw if isinstance(response.raw, Mapping) else {}
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": response.text},
            "logprobs": None,
            "finish_reason": raw.get("finish_reason") or "stop",
        }
        about = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion",
            "created": int(time.time()),
        }
        return msgspec.json.encode(
            {**about, "model": self.model or "", "choices": [choice], "usage": _usage(response.tokens)}
        )


def _join_choice(choice: dict[str, Any], message: dict[str, Any], part: dict[str, Any]) -> bool:
    """Add a piece of an answer to what came of it; whether it says something."""
    delta, likely = part.pop("delta", None), part.pop("logprobs", None)
    for key, value in likely.items() if isinstance(likely, dict) else ():
        _add(choice.setdefault("logprobs", {}), key, value)
    choice.update((key, value) for key, value in part.items() if value is not None)
    said = [_add(message, key, value) for key, value in delta.items()] if isinstance(delta, dict) else []
    return any(said)


def _add(message: dict[str, Any], key: str, value: Any) -> bool:
    """Add a piece to a message; whether it says something."""
    if key in ("role", "type") or value is None:
        message.setdefault(key, value)
        return False
    if isinstance(value, (str, list)) and isinstance(known := message.get(key), type(value)):
        message[key] = known + value  # type: ignore[operator]
    else:
        message[key] = value
    return bool(value)


def read_error(answer: Any) -> str:
    """What went wrong, from any form that services give it in; empty where there is no error in it."""
    if isinstance(answer, list):
        return next(filter(None, map(read_error, answer)), "")
    if isinstance(answer, str):
        return answer[:_LONGEST_ERROR]
    if not isinstance(answer, dict):
        return ""
    for key in ("error", "errors", "detail", "message"):
        found = answer.get(key)
        if found:
            return _say(found)[:_LONGEST_ERROR]
    return ""


def _say(error: Any) -> str:
    """An error as a text: its message, of several the messages, each with the field it is about."""
    if isinstance(error, str):
        return error
    if isinstance(error, list):
        return "; ".join(map(_say, error))
    if not isinstance(error, dict):
        return str(error)
    said = next((error[key] for key in ("message", "msg", "error", "detail") if error.get(key)), None)
    if said is None:
        return msgspec.json.encode(error).decode()
    place = error.get("loc")
    return f"{'.'.join(map(str, place))}: {_say(said)}" if isinstance(place, list) else _say(said)


def _read_choice(answer: dict[str, Any], choice: dict[str, Any]) -> Response:
    """The text, the tokens and all else that one completion says."""
    message = choice.get("message")
    message = message if isinstance(message, dict) else {"content": choice.get("text")}
    text = _read_content(message.get("content"))
    refusal = message.get("refusal")
    more = {**choice, **{key: value for key, value in message.items() if key not in _ROLES}}
    raw = {key: value for key, value in more.items() if key not in ("message", "text", "index")}
    # Some services say more beside their choices: what the prompt was made of, how likely it was, …
    raw = {**{key: value for key, value in answer.items() if key not in _WRAPPING}, **raw}
    if len(answer["choices"]) > 1:
        raw["choices"] = answer["choices"]
    return Response(
        # A refusal is an answer too: what the model said instead.
        text=text or (refusal if isinstance(refusal, str) else ""),
        tokens=_read_usage(answer.get("usage")),
        error=_read_fault(choice, text),
        raw={key: value for key, value in raw.items() if value is not None},
    )


def _read_fault(choice: dict[str, Any], text: str) -> str | None:
    """What went wrong with this one completion, if anything did."""
    if choice.get("error"):
        return _say(choice["error"])[:_LONGEST_ERROR]
    if choice.get("finish_reason") == "content_filter" and not text:
        return "the service withheld the answer (content_filter)"
    return None


def _read_content(content: Any) -> str:
    """The text of a message, which may come in parts, some of them no text."""
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else part for part in content]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _read_usage(usage: Any) -> Tokens | None:
    if not isinstance(usage, dict):
        return None
    counts = [usage.get(key) for key in ("prompt_tokens", "completion_tokens")]
    tokens_in, tokens_out = [count if isinstance(count, int) else None for count in counts]
    return None if tokens_in is None and tokens_out is None else Tokens(tokens_in, tokens_out)


def _usage(tokens: Tokens | None) -> dict[str, int]:
    tokens_in, tokens_out = (count or 0 for count in tokens or Tokens())
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
    }


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"the body is not JSON: {error}; it begins with {_begin(body)}") from error


def _begin(body: bytes) -> str:
    return repr(body[:80].decode("utf-8", "replace"))
