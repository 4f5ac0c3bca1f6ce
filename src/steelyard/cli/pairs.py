"""key=value on the command line: scalars read, keys that are secret taken from where they are, or masked.

>>> read_pairs(["dtype=float32", "batch_size=8", "quiet=true"])
{'dtype': 'float32', 'batch_size': 8, 'quiet': True}
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from steelyard.errors import UsageError
from steelyard.masking import MASK, mask_url
from steelyard.models.credentials import is_secret, read_secret

_KEY = re.compile(r"[A-Za-z_][\w.-]*")
_ELSEWHERE = ("env:", "file:")
# Numbers that people write and JSON does not know: .5, 1.
_SHORT = re.compile(r"[+-]?((0|[1-9]\d*)\.|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_WORDS = {"true": True, "false": False, "null": None, "~": None}


def read_pairs(pairs: Sequence[str]) -> dict[str, Any]:
    """What a list of key=value says."""
    read: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not _KEY.fullmatch(key):
            raise UsageError(
                f"{masked(pair)!r} is not key=value",
                hint="as in batch_size=8; another name takes another flag",
            )
        if key in read:
            raise UsageError(f"{key} is given twice")
        read[key] = _read_secret(key, text) if is_secret(key) else read_value(text)
    return read


def read_value(text: str) -> Any:
    """A number, true, false, null, a JSON list or object; anything else is text."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _SHORT.fullmatch(text):
        return float(text)
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def masked(text: str) -> str:
    """A reference or a key=value as it may be stored and shown."""
    key, equals, value = text.partition("=")
    if equals and _KEY.fullmatch(key):
        if is_secret(key) and not value.startswith(_ELSEWHERE):
            return f"{key}={MASK}"
        return f"{key}={mask_url(value)}"
    return mask_url(text)


def _read_secret(key: str, text: str) -> Any:
    if text == MASK:
        hint = f"repeat the whole command with it, or begin runs with {key}=env:NAME"
        raise UsageError(f"{key} is not stored with the run", hint=hint)
    if not text.startswith(_ELSEWHERE):
        return read_value(text) if text[:1] in "{[" else text
    return read_secret(text)


def _refuse(text: str) -> Any:
    raise ValueError(text)
