"""What is written where: results to stdout, all else to stderr."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, TextIO

_COLUMNS = 80
_RED, _PLAIN = "\033[31m", "\033[0m"


def show(text: str) -> None:
    """Write a result, one or several lines of it."""
    sys.stdout.write(_encodable(text, sys.stdout) + "\n")


def show_json(document: Any) -> None:
    """Write one JSON document."""
    show(json.dumps(document, indent=2, ensure_ascii=False, default=str))


def tell(text: str) -> None:
    """Write something beside the results."""
    sys.stderr.write(_encodable(text, sys.stderr) + "\n")
    sys.stderr.flush()


def width(stream: TextIO) -> int | None:
    """How many columns a terminal has; None where there is no terminal."""
    if not stream.isatty():
        return None
    told = os.environ.get("COLUMNS", "")
    try:
        return int(told) if told.isdecimal() and int(told) else os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return _COLUMNS


def red(text: str, stream: TextIO) -> str:
    """The text in red, where colours are wanted."""
    wanted = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"{_RED}{text}{_PLAIN}" if wanted else text


def printable(text: str) -> str:
    """Text from outside that can neither move the cursor nor colour the terminal; lines stay lines."""
    return "".join(char if char.isprintable() or char in "\n\t" else repr(char)[1:-1] for char in text)


def can_show(text: str, stream: TextIO) -> bool:
    """Whether a stream's encoding has these characters."""
    return _encodable(text, stream) == text


def _encodable(text: str, stream: TextIO) -> str:
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
