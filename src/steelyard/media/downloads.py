"""Pictures fetched from other machines, for those who allowed it."""

from __future__ import annotations

import base64
import socket
import time
from http.client import HTTPException, IncompleteRead, responses
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit, urlunsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from steelyard.errors import DataError
from steelyard.masking import mask_url

MOST_BYTES = 100_000_000
"""The largest file that is fetched; may be set."""

TIMEOUT = 30.0
"""How many seconds a download may take; may be set."""

_BLOCK = 1 << 16
_HEADERS = {"User-Agent": "steelyard", "Accept": "image/*, application/pdf"}
# What stays as it is in an address: all but spaces, quotes and what is not ASCII.
_PLAIN = "%/:=&?~#+!$,;'@()*[]"


def download(url: str) -> bytes:
    """What lies at an http(s) address; raises a DataError that shows no key of it."""
    name = mask_url(url)
    end = time.monotonic() + TIMEOUT
    parts = urlsplit(url)
    signing, _, host = parts.netloc.rpartition("@")
    url = urlunsplit(parts._replace(netloc=host, fragment=""))
    request = Request(quote(url, safe=_PLAIN), headers=_HEADERS)  # noqa: S310 - the opener knows only http(s)
    if signing:
        # Not for whoever it may redirect to.
        key = base64.b64encode(unquote(signing).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {key}")
    try:
        with _opener().open(request, timeout=TIMEOUT) as answer:
            return _body(answer, name, end)
    except HTTPError as error:
        with error:
            # Not the library's own reason: it may hold the address that it was sent on to, with its keys.
            raise DataError(
                f"{name} answered {error.code} {responses.get(error.code, '')}".rstrip()
            ) from None
    except IncompleteRead as error:
        raise DataError(f"{name} is cut off after {len(error.partial):,} bytes") from None
    except (URLError, HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, (TimeoutError, socket.timeout)):
            raise _slow(name) from None
        # From None: what the library says holds the address with its keys.
        raise DataError(f"{name} cannot be fetched: {type(reason).__name__}") from None


def _opener() -> OpenerDirector:
    """What follows http and https, and nothing else: a redirect to a file must not be read."""
    opener = OpenerDirector()
    for handler in (
        ProxyHandler,
        HTTPHandler,
        HTTPSHandler,
        HTTPRedirectHandler,
        HTTPErrorProcessor,
        HTTPDefaultErrorHandler,
        UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


def _body(answer: Any, name: str, end: float) -> bytes:
    length = answer.headers.get("Content-Length", "")
    if length.isdigit() and int(length) > MOST_BYTES:
        raise _large(name)
    body = bytearray()
    while block := answer.read1(_BLOCK):
        body += block
        if len(body) > MOST_BYTES:
            raise _large(name)
        if time.monotonic() > end:
            raise _slow(name)
    if length.isdigit() and len(body) < int(length):
        raise DataError(f"{name} is cut off: {len(body):,} of {int(length):,} bytes came")
    return bytes(body)


def _large(name: str) -> DataError:
    return DataError(f"{name} is larger than {MOST_BYTES:,} bytes")


def _slow(name: str) -> DataError:
    return DataError(f"{name} did not come within {TIMEOUT:g} seconds")
