"""HttpModel against a real server with faults: what is tried again, how long, and what never shows."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from email.utils import formatdate
from typing import Any

import pytest

from faulty_service import Service, chunked, echo, reply, serving
from steelyard.engine import answer
from steelyard.errors import UnknownName, UsageError
from steelyard.models.http import HttpModel
from steelyard.models.references import open_model
from steelyard.types import Request, Response

KEY = "sk-live-3141592653"


def ask(model: HttpModel, *prompts: Any) -> list[Response]:
    try:
        return answer(model, [Request(id=str(n), prompt=prompt) for n, prompt in enumerate(prompts)])
    finally:
        model.close()


def quick(service: Service, **options: Any) -> HttpModel:
    return HttpModel(service.url, **{"backoff": 0.001, **options})


def test_prompts_go_as_they_are_and_answers_keep_their_order() -> None:
    with serving(echo(lambda item: {"text": json.dumps(item)})) as service:
        prompts = [{"n": 1}, "two", {"n": [3]}]
        responses = ask(quick(service, batch_size=2), *prompts)
        assert [json.loads(response.text) for response in responses] == prompts
        assert sorted(len(asked.json) for asked in service.asked) == [1, 2]
        assert {asked.method for asked in service.asked} == {"POST"}
        assert all(response.timing and response.timing.latency > 0 for response in responses)


def test_batches_are_as_full_as_can_be() -> None:
    with serving(echo(str)) as service:
        ask(quick(service, batch_size=8), *[str(n) for n in range(20)])
        assert sorted((asked.json for asked in service.asked), key=lambda b: int(b[0])) == [
            [str(n) for n in range(start, min(20, start + 8))] for start in (0, 8, 16)
        ]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_passes_is_tried_again(status: int) -> None:
    with serving(reply({"busy": 1}, status=status), reply(["ok"])) as service:
        assert ask(quick(service, retries=1), "a")[0].text == "ok"
        assert len(service.asked) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 301])
def test_what_stays_is_not(status: int) -> None:
    with serving(reply({"detail": "no"}, status=status)) as service:
        error = ask(quick(service, retries=3), "a")[0].error or ""
        assert error.startswith(f"HTTP {status}: ")
        assert "tries" not in error
        assert len(service.asked) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Service.CLOSE,
        Service.RESET,
        (b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n[", Service.CLOSE),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[", Service.RESET),
        b"nonsense\r\n\r\n",
    ],
)
def test_broken_connections_are_tried_again(fault: Any) -> None:
    with serving(fault, reply(["ok"])) as service:
        assert ask(quick(service, retries=1), "a")[0].text == "ok"
        assert len(service.asked) == 2


def test_a_slow_answer_is_given_up_and_tried_again() -> None:
    with serving((b"HTTP/1.1 200 OK\r\n", Service.HANG), reply(["ok"])) as service:
        assert ask(quick(service, retries=1, timeout=0.1), "a")[0].text == "ok"
    with serving(Service.HANG) as service:
        error = ask(quick(service, retries=1, timeout=0.05), "a")[0].error
        assert error == f"127.0.0.1:{service.port}/v1/predict: no answer within 0.05 s (after 2 tries)"


def test_tries_are_counted() -> None:
    with serving(reply({"busy": 1}, status=503)) as service:
        error = ask(quick(service, retries=2), "a")[0].error
        assert error == 'HTTP 503: {"busy": 1} (after 3 tries)'
        assert len(service.asked) == 3
    with serving(reply(status=500, body=b"")) as service:
        assert ask(quick(service, retries=0), "a")[0].error == "HTTP 500"
        assert len(service.asked) == 1


def test_other_statuses_when_asked_for() -> None:
    with serving(reply(status=418), reply(["ok"])) as service:
        assert ask(quick(service, retries=1, retry_statuses=[418]), "a")[0].text == "ok"
    with serving(reply(status=500), reply(["ok"])) as service:
        assert ask(quick(service, retries=1, retry_statuses=[418]), "a")[0].error == "HTTP 500: null"


def test_the_wait_doubles() -> None:
    with serving(reply(status=500), reply(status=500), reply(status=500), reply(["ok"])) as service:
        ask(quick(service, retries=3, backoff=0.05), "a")
        gaps = [b.at - a.at for a, b in zip(service.asked, service.asked[1:])]
        assert all(gap > least * 0.75 for gap, least in zip(gaps, (0.05, 0.1, 0.2)))


@pytest.mark.parametrize("said", [lambda: "0.3", lambda: formatdate(time.time() + 2, usegmt=True)])
def test_retry_after_is_obeyed(said: Any) -> None:
    with serving(reply(status=429, headers={"Retry-After": said()}), reply(["ok"])) as service:
        assert ask(quick(service, retries=1), "a")[0].text == "ok"
        assert service.asked[1].at - service.asked[0].at >= 0.3


def test_a_wait_of_hours_is_an_error_at_once() -> None:
    with serving(reply(status=429, headers={"Retry-After": "7200"})) as service:
        assert "asks to wait 7200 s" in (ask(quick(service, retries=1), "a")[0].error or "")
    with serving(reply(status=429, headers={"Retry-After-Ms": "9" * 5000})) as service:
        assert "asks to wait inf s" in (ask(quick(service, retries=1), "a")[0].error or "")
    with serving(reply(status=503, headers={"Retry-After": "soon"}), reply(["ok"])) as service:
        assert ask(quick(service, retries=1), "a")[0].text == "ok"


def test_an_answer_that_is_none_fails_the_batch_and_is_not_tried_again() -> None:
    for step, said in [
        (reply(body=b"<html>"), "not JSON"),
        (reply(["only one"]), "1 answers to 2 inputs"),
        (reply({"error": "no such model"}), "no such model"),
    ]:
        with serving(step) as service:
            responses = ask(quick(service, batch_size=2), "a", "b")
            assert all(said in (response.error or "") for response in responses)
            assert len(service.asked) == 1


def test_one_failed_item_of_a_batch_fails_alone() -> None:
    with serving(reply(["ok", {"error": "too long"}])) as service:
        responses = ask(quick(service, batch_size=2), "a", "b")
        assert [(r.text, r.error) for r in responses] == [("ok", None), ("", "too long")]


def test_a_prompt_that_is_no_json_fails_alone() -> None:
    with serving(echo(str)) as service:
        responses = ask(quick(service, batch_size=3), "a", {"x": object()}, "c")
        assert [response.text for response in responses] == ["a", "", "c"]
        assert "cannot be sent" in (responses[1].error or "")


def test_chunks_split_anywhere_and_connections_closed_in_between() -> None:
    whole = chunked(["ß"], size=2)
    steps = [([whole[n : n + 1] for n in range(len(whole))], Service.CLOSE), reply(["two"])]
    with serving(*steps) as service:
        model = quick(service, retries=0)
        assert [ask(model, "a")[0].text, ask(model, "b")[0].text] == ["ß", "two"]


def test_connections_last_over_runs() -> None:
    with serving(echo(str)) as service:
        model = quick(service)
        for n in range(3):
            assert answer(model, [Request(id="1", prompt=str(n))])[0].text == str(n)
        assert service.connections == 1
        model.close()


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ("bearer", "authorization", f"Bearer {KEY}"),
        ("header", "x-api-key", KEY),
        ("basic", "authorization", "Basic c2stbGl2ZS0zMTQxNTkyNjUz"),
        ("none", "authorization", None),
    ],
)
def test_ways_of_signing_in(auth: Any, header: str, value: str | None) -> None:
    with serving(echo(str)) as service:
        ask(quick(service, api_key=KEY, auth=auth), "a")
        assert service.asked[0].headers.get(header) == value
        assert service.asked[0].headers["content-type"] == "application/json"


def test_the_key_in_the_query_or_in_the_address() -> None:
    with serving(echo(str)) as service:
        ask(HttpModel(service.url + "?v=2", api_key=KEY, auth="query"), "a")
        ask(HttpModel(service.url.replace("//", f"//me:{KEY}@")), "a")
        assert service.asked[0].target == f"/v1/predict?v=2&api_key={KEY}"
        assert service.asked[1].headers["authorization"].startswith("Basic ")


def test_own_headers_win() -> None:
    with serving(echo(str)) as service:
        headers = {"authorization": "Token t-123456", "X-Team": "ward 7"}
        ask(quick(service, api_key=KEY, headers=headers), "a")
        assert service.asked[0].headers["authorization"] == "Token t-123456"
        assert service.asked[0].headers["x-team"] == "ward 7"


@pytest.mark.parametrize("auth", ["bearer", "header", "query", "basic"])
def test_the_key_shows_nowhere(auth: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = [KEY, "c2stbGl2ZS0zMTQxNTkyNjUz", "hush-hush-77"]

    def tell(asked: Any) -> bytes:
        return reply(status=400, body=f"{'x' * 480} {asked.target} {asked.headers}".encode())

    def whisper(asked: Any) -> bytes:
        return reply([{"error": f"bad {asked.target} {asked.headers}"}])

    with serving(tell, whisper, reply({"error": f"what is {KEY}?"})) as service:
        model = quick(
            service, api_key=KEY, auth=auth, headers={"X-Secret-Word": "hush-hush-77", "X-Team": "t"}
        )
        shown = [response.error or "" for _ in range(3) for response in ask(model, "a")]
        shown += [repr(model), model.name, json.dumps(model.identity()), caplog.text]
        assert "***" in shown[1]
        for text in shown:
            assert not [secret for secret in secrets if secret[:9] in text]
    assert model.identity()["headers"]["X-Team"] == "t"


def test_the_first_500_characters_of_an_error_are_kept() -> None:
    with serving(reply(status=400, body=b"e" * 2000)) as service:
        assert ask(quick(service), "a")[0].error == "HTTP 400: " + "e" * 500


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    model = HttpModel(f"http://127.0.0.1:{port}/x", retries=1, backoff=0.001)
    assert ask(model, "a")[0].error == f"nobody listens at 127.0.0.1:{port}/x (after 2 tries)"


def test_the_rate_is_kept() -> None:
    with serving(echo(str)) as service:
        ask(quick(service, rate_limit=50), *"abcdef")
        assert service.asked[-1].at - service.asked[0].at > 0.08


def test_no_more_in_flight_than_wanted() -> None:
    def take_time(asked: Any) -> bytes:
        time.sleep(0.01)
        return reply(["x"])

    with serving(take_time) as service:
        ask(quick(service, concurrency=3), *"abcdefghi")
        assert service.connections == 3


def test_a_cancelled_question_leaves_nothing_behind() -> None:
    with serving(Service.HANG) as service:

        async def go() -> None:
            model = quick(service, batch_size=2)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(model.ask(Request(id="1", prompt="a")), 0.05)

        asyncio.run(go())


def test_identities_tell_services_apart_and_not_ways_of_asking() -> None:
    here = HttpModel("http://host/a", api_key="one", timeout=5, retries=9)
    assert here.identity() == HttpModel("http://host/a", api_key="two", batch_size=4).identity()
    assert here.identity() != HttpModel("http://host/b").identity()


def test_an_address_opens_it() -> None:
    with serving(echo(str)) as service:
        model = open_model(service.url, batch_size=2)
        assert isinstance(model, HttpModel)
        assert ask(model, "a", "b")[1].text == "b"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": "host:80"}, "not an address"),
        ({"timeout": 0}, "timeout"),
        ({"retries": -1}, "retries"),
        ({"batch_size": 0}, "batch_size"),
        ({"auth": "oauth", "api_key": "x"}, "oauth"),
        ({"headers": {"X-A": "b\r\nX-Evil: 1"}}, "X-A"),
    ],
)
def test_what_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        HttpModel(**{"url": "http://host/", **options})


def test_an_unknown_wire_shows_the_known() -> None:
    with pytest.raises(UnknownName, match="did you mean plain"):
        HttpModel("http://host/", wire="plane")
