"""What looks like a picture, told without reading anything."""

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

_SUFFIX = re.compile(
    r"[^\n]*\.(?:png|jpe?g|jpe|jfif|gif|webp|bmp|tiff?|p[pgnb]m|jp2|avif|hei[cf]|qoi|pdf(?:#page=\d+)?)", re.I
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
