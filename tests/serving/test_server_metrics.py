"""What a server counts, in a form that Prometheus reads."""

from __future__ import annotations

import re

from http_calls import CHAT, call, chat
from served_models import shout

from steelyard.serving.metrics import Histogram, Metrics, Standing
from steelyard.serving.server import Server
from steelyard.types import Tokens

LINE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)')


def read(text: str) -> dict[tuple[str, str], float]:
    """Every value by its name and labels; it fails on what is not in the form."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            assert re.fullmatch(r"# (HELP [a-z_]+ .+|TYPE [a-z_]+ (counter|gauge|histogram))", line)
            continue
        match = LINE.fullmatch(line)
        assert match, line
        key = (match[1], match[2] or "")
        assert key not in found, line
        found[key] = float(match[3].replace("+Inf", "inf"))
    return found


def test_calls_tokens_and_times_are_counted() -> None:
    with Server({"small": "embedded", "shout": shout}, port=0, wires="openai") as server:
        for stream in (False, True, True):
            call(server.url, CHAT, chat("2 + 3 =", model="small", max_tokens=2, stream=stream))
        call(server.url, CHAT, chat(model="shout"))
        call(server.url, CHAT, b"{")
        call(server.url, "/nothing", {})
        answer = call(server.url, "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = read(answer.body.decode())
    where = f'wire="openai",route="{CHAT}"'
    assert found["steelyard_requests_total", f'{where},model="small",status="200"'] == 3
    assert found["steelyard_requests_total", f'{where},model="shout",status="200"'] == 1
    assert found["steelyard_requests_total", f'{where},model="",status="400"'] == 1
    assert found["steelyard_requests_total", 'wire="",route="",model="",status="404"'] == 1
    assert found["steelyard_tokens_out_total", 'model="small"'] == 6
    assert found["steelyard_tokens_in_total", 'model="small"'] > 6
    assert found["steelyard_request_seconds_count", f'{where},model="small"'] == 3
    assert found["steelyard_first_piece_seconds_count", 'model="small"'] == 2
    assert found["steelyard_batch_size_count", 'model="small"'] == 3
    assert found["steelyard_requests_in_flight", 'model="small"'] == 0
    assert found["process_cpu_seconds_total", ""] > 0


def test_a_histogram_adds_up() -> None:
    histogram = Histogram((1, 2.5))
    for value in (0.5, 1, 2, 99):
        histogram.add(value)
    histogram.add(2.5, times=2)
    lines = list(histogram.lines("h", (("a", "b"),)))
    assert lines == [
        'h_bucket{a="b",le="1"} 2',
        'h_bucket{a="b",le="2.5"} 5',
        'h_bucket{a="b",le="+Inf"} 6',
        'h_sum{a="b"} 107.5',
        'h_count{a="b"} 6',
    ]


def test_odd_names_do_not_break_a_line() -> None:
    metrics = Metrics()
    metrics.count_tokens('a"b\\c\nd', Tokens(1, None))
    found = read(metrics.tell([Standing('a"b\\c\nd', 0, 0, {})]).decode())
    assert found["steelyard_tokens_in_total", r'model="a\"b\\c\nd"'] == 1
