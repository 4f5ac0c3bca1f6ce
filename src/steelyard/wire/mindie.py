"""The wire of MindIE: a text in, its continuation out, in events the text so far.

    POST /infer                                        200
    {"inputs": "2 + 2 =", "stream": false,        →    {"generated_text": " 4", "details": {
     "parameters": {"max_new_tokens": 2}}               "finish_reason": "length", "generated_tokens": 2}}

    "stream": true                                     data: {"generated_text": " 4", …}
                                                       data: {"generated_text": " 4.", …}

Some servers send the pieces, or the text so far, as the text of a token, and the whole text in the
last event alone. All of these are read; what is served has both. Parameters are those of
text-generation-inference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.types import Chunk, Request, Response
from steelyard.wire.base import CutShort
from steelyard.wire.texts import below, event, read_object
from steelyard.wire.tgi import TGI, TGIExchange

_PATH = "/infer"
# What stands at the end of a text whose last character is not whole yet.
_UNFINISHED = "\ufffd"


class MindIE(TGI):
    """Generation as MindIE has it; with `details` it counts the tokens."""

    routes: Sequence[str] = (_PATH,)
    likelihoods: Sequence[str] = ()

    def locate(self, url: str) -> str:
        """The address with /infer below it."""
        return below(url, _PATH, known=(_PATH,))

    def open(self, requests: Sequence[Request]) -> MindIEExchange:
        """The client's side of one generation."""
        return MindIEExchange(self, requests)

    def is_stream(self, path: str, asked: Mapping[str, Any]) -> bool:
        """Whether a call wants its answer in events."""
        return asked.get("stream") is True

    def describe(self, path: str, models: Sequence[str]) -> Any:
        """Nothing: what its servers tell is told elsewhere."""
        return None


class MindIEExchange(TGIExchange):
    """One generation; `shown` is the text so far, `grows` whether the texts of tokens are that too."""

    streams_in_body = True
    shown = ""
    grows: bool | None = None

    def decode_event(self, data: bytes) -> Chunk | None:
        """What is added to the text so far."""
        said = read_object(data)
        if last := isinstance(said.get("details"), dict):
            self.details = said["details"]
        token, whole = said.get("token"), said.get("generated_text")
        text = token.get("text") if isinstance(token, dict) else None
        if self.telling and token:
            self.tokens.append(token)
        if isinstance(whole, str) and (whole or not text):
            self.text = whole
            piece = self.grow(whole, last=last)
        else:
            piece = self.add(text) if isinstance(text, str) else ""
        return Chunk(piece) if piece else None

    def decode_end(self) -> Sequence[Response]:
        """The text as it was at the last."""
        if self.text is None and not self.details:
            raise CutShort("the stream of the answer ended before the answer did")
        details = {**self.details, "tokens": self.tokens} if self.tokens else self.details
        return [self.read(self.shown if self.text is None else self.text, details, {})]

    def grow(self, text: str, *, last: bool) -> str:
        """What a text so far has more than the one before."""
        text = text if last else text.rstrip(_UNFINISHED)
        piece = text[len(self.shown) :]
        self.shown = text if piece else self.shown
        return piece

    def add(self, text: str) -> str:
        """What the text of a token adds: itself, unless it is the text so far."""
        further = text.startswith(self.shown)
        if self.grows is None and self.shown and further and len(text) > len(self.shown):
            self.grows = True
        elif self.grows and not further:
            # A piece that began as the one before it.
            self.grows = False
        if self.grows:
            return self.grow(text, last=False)
        self.shown += text
        return text

    def encode_token(
        self, said: str, *, text: str | None = None, details: Mapping[str, Any] | None = None
    ) -> bytes:
        """One event, with the piece and the text so far."""
        self.said.append(said)
        self.shown = self.shown + said if text is None else text
        timed: dict[str, Any] = {"prefill_time": None, "decode_time": None}
        value = {**timed, "token": {"id": [0], "text": said}, "generated_text": self.shown}
        return event({**value, "details": details} if details and self.detailed else value)
