"""Sounds as services take them: base64 and the name of the format.

read_sound("greeting.wav")         {"data": "UklGR…", "format": "wav"}
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from steelyard.errors import DataError
from steelyard.media.kinds import describe_bytes

_FORMATS = (
    (b"ID3", "mp3"),
    (b"\xff\xfb", "mp3"),
    (b"\xff\xf3", "mp3"),
    (b"\xff\xf2", "mp3"),
    (b"OggS", "ogg"),
    (b"fLaC", "flac"),
    (b"\x1aE\xdf\xa3", "webm"),
)


def read_sound(sound: Any) -> dict[str, str]:
    """A file, its bytes, or a part of a message, as base64 with the name of its format."""
    if isinstance(sound, Mapping):
        inner = sound.get("input_audio", sound)
        if isinstance(inner, Mapping) and isinstance(inner.get("data"), str):
            return {"data": inner["data"], "format": str(inner.get("format") or "wav")}
        if not isinstance(inner, Mapping) or not ({"bytes", "path"} & inner.keys()):
            raise DataError(f"a sound has data, bytes or a path (its keys: {', '.join(map(str, sound))})")
        sound = inner.get("bytes") or inner.get("path")
    if isinstance(sound, (str, PathLike)):
        try:
            content = Path(sound).expanduser().read_bytes()
        except (OSError, ValueError) as error:
            raise DataError(f"the sound {sound} cannot be read: {error}") from error
    elif isinstance(sound, (bytes, bytearray, memoryview)):
        content = bytes(sound)
    else:
        raise DataError(f"a {type(sound).__name__} is no sound", hint="a path or bytes")
    return {"data": base64.b64encode(content).decode(), "format": _find_format(content)}


def _find_format(content: bytes) -> str:
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        return "wav"
    if content[4:8] == b"ftyp":
        return "m4a"
    for beginning, name in _FORMATS:
        if content.startswith(beginning):
            return name
    raise DataError(f"no sound in a known format: {describe_bytes(content[:64])}", hint="wav, mp3, flac, ogg")
