"""A chat service on a real socket that is as strict as its protocol: what breaks it is answered with 400."""

from __future__ import annotations

import base64
import contextlib
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

from faulty_service import Asked, Service, reply, serving

_ROLES = {"system", "developer", "user", "assistant", "tool"}
_TYPES: dict[str, Any] = {
    "model": str, "messages": list, "max_tokens": int, "max_completion_tokens": int, "seed": int,
    "temperature": (int, float), "top_p": (int, float), "top_k": int, "min_p": (int, float), "regex": str,
    "repetition_penalty": (int, float), "stop": (str, list), "n": int, "logprobs": bool,
    "stream": bool, "stream_options": dict,
}  # fmt: skip


def completion(text: Any, *, tokens: tuple[int, int] = (7, 3), **message: Any) -> dict[str, Any]:
    """The body of an answer, as it is documented."""
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "served",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, **message},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": usage,
    }


def events(text: str, *, tokens: tuple[int, int] = (7, 3)) -> list[bytes]:
    """The events of a streamed answer, a word each, as they are documented."""
    about = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "served",
    }
    usage = completion("", tokens=tokens)["usage"]
    words = [word + " " * (n + 1 < len(text.split(" "))) for n, word in enumerate(text.split(" "))]
    deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [*(({"content": word}, None) for word in words), ({}, "stop")]
    told: list[dict[str, Any]] = [
        {**about, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}
        for delta, finish in deltas
    ]
    told.append({**about, "choices": [], "usage": usage})
    return [*(b"data: " + json.dumps(one).encode() + b"\n\n" for one in told), b"data: [DONE]\n\n"]


def streamed(pieces: list[bytes]) -> list[bytes]:
    """The bytes of an answer in chunks, a piece each, sent one after the other."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return [head, *(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces), b"0\r\n\r\n"]


def refusal(message: str, *, status: int = 400, **headers: str) -> bytes:
    """An error as it is documented."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return reply({"error": error}, status=status, headers=headers)


def find_fault(body: Any) -> str | None:
    """What is wrong with the body of a question, if anything is."""
    if not isinstance(body, dict) or not {"model", "messages"} <= body.keys():
        return "model and messages are required"
    for name, value in body.items():
        if name not in _TYPES:
            return f"{name} is not permitted"
        if not isinstance(value, _TYPES[name]):
            return f"{name} has the wrong type"
    if not body["messages"]:
        return "messages is empty"
    return next(filter(None, map(_find_fault_in_turn, body["messages"])), None)


def _find_fault_in_turn(turn: Any) -> str | None:
    if not isinstance(turn, dict) or turn.keys() != {"role", "content"} or turn["role"] not in _ROLES:
        return "a message is a role and a content"
    content = turn["content"]
    if isinstance(content, str):
        return None
    if not content:
        return "a content without parts"
    for part in content:
        if part == {"type": "text", "text": part.get("text")} and isinstance(part["text"], str):
            continue
        if part.keys() == {"type", "input_audio"}:
            sound = part["input_audio"]
            if sound.keys() != {"data", "format"} or sound["format"] not in ("wav", "mp3"):
                return f"what is {sound.keys()}?"
            continue
        picture = part.get("image_url")
        if part.keys() != {"type", "image_url"} or not isinstance(picture, dict):
            return f"what is {part}?"
        if not picture.keys() <= {"url", "detail"} or picture.get("detail") not in (None, "low", "high"):
            return f"what is {picture.keys()}?"
        if not picture["url"].startswith("data:image/") or ";base64," not in picture["url"]:
            return "a picture is a data: URL here"
    return None


def pictures(asked: Asked) -> list[Any]:
    """The pictures in a question, decoded."""
    from PIL import Image

    parts = [
        p for turn in asked.json["messages"] if isinstance(turn["content"], list) for p in turn["content"]
    ]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    return [Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) for url in urls]


@contextlib.contextmanager
def chatting(
    answer: Callable[[Asked], Any] = lambda asked: "yes", *, models: tuple[str, ...] = ("served",)
) -> Iterator[Service]:
    """A service that answers what `answer` makes of each good question: a text, a body or bytes."""

    def step(asked: Asked) -> Any:
        if asked.target == "/v1/models" and asked.method == "GET":
            return reply({"object": "list", "data": [{"id": name, "object": "model"} for name in models]})
        if asked.target != "/v1/chat/completions" or asked.method != "POST":
            return reply({"detail": "Not Found"}, status=404)
        if asked.headers.get("content-type") != "application/json":
            return reply({"detail": "Unsupported Media Type"}, status=415)
        if fault := find_fault(asked.json):
            return refusal(fault)
        found = answer(asked)
        if isinstance(found, bytes):
            return found
        if asked.json.get("stream") and isinstance(found, str):
            return streamed(events(found))
        return reply(completion(found) if isinstance(found, str) else found)

    with serving(step) as service:
        service.url = f"http://127.0.0.1:{service.port}/v1"
        yield service
