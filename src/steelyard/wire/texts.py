"""What the protocols without a chat have in common: a call asks for the continuation of one text.

    as_text([{"role": "user", "content": "2 + 2 ="}, {"role": "assistant", "content": "4"}, …])
    read_object(b'{"generated_text": "4"}')                     {"generated_text": "4"}
    below("http://host:8080/", "/generate", known=PATHS)        "http://host:8080/generate"

Turns are joined as worked examples are for a model without a chat: a paragraph each, an answer on the
line of its question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from steelyard.errors import DataError, UsageError
from steelyard.types import Part, Prompt, Request, Tokens
from steelyard.wire.base import Exchange, Wire
from steelyard.wire.openai_errors import decode_json, read_error, say_error, show_begin


class TextWire(Wire):
    """A protocol whose call carries one text; `params` go with every request that has no other."""

    streams = True

    def __init__(
        self, *, model: str | None = None, params: Mapping[str, Any] | None = None, stream: bool = False
    ) -> None:
        self.model, self.params, self.stream = model, dict(params or {}), stream

    def identity(self) -> Mapping[str, Any]:
        """The protocol, the model's name, and what goes with every request."""
        return {**super().identity(), "model": self.model, "params": self.params}

    def read_failure(self, body: bytes) -> str:
        """The message of an error, where it is one in JSON."""
        try:
            return read_error(msgspec.json.decode(body)) or super().read_failure(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return super().read_failure(body)

    def encode_failure(self, status: int, message: str) -> bytes:
        """An object with the error."""
        return msgspec.json.encode({"error": message})

    def encode_broken(self, message: str) -> bytes:
        """The same object as an event."""
        return event(msgspec.json.decode(self.encode_failure(500, message)))


class TextExchange(Exchange):
    """One text and its continuation; `said` is what came of it so far."""

    def __init__(self, wire: TextWire, requests: Sequence[Request]) -> None:
        super().__init__(requests)
        self.stream, self.model = wire.stream, wire.model
        self.said: list[str] = []

    def ask(self, params: Mapping[str, Any], *, names: Mapping[str, str]) -> tuple[Prompt, dict[str, Any]]:
        """The one prompt, and all that goes with it by the protocol's names."""
        (request,) = self.requests
        if request.choices is not None:
            raise UsageError("the protocol tells no likelihoods of choices", hint="ask for a letter instead")
        spelt = {names.get(name, name): value for name, value in params.items()}
        spelt.update((names.get(name, name), value) for name, value in request.params.items())
        return request.prompt, spelt


def as_text(prompt: Prompt, *, show: Callable[[Any], str] | None = None) -> str:
    """A text or turns as one text; `show` writes the address of a picture, where there is a way."""
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, Mapping):
        raise UsageError(f"a text was expected, not an object (its keys: {', '.join(map(str, prompt))})")
    text, role = "", ""
    for turn in prompt:
        if not isinstance(turn, Mapping) or not isinstance(turn.get("content"), (str, list, tuple)):
            raise UsageError("a turn without a text cannot be continued", hint="wire=openai asks a chat")
        said = _say(turn["content"], show)
        if text:
            follows = turn["role"] == "assistant" and role != "assistant"
            text += ("" if said[:1].isspace() else " ") if follows else "\n\n"
        text, role = text + said, turn["role"]
    return text


def _say(content: str | Sequence[Any], show: Callable[[Any], str] | None) -> str:
    if isinstance(content, str):
        return content
    texts = []
    for part in content:
        if isinstance(part, Part) and part.kind == "text":
            texts.append(str(part.data))
        elif isinstance(part, Part) and part.kind == "image" and show is not None:
            texts.append(show(part.data))
        else:
            kind = part.kind if isinstance(part, Part) else "part of another kind"
            raise UsageError(f"this protocol carries texts, no {kind}", hint="wire=openai carries more")
    return "".join(texts)


def below(url: str, path: str, *, known: Sequence[str]) -> str:
    """An address with a path of the protocol, in the place of any that it already ends in."""
    parts = urlsplit(url)
    here = parts.path.rstrip("/")
    found = next((one for one in sorted(known, key=len, reverse=True) if here.endswith(one)), "")
    return urlunsplit(parts._replace(path=here.removesuffix(found) + path))


def event(value: Any) -> bytes:
    """An object as one event."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def read_object(body: bytes) -> dict[str, Any]:
    """The object in an answer or an event; a DataError where it is none, or says that something failed."""
    found = decode_json(body)
    if isinstance(found, list) and len(found) == 1:
        (found,) = found
    if not isinstance(found, dict):
        raise DataError(f"an object was expected as an answer: it begins with {show_begin(body)}")
    if found.get("error"):
        raise DataError(f"the service reports an error: {say_error(found['error'])}")
    return found


def read_count(value: Any) -> int | None:
    """A number of tokens, if it is one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def read_tokens(tokens_in: Any, tokens_out: Any) -> Tokens | None:
    """How many tokens went in and came out; None where neither is known."""
    counts = Tokens(read_count(tokens_in), read_count(tokens_out))
    return None if counts == (None, None) else counts
