"""The keys that a server lets in; they are compared in constant time and shown nowhere."""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from pathlib import Path

from steelyard.errors import UsageError

_FORMS = ("env:", "file:")


class Keys:
    """Any of several keys, sent as `Authorization: Bearer KEY`, `X-API-Key` or `Api-Key`."""

    def __init__(self, keys: list[str]) -> None:
        if not keys or not all(keys):
            raise UsageError("the API key is empty")
        self._keys = [key.encode() for key in keys]

    def __repr__(self) -> str:
        return f"{len(self._keys)} keys"

    def fit(self, headers: Mapping[str, str]) -> bool:
        """Whether the headers of a call carry one of them."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else ""
        given = (bearer or headers.get("x-api-key") or headers.get("api-key") or "").encode("latin-1")
        # Every key is compared, so that time tells nothing of which one was near.
        return sum(hmac.compare_digest(given, key) for key in self._keys) > 0


def read_keys(told: str) -> Keys:
    """The keys in an environment variable (env:NAME) or a file (file:PATH, one a line), or the key itself."""
    if told.startswith("env:"):
        name = told.removeprefix("env:")
        if not os.environ.get(name):
            raise UsageError(f"there is no environment variable {name}", hint=f"export {name}=…")
        return Keys([os.environ[name]])
    if told.startswith("file:"):
        path = Path(told.removeprefix("file:")).expanduser()
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"the key file {path} cannot be read: {error}") from error
        return Keys([line.strip() for line in lines if line.strip()])
    return Keys([told])


def names_key(told: str) -> bool:
    """Whether a text says where a key is, and is not one itself."""
    return told.startswith(_FORMS)
