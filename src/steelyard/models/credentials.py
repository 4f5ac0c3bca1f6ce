"""How a client signs in, what is secret, and how it stays out of whatever people get to see."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from steelyard.errors import UsageError, describe
from steelyard.masking import MASK, mask_url, names_secret
from steelyard.wire.addresses import read_address

Auth = Literal["bearer", "header", "query", "basic", "none"]

_PLACES = ("env", "file")
_WAYS = ("bearer", "header", "query", "basic", "none")
_SECRET_OPTION = re.compile(
    r"(.*_)?(api_?key|(access|private|secret)_key|secret|password|authorization|cookies?|headers)"
    r"|(.*_)?(api|auth|access|bearer|hf)_token|token",
    re.I,
)


def is_secret(option: str) -> bool:
    """Whether an option of this name is never shown or stored."""
    return _SECRET_OPTION.fullmatch(option) is not None


def show_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as they may be shown and stored: without those that are secret, addresses without keys."""
    return {
        name: mask_url(value) if isinstance(value, str) else value
        for name, value in options.items()
        if not is_secret(name)
    }


def read_secret(text: str) -> str:
    """A secret as it is given: itself, env:NAME of a variable, or file:PATH of a file that holds it."""
    kind, colon, where = text.partition(":")
    if not colon or kind not in _PLACES:
        return text
    if kind == "env":
        if where not in os.environ:
            raise UsageError(f"there is no environment variable {where}", hint=f"export {where}=…")
        found = os.environ[where].strip()
    else:
        try:
            found = Path(where).expanduser().read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"the key cannot be read from {where}: {describe(error)}") from error
    if not found:
        raise UsageError(f"{text} is empty")
    return found


class Credentials:
    """Headers and path with the key in them, and the same to be shown to people."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None,
        auth: Auth,
        own: Mapping[str, str],
        headers: Mapping[str, str],
        secrets: Sequence[str] = (),
    ) -> None:
        """`secrets` are others that must not show."""
        parts = urlsplit(url)
        api_key = None if api_key is None else read_secret(api_key)
        host = parts.netloc.rpartition("@")[2]
        if host != parts.netloc and api_key is None:
            api_key, auth = f"{parts.username or ''}:{parts.password or ''}", "basic"
        signing = {} if api_key is None else _sign_in(api_key, auth)
        query = parts.query
        if api_key is not None and auth == "query":
            query = "&".join(filter(None, [query, urlencode({"api_key": api_key})]))
        replaced = {name.lower() for name in headers}
        ours = {name: value for name, value in {**own, **signing}.items() if name.lower() not in replaced}
        self.headers = {**ours, **headers}
        for name, value in self.headers.items():
            if not (name + value).isascii() or any(mark in name + value for mark in "\r\n\0"):
                raise UsageError(f"the header {name!r} is not one line of ASCII")
        address = read_address(url)
        self.target = address.target.partition("?")[0] + (f"?{query}" if query else "")
        shown_query = "&".join(f"{name}={_shown(name, value)}" for name, value in parse_qsl(query))
        scheme = "unix://" if parts.scheme == "unix" else f"{parts.scheme}://{host}"
        self.shown_url = scheme + parts.path + (f"?{shown_query}" if shown_query else "")
        self.shown_headers = {name: _shown(name, value) for name, value in self.headers.items()}
        self._secrets = self._find_secrets([api_key or "", *secrets], query)

    def _find_secrets(self, known: Sequence[str], query: str) -> list[str]:
        found = [part for secret in known for part in (secret, *secret.split(":"))]
        for name, value in [*self.headers.items(), *parse_qsl(query)]:
            if names_secret(name):
                found += [value, value.rpartition(" ")[2]]
        found += [quote(secret, safe="") for secret in found]
        # The longest first, so that no rest of one is left over; one or two letters are no secret.
        return sorted({secret for secret in found if len(secret) > 2}, key=len, reverse=True)

    def aiming_at(self, url: str) -> Credentials:
        """The same for another path of the same service."""
        other = copy(self)
        query = self.target.partition("?")[2]
        other.target = read_address(url).target.partition("?")[0] + (f"?{query}" if query else "")
        return other

    def mask(self, text: str) -> str:
        """A text without the secrets."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text


def _sign_in(api_key: str, auth: str) -> dict[str, str]:
    """The headers that carry the key."""
    if auth not in _WAYS:
        raise UsageError(f"there is no way of signing in called {auth!r}", hint=", ".join(_WAYS))
    if auth == "bearer":
        return {"Authorization": f"Bearer {api_key}"}
    if auth == "basic":
        return {"Authorization": f"Basic {base64.b64encode(api_key.encode()).decode()}"}
    return {"X-API-Key": api_key} if auth == "header" else {}


def _shown(name: str, value: str) -> str:
    return MASK if names_secret(name) else value
