"""What services of the OpenAI protocol say when something goes wrong: read in every form, written in one.

{"error": {"message": "max_tokens: 'many' is no whole number", "type": "invalid_request_error",
           "param": "max_tokens", "code": null}}
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from steelyard.errors import DataError

_LONGEST = 500
_PARAMETER = re.compile(r"([a-z_]+(?:\.[a-z_]+)*): ")
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_CODES = {401: "invalid_api_key", 404: "not_found", 413: "request_too_large", 429: "rate_limit_exceeded"}


def read_error(answer: Any) -> str:
    """What went wrong, from any form that services give it in; empty where there is no error in it."""
    if isinstance(answer, list):
        return next(filter(None, map(read_error, answer)), "")
    if isinstance(answer, str):
        return answer[:_LONGEST]
    if not isinstance(answer, dict):
        return ""
    for key in ("error", "errors", "detail", "message"):
        found = answer.get(key)
        if found:
            return say_error(found)
    return ""


def say_error(error: Any) -> str:
    """An error as a text of a bearable length."""
    return _say(error)[:_LONGEST]


def _say(error: Any) -> str:
    """An error's message, of several the messages, each with the field it is about."""
    if isinstance(error, str):
        return error
    if isinstance(error, list):
        return "; ".join(map(_say, error))
    if not isinstance(error, dict):
        return str(error)
    said = next((error[key] for key in ("message", "msg", "error", "detail") if error.get(key)), None)
    if said is None:
        return msgspec.json.encode(error).decode()
    place = error.get("loc")
    return f"{'.'.join(map(str, place))}: {_say(said)}" if isinstance(place, list) else _say(said)


def write_error(status: int, message: str) -> dict[str, Any]:
    """The error object; a message that begins with the name of a parameter names it as the one at fault."""
    named = _PARAMETER.match(message) if status == 400 else None
    return {
        "error": {
            "message": message,
            "type": _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error"),
            "param": named[1] if named else None,
            "code": _CODES.get(status),
        }
    }


def decode_json(body: bytes) -> Any:
    """A body as what it says; a DataError that shows how it begins where it is no JSON."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"the body is not JSON: {error}; it begins with {show_begin(body)}") from error


def show_begin(body: bytes) -> str:
    """How a body begins."""
    return repr(body[:80].decode("utf-8", "replace"))
