"""What looks like a picture or a sound, told without reading anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from steelyard.media.images import Image
from steelyard.media.kinds import is_pdf, is_picture_bytes
from steelyard.media.locations import LONGEST_PATH, begins_as_base64, scheme
from steelyard.media.pixels import is_pixels
from steelyard.media.soundfiles import is_sound_bytes
from steelyard.media.sounds import Sound

_SUFFIX = re.compile(
    r"[^\n]*\.(?:png|jpe?g|jpe|jfif|gif|webp|bmp|tiff?|p[pgnb]m|jp2|avif|hei[cf]|qoi|pdf(?:#page=\d+)?)", re.I
)
_SOUND = re.compile(
    r"[^\n]*\.(?:wave?|flac|og[ga]|opus|mp3|m4[ab]|aac|aif[fc]?|au|snd|caf|w64|rf64|wma|amr|ac3|weba)", re.I
)
_BYTES = (bytes, bytearray, memoryview)


def looks_like_picture(value: Any, *, remote: bool = False) -> bool:
    """Whether this looks like a picture or a list of them; addresses count only where they may be read."""
    if getattr(getattr(value, "dtype", None), "kind", "") == "O":
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        given = [item for item in value if item is not None]
        return bool(given) and looks_like_picture(given[0], remote=remote)
    if isinstance(value, (str, Path)):
        return _names_picture(str(value).strip(), remote)
    if isinstance(value, Mapping):
        parts = ("bytes", "path", "url", "image_url", "image")
        return any(looks_like_picture(value.get(part), remote=remote) for part in parts) or is_encoded(value)
    return is_encoded(value) or isinstance(value, Image) or is_pixels(value)


def is_encoded(value: Any) -> bool:
    """Whether this is a picture's encoded bytes, an object with them, or a list of such."""
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, Mapping):
        value = value.get("bytes")
    return isinstance(value, _BYTES) and (is_picture_bytes(value := bytes(value[:64])) or is_pdf(value))


def looks_like_sound(value: Any, *, remote: bool = False) -> bool:
    """Whether this looks like a sound or a list of them; addresses count only where they may be read."""
    if getattr(getattr(value, "dtype", None), "kind", "") == "O":
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        given = [item for item in value if item is not None]
        return bool(given) and looks_like_sound(given[0], remote=remote)
    if isinstance(value, (str, Path)):
        return _names_sound(str(value).strip(), remote)
    if isinstance(value, Mapping):
        if value.get("array") is not None and value.get("sampling_rate"):
            return True
        parts = ("bytes", "path", "url", "audio_url", "audio")
        return any(looks_like_sound(value.get(part), remote=remote) for part in parts)
    return is_encoded_sound(value) or isinstance(value, Sound) or hasattr(value, "get_all_samples")


def is_encoded_sound(value: Any) -> bool:
    """Whether this is a sound's encoded bytes or samples, an object with them, or a list of such."""
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, Mapping):
        if value.get("array") is not None and value.get("sampling_rate"):
            return True
        value = value.get("bytes")
    return isinstance(value, _BYTES) and is_sound_bytes(bytes(value[:64]))


def _names_sound(text: str, remote: bool) -> bool:
    if text.startswith("["):
        return re.match(r'\[\s*"', text) is not None and _names_sound(text[1:].strip().split('"')[1], remote)
    kind = scheme(text)
    if kind == "data":
        return re.match(r"data:audio/", text[:40], re.I) is not None
    if kind in ("http", "https"):
        return remote and _SOUND.fullmatch(urlsplit(text).path) is not None
    return len(text) <= LONGEST_PATH and _SOUND.fullmatch(text) is not None


def _names_picture(text: str, remote: bool) -> bool:
    if text.startswith("["):
        return re.match(r'\[\s*"', text) is not None and _names_picture(
            text[1:].strip().split('"')[1], remote
        )
    kind = scheme(text)
    if kind == "data":
        return re.match(r"data:(image/|application/pdf)", text[:40], re.I) is not None
    if kind in ("http", "https"):
        return remote and _SUFFIX.fullmatch(urlsplit(text).path) is not None
    if begins_as_base64(text):
        return True
    return len(text) <= LONGEST_PATH and _SUFFIX.fullmatch(text) is not None
