"""Turns of a chat as JSON messages, in both directions; pictures and sounds become content parts.

{"role": "user", "content": [                  {"role": "user", "content": [
    Part("image", scan), Part("text", "?")]} ⇄     {"type": "image_url", "image_url": {"url": "data:…"}},
                                                   {"type": "text", "text": "?"}]}

A sound is a path, bytes, or the {"data": base64, "format": "wav"} of a part of a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from steelyard.errors import DataError, UsageError
from steelyard.media.images import as_image
from steelyard.media.sounds import read_sound
from steelyard.types import Message, Part

# What is a dict is found out faster than what else may be a mapping.
_OBJECT = (dict, Mapping)


def has_pictures(prompt: Any) -> bool:
    """Whether pictures or sounds are to be read before the prompt can be sent."""
    turns = prompt if isinstance(prompt, (str, list, tuple)) else _content(prompt, "messages")
    if not isinstance(turns, (list, tuple)):
        return False
    for turn in turns:
        content = _content(turn, "content")
        if not isinstance(content, (list, tuple)):
            continue
        if any(isinstance(part, Part) and part.kind != "text" for part in content):
            return True
    return False


def _content(outer: Any, name: str) -> Any:
    return outer.get(name) if isinstance(outer, _OBJECT) else None


def encode_prompt(prompt: Any, *, detail: str | None = None) -> dict[str, Any]:
    """The messages of a body; a mapping with messages is (the rest of) the body itself."""
    if isinstance(prompt, str):
        return {"messages": [{"role": "user", "content": prompt}]}
    if isinstance(prompt, _OBJECT):
        if "messages" not in prompt:
            keys = ", ".join(map(str, prompt)) or "none"
            raise UsageError(f"a chat takes a text, turns, or an object with messages (its keys: {keys})")
        return {**prompt, "messages": [_encode_turn(turn, detail) for turn in prompt["messages"]]}
    return {"messages": [_encode_turn(turn, detail) for turn in prompt]}


def _encode_turn(turn: Any, detail: str | None) -> dict[str, Any]:
    if not isinstance(turn, _OBJECT):
        raise UsageError(f"a turn of a chat has a role and a content, this is a {type(turn).__name__}")
    content = turn.get("content")
    if not isinstance(content, (list, tuple)):
        return dict(turn)
    if content and all(isinstance(part, Part) and part.kind == "text" for part in content):
        # Services of text models take no parts.
        return {**turn, "content": "".join(str(part.data) for part in content)}
    return {**turn, "content": [_encode_part(part, detail) for part in content]}


def _encode_part(part: Any, detail: str | None) -> Any:
    if not isinstance(part, Part):
        return part
    if part.kind == "text":
        return {"type": "text", "text": str(part.data)}
    if part.kind == "audio":
        return {"type": "input_audio", "input_audio": read_sound(part.data)}
    image = as_image(part.data)
    url, detail = {"url": image.url()}, image.detail or detail
    return {"type": "image_url", "image_url": url if detail is None else {**url, "detail": detail}}


def accept_turn(turn: Any, place: int) -> Message:
    """One turn of a body, its content parts as Parts."""
    if not isinstance(turn, dict) or not isinstance(turn.get("role"), str):
        raise DataError(f"message {place} has no role")
    content = turn.get("content")
    if isinstance(content, list):
        return cast(Message, {**turn, "content": [_accept_part(part, place) for part in content]})
    if content is not None and not isinstance(content, str):
        raise DataError(f"the content of message {place} is neither a text nor a list of parts")
    return cast(Message, {**turn, "content": content or ""})


def _accept_part(part: Any, place: int) -> Part:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return Part("text", part["text"])
    if kind == "input_audio":
        sound = part.get("input_audio")
        if not isinstance(sound, dict) or not isinstance(sound.get("data"), str):
            raise DataError(f"the sound of message {place} has no data")
        # Nothing else that came beside it: a path would be read before it.
        return Part("audio", {"data": sound["data"], "format": str(sound.get("format") or "wav")})
    if kind != "image_url":
        known = "text, image_url or input_audio"
        raise DataError(f"message {place} has a part of the type {kind!r}", hint=known)
    picture = part.get("image_url")
    url = picture.get("url") if isinstance(picture, dict) else picture
    # Whoever asks from outside shall not read the files of this machine.
    if not isinstance(url, str) or not url.startswith(("data:", "http://", "https://")):
        raise DataError(f"the picture of message {place} is neither a data: nor an http(s): URL")
    # Nothing else that came beside the address: a path would be read before it.
    shown = {"url": url} if isinstance(picture, str) else {"url": url, "detail": picture.get("detail")}
    return Part("image", {"type": "image_url", "image_url": shown})
