"""Where a service is: `read_address(url)`.

http://host:8000/v1/predict
https://api.example/v1
unix:///run/llm.sock:/v1           a socket of this machine, and the path after it
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, urlsplit

from steelyard.errors import UsageError
from steelyard.masking import mask_url

_PORTS = {"http": 80, "https": 443}


class Address(NamedTuple):
    """An address taken apart; `target` is what a request asks for, `authority` whom."""

    scheme: str
    host: str
    port: int
    socket: str
    authority: str
    target: str


def read_address(url: str) -> Address:
    """Take an address of a service apart."""
    parts = urlsplit(url)
    target, query = parts.path, f"?{parts.query}" if parts.query else ""
    if parts.scheme == "unix" and parts.path and not parts.netloc:
        path, _, rest = parts.path.partition(":/")
        return Address("unix", "localhost", 0, path, "localhost", _quoted("/" + rest) + query)
    try:
        port = parts.port
    except ValueError as error:
        raise UsageError(f"the port of {parts.hostname} is not a number below 65536") from error
    if parts.scheme not in _PORTS or not parts.hostname:
        hint = "like https://host:8000/v1/predict, or unix:///run/llm.sock:/v1"
        raise UsageError(f"{mask_url(url)!r} is not an address of a service", hint=hint)
    host = parts.hostname
    shown = f"[{host}]" if ":" in host else host
    authority = shown if port is None else f"{shown}:{port}"
    return Address(
        parts.scheme, host, port or _PORTS[parts.scheme], "", authority, _quoted(target or "/") + query
    )


def _quoted(path: str) -> str:
    return quote(path, safe="/%:@!$&'()*+,;=~-._")
