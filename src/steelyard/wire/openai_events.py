"""Most events of an answer in the OpenAI protocol only add a piece to a text: those are read here.

{"id": "c-1", "object": "chat.completion.chunk", "created": 1774000000, "model": "m", "choices":
 [{"index": 0, "delta": {"content": " word"}, "logprobs": null, "finish_reason": null}]}

Whatever says more is none of these, and has to be looked at as a whole.
"""

from __future__ import annotations

from typing import Literal

import msgspec

_ANY = msgspec.Raw()


class _Delta(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    role: str | None = None
    tool_calls: None = None
    refusal: None = None


class _Piece(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    delta: _Delta
    index: Literal[0] = 0
    logprobs: None = None
    finish_reason: None = None
    stop_reason: None = None
    matched_stop: None = None
    token_ids: None = None


class _Said(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    text: str
    index: Literal[0] = 0
    logprobs: None = None
    finish_reason: None = None
    stop_reason: None = None
    matched_stop: None = None
    token_ids: None = None
    prompt_logprobs: None = None


class _Event(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: msgspec.Raw = _ANY
    object: msgspec.Raw = _ANY
    created: msgspec.Raw = _ANY
    model: msgspec.Raw = _ANY
    system_fingerprint: msgspec.Raw = _ANY
    service_tier: msgspec.Raw = _ANY
    usage: None = None
    prompt_token_ids: None = None


class _ChatEvent(_Event, forbid_unknown_fields=True, gc=False, kw_only=True):
    choices: tuple[_Piece]


class _TextEvent(_Event, forbid_unknown_fields=True, gc=False, kw_only=True):
    choices: tuple[_Said]


_read_chat = msgspec.json.Decoder(_ChatEvent).decode
_read_text = msgspec.json.Decoder(_TextEvent).decode


def read_piece(data: bytes) -> tuple[str, str] | None:
    """The field of a message that an event of a chat adds to, and what it adds; None where it says more."""
    try:
        delta = _read_chat(data).choices[0].delta
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if (text := delta.content) and not (delta.reasoning_content or delta.reasoning):
        return "content", text
    if text or (delta.reasoning_content and delta.reasoning):
        return None
    if delta.reasoning:
        return "reasoning", delta.reasoning
    return "reasoning_content", delta.reasoning_content or ""


def read_text(data: bytes) -> tuple[str, str] | None:
    """The same of an event of a completion, whose text is its only field."""
    try:
        return "text", _read_text(data).choices[0].text
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
