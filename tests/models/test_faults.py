"""Services that fail in every way, through evaluate: runs end, name their failures and lose nothing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chat_service import completion, events, streamed
from faulty_service import Asked, Service, reply, serving
from steelyard import Sample, Task, evaluate
from steelyard.cli import main
from steelyard.metrics.text import exact
from steelyard.models.services import open_openai
from steelyard.store import Run

COUNT = 24
# Every sixth question meets the fault.
HIT = 6
WORDS = "Grüße, ihr drei"


def task(count: int = COUNT) -> Task:
    return Task(
        name="words",
        data=[Sample(id=str(n), input=f"say {n}", target=WORDS) for n in range(count)],
        metrics=[exact],
    )


def number(asked: Asked) -> int:
    return int(asked.json["messages"][-1]["content"].split()[-1])


def good(asked: Asked) -> Any:
    if asked.json.get("stream"):
        return streamed(events(WORDS))
    return reply(completion(WORDS))


def failing(fault: Callable[[Asked], Any], *, times: int) -> Callable[[Asked], Any]:
    """A service that meets every sixth question with a fault, as often as said."""
    met: dict[int, int] = {}

    def step(asked: Asked) -> Any:
        n = number(asked)
        met[n] = met.get(n, 0) + 1
        return fault(asked) if n % HIT == 0 and met[n] <= times else good(asked)

    return step


def run(step: Any, path: Path, *, resume: bool = False, port: int = 0, **options: Any) -> tuple[Run, Service]:
    def look(asked: Asked) -> Any:
        # Where the first answers fail, the service is looked at more closely.
        return step(asked) if asked.method == "POST" else reply({"detail": "Not Found"}, status=404)

    with serving(look, port=port) as service:
        model = open_openai(
            f"http://127.0.0.1:{service.port}/v1",
            model="m",
            **{"backoff": 0.001, "concurrency": 8, **options},
        )
        try:
            return evaluate(model, task(), out=path, resume=resume, retry_failed=resume), service
        finally:
            model.close()


def count(service: Service) -> int:
    return sum(asked.method == "POST" for asked in service.asked)


def failures(stored: Run) -> dict[str, str]:
    return {r.sample.id: r.response.error for r in stored.records() if r.response.error}


def sse(*pieces: bytes) -> list[bytes]:
    """An answer in events whose bytes are sent in these pieces, with a length, so that it may be cut."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return [head, *(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)]


def stream_of(*pieces: bytes) -> Any:
    return lambda asked: [*sse(*pieces), b"0\r\n\r\n"]


def everywhere(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


TOLD = events(WORDS)
TROUBLE = b'data: {"error": {"message": "no"}}\n\n'
BODY = json.dumps(completion(WORDS), ensure_ascii=False).encode()
WHOLE = reply(body=BODY)
REPORTED = "the service reports an error: no"
PAGE = reply(body=b"<html>hello", headers={"Content-Type": "text/html"})

HARMLESS: dict[str, tuple[bool, Any]] = {
    "bytes split anywhere": (True, stream_of(*everywhere(b"".join(TOLD), 3))),
    "utf-8 split": (
        False,
        lambda asked: everywhere(WHOLE, 5),
    ),
    "crlf events": (True, stream_of(b"".join(TOLD).replace(b"\n", b"\r\n"))),
    "cr events": (True, stream_of(b"".join(TOLD).replace(b"\n", b"\r"))),
    "comments and ids": (True, stream_of(*(b": hello\nevent: message\nid: 7\n" + one for one in TOLD))),
    "no [DONE]": (True, stream_of(*TOLD[:-1])),
    "slow headers": (False, lambda asked: [*everywhere(WHOLE[:60], 6), WHOLE[60:]]),
    "json where events were asked for": (True, lambda asked: reply(completion(WORDS))),
    "no content type": (
        True,
        lambda asked: [
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(b"".join(TOLD)),
            b"".join(TOLD),
        ],
    ),
    "a wrong content type": (False, lambda asked: reply(body=BODY, headers={"Content-Type": "text/html"})),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_only_odd_costs_nothing(name: str, tmp_path: Path) -> None:
    stream, fault = HARMLESS[name]
    stored, service = run(failing(fault, times=9), tmp_path / "r", stream=stream, retries=0)
    assert failures(stored) == {}
    assert all(r.scores.get("exact") is True for r in stored.records())
    assert count(service) == COUNT


PASSING: dict[str, tuple[bool, Any, str]] = {
    "500": (False, lambda asked: reply({"error": {"message": "oh"}}, status=500), "HTTP 500: oh"),
    "503": (False, lambda asked: reply(status=503, body=b"busy"), "HTTP 503: busy"),
    "reset before an answer": (False, lambda asked: Service.RESET, "the connection was"),
    "closed before an answer": (False, lambda asked: Service.CLOSE, "closed before an answer came"),
    "cut within the head": (False, lambda asked: (b"HTTP/1.1 200 O", Service.CLOSE), "within the head"),
    "cut within the body": (False, lambda asked: (WHOLE[:-9], Service.CLOSE), "closed after"),
    "reset mid-stream": (True, lambda asked: (sse(*TOLD[:3]), Service.RESET), "lost within an answer"),
    "closed mid-stream": (True, lambda asked: (sse(*TOLD[:3]), Service.CLOSE), "closed after"),
    "whole stream, half an answer": (True, stream_of(*TOLD[:3]), "ended before the answer did"),
    "stalled before the headers": (False, lambda asked: Service.HANG, "no answer within 0.2 s"),
    "stalled within the body": (False, lambda asked: (WHOLE[:-9], Service.HANG), "no whole answer within"),
    "stalled mid-stream": (True, lambda asked: (sse(*TOLD[:3]), Service.HANG), "no whole answer within 0.2"),
    "no http": (False, lambda asked: (b"\x15\x03\x01\x00\x02\r\n\r\n", Service.CLOSE), "not HTTP/1.1"),
}  # fmt: skip


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_is_asked_again_and_what_stays_is_named_and_asked_by_a_resume(
    name: str, tmp_path: Path
) -> None:
    stream, fault, said = PASSING[name]
    options = {"stream": stream, "timeout": 0.2} if "stalled" in name else {"stream": stream}
    stored, service = run(failing(fault, times=1), tmp_path / "once", retries=1, **options)
    assert failures(stored) == {}
    assert all(r.response.text == WORDS for r in stored.records())
    stored, service = run(failing(fault, times=99), tmp_path / "r", retries=1, **options)
    hit = {str(n) for n in range(0, COUNT, HIT)}
    assert failures(stored).keys() == hit
    assert all(said in error and error.endswith("(after 2 tries)") for error in failures(stored).values())
    assert stored.about["results"][0]["failed"] == len(hit)
    assert stored.about["results"][0]["value"] == 1 - len(hit) / COUNT
    # The same service, well again.
    stored, service = run(good, tmp_path / "r", resume=True, port=service.port, **options)
    assert {str(number(asked)) for asked in service.asked if asked.method == "POST"} == hit
    assert failures(stored) == {}
    assert stored.about["results"][0]["value"] == 1.0


FINAL: dict[str, tuple[bool, Any, str]] = {
    "truncated json": (False, lambda asked: reply(body=BODY[:-9]), "the body is not JSON"),
    "a page": (False, lambda asked: PAGE, "the body is not JSON"),
    "another json": (False, lambda asked: reply([1]), "the answer has no choices"),
    "an error with status 200": (False, lambda asked: reply({"error": "no"}), REPORTED),
    "an error mid-stream": (True, stream_of(*TOLD[:3], TROUBLE), REPORTED),
    "a malformed event": (True, stream_of(*TOLD[:3], b"data: {bad\n\n", *TOLD[3:]), "the body is not JSON"),
    "a refusal": (False, lambda asked: reply({"error": "too long"}, status=400), "HTTP 400: too long"),
}  # fmt: skip


@pytest.mark.parametrize("name", FINAL)
def test_what_would_come_again_is_named_at_once(name: str, tmp_path: Path) -> None:
    stream, fault, said = FINAL[name]
    stored, service = run(failing(fault, times=99), tmp_path / "r", stream=stream, retries=3)
    hit = {str(n) for n in range(0, COUNT, HIT)}
    assert {sample: error.split(":")[0] for sample, error in failures(stored).items()}.keys() == hit
    assert all(error.startswith(said) and "tries" not in error for error in failures(stored).values())
    assert sum(r.scores.get("exact") is True for r in stored.records()) == COUNT - len(hit)
    assert count(service) == COUNT


def test_too_many_requests_are_obeyed_and_lose_nothing(tmp_path: Path) -> None:
    busy = failing(lambda asked: reply(status=429, headers={"Retry-After": "0.02"}), times=3)
    stored, service = run(busy, tmp_path / "r", retries=0)
    assert failures(stored) == {}
    assert count(service) == COUNT + 3 * COUNT // HIT


def test_a_service_that_is_killed_and_started_again_loses_no_answer(tmp_path: Path) -> None:
    killed, seen = threading.Event(), threading.Event()

    def step(asked: Asked) -> Any:
        if not killed.is_set() and number(asked) >= COUNT // 2:
            seen.set()
            return Service.HANG
        return good(asked)

    first = Service(step)

    def kill_and_start() -> None:
        seen.wait(10)
        first.close()
        killed.set()
        time.sleep(0.1)
        second.append(Service(step, port=first.port))

    second: list[Service] = []
    thread = threading.Thread(target=kill_and_start)
    thread.start()
    model = open_openai(f"http://127.0.0.1:{first.port}/v1", model="m", backoff=0.01, concurrency=4)
    try:
        stored = evaluate(model, task(), out=tmp_path / "r")
    finally:
        model.close()
        thread.join(10)
        second[0].close()
    assert failures(stored) == {}
    assert len(list(stored.records())) == COUNT


def test_one_poisoned_prompt_of_400_is_one_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"question": f"say {n}", "answer": WORDS} for n in range(400)]
    Path("words.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def step(asked: Asked) -> Any:
        return reply({"error": "poison"}, status=500) if number(asked) == 217 else good(asked)

    with serving(step) as service:
        model = ["openai", f"url=http://127.0.0.1:{service.port}/v1", "model=m", "backoff=0.001"]
        code = main(["eval", "--model", *model, "--data", "words.jsonl", "--metric", "exact", "--out", "r"])
    stored = Run.open(tmp_path / "r")
    assert code == 1
    assert sum(r.scores.get("exact") is True for r in stored.records()) == 399
    assert list(failures(stored).values()) == ["HTTP 500: poison (after 3 tries)"]
    assert len(service.asked) == 402
