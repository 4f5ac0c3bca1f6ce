"""Addresses as they may be shown: without user, password and keys."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

MASK = "***"
_SECRET = ("auth", "key", "token", "secret", "cookie", "password", "signature", "credential")


def mask_url(text: str) -> str:
    """An address without user, password and keys; any other text as it is."""
    if not re.match(r"[a-z][a-z+]*://", text, re.I):
        return text
    parts = urlsplit(text)
    _, at, host = parts.netloc.rpartition("@")
    query = "&".join(
        f"{pair.partition('=')[0]}={MASK}" if "=" in pair and names_secret(pair.partition("=")[0]) else pair
        for pair in parts.query.split("&")
    )
    return urlunsplit(parts._replace(netloc=f"{MASK}@{host}" if at else host, query=query))


def names_secret(name: str) -> bool:
    """Whether a header or a field of a query of this name holds a key."""
    name = name.lower()
    return name == "sig" or any(word in name for word in _SECRET)
