"""The bytes of HTTP/1.1, against a real server that splits, chunks, packs, closes and lies."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import socket
import ssl
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from faulty_service import Service, chunked, reply, serving
from steelyard.errors import UsageError
from steelyard.wire.connection import ConnectionLost
from steelyard.wire.origin import Origin
from steelyard.wire.reading import Answer, BrokenAnswer, Reading


def post(
    service: Service, *, times: int = 1, origin: Origin | None = None, body: bytes = b"[1]"
) -> list[Answer]:
    target = origin or Origin(service.url)

    async def go() -> list[Answer]:
        return [await target.send("POST", "/v1/predict", headers={}, body=body) for _ in range(times)]

    try:
        return asyncio.run(go())
    finally:
        if origin is None:
            target.close()


def test_one_connection_serves_many_requests_and_many_loops() -> None:
    with serving(reply(["a"], headers={"X-Seen": "1"})) as service:
        origin = Origin(service.url)
        answers = post(service, times=3, origin=origin) + post(service, times=2, origin=origin)
        origin.close()
        assert [json.loads(answer.body) for answer in answers] == [["a"]] * 5
        assert answers[0].headers["x-seen"] == "1"
        assert service.connections == 1
        assert service.asked[0].headers["host"] == f"127.0.0.1:{service.port}"
        assert service.asked[0].body == b"[1]"


def forked(work: Callable[[], object]) -> int:
    """How a process ends that was forked from this one to do some work."""
    with warnings.catch_warnings():
        # The service is a thread here, of which it makes no use.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        code = 1
        with contextlib.suppress(BaseException):
            work()
            code = 0
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_processes_that_were_forked_connect_anew_and_leave_ours_alone() -> None:
    with serving(reply(["a"])) as service:
        origin = Origin(service.url)
        post(service, origin=origin)
        assert [forked(lambda: post(service, origin=origin)) for _ in range(2)] == [0, 0]
        assert json.loads(post(service, origin=origin)[0].body) == ["a"]
        origin.close()
        assert service.connections == 3


def test_what_was_forked_tidies_up_without_taking_anything_away() -> None:
    loop = asyncio.new_event_loop()
    with serving(reply(["a"])) as service, contextlib.closing(loop):
        origin = Origin(service.url)

        async def ask() -> Answer:
            return await asyncio.wait_for(origin.send("POST", "/v1/predict", headers={}), 10)

        loop.run_until_complete(ask())
        # The loop that both have is not closed, and goes on here.
        assert forked(origin.close) == 0
        assert json.loads(loop.run_until_complete(ask()).body) == ["a"]
        origin.close()
        assert service.connections == 1


def test_a_connection_closed_between_requests_is_replaced() -> None:
    with serving((reply([1]), Service.CLOSE), reply([2])) as service:
        assert [json.loads(a.body) for a in post(service, times=2)] == [[1], [2]]
        assert service.connections == 2


def test_a_connection_closed_as_the_request_arrives_is_replaced() -> None:
    with serving(reply([1]), Service.CLOSE, reply([2])) as service:
        assert [json.loads(a.body) for a in post(service, times=2)] == [[1], [2]]
        assert [asked.connection for asked in service.asked] == [1, 1, 2]


@pytest.mark.parametrize("wish", [{"Connection": "close"}, {"Connection": "Close, X"}])
def test_a_service_that_wants_to_close_is_obeyed(wish: dict[str, str]) -> None:
    with serving(reply([1], headers=wish)) as service:
        post(service, times=2)
        assert service.connections == 2


def test_the_end_of_the_connection_ends_a_body_without_length() -> None:
    with serving((b'HTTP/1.1 200 OK\r\n\r\n["to the', Service.CLOSE)) as service:
        assert post(service)[0].body == b'["to the'


def test_http_1_0_closes() -> None:
    with serving((b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n[]", Service.CLOSE)) as service:
        assert [a.body for a in post(service, times=2)] == [b"[]", b"[]"]


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 40), cut=st.integers(1, 30), text=st.text(max_size=40))
def test_bytes_split_anywhere_are_put_together(size: int, cut: int, text: str) -> None:
    whole = chunked([text, "ß"], size=size)
    step = [whole[start : start + cut * 8] for start in range(0, len(whole), cut * 8)]
    with serving(step) as service:
        assert json.loads(post(service)[0].body) == [text, "ß"]


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body)[2:-4]),
        ("identity", bytes),
    ],
)
def test_packed_bodies_are_unpacked(encoding: str, pack: Any) -> None:
    body = pack(b'["packed"]' * 100)
    with serving(reply(body=body, headers={"Content-Encoding": encoding})) as service:
        assert post(service)[0].body == b'["packed"]' * 100


def test_an_interim_answer_and_an_empty_one() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    with serving(interim + reply([1]), b"HTTP/1.1 204 No Content\r\n\r\n", reply([2])) as service:
        assert [answer.body for answer in post(service, times=3)] == [b"[1]", b"", b"[2]"]
        assert service.connections == 1


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[1]", Service.CLOSE), "after 3 of 100 bytes"),
        ((b"HTTP/1.1 200 OK\r\nContent-Le", Service.CLOSE), "within the head"),
        ((b"SSH-2.0-OpenSSH_9.6\r\n\r\n", Service.CLOSE), "not HTTP/1.1: 'SSH-2.0"),
        (b"HTTP/1.1 200 OK\r\nno header\r\n\r\n", "not a header"),
        (b"HTTP/1.1 200 OK\r\n" + b"y" * 200_000 + b"\r\n\r\n", "not a header"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\n", "not a length"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "length of a chunk"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", "longer than its length"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 400_000, "more than"),
        (reply(body=b"not gzip", headers={"Content-Encoding": "gzip"}), "not gzip"),
        (reply(body=b"x", headers={"Content-Encoding": "br"}), "packed as 'br'"),
    ],
)
def test_what_is_no_whole_answer_is_said_so(step: Any, said: str) -> None:
    with serving(step) as service, pytest.raises(BrokenAnswer, match=said):
        post(service)


def test_a_connection_lost_before_an_answer() -> None:
    with serving(Service.RESET) as service, pytest.raises(ConnectionLost):
        post(service)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(Origin(url).send("POST", "/", headers={}, body=b""))


def test_many_small_chunks_that_come_together_take_little_room() -> None:
    reading = Reading()
    reading.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 1.0)
    reading.feed(b"1\r\na\r\n" * 1000, 2.0)
    reading.feed(b"1\r\nb\r\n0\r\n\r\n", 3.0)
    assert list(zip(reading.answer().times, reading.answer().places)) == [(2.0, 1000), (3.0, 1001)]
    assert reading.answer().when([1, 1000, 1001]) == [2.0, 2.0, 3.0]


def test_large_bodies_both_ways() -> None:
    body = b"x" * 5_000_000
    with serving(lambda asked: reply(body=asked.body)) as service:
        assert post(service, body=body)[0].body == body


def test_many_at_a_time_get_each_their_own_answer() -> None:
    with serving(lambda asked: reply(body=asked.body)) as service:
        origin = Origin(service.url)

        async def go() -> list[Answer]:
            return await asyncio.gather(
                *(origin.send("POST", "/", headers={}, body=b"%d" % n) for n in range(50))
            )

        assert [answer.body for answer in asyncio.run(go())] == [b"%d" % n for n in range(50)]
        assert service.connections <= 50
        origin.close()


@pytest.mark.parametrize("url", ["ftp://host/", "localhost:8000", "http://", "http://host:99999/"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(UsageError):
        Origin(url)


def test_the_name_in_the_host_header() -> None:
    assert Origin("http://[::1]:8000/x").address.authority == "[::1]:8000"
    assert Origin("https://api.example/x").address.authority == "api.example"
    assert Origin("https://api.example/x").address.port == 443


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def secured(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def test_tls_with_its_certificate_checked(authority: trustme.CA, tmp_path: Any) -> None:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    large = reply(body=b"y" * 500_000)
    with serving(large, chunked(["safe"]), tls=secured(authority, "127.0.0.1")) as service:
        origin = Origin(service.url, verify=str(file))
        answers = post(service, times=2, origin=origin) + post(service, origin=origin)
        origin.close()
        assert [len(answer.body) for answer in answers] == [500_000, 8, 8]
        assert service.connections == 1


def test_tls_with_a_certificate_nobody_vouches_for(authority: trustme.CA) -> None:
    with serving(reply([1]), tls=secured(authority, "127.0.0.1")) as service:
        with pytest.raises(ssl.SSLCertVerificationError):
            post(service)
        assert post(service, origin=Origin(service.url, verify=False))[0].body == b"[1]"


def test_tls_with_the_certificate_of_another_host(authority: trustme.CA, tmp_path: Any) -> None:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    refused = pytest.raises(ssl.SSLCertVerificationError, match=r"127\.0\.0\.1")
    with serving(reply([1]), tls=secured(authority, "other.example")) as service, refused:
        post(service, origin=Origin(service.url, verify=str(file)))
