"""The client against a real service: what is obeyed, waited for, followed, given up, and never shown."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncGenerator, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from chat_service import chatting, completion, events, streamed
from faulty_service import Asked, Service, reply, serving
from relays import in_the_file_system, proxying
from steelyard.engine import answer
from steelyard.errors import DataError, ModelError, UsageError
from steelyard.models import limits
from steelyard.models.client import Client, Delivery
from steelyard.models.http import HttpModel
from steelyard.models.limits import Gate, Pace
from steelyard.types import Request, Response
from steelyard.wire.base import CutShort
from steelyard.wire.openai import OpenAI
from steelyard.wire.reading import Answer

T = TypeVar("T")
KEY = "sk-live-1618033988"


def go(client: Client, work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    finally:
        client.close()


def said(answer: Answer) -> Any:
    return json.loads(answer.body)


def quick(service: Service, **options: Any) -> Client:
    return Client(service.url, **{"backoff": 0.001, **options})


def deliver(client: Client, *bodies: bytes, **options: Any) -> list[Delivery[Any]]:
    async def all_of_them() -> list[Delivery[Any]]:
        return await asyncio.gather(*(client.deliver(body, **{"read": said, **options}) for body in bodies))

    return go(client, all_of_them())


def test_what_is_read_of_an_answer_is_delivered() -> None:
    async def later(answer: Answer) -> str:
        await asyncio.sleep(0)
        return answer.headers["x-a"]

    with serving(reply([1], headers={"X-A": "b"})) as service:
        assert deliver(quick(service), b"[]")[0].value == [1]
        (delivery,) = deliver(quick(service), b"[]", read=later, headers={"X-Own": "1"})
        assert (delivery.value, delivery.failure, delivery.tries) == ("b", "", 1)
        assert delivery.begun < delivery.done
        assert service.asked[1].headers["x-own"] == "1"


def test_an_answer_that_was_cut_short_is_asked_for_again_and_an_odd_one_is_not() -> None:
    def read(answer: Answer) -> Any:
        if answer.body == b"1":
            raise CutShort("half an answer")
        if answer.body == b"2":
            raise DataError(f"odd: {KEY}")
        return answer.body

    with serving(reply(1), reply(3)) as service:
        (delivery,) = deliver(quick(service), b"[]", read=read)
        assert (delivery.value, delivery.tries) == (b"3", 2)
    with serving(reply(2)) as service:
        (delivery,) = deliver(quick(service, api_key=KEY), b"[]", read=read)
        assert (delivery.value, delivery.failure, delivery.tries) == (None, "odd: ***", 1)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("where", ["/v2/?x=1", "../v2/?x=1", "whole"])
def test_a_service_that_moved_within_itself_is_followed(status: int, where: str) -> None:
    def step(asked: Asked) -> bytes:
        if asked.target == "/v2/?x=1":
            return reply([asked.method, asked.body.decode(), asked.headers["authorization"]])
        there = f"http://{asked.headers['host']}/v2/?x=1" if where == "whole" else where
        return reply(status=status, headers={"Location": there})

    with serving(step) as service:
        (delivery,) = deliver(quick(service, api_key=KEY), b"[7]")
        assert delivery.value == ["POST", "[7]", f"Bearer {KEY}"]


def test_nobody_else_gets_the_key_or_the_question() -> None:
    with serving(reply([1])) as other:
        moved = reply(status=307, headers={"Location": f"{other.url}?api_key={KEY}"})
        with serving(moved) as service:
            (delivery,) = deliver(quick(service, api_key=KEY), b"[]")
        assert delivery.failure == f"HTTP 307: moved to {other.url}?api_key=***: ask there"
        assert not other.asked


def test_one_who_sends_in_circles_is_not_followed_for_ever() -> None:
    with serving(reply(status=307, headers={"Location": "/v1/predict"})) as service:
        assert "HTTP 307: moved to /v1/predict" in deliver(quick(service), b"[]")[0].failure
        assert len(service.asked) == 6


def test_another_address_may_be_asked() -> None:
    with serving(reply(["here"])) as service, serving(reply(["there"])) as other:
        here = f"http://127.0.0.1:{service.port}/other?x=1"
        client = quick(service, api_key=KEY)
        assert deliver(client, b"1", url=here)[0].value == ["here"]
        assert service.asked[0].target == "/other?x=1"
        assert deliver(client, b"1", url=other.url)[0].value == ["there"]


def test_too_many_requests_is_no_try() -> None:
    busy = reply({"error": "slow down"}, status=429)
    with serving(busy, busy, busy, reply(["ok"])) as service:
        (delivery,) = deliver(quick(service, retries=0), b"[]")
        assert (delivery.value, delivery.tries) == (["ok"], 4)
    with serving(busy) as service:
        (delivery,) = deliver(quick(service, retries=2, patience=0), b"[]")
        assert delivery.failure == 'HTTP 429: {"error": "slow down"} (after 3 tries)'


@pytest.mark.parametrize("status", [429, 503])
def test_the_pause_that_is_asked_for_holds_for_all(status: int) -> None:
    with serving(reply(status=status, headers={"Retry-After": "0.3"}), reply(["ok"])) as service:
        client = quick(service, retries=0)

        async def one_after_the_other() -> list[Delivery[Any]]:
            first = asyncio.create_task(client.deliver(b"1", read=said))
            while not client._gates or not client._gates[0]._paused_until:
                await asyncio.sleep(0.001)
            return [await client.deliver(b"2", read=said), await first]

        assert [one.value for one in go(client, one_after_the_other())] == [["ok"], ["ok"]]
        refused, *others = service.asked
        assert all(asked.at - refused.at >= 0.3 for asked in others)


def test_a_service_that_bears_few_at_a_time_is_found_and_obeyed() -> None:
    under_way, refused, lock = [0], [0], threading.Lock()

    def step(asked: Asked) -> bytes:
        with lock:
            if under_way[0] >= 3:
                refused[0] += 1
                return reply({"error": "full"}, status=429)
            under_way[0] += 1
        time.sleep(0.002)
        with lock:
            under_way[0] -= 1
        return reply([asked.json])

    with serving(step) as service:
        deliveries = deliver(quick(service, retries=0), *(b"%d" % n for n in range(200)))
        assert [one.value for one in deliveries] == [[n] for n in range(200)]
        assert refused[0] > 0


def test_a_gate_does_not_risk_another_pause_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(limits, "clock", lambda: now)

    async def work() -> None:
        nonlocal now
        gate = Gate(asyncio.get_running_loop())
        for _ in range(4):
            await gate.enter()
        gate.leave()
        gate.refused(now, 2.0)
        for _ in range(1000):
            gate.answered()
        assert 3 <= gate.allowed < 4
        now += 21.0
        for _ in range(1000):
            gate.answered()
        assert gate.allowed > 4

    asyncio.run(work())


def test_a_gate_narrows_once_a_round_and_widens_again() -> None:
    async def work() -> None:
        gate = Gate(asyncio.get_running_loop())
        for _ in range(16):
            assert gate.is_open
            await gate.enter()
        begun = limits.clock()
        for _ in range(16):
            gate.leave()
            gate.refused(begun, 0.0)
        assert gate.allowed == 8
        for _ in range(1000):
            gate.answered()
        assert gate.allowed > 16

    asyncio.run(work())


def test_one_who_waits_at_a_gate_and_leaves_takes_no_place() -> None:
    async def work() -> None:
        gate = Gate(asyncio.get_running_loop(), 1)
        await gate.enter()
        given_up, waiting = (asyncio.create_task(gate.enter()) for _ in range(2))
        await asyncio.sleep(0)
        given_up.cancel()
        gate.leave()
        await waiting
        assert not gate.is_open
        gate.leave()
        assert gate.is_open

    asyncio.run(work())


def test_a_service_that_only_ever_refuses_is_given_up_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_PROBE", 30.0)
    with serving(reply({"error": "quota"}, status=429)) as service:
        deliveries = deliver(quick(service, patience=0.05), *[b"1"] * 100)
    failures = {one.failure.split(" (")[0] for one in deliveries}
    assert failures == {'HTTP 429: {"error": "quota"}', 'not asked any more: HTTP 429: {"error": "quota"}'}
    assert any("answered nobody for" in one.failure for one in deliveries)


def test_a_service_that_was_given_up_is_looked_at_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_PROBE", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    client = Client(f"http://127.0.0.1:{port}/x", retries=1, backoff=0.001)
    failure = f"nobody listens at 127.0.0.1:{port}/x"
    assert deliver(client, b"1")[0].failure == f"{failure} (after 2 tries)"
    assert deliver(client, b"1")[0].failure == f"not asked any more: {failure}"
    with serving(reply(["back"]), port=port):
        time.sleep(0.06)
        assert [one.value for one in deliver(client, b"1", b"2")] == [["back"], None]
        assert [one.value for one in deliver(client, b"1", b"2")] == [["back"], ["back"]]


def test_twenty_thousand_questions_to_nobody_end_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    model = HttpModel(f"http://127.0.0.1:{port}/x", backoff=0.001, concurrency=64)
    responses = answer(model, (Request(id=str(n), prompt="x") for n in range(20_000)))
    model.close()
    assert all("nobody listens" in (one.error or "") for one in responses)
    assert sum("not asked" in (one.error or "") for one in responses) > 19_000


def test_a_service_that_went_away_is_waited_for() -> None:
    def step(asked: Asked) -> bytes:
        return reply([asked.json])

    service = Service(step)
    client = quick(service, retries=1, backoff=0.01)

    async def work() -> list[Any]:
        values = [(await client.deliver(b"0", read=said)).value]
        await asyncio.to_thread(service.close)
        asking = [asyncio.create_task(client.deliver(b"%d" % n, read=said)) for n in range(1, 9)]
        await asyncio.sleep(0.2)
        again = await asyncio.to_thread(Service, step, port=service.port)
        values += [(await one).value for one in asking]
        await asyncio.to_thread(again.close)
        return values

    assert go(client, work()) == [[n] for n in range(9)]


@pytest.mark.parametrize("status", [501, 505])
def test_what_a_service_cannot_do_is_asked_once(status: int) -> None:
    with serving(reply({"error": "no"}, status=status)) as service:
        (delivery,) = deliver(quick(service), b"1")
        assert delivery.failure.startswith(f"HTTP {status}")
        assert len(service.asked) == 1
    with serving(reply({"error": "no"}, status=status), reply([1])) as service:
        assert deliver(quick(service, retry_statuses=[status]), b"1")[0].value == [1]


@pytest.mark.parametrize("step", [Service.RESET, (reply([1])[:-2], Service.RESET)])
def test_a_connection_that_broke_is_made_anew_at_once(step: Any) -> None:
    with serving(step, reply([1])) as service:
        # Whoever waited as long as it says would not be back today.
        (delivery,) = deliver(quick(service, backoff=100_000.0), b"1")
        assert (delivery.value, delivery.tries) == ([1], 2)


def test_an_answer_that_is_too_large_is_not_asked_for_again() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    for length in (1 << 29, 10**5000):
        with serving(head % length if length < 1 << 30 else head.replace(b"%d", b"9" * 5000)) as service:
            (delivery,) = deliver(quick(service), b"1")
            assert delivery.failure.endswith("/v1/predict: an answer of more than 256 MB")
            assert len(service.asked) == 1


def test_a_proxy_that_wants_a_password_is_named() -> None:
    with serving(reply([1])) as service, proxying(wanted="Basic b3BlbjpzZXNhbWU=") as (proxy, _):
        (delivery,) = deliver(quick(service, proxy=proxy), b"1")
        assert delivery.failure == f"HTTP 407: the proxy {proxy[7:]} does not let us through"


def test_tries_are_bounded_over_all_questions() -> None:
    with serving(reply({"error": "no"}, status=500)) as service:
        deliveries = deliver(quick(service, retries=5, retry_budget=0.2, concurrency=4), *[b"1"] * 100)
        assert len(service.asked) == 120
        assert sum("no further try: all 20 that this run may have" in one.failure for one in deliveries) > 50
    with serving(reply({"error": "no"}, status=500)) as service:
        deliver(quick(service, retries=2, retry_budget=None), *[b"1"] * 50)
        assert len(service.asked) == 150


def test_a_service_that_never_answers_is_given_up() -> None:
    with serving(Service.HANG) as service:
        client = quick(service, retries=0, timeout=0.05, concurrency=2)
        first = deliver(client, *[b"1"] * 20)
        assert all(one.failure.endswith("no answer within 0.05 s") for one in first)
        assert deliver(client, b"1")[0].failure.startswith("not asked any more")


def test_no_more_connections_than_wanted() -> None:
    with serving(lambda asked: reply([asked.json])) as service:
        deliveries = deliver(quick(service, connections=2), *(b"%d" % n for n in range(30)))
        assert [one.value for one in deliveries] == [[n] for n in range(30)]
        assert service.connections == 2


def test_tokens_a_minute_are_kept_to_what_answers_say() -> None:
    with chatting(lambda asked: completion("x", tokens=(90, 10))) as service:
        model = HttpModel(
            f"{service.url}/chat/completions", wire=OpenAI(model="m"), tokens_per_minute=60_000, concurrency=1
        )
        model.client._tokens = pace = Pace(1000.0)
        answer(model, [Request(id=str(n), prompt="x") for n in range(4)])
        model.close()
        assert service.asked[-1].at - service.asked[0].at > 0.2
        assert pace._free_at > 0


@pytest.mark.parametrize("given", ["env:STEELYARD_TEST_KEY", "file:key.txt"])
def test_a_key_from_elsewhere(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEELYARD_TEST_KEY", KEY)
    Path("key.txt").write_text(f"{KEY}\n")
    with serving(lambda asked: reply({"echo": asked.headers["authorization"]}, status=400)) as service:
        client = quick(service, api_key=given)
        assert deliver(client, b"1")[0].failure == 'HTTP 400: {"echo": "***"}'
        assert service.asked[0].headers["authorization"] == f"Bearer {KEY}"
        assert KEY not in repr(client)


@pytest.mark.parametrize(
    ("given", "said"),
    [("env:NO_SUCH_KEY", "export NO_SUCH_KEY"), ("file:none.txt", "cannot be read"), ("file:e.txt", "empty")],
)
def test_a_key_that_is_not_there(
    given: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("e.txt").write_text("\n")
    with pytest.raises(UsageError, match=said):
        Client("http://host/", api_key=given)


def test_the_password_of_a_proxy_never_shows() -> None:
    def tell(asked: Asked) -> bytes:
        return reply({"you": "me:hush-hush", "b64": "bWU6aHVzaC1odXNo"}, status=400)

    with serving(tell) as service, proxying() as (proxy, heads):
        client = quick(service, proxy=proxy.replace("//", "//me:hush-hush@"))
        assert deliver(client, b"1")[0].failure == 'HTTP 400: {"you": "me:***", "b64": "***"}'
        assert "Proxy-Authorization: Basic bWU6aHVzaC1odXNo" in heads[0]
        assert "hush" not in repr(client)


def test_a_model_behind_a_socket_in_the_file_system(tmp_path: Path) -> None:
    with chatting() as service, in_the_file_system(tmp_path / "llm.sock", service.port) as path:
        model = HttpModel(f"unix://{path}:/v1", wire=OpenAI(model="m"))
        assert answer(model, [Request(id="1", prompt="x")])[0].text == "yes"
        assert model.url == f"unix://{path}:/v1/chat/completions"
        model.close()


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0}, {"idle_timeout": -1}, {"connect_timeout": 0}, {"first_byte_timeout": 0},
        {"retries": -1}, {"retry_budget": -0.1}, {"patience": -1}, {"rate_limit": 0},
        {"tokens_per_minute": 0}, {"connections": 0}, {"concurrency": 0}, {"timeout": float("nan")},
    ],
)  # fmt: skip
def test_what_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        Client("http://host/", **options)


def watched(steps: list[Any], *, options: dict[str, Any] | None = None) -> tuple[list[str], Response | str]:
    """The pieces of an answer that is streamed, and its end."""
    with serving(*steps) as service:
        model = HttpModel(
            f"http://127.0.0.1:{service.port}/v1",
            wire=OpenAI(model="m"),
            **{"backoff": 0.001, **(options or {})},
        )
        pieces: list[str] = []

        async def watch() -> Response | str:
            last = None
            try:
                async for chunk in model.stream(Request(id="1", prompt="x")):
                    pieces.append(chunk.text)
                    last = chunk
            except ModelError as error:
                return str(error)
            assert last is not None
            return Response(last.text, raw=last.raw)

        end = go(model.client, watch())
        assert all(asked.json["stream"] is True for asked in service.asked)
    return pieces, end


def test_an_answer_is_streamed_as_it_comes() -> None:
    pieces, end = watched([streamed(events("one two three"))])
    assert [piece for piece in pieces if piece] == ["one ", "two ", "three"]
    assert isinstance(end, Response)
    assert end.raw["finish_reason"] == "stop"


def test_a_stream_is_begun_again_until_its_first_byte() -> None:
    steps = [reply(status=503), Service.RESET, streamed(events("at last"))]
    assert "".join(watched(steps)[0]) == "at last"


def test_a_service_that_does_not_stream_is_heard_whole() -> None:
    assert watched([reply(completion("whole"))])[0] == ["whole"]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ((streamed(events("one two three"))[:4], Service.RESET), "lost within an answer"),
        ((streamed(events("one two three"))[:4], Service.CLOSE), "closed after"),
        ((streamed(events("one two three")[:3]), Service.CLOSE), "ended before the answer did"),
        (streamed([*events("one two")[:2], b'data: {"error": {"message": "no more"}}\n\n']), "no more"),
        (streamed([*events("one two")[:2], b"data: {bad\n\n"]), "not JSON"),
        (reply({"error": {"message": "who are you?"}}, status=401), "HTTP 401: who are you"),
        (reply(body=b"<html>"), "not JSON"),
    ],
)
def test_a_stream_that_breaks_raises(step: Any, said: str) -> None:
    _, end = watched([step])
    assert isinstance(end, str)
    assert said in end


def test_events_are_watched_as_they_come() -> None:
    with serving(streamed(events("one two"))) as service:
        client = quick(service)

        async def watch() -> list[bytes]:
            return [data async for data in client.watch(b"{}")]

        seen = go(client, watch())
        assert [b"data: " + data + b"\n\n" for data in seen] == events("one two")


def test_one_who_stops_watching_hangs_up() -> None:
    with serving((streamed(events("one two three"))[:4], Service.HANG)) as service:
        client = quick(service)

        async def watch() -> bytes:
            watching: AsyncGenerator[bytes, None] = client.watch(b"{}")
            first = await watching.__anext__()
            await watching.aclose()
            return first

        assert b"role" in go(client, watch())
        assert service.connections == 1
