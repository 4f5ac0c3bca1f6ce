"""Chat services through the whole way: open_openai, engine, wire, sockets."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from chat_service import chatting, completion, pictures, refusal
from faulty_service import Asked, Service, reply
from steelyard import Part, Request, Response, answer, open_model
from steelyard.errors import ModelError, UsageError
from steelyard.models.http import HttpModel
from steelyard.models.services import open_openai
from steelyard.types import Tokens

KEY = "sk-live-2718281828"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def draw(path: Path, size: tuple[int, int] = (40, 20), color: str = "red", **options: Any) -> Path:
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", size, color).save(path, **options)
    return path


def ask(model: Any, *prompts: Any, **params: Any) -> list[Response]:
    try:
        return answer(model, [Request(id=str(n), prompt=p, params=params) for n, p in enumerate(prompts)])
    finally:
        model.close()


def look(*shown: Any, text: str = "What is it?") -> Any:
    return [{"role": "user", "content": [*[Part("image", one) for one in shown], Part("text", text)]}]


def test_a_question_and_its_answer() -> None:
    with chatting(lambda asked: f"{asked.json['messages'][-1]['content']}!") as service:
        model = open_openai(service.url, model="m", max_tokens=5, params={"top_k": 1})
        assert (model.name, model.chat) == ("m", True)
        first, second = ask(model, "a", [{"role": "user", "content": "b"}], temperature=0)
        assert (first.text, second.text, first.tokens) == ("a!", "b!", Tokens(7, 3))
        assert first.timing is not None
        body = service.asked[0].json
        assert (body["model"], body["max_tokens"], body["top_k"], body["temperature"]) == ("m", 5, 1, 0)


def test_pictures_arrive_as_they_were(tmp_path: Path) -> None:
    seen: list[list[Any]] = []

    def answered(asked: Asked) -> str:
        seen.append([(picture.size, picture.convert("RGB").getpixel((3, 3))) for picture in pictures(asked)])
        return "seen"

    red, blue = draw(tmp_path / "r.png"), draw(tmp_path / "b.png", (10, 30), "blue")
    with chatting(answered) as service:
        model = open_openai(service.url, model="m", detail="low")
        (response,) = ask(model, look(red, str(blue), red.read_bytes()))
    assert response.text == "seen"
    assert seen == [[((40, 20), (255, 0, 0)), ((10, 30), (0, 0, 255)), ((40, 20), (255, 0, 0))]]


def test_a_picture_that_cannot_be_read_fails_alone_and_nothing_is_sent(tmp_path: Path) -> None:
    draw(tmp_path / "good.png")
    (tmp_path / "no.png").write_text("no picture")
    with chatting() as service:
        model = open_openai(service.url, model="m")
        prompts = [look(tmp_path / name) for name in ("good.png", "no.png", "gone.png")]
        responses = ask(model, *prompts, look("https://host/a.png"))
        assert responses[0].text == "yes"
        for response, name in zip(responses[1:], ("no.png", "gone.png", "https://host/a.png")):
            assert (response.error or "").startswith("the prompt cannot be sent: ")
            assert name in (response.error or "")
        assert len(service.asked) == 1


def test_pictures_are_encoded_away_from_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from steelyard.media.images import Image

    threads: list[bool] = []
    url = Image.url

    def noting(self: Image) -> str:
        threads.append(threading.current_thread() is threading.main_thread())
        return url(self)

    monkeypatch.setattr(Image, "url", noting)
    with chatting() as service:
        assert ask(open_openai(service.url, model="m"), look(draw(tmp_path / "a.png")))[0].text == "yes"
    assert threads == [False]


@pytest.mark.parametrize("ending", ["", "/", "/chat/completions"])
def test_an_address_alone_is_enough(ending: str) -> None:
    with chatting() as service:
        model = open_model(service.url + ending)
        assert model.name == "served"
        assert ask(model, "a")[0].text == "yes"
        assert service.asked[-1].json["model"] == "served"
    assert open_model("http://127.0.0.1:1/v1", wire="plain").chat is False


def test_a_model_can_be_found_from_inside_a_loop() -> None:
    with chatting() as service:

        async def go() -> str:
            return open_openai(service.url).name

        assert asyncio.run(go()) == "served"


def test_one_of_several_models_has_to_be_named() -> None:
    two = pytest.raises(UsageError, match=r"has 2 models \(model=NAME; a, b\)")
    with chatting(models=("a", "b")) as service, two:
        open_openai(service.url)
    with chatting(models=()) as service, pytest.raises(UsageError, match="none"):
        open_openai(service.url)


def test_adapters_of_the_one_model_are_not_meant() -> None:
    listed = {"data": [{"id": "base", "parent": None}, {"id": "lora", "parent": "base"}]}
    service = Service(reply(listed))
    try:
        assert open_openai(f"http://127.0.0.1:{service.port}").name == "base"
    finally:
        service.close()


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (reply(status=404), "HTTP 404"),
        (reply(body=b""), "Input data"),
        (reply([1]), "indices"),
        (Service.CLOSE, "closed"),
    ],
)
def test_a_service_that_does_not_list_its_models(step: Any, said: str) -> None:
    service = Service(step)
    try:
        with pytest.raises(ModelError, match=rf"does not say which models it has: .*{said}.*model=NAME"):
            open_openai(f"http://127.0.0.1:{service.port}/v1")
    finally:
        service.close()


def test_errors_are_said_in_the_words_of_the_service() -> None:
    with chatting(lambda asked: refusal("the prompt has 9000 tokens, the model takes 4096")) as service:
        error = ask(open_openai(service.url, model="m"), "a")[0].error
        assert error == "HTTP 400: the prompt has 9000 tokens, the model takes 4096"
        assert len(service.asked) == 1
    with chatting() as service:
        assert ask(open_openai(service.url, model="m"), "a", colour="red")[0].error == (
            "HTTP 400: colour is not permitted"
        )


def test_passing_errors_are_tried_again() -> None:
    steps = iter(
        [refusal("slow down", status=429, **{"Retry-After": "0.2"}), reply(status=502, body=b"<html>")]
    )
    with chatting(lambda asked: next(steps, "yes")) as service:
        assert ask(open_openai(service.url, model="m", backoff=0.001), "a")[0].text == "yes"
        assert service.asked[1].at - service.asked[0].at >= 0.2
        assert len(service.asked) == 3


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (reply(status=503, body=b"<html><h1>Busy</h1></html>"), "HTTP 503: <html><h1>Busy</h1></html>"),
        (reply(body=b"<html>Login"), "the body is not JSON"),
        (reply(completion("a"))[:-20], "closed after"),
        (reply({"choices": []}), "no choices"),
        (reply({"object": "error", "message": "dead"}), "the service reports an error: dead"),
    ],
)
def test_answers_that_are_none(step: bytes, said: str) -> None:
    service = Service((step, Service.CLOSE))
    try:
        model = open_openai(f"http://127.0.0.1:{service.port}/v1", model="m", retries=0)
        assert said in (ask(model, "a")[0].error or "")
    finally:
        service.close()


def test_likelihoods_are_refused_before_anything_is_sent() -> None:
    with chatting() as service:
        model = open_openai(service.url, model="m")
        (response,) = answer(model, [Request(id="0", prompt="a", choices=["x", "y"])])
        model.close()
        assert "ask it for a letter instead" in (response.error or "")
        assert service.asked == []


def test_the_key_goes_only_where_it_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with chatting() as service:
        ask(open_openai(service.url, model="m"), "a")
        ask(open_openai(service.url, model="m", api_key="sk-other-31415"), "a")
        monkeypatch.setenv("OPENAI_BASE_URL", service.url)
        ask(open_openai(model="m"), "a")
        signed = [asked.headers.get("authorization") for asked in service.asked]
    assert signed == [None, "Bearer sk-other-31415", f"Bearer {KEY}"]
    monkeypatch.delenv("OPENAI_BASE_URL")
    own = open_openai(model="m")
    assert own.url == "https://api.openai.com/v1/chat/completions"
    assert own.identity()["headers"]["Authorization"] == "***"
    assert KEY not in json.dumps(own.identity()) + repr(own) + own.name


def test_identities_tell_models_and_answers_apart() -> None:
    def opened(**options: Any) -> Any:
        return open_openai("http://h/v1", **{"model": "m", **options}).identity()

    assert opened() == opened(timeout=3, concurrency=2, api_key=None)
    others = [opened(model="n"), opened(max_tokens=3), opened(params={"top_k": 2}), opened(detail="low")]
    assert all(other != opened() for other in others)
    json.dumps(others)


def test_the_wire_by_its_name() -> None:
    with chatting() as service:
        model = HttpModel(service.url, wire="openai")
        assert ask(model, "a")[0].error == "HTTP 400: model and messages are required"


def test_of_a_streamed_answer_every_piece_has_its_time() -> None:
    with chatting(lambda asked: "one two three four") as service:
        model = open_model("openai", url=service.url, stream=True)
        (streamed,) = answer(model, [Request("0", "?")])
        model.close()
        (whole,) = answer(open_model("openai", url=service.url), [Request("0", "?")])
    assert (streamed.text, streamed.tokens) == (whole.text, whole.tokens)
    timing = streamed.timing
    assert timing is not None and whole.timing is not None and whole.timing.ttft is None
    assert len(timing.chunks) == 4
    assert timing.sent < timing.chunks[0] < timing.chunks[1] < timing.chunks[3] <= timing.done
