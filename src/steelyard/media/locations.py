"""Where encoded pictures and sounds lie: files, file: and data: URLs, base64 in a text."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from typing import IO
from urllib.parse import unquote, unquote_to_bytes, urlsplit
from urllib.request import url2pathname

from steelyard.errors import DataError

# How base64 of JPEG, PNG, GIF, WebP (RIFF), TIFF, BMP and PDF begins.
_BASE64 = ("/9j/", "iVBORw0KGgo", "R0lGODlh", "R0lGODdh", "UklGR", "SUkqA", "TU0AK", "Qk", "JVBERi0")
LONGEST_PATH = 4096
_SHORTEST_BASE64 = 256


def open_file(path: Path, name: str, *, kind: str = "picture") -> IO[bytes]:
    """Open a file of a picture or of what else `kind` says; raises a DataError that says why it cannot be."""
    try:
        if path.is_dir():
            raise DataError(f"{name} is a folder, not a {kind}", hint="name a file in it")
        # What is no regular file (a pipe, a device) may never end.
        if path.exists() and not path.is_file():
            raise DataError(f"{name} is no file")
        return path.open("rb")
    except FileNotFoundError as error:
        raise DataError(f"there is no {kind} {name}", hint=f"looked for {path.absolute()}") from error
    except PermissionError as error:
        raise DataError(f"{name} may not be read", hint="are its rights for you?") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{name} cannot be read: {getattr(error, 'strerror', '') or error}") from error


def scheme(text: str) -> str:
    """The scheme of a URL, empty where a text is none."""
    found = re.match(r"(data|file):|([a-z][a-z0-9+.-]+)://", text[:20], re.I)
    return (found[1] or found[2]).lower() if found else ""


def path_of_url(url: str) -> Path:
    """The path that a file: URL names."""
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise DataError(f"{url} is a file of another machine", hint="file:///folder/picture.png")
    return Path(url2pathname(parts.path))


def decode_data_url(url: str) -> bytes:
    """The bytes that a data: URL holds."""
    head, comma, body = url.partition(",")
    if not comma:
        raise DataError(f"the data: URL {head[:40]!r} has no comma", hint="data:image/png;base64,…")
    if head.lower().endswith(";base64"):
        return decode_base64(unquote(body))
    return unquote_to_bytes(body)


def begins_as_base64(text: str) -> bool:
    """Whether a text is longer than most paths and begins as base64 of a picture does."""
    return len(text) >= _SHORTEST_BASE64 and text.startswith(_BASE64)


def decode_base64(text: str) -> bytes:
    """The bytes that stand as base64."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(f"what begins {text[:20]!r} is not base64: {error}") from error
