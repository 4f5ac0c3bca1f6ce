"""A server's answers to single calls, over real sockets: what is let in, found, answered and refused."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from http_calls import CHAT, Reply, call, chat
from served_models import Breaking, Held, shout
from test_fitting import DOT

from steelyard.errors import SteelyardError, UsageError
from steelyard.models.embedded import Embedded
from steelyard.models.functions import FunctionModel
from steelyard.serving.server import Server


@pytest.fixture(scope="module")
def two() -> Iterator[Server]:
    models = {"shout": FunctionModel(shout), "org/small": "embedded", "breaking": Breaking()}
    with Server(models, port=0, max_body=5000, wires=["openai", "plain"], log=lambda line: None) as server:
        yield server


def test_a_chat_is_answered_by_the_model_that_it_names(two: Server) -> None:
    answer = call(two.url, CHAT, chat("hello", model="shout"))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json["model"] == "shout"
    (choice,) = answer.json["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("HELLO", "stop")
    assert call(two.url, CHAT, chat(model="org/small", max_tokens=2)).json["usage"]["completion_tokens"] == 2


def test_a_path_that_begins_with_a_models_name_is_that_models(two: Server) -> None:
    assert call(two.url, f"/shout{CHAT}", chat()).json["choices"][0]["message"]["content"] == "HELLO"
    assert call(two.url, f"/org/small{CHAT}", chat(model="shout")).json["model"] == "org/small"
    assert call(two.url, f"/nobody{CHAT}", chat()).status == 404
    for path in ("/org/small/health", "/shout/v2/health/ready"):
        assert call(two.url, path).status == 200
    (listed,) = call(two.url, "/org/small/v1/models").json["data"]
    assert listed["id"] == "org/small"
    assert call(two.url, "/shout").json["models"] == ["shout"]
    assert call(two.url, "/shout/v1/models/org/small").status == 404


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (chat(), 400, "names no model"),
        (chat(model="nobody"), 404, "there is no model 'nobody': shout, org/small, breaking"),
        (b"{", 400, "not JSON"),
        (b"\xff\xfe", 400, "not JSON"),
        (b"", 400, "not JSON"),
        ({"model": "shout"}, 400, "messages"),
        (chat("x" * 6000, model="shout"), 413, "larger than 5000 bytes"),
        (chat(model="org/small", beams=4), 400, "no generation parameter 'beams'"),
        (chat(model="org/small", temperature=-1), 400, "temperature"),
        (chat("12 " * 1500, model="org/small"), 400, "positions"),
        (chat(model="breaking"), 500, "ValueError: the weights <are> gone"),
        (chat(model="shout", n=129), 400, "n: 129 is not between 1 and 128"),
    ],
)
def test_what_cannot_be_answered_is_said_in_the_form_of_the_protocol(
    two: Server, body: Any, status: int, said: str
) -> None:
    answer = call(two.url, CHAT, body, method="POST")
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert said in answer.json["error"]["message"]


def test_paths_and_methods_that_are_not_there(two: Server) -> None:
    assert call(two.url, "/v1/nothing", {}).json["error"]["message"] == "there is nothing at /v1/nothing"
    answer = call(two.url, CHAT)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert call(two.url, CHAT, method="OPTIONS").status == 405
    # What is asked of a proxy, of HTTP/2, or of no path at all.
    for method, path in (("CONNECT", "host:80"), ("PRI", "*"), ("OPTIONS", "*"), ("GET", "host/health")):
        # Some of it is no HTTP/1 to httptools, where that is installed.
        assert call(two.url, path, method=method).status in (400, 404)


def test_a_body_without_a_length_is_counted_as_it_comes(two: Server) -> None:
    assert call(two.url, CHAT, io.BytesIO(b"x" * 6000)).status == 413
    assert call(two.url, CHAT, io.BytesIO(b"x" * 4000)).status == 400
    compressed = gzip.compress(b"{}")
    assert call(two.url, CHAT, compressed, headers={"Content-Encoding": "gzip"}).status == 415


def test_pages_in_browsers_are_not_answered(two: Server) -> None:
    answer = call(two.url, CHAT, chat(model="shout"), headers={"Origin": "http://evil.example"})
    assert answer.status == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_health_what_is_served_and_the_models(two: Server) -> None:
    for path in ("/health", "/health/live", "/health/ready"):
        assert call(two.url, path).json == {"status": "ok"}
    about = call(two.url, "/").json
    assert about["models"] == ["shout", "org/small", "breaking"]
    assert "openai" in about["wires"]
    listed = call(two.url, "/v1/models").json
    assert [one["id"] for one in listed["data"]] == about["models"]
    empty = call(two.url, "/v1/models", method="HEAD")
    assert (empty.status, empty.body) == (200, b"")


def test_pictures_come_within_the_call_or_not_at_all() -> None:
    def sizes(prompt: Any) -> str:
        return str([part.data.size() for part in prompt[0]["content"] if part.kind == "image"])

    with Server(FunctionModel(sizes), port=0, wires="openai") as server:

        def ask(url: str) -> Reply:
            shown = [{"type": "image_url", "image_url": {"url": url}}]
            return call(server.url, CHAT, {"messages": [{"role": "user", "content": shown}]})

        assert ask(DOT).json["choices"][0]["message"]["content"] == "[(1, 1)]"
        for url in (
            f"{server.url}/metrics",
            "file:///etc/hostname",
            "/etc/hostname",
            "data:image/png;base64,§",
        ):
            answer = ask(url)
            assert (answer.status, "data:" in answer.json["error"]["message"]) == (400, True), url


def test_a_question_that_fails_fails_alone_where_the_protocol_can_say_so() -> None:
    def half(prompt: str) -> str:
        if prompt == "bad":
            raise ValueError("no")
        return prompt

    with Server(FunctionModel(half), port=0, wires="plain") as server:
        answer = call(server.url, server.app.routes.wires["plain"].routes[0], ["good", "bad"])
    assert answer.status == 200
    assert answer.json[0]["text"] == "good"
    assert "ValueError: no" in answer.json[1]["error"]


def test_a_call_does_not_take_the_queue_for_itself() -> None:
    with Server(FunctionModel(shout), port=0, wires=["plain"]) as server:
        assert len(call(server.url, "/v1/predict", ["a"] * 2048).json) == 2048
        refused = call(server.url, "/v1/predict", ["a"] * 2049)
    assert refused.status == 400 and "2049 questions in one call: at most 2048" in refused.json["error"]


def test_the_only_model_needs_no_name() -> None:
    with Server(FunctionModel(shout), port=0, wires="openai") as server:
        assert call(server.url, CHAT, chat()).json["model"] == "shout"
        assert call(server.url, CHAT, chat(model="other")).status == 404


@pytest.mark.parametrize("form", ["env", "file", "itself"])
def test_only_who_has_a_key_may_ask(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keys").write_text("first-key\nsecond-key\n")
    monkeypatch.setenv("THE_KEY", "second-key")
    told = {"env": "env:THE_KEY", "file": f"file:{tmp_path / 'keys'}", "itself": "second-key"}[form]
    lines: list[str] = []
    with Server(
        FunctionModel(shout), port=0, wires="openai", api_key=told, log=lines.append, access_log=True
    ) as server:
        for headers in (
            {"Authorization": "Bearer second-key"},
            {"authorization": "bearer second-key"},
            {"X-API-Key": "second-key"},
        ):
            assert call(server.url, CHAT, chat(), headers=headers).status == 200
        for headers in (
            {},
            {"Authorization": "Bearer second-ke"},
            {"Authorization": "Bearer "},
            {"Authorization": "Basic second-key"},
            {"X-API-Key": "sécond"},
        ):
            answer = call(server.url, CHAT, chat(), headers=headers)
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert "second" not in answer.body.decode()
        assert call(server.url, "/v1/models").status == 401
        assert call(server.url, "/metrics").status == 401
        assert call(server.url, "/health").status == 200
    assert len(lines) == 11
    assert "second" not in "".join(lines) + repr(server.app.keys) + server.about


def test_keys_that_are_none_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THE_KEY", raising=False)
    (tmp_path / "empty").write_text("\n")
    for told in ("env:THE_KEY", f"file:{tmp_path / 'none'}", f"file:{tmp_path / 'empty'}", ""):
        with pytest.raises(UsageError):
            Server(FunctionModel(shout), port=0, api_key=told)


def test_what_cannot_be_served_is_said_at_once() -> None:
    model = FunctionModel(shout)
    for options in (
        {"wires": ["no-such-wire"]},
        {"wires": []},
        {"queue": -1},
        {"concurrency": 0},
        {"timeout": 0},
        {"certificate": "cert.pem"},
        {"port": 65536},
        {"host": ""},
    ):
        with pytest.raises(UsageError):
            Server(model, **{"port": 0, **options})
    with pytest.raises(UsageError, match="two models are called shout"):
        Server([model, model], port=0)
    with pytest.raises(UsageError):
        Server([], port=0)
    with (
        Server(model, port=0, wires="openai") as server,
        pytest.raises(SteelyardError, match="cannot listen"),
    ):
        Server(model, port=server.port)


def test_a_server_that_is_never_run_lets_go_of_what_it_took() -> None:
    server = Server("embedded", port=0, wires="openai")
    server.stop()
    with Server(FunctionModel(shout), port=server.port, wires="openai") as other:
        assert other.url == server.url


def test_models_that_are_given_stay_open_and_those_that_are_named_are_closed() -> None:
    given = Embedded()
    with Server({"given": given, "named": "embedded"}, port=0, wires="openai") as server:
        assert call(server.url, CHAT, chat(model="named", max_tokens=1)).status == 200
        assert call(server.url, CHAT, chat(model="given", max_tokens=1)).status == 200
        opened = server.app.models["named"].model
        assert isinstance(opened, Embedded)
        assert sum(opened.batch_sizes.values()) == 1
    assert opened.batch_sizes == {}
    assert sum(given.batch_sizes.values()) == 1
    given.close()


def test_an_answer_that_takes_too_long_is_given_up() -> None:
    model = Held()
    with Server(model, port=0, wires="openai", timeout=0.2) as server:
        answer = call(server.url, CHAT, chat("a b"))
        assert answer.status == 504
        assert "within 0.2 s" in answer.json["error"]["message"]
        streamed = call(server.url, CHAT, chat("a b", stream=True))
        assert streamed.status == 200
        assert "within 0.2 s" in streamed.body.decode()
        assert "[DONE]" not in streamed.body.decode()
    assert (model.asked, model.left, model.done) == (2, 2, 0)
