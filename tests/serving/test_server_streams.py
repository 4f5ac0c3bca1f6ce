"""Streams, batches and queues: pieces as they are written, places that are freed, limits that hold."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import IncompleteRead

import pytest
from http_calls import CHAT, Reply, begin, call, chat, read_rest, read_until, wait_for
from served_models import Breaking, Endless, Gate, Held

from steelyard.engine import answer
from steelyard.models.embedded import Embedded
from steelyard.models.http import HttpModel
from steelyard.plugins import resolve
from steelyard.serving.server import Server
from steelyard.types import Message, Request
from steelyard.wire.openai import OpenAI

QUESTIONS = [f"Question: What is {n} + 7?\nAnswer:" for n in range(12)]


def text_of(reply: Reply) -> str:
    """What the events of a chat say together."""
    choices = [one["choices"][0] for one in reply.events if one != "[DONE]" and one["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def test_pieces_come_while_the_answer_is_written() -> None:
    model = Held()
    with Server(model, port=0, wires="openai") as server:
        body = chat("one two three", stream=True, stream_options={"include_usage": True})
        connection = begin(server.url, body)
        first = read_until(connection, b'"one"')
        assert b"text/event-stream" in first
        assert not model.done
        model.go.set()
        rest = first + read_until(connection, b"[DONE]")
        assert b'"completion_tokens":3' in rest.replace(b" ", b"")
        assert model.done == 1
        connection.close()


def test_streamed_and_whole_answers_are_those_of_the_model_itself() -> None:
    model = Embedded(max_tokens=24)
    turns: list[list[Message]] = [[{"role": "user", "content": text}] for text in QUESTIONS]
    own = answer(model, [Request(str(n), one) for n, one in enumerate(turns)])
    with Server(model, port=0, wires="openai") as server, ThreadPoolExecutor(24) as pool:

        def ask(text: str, stream: bool) -> Reply:
            return call(server.url, CHAT, chat(text, stream=stream))

        whole = list(pool.map(ask, QUESTIONS, [False] * 12))
        streamed = list(pool.map(ask, QUESTIONS, [True] * 12))
    assert [one.json["choices"][0]["message"]["content"] for one in whole] == [one.text for one in own]
    assert [text_of(one) for one in streamed] == [one.text for one in own]
    assert all(one.events[-1] == "[DONE]" for one in streamed)
    model.close()


def test_what_waits_together_is_answered_together() -> None:
    model = Gate()
    with Server(model, port=0, wires="openai") as server, ThreadPoolExecutor(24) as pool:
        first = pool.submit(call, server.url, CHAT, chat("first"))
        wait_for(lambda: len(model.batches) == 1)
        others = [pool.submit(call, server.url, CHAT, chat(f"w{n}", stream=n % 2 == 0)) for n in range(16)]
        wait_for(lambda: server.app.models["Gate"].places.taken == 17)
        model.go.set()
        assert first.result().json["choices"][0]["message"]["content"] == "FIRST"
        replies = [one.result() for one in others]
        told = call(server.url, "/metrics").body.decode()
    assert [len(batch) for batch in model.batches] == [1, 8, 8]
    assert {text_of(one) for one in replies[::2]} == {f"W{n}" for n in range(0, 16, 2)}
    assert 'steelyard_batch_size_bucket{model="Gate",le="8"} 3' in told
    assert 'steelyard_batch_size_sum{model="Gate"} 17' in told


def test_several_answers_come_in_one_stream() -> None:
    model = Embedded(max_tokens=12)
    with Server(model, port=0, wires="openai") as server:
        body = chat(QUESTIONS[0], stream=True, n=3, temperature=1.0, seed=5)
        reply = call(server.url, CHAT, body)
        whole = call(server.url, CHAT, {**body, "stream": False}).json
    said = dict.fromkeys(range(3), "")
    for one in reply.events[:-1]:
        for choice in one["choices"]:
            said[choice["index"]] += choice["delta"].get("content") or ""
    assert [choice["message"]["content"] for choice in whole["choices"]] == list(said.values())
    model.close()


@pytest.mark.parametrize("stream", [False, True])
def test_who_hangs_up_frees_their_place(stream: bool) -> None:
    model = Held()
    with Server(model, port=0, wires="openai", concurrency=1) as server:
        connection = begin(server.url, chat("gone away", stream=stream))
        wait_for(lambda: model.asked == 1)
        waiting = begin(server.url, chat("next please"))
        wait_for(lambda: server.app.models["Held"].places.waiting == 1)
        connection.close()
        wait_for(lambda: model.left == 1 and model.asked == 2)
        model.go.set()
        assert b"next please" in read_until(waiting, b"}")
        waiting.close()
        told = call(server.url, "/metrics").body.decode()
    assert "steelyard_requests_abandoned_total{" in told
    assert model.done == 1


def test_a_model_that_never_waits_keeps_nobody_waiting() -> None:
    model = Endless()
    with Server({"endless": model, "held": Held()}, port=0, wires="openai") as server:
        try:
            connection = begin(server.url, chat(model="endless", stream=True))
            read_until(connection, b"again")
            assert call(server.url, "/health").status == 200
            connection.close()
            wait_for(lambda: model.left == 1)
        finally:
            model.end.set()


def test_an_answer_that_nobody_waits_for_is_not_written_to_its_end() -> None:
    model = Embedded(max_tokens=5000)
    begun, go = threading.Event(), threading.Event()
    logits, calls = model._network.logits, [0]

    def counted(*args: object, **options: object) -> object:
        calls[0] += 1
        if calls[0] == 3:
            begun.set()
            assert go.wait(20)
        return logits(*args, **options)

    model._network.logits = counted  # type: ignore[method-assign, assignment]
    with Server(model, port=0, wires="openai") as server:
        connection = begin(server.url, chat("a b c", temperature=1.5, seed=1, max_tokens=400))
        assert begun.wait(20)
        connection.close()
        wait_for(lambda: server.app.models["embedded"].places.taken == 0)
        go.set()
        assert call(server.url, CHAT, chat("2 + 3 =", max_tokens=1)).status == 200
    assert calls[0] < 20
    model.close()


def test_who_comes_while_the_queue_is_full_is_asked_to_come_again() -> None:
    model = Held()
    with Server(model, port=0, wires="openai", concurrency=1, queue=2) as server:
        waiting = [begin(server.url, chat(f"n {n}")) for n in range(3)]
        wait_for(lambda: server.app.models["Held"].places.waiting == 2)
        refused = call(server.url, CHAT, chat("n 4"))
        assert refused.status == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert "2 requests wait already" in refused.json["error"]["message"]
        told = call(server.url, "/metrics").body.decode()
        model.go.set()
        for connection in waiting:
            assert b"200 OK" in read_until(connection, b"}")
            connection.close()
        assert call(server.url, CHAT, chat("n 5")).status == 200
    assert 'steelyard_requests_in_flight{model="Held"} 1\n' in told
    assert 'steelyard_requests_waiting{model="Held"} 2\n' in told
    assert 'model="Held",status="429"} 1\n' in told


def test_a_model_that_breaks_in_the_middle_ends_no_stream_well() -> None:
    with Server(Breaking(), port=0, wires="openai") as server:
        broken = call(server.url, CHAT, chat("one two", stream=True))
        before = call(server.url, CHAT, chat("one", stream=True))
    assert broken.status == 200
    assert "[DONE]" not in broken.events
    assert broken.events[-1]["error"]["message"] == "ValueError: the weights <are> gone"
    assert before.status == 500
    assert before.json["error"]["message"] == "ValueError: the weights <are> gone"


@pytest.mark.parametrize("wire", ["openai", "openai-completions", "tgi", "triton", "mindie"])
def test_our_own_client_takes_no_broken_answer_for_a_whole_one(wire: str) -> None:
    named = {"model": "Breaking"} if wire == "triton" else {}
    with Server(Breaking(), port=0) as server:
        model = HttpModel(server.url, wire=resolve("wires", wire)(stream=True, **named), retries=0)
        (response,) = answer(model, [Request("0", "one two")])
        model.close()
    assert response.error is not None
    assert "the weights <are> gone" in response.error


def test_a_protocol_that_cannot_say_it_has_its_connection_cut() -> None:
    class Silent(OpenAI):
        def encode_broken(self, message: str) -> bytes:
            return b""

    with Server(Breaking(), port=0, wires=Silent()) as server, pytest.raises(IncompleteRead):
        call(server.url, CHAT, chat("one two", stream=True))


def test_what_is_under_way_when_the_server_ends_is_finished() -> None:
    model = Held()
    server = Server(model, port=0, wires="openai")
    with server:
        streamed = begin(server.url, chat("one two", stream=True))
        whole = begin(server.url, chat("three four"))
        wait_for(lambda: model.asked == 2)
        ending = threading.Thread(target=server.stop)
        ending.start()
        wait_for(lambda: server.app.ending)
        model.go.set()
        assert b"[DONE]" in read_rest(streamed)
        answer_of = read_rest(whole).partition(b"\r\n\r\n")[2]
        assert json.loads(answer_of)["choices"][0]["message"]["content"] == "three four"
        ending.join(20)
    assert model.done == 2


def test_what_does_not_end_in_time_is_cut_off() -> None:
    model = Held()
    with Server(model, port=0, wires="openai", grace=1) as server:
        connection = begin(server.url, chat("one two", stream=True))
        read_until(connection, b'"one"')
        whole = begin(server.url, chat("one two"))
        wait_for(lambda: model.asked == 2)
        server.stop()
        for told in (read_rest(connection), read_rest(whole)):
            assert b"[DONE]" not in told and b"the server ended before the answer did" in told
    assert told.startswith(b"HTTP/1.1 503 ")
    assert (model.done, model.left) == (0, 2)
