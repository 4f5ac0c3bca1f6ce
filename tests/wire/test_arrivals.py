"""When the bytes of answers were in: by the kernel's stamps, held against what a service recorded."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import trustme

from faulty_service import Service, serving
from paced_service import Paced, Said, paced
from steelyard.models.http import HttpModel
from steelyard.types import Request, Response, Tokens
from steelyard.wire import arrivals
from steelyard.wire.arrivals import Calendar, find_events
from steelyard.wire.base import Exchange
from steelyard.wire.openai import OpenAI
from steelyard.wire.reading import Reading

linux = pytest.mark.skipif(not arrivals._KNOWN, reason="stamps are the kernel's on Linux")


class Named(OpenAI):
    """The wire, with the request's name in a header that the service records it by."""

    def open(self, requests: Sequence[Request]) -> Exchange:
        exchange = super().open(requests)
        exchange.headers = {"X-Request-Id": requests[0].id}
        return exchange


def ask(
    url: str, count: int = 1, *, keep: bool = True, block: float = 0.0, warm: bool = True, **options: Any
) -> list[Response]:
    """The answers to so many questions at once; the loop may be blocked meanwhile."""
    model = HttpModel(url, wire=Named(model="paced"), **options).under_load(keep=keep)

    async def go() -> list[Response]:
        if warm:
            await model.warm(count)
        asking = asyncio.gather(*(model.ask(Request(str(n), "Hi")) for n in range(count)))
        while block and not asking.done():
            await asyncio.sleep(0.01)
            time.sleep(block)
        return await asking

    try:
        return asyncio.run(go())
    finally:
        model.close()


def lags(service: Paced, responses: Sequence[Response]) -> list[float]:
    """How much later than it was sent each token was in, as we say."""
    found, said = [], service.said()
    for number, response in enumerate(responses):
        assert response.error is None and response.timing is not None
        sent: Said = said[str(number)]
        assert len(response.timing.chunks) == len(sent.tokens)
        found += [at - there for at, there in zip(response.timing.chunks, sent.tokens)]
    return found


def test_times_are_those_that_the_service_recorded() -> None:
    with paced(tokens=20, ttft=0.03, itl=0.005, role=1, usage=1) as service:
        responses = ask(service.url, 8)
        # Whoever is slow, nothing is in before it was sent, and most of it at once.
        assert min(lags(service, responses)) > -1e-3
        assert median(lags(service, responses)) < 0.02
        for number, response in enumerate(responses):
            timing, said = response.timing, service.said()[str(number)]
            assert timing is not None and timing.ttft is not None and timing.first_byte is not None
            assert timing.sent <= said.asked <= said.tokens[0]
            assert timing.sent <= timing.first_byte <= timing.chunks[0] < timing.chunks[-1] <= timing.done
            assert timing.due <= timing.sent and timing.connecting == 0.0
            assert response.text == "word " * 20 and response.tokens == Tokens(7, 20)


@linux
def test_an_answer_that_ends_with_its_connection_ended_with_its_last_byte() -> None:
    said = b'data: {"choices": [{"index": 0, "delta": {"content": "word "}}]}\n\n'
    head = b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    # The last of the list is nothing: the connection stays open for a moment.
    with serving(([head, said, said + b"data: [DONE]\n\n", *[b""] * 5], Service.CLOSE)) as service:
        (response,) = ask(f"http://127.0.0.1:{service.port}/v1")
    timing = response.timing
    assert response.error is None and response.text == "word word " and timing is not None
    assert timing.taken_by == "kernel"
    assert timing.done == timing.chunks[-1]


@linux
def test_a_loop_that_is_busy_does_not_move_what_the_kernel_stamped() -> None:
    with paced(tokens=6, ttft=0.1, itl=0.12) as service:
        assert median(lags(service, ask(service.url, 4, block=0.06))) < 0.01


def test_what_waited_together_is_read_whole() -> None:
    with paced(tokens=40, ttft=0.02, itl=0.004, role=1, usage=1) as service:
        responses = ask(service.url, 4, block=0.05)
        assert [response.text for response in responses] == ["word " * 40] * 4
        assert min(lags(service, responses)) > -1e-3
        for response in responses:
            assert response.timing is not None
            assert list(response.timing.chunks) == sorted(response.timing.chunks)


def test_events_that_wait_together_are_found() -> None:
    for end in (b"\n\n", b"\r\n\r\n"):
        event = b"data: {}" + end
        chunk = b"%x\r\n%b\r\n" % (len(event), event)
        assert find_events(chunk) == [] == find_events(event)
        assert find_events(chunk * 3) == [len(chunk), 2 * len(chunk)]
        assert find_events(event * 3) == [len(event), 2 * len(event)]
        assert find_events(chunk * 2 + b"9") == [len(chunk), 2 * len(chunk)]
        assert find_events(chunk + chunk[:-2]) == [len(chunk)]


def test_only_answers_under_load_are_read_event_by_event() -> None:
    assert not Reading().is_timed(False)
    reading = Reading(give=lambda *_: None)
    assert reading.is_timed(False) and reading.is_timed(True)
    reading.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0.0)
    assert reading.is_timed(True)
    reading.feed(b"4\r\nwhat\r\n", 0.0)
    assert reading.is_timed(False) and not reading.is_timed(True)


def test_a_tls_connection_is_stamped_as_well(tmp_path: Path) -> None:
    authority = trustme.CA()
    pem = tmp_path / "own.pem"
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(pem))
    with paced(tokens=6, ttft=0.05, itl=0.12, cert=str(pem)) as service:
        responses = ask(service.url, 2, verify=str(tmp_path / "ca.pem"), block=0.06)
        assert median(lags(service, responses)) < (0.01 if arrivals._KNOWN else 0.1)


def test_where_the_kernel_does_not_stamp_the_reader_does(tmp_path: Path) -> None:
    path = str(tmp_path / "here")
    with paced(tokens=4, ttft=0.01, itl=0.01, unix=path) as service:
        responses = ask(f"unix://{path}:/v1", 2)
        assert [r.timing.taken_by for r in responses if r.timing] == ["reader", "reader"]
        assert median(lags(service, responses)) < 0.05


def test_a_clock_that_was_set_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    calendar = Calendar()
    now = calendar.look(drained=True)

    def told(at: float) -> list[tuple[int, int, bytes]]:
        stamp = time.time_ns() + round((at - time.perf_counter()) * 1e9)
        return [(1, 35, struct.pack("@ll", *divmod(stamp, 10**9)))]

    read = calendar.read(told(now + 0.001), now)
    assert read is not None and abs(read - now - 0.001) < 1e-3
    assert calendar.read(told(now - 0.001), now) is None  # before what came before it
    assert calendar.read(told(now + 9), now) is None  # not yet
    assert calendar.read([], now) is None and calendar.read([(1, 35, b"odd")], now) is None

    # Who was kept from running within a turn of the loop believes what came meanwhile.
    time.sleep(0.15)
    late = time.perf_counter() - 0.01
    assert late > now + 0.1
    read = calendar.read(told(late), now)
    assert read is not None and abs(read - late) < 1e-3

    real = time.time_ns
    monkeypatch.setattr(arrivals, "time_ns", lambda: real() + 3_600 * 10**9)
    before = told(time.perf_counter())
    now = calendar.look(drained=False)
    assert calendar.read(before, 0.0) is None
    # What waited when the clock was set may have been stamped by either.
    now = calendar.look(drained=False)
    assert calendar.read(before, 0.0) is None
    now = calendar.look(drained=True)
    stamp = time.time_ns() + 3_600 * 10**9
    read = calendar.read([(1, 35, struct.pack("@ll", *divmod(stamp, 10**9)))], now)
    assert read is not None and abs(read - now) < 0.1

    # Set within a turn: what is ahead of it was stamped by the other clock.
    monkeypatch.setattr(arrivals, "time_ns", lambda: real() + 7_200 * 10**9)
    assert calendar.read(told(now + 3_600), now) is None
