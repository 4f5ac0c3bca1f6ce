"""Ways to a service: proxies, sockets of this machine, client certificates; how long each phase may take."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
import trustme

from chat_service import events, streamed
from faulty_service import Service, chunked, reply, serving
from relays import in_the_file_system, proxying
from steelyard.errors import UsageError
from steelyard.wire import packing
from steelyard.wire.addresses import read_address
from steelyard.wire.connection import SlowAnswer, TimeLimits
from steelyard.wire.origin import NoAddress, Origin, RefusedByProxy
from steelyard.wire.packing import RefusedAnswer
from steelyard.wire.proxies import find_proxy
from steelyard.wire.reading import Answer, BrokenAnswer

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def post(origin: Origin, *, body: bytes = b"[1]", times: int = 1, **limits: float) -> list[Answer]:
    allowed = TimeLimits(**{"total": 20.0, **limits})

    async def go() -> list[Answer]:
        target = origin.address.target
        return [
            await origin.send("POST", target, headers={"X-A": "b"}, body=body, limits=allowed)
            for _ in range(times)
        ]

    try:
        return asyncio.run(go())
    finally:
        origin.close()


def test_a_proxy_is_told_the_whole_address() -> None:
    with serving(reply(["a"])) as service, proxying() as (proxy, heads):
        answers = post(Origin(service.url, proxy=proxy), times=2)
        assert [json.loads(answer.body) for answer in answers] == [["a"], ["a"]]
        assert heads[0].startswith(f"POST {service.url} HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\n")
        assert service.asked[0].target == "/v1/predict"


def test_through_a_proxy_tls_reaches_to_the_service(tmp_path: Path) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    signed = "http://me:hush%20hush@" + "127.0.0.1"
    wanted = "Basic bWU6aHVzaCBodXNo"
    with serving(reply(["safe"]), tls=context) as service, proxying(wanted=wanted) as (proxy, heads):
        origin = Origin(
            service.url, verify=str(tmp_path / "ca.pem"), proxy=proxy.replace("http://127.0.0.1", signed)
        )
        assert [answer.body for answer in post(origin, times=2)] == [b'["safe"]'] * 2
        assert heads == [
            f"CONNECT 127.0.0.1:{service.port} HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\n"
            f"Proxy-Authorization: {wanted}\r\n\r\n"
        ]
        assert "proxy-authorization" not in service.asked[0].headers
        with pytest.raises(RefusedByProxy, match="says HTTP 407"):
            post(Origin(service.url, verify=False, proxy=proxy))


def test_a_proxy_that_is_away_is_said_to_be() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(RefusedByProxy, match=f"the proxy 127.0.0.1:{port}: Connection refused"):
        post(Origin("http://127.0.0.1:1/", proxy=f"http://127.0.0.1:{port}"))


def test_the_environment_names_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(reply(["a"])) as service, proxying() as (proxy, heads):
        monkeypatch.setenv("HTTP_PROXY", proxy)
        post(Origin(service.url))
        assert len(heads) == 1
        post(Origin(service.url, proxy=False))
        monkeypatch.setenv("NO_PROXY", "example.org, 127.0.0.0/8")
        post(Origin(service.url))
        assert (len(heads), len(service.asked)) == (1, 3)


@pytest.mark.parametrize(
    ("url", "named", "found"),
    [
        ("http://a.example/", {"http_proxy": "http://p:1"}, "p:1"),
        ("http://a.example/", {"http_proxy": "p:1"}, "p:1"),
        ("https://a.example/", {"http_proxy": "http://p:1"}, None),
        ("https://a.example/", {"HTTPS_PROXY": "http://p"}, "p:80"),
        ("https://a.example/", {"ALL_PROXY": "http://p:1"}, "p:1"),
        ("http://a.example/", {"http_proxy": "http://p:1", "HTTP_PROXY": "http://q:1"}, "p:1"),
        ("http://a.example/", {"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, None),
        ("http://a.example/", {"http_proxy": "http://p:1", "no_proxy": "*"}, None),
        ("http://a.example/", {"http_proxy": "http://p:1", "no_proxy": ".example"}, None),
        ("http://a.example/", {"http_proxy": "http://p:1", "no_proxy": "A.EXAMPLE"}, None),
        ("http://a.example/", {"http_proxy": "http://p:1", "no_proxy": "*.example"}, None),
        ("http://ba.example/", {"http_proxy": "http://p:1", "no_proxy": "a.example"}, "p:1"),
        ("http://a.example:8/", {"http_proxy": "http://p:1", "no_proxy": "a.example:9"}, "p:1"),
        ("http://a.example:9/", {"http_proxy": "http://p:1", "no_proxy": "b, a.example:9"}, None),
        ("http://[::1]:9/", {"http_proxy": "http://p:1", "no_proxy": "::1"}, None),
        ("http://[::1]:9/", {"http_proxy": "http://p:1", "no_proxy": "[::1]:8"}, "p:1"),
        ("http://10.1.2.3/", {"http_proxy": "http://p:1", "no_proxy": "10.0.0.0/8"}, None),
        ("unix:///run/x.sock:/v1", {"all_proxy": "http://p:1"}, None),
    ],
)
def test_which_proxy_it_is(
    url: str, named: dict[str, str], found: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    proxy = find_proxy(read_address(url), None)
    assert (proxy.shown if proxy else None) == found


@pytest.mark.parametrize("proxy", ["socks5://me:hush@p:1", "me:hush@p:3128", "http://me:hush@p:port", True])
def test_what_is_no_proxy_is_told_without_its_password(proxy: Any) -> None:
    with pytest.raises(UsageError) as refused:
        Origin("http://a.example/", proxy=proxy)
    assert "hush" not in str(refused.value)


def test_a_socket_in_the_file_system(tmp_path: Path) -> None:
    with serving(reply(["near"])) as service, in_the_file_system(tmp_path / "llm.sock", service.port) as path:
        assert post(Origin(f"unix://{path}:/v1/chat?x=1"))[0].body == b'["near"]'
        assert (service.asked[0].target, service.asked[0].headers["host"]) == ("/v1/chat?x=1", "localhost")
    with pytest.raises(FileNotFoundError):
        post(Origin(f"unix://{tmp_path}/none.sock:/v1"))


def test_a_certificate_of_ones_own(tmp_path: Path) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    own = authority.issue_cert("me.example")
    own.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    own.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    own.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    with serving(reply(["you"]), tls=context) as service:
        for cert in (str(tmp_path / "both.pem"), [str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")]):
            assert post(Origin(service.url, verify=False, cert=cert))[0].body == b'["you"]'
        with pytest.raises((ssl.SSLError, ConnectionError)):
            post(Origin(service.url, verify=False))
        with pytest.raises(UsageError, match=r"there is no certificate .*none\.pem"):
            Origin(service.url, cert=str(tmp_path / "none.pem"))


@pytest.mark.parametrize(
    ("step", "limits", "said"),
    [
        (Service.HANG, {"first_byte": 0.05}, "no first byte of an answer within 0.05 s"),
        (Service.HANG, {"total": 0.05}, "no answer within 0.05 s"),
        ((b"HTTP/1.1 200 OK\r\n", Service.HANG), {"idle": 0.05}, "nothing more of the answer for 0.05 s"),
        ((b"HTTP/1.1 200 OK\r\n", Service.HANG), {"total": 0.05}, "no whole answer within 0.05 s"),
        ((reply([1])[:-1], Service.HANG), {"idle": 0.05, "first_byte": 9}, "nothing more of the answer"),
    ],
)
def test_the_phase_that_took_too_long_is_named(step: Any, limits: dict[str, float], said: str) -> None:
    with serving(step) as service, pytest.raises(SlowAnswer, match=said):
        post(Origin(service.url), **limits)


def test_one_who_does_not_accept_is_given_up() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        where = deaf.getsockname()
        crowd = [socket.socket() for _ in range(4)]
        for sock in crowd:
            sock.setblocking(False)
            sock.connect_ex(where)
        with pytest.raises(SlowAnswer, match=r"no connection within 0\.05 s") as slow:
            post(Origin(f"http://127.0.0.1:{where[1]}/"), connect=0.05)
        assert slow.value.connecting
        for sock in crowd:
            sock.close()


def test_a_slow_answer_that_goes_on_is_waited_for() -> None:
    whole = reply(["slow"])
    pieces = [whole[n : n + 4] for n in range(0, len(whole), 4)]
    with serving(pieces) as service:
        assert post(Origin(service.url), idle=5, first_byte=5)[0].body == b'["slow"]'


def test_a_large_question_that_nobody_reads_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf, pytest.raises(SlowAnswer, match="first byte"):
        origin = Origin(f"http://127.0.0.1:{deaf.getsockname()[1]}/")
        post(origin, body=b"x" * 20_000_000, first_byte=0.1)


def test_a_refusal_before_all_was_sent_is_read() -> None:
    def refuse(listener: socket.socket) -> None:
        sock, _ = listener.accept()
        sock.recv(100)
        sock.sendall(reply({"detail": "too large"}, status=413, headers={"Connection": "close"}))
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(1 << 20):
            pass
        sock.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse, args=(listener,))
        thread.start()
        origin = Origin(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        assert post(origin, body=b"x" * 20_000_000)[0].status == 413
        thread.join(5)


def test_a_host_that_is_none() -> None:
    with pytest.raises(NoAddress, match=r"there is no host nowhere\.invalid"):
        post(Origin("http://nowhere.invalid/"))


def test_a_stream_is_read_as_it_comes() -> None:
    step = streamed(events("one two three"))
    seen: list[float] = []

    async def go(origin: Origin) -> bytes:
        stream = await origin.open("POST", "/", headers={})
        assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream")
        body = b""
        async for block in stream:
            seen.append(time.perf_counter())
            body += block
        again = await origin.open("POST", "/", headers={})
        assert (await again.read()).body == body
        return body

    with serving(step) as service:
        origin = Origin(service.url)
        assert asyncio.run(go(origin)) == b"".join(events("one two three"))
        assert len(seen) > 1
        assert service.connections == 1
        origin.close()


def test_a_packed_stream_is_unpacked_piece_by_piece() -> None:
    packer, pieces = gzip.compress(b"first second"), []
    for n in range(0, len(packer), 5):
        pieces.append(b"%x\r\n%s\r\n" % (len(packer[n : n + 5]), packer[n : n + 5]))
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serving([head, *pieces, b"0\r\n\r\n"]) as service:
        assert post(Origin(service.url))[0].body == b"first second"
    cut = gzip.compress(b"first second")[:-6]
    packed = reply(body=cut, headers={"Content-Encoding": "gzip"})
    with serving(packed) as service, pytest.raises(BrokenAnswer, match="not whole gzip"):
        post(Origin(service.url))


def test_a_packed_answer_too_large_for_memory_is_refused_whole_and_streamed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(packing, "MOST_BODY", 1 << 22)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(1 << 20)
    body = b"".join(packer.compress(block) for _ in range(6)) + packer.flush()

    async def watch(origin: Origin) -> int:
        stream = await origin.open("POST", "/", headers={})
        return max([len(piece) async for piece in stream])

    with serving(reply(body=body, headers={"Content-Encoding": "gzip"})) as service:
        with pytest.raises(RefusedAnswer, match="more than 4 MB"):
            post(Origin(service.url))
        with pytest.raises(RefusedAnswer, match="more than 4 MB"):
            asyncio.run(watch(Origin(service.url)))


def test_the_parts_of_a_packed_answer_are_read_on() -> None:
    body = gzip.compress(b"first ") + gzip.compress(b"second") + bytes(8)
    with serving(reply(body=body, headers={"Content-Encoding": "gzip"})) as service:
        assert post(Origin(service.url))[0].body == b"first second"


def test_a_stream_that_is_left_is_not_used_again() -> None:
    async def go(origin: Origin) -> None:
        stream = await origin.open("POST", "/", headers={})
        stream.close()
        await origin.send("POST", "/", headers={})

    with serving(streamed(events("one two")), reply([1])) as service:
        origin = Origin(service.url)
        asyncio.run(go(origin))
        origin.close()
        assert service.connections == 2


def test_bytes_that_nobody_asked_for_end_a_connection() -> None:
    with serving(reply([1]) + b"more", reply([2])) as service:
        assert [answer.body for answer in post(Origin(service.url), times=2)] == [b"[1]", b"[2]"]
        assert service.connections == 2


def test_loops_on_two_threads_share_a_service() -> None:
    with serving(chunked(["x"])) as service:
        origin = Origin(service.url)

        async def ask(times: int) -> None:
            for _ in range(times):
                await origin.send("POST", "/", headers={})

        async def both() -> None:
            await asyncio.gather(ask(10), asyncio.to_thread(asyncio.run, ask(10)))

        asyncio.run(both())
        asyncio.run(ask(3))
        assert (service.connections, len(service.asked)) == (2, 23)
        origin.close()
