"""A chat service that streams, and keeps by its own clock when it was asked and when it said what."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from chat_service import find_fault, refusal
from faulty_service import Asked, Service, reply, serving


@dataclass
class Told:
    """One answer: when it was asked for, and the moments just before and after each piece was sent."""

    asked: float
    body: Any
    before: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    ended: float = 0.0

    @property
    def ttft(self) -> float:
        return self.before[0] - self.asked

    @property
    def gaps(self) -> list[float]:
        return [b - a for a, b in zip(self.before, self.before[1:])]


@dataclass
class Telling:
    """The service, what it told, and how many were asked at a time at most."""

    service: Service
    told: list[Told] = field(default_factory=list)
    most: int = 0
    now: int = 0


def frame(said: Any) -> bytes:
    event = b"data: " + (said if isinstance(said, bytes) else json.dumps(said).encode()) + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(event), event)


@contextlib.contextmanager
def telling(
    *,
    tokens: Callable[[Any], int] = lambda body: int(body.get("max_tokens", 4)),
    wait: float = 0.004,
    pause: float = 0.002,
    usage: bool = True,
    refuse: Callable[[Any], bool | str] = lambda body: False,
    metrics: list[int] | None = None,
) -> Iterator[Telling]:
    """Says "w " as often as it may: a role first, then a piece each `pause`, an end and the usage."""
    lock = threading.Lock()

    def step(asked: Asked) -> Any:
        if asked.target == "/v1/models":
            return reply({"data": [{"id": "served", "object": "model"}]})
        if asked.target == "/metrics" and metrics is not None:
            metrics[0] += 1
            counts = {"queries": 10 * metrics[0], "hits": 4 * metrics[0]}
            lines = [f"vllm:prefix_cache_{name}_total {count}\n" for name, count in counts.items()]
            return reply(body="".join(lines).encode())
        if asked.method == "GET":
            return reply(status=404)
        if fault := find_fault(asked.json):
            return refusal(fault)
        if why := refuse(asked.json):
            return refusal(why if isinstance(why, str) else "too rude")
        return events(asked)

    def events(asked: Asked) -> Iterator[bytes]:
        told = Told(asked.at, asked.json)
        with lock:
            found.now += 1
            found.most = max(found.most, found.now)
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        yield frame({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
        time.sleep(wait)
        count = tokens(asked.json)
        for number in range(count):
            if number:
                time.sleep(pause)
            told.before.append(time.perf_counter())
            yield frame({"choices": [{"index": 0, "delta": {"content": "w "}}]})
            told.after.append(time.perf_counter())
        time.sleep(pause)
        with lock:
            found.now -= 1
            found.told.append(told)
        yield frame({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]})
        if usage:
            prompt = sum(len(str(turn["content"]).split()) for turn in asked.json["messages"])
            counts = {"prompt_tokens": prompt, "completion_tokens": count, "total_tokens": prompt + count}
            yield frame({"choices": [], "usage": counts})
        told.ended = time.perf_counter()
        yield frame(b"[DONE]") + b"0\r\n\r\n"

    with serving(step) as service:
        found = Telling(service)
        yield found
