"""A service as a load test asks it: once and at once, whatever it says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from chat_service import completion
from faulty_service import Service, reply, serving
from paced_service import paced
from steelyard.errors import ModelError
from steelyard.models.base import Model
from steelyard.models.http import HttpModel
from steelyard.types import Request, Response
from steelyard.wire.openai import OpenAI
from steelyard.wire.tgi import TGI


def chat(url: str, **options: Any) -> HttpModel:
    return HttpModel(url, wire=OpenAI(model="m"), **options)


def ask(model: HttpModel, count: int, *, keep: bool = True) -> Sequence[Response]:
    loaded = model.under_load(keep=keep)

    async def go() -> Sequence[Response]:
        return await asyncio.gather(*(loaded.ask(Request(str(n), "Hi")) for n in range(count)))

    try:
        return asyncio.run(go())
    finally:
        model.close()


@pytest.mark.parametrize(
    "step",
    [
        reply({"error": "slow down"}, status=429, headers={"Retry-After": "30"}),
        reply({"error": "oops"}, status=500),
        Service.CLOSE,
        (reply(completion("half"))[:-9], Service.RESET),
    ],
)
def test_each_question_is_asked_once_and_none_is_held_back(step: Any) -> None:
    with serving(step) as service:
        responses = ask(chat(service.url, connections=1, rate_limit=1.0), 60)
        assert len(service.asked) == 60
    assert all(response.error for response in responses)
    assert not any("tries" in str(r.error) or "any more" in str(r.error) for r in responses)
    for response in responses:
        assert response.timing is not None and response.timing.sent <= response.timing.done


def test_a_service_that_is_away_is_asked_all_the_same() -> None:
    with serving(reply(completion("back"))) as service:
        url = service.url
    model = chat(url)
    assert {str(r.error) for r in ask(model, 50)} == {f"nobody listens at {model.client.where}"}
    with serving(reply(completion("back")), port=service.port):
        assert [response.text for response in ask(chat(url), 3)] == ["back"] * 3


def test_it_is_asked_to_stream_where_the_protocol_can() -> None:
    with serving(reply(completion("whole"))) as service:
        (response,) = ask(chat(service.url), 1)
        assert response.text == "whole" and response.timing is not None and not response.timing.chunks
        assert service.asked[0].json["stream"] is True
        assert service.asked[0].json["stream_options"] == {"include_usage": True}
    body = b'data: {"token": {"text": "Hi"}, "generated_text": "Hi", "details": null}\n\n'
    with serving(reply(body=body, headers={"Content-Type": "text/event-stream"})) as service:
        model = HttpModel(f"http://127.0.0.1:{service.port}", wire=TGI(), api_key="hush-hush", auth="query")
        (response,) = ask(model, 1)
        assert response.text == "Hi" and response.timing is not None and len(response.timing.chunks) == 1
        assert service.asked[0].target == "/generate_stream?api_key=hush-hush"


def test_texts_that_nobody_wants_are_not_kept_but_their_tokens_are_counted() -> None:
    with paced(tokens=30, ttft=0.01, role=1, usage=1) as service:
        (response,) = ask(chat(service.url), 1, keep=False)
        assert response.text == "" and response.error is None
        assert response.tokens == (7, 30) and response.timing is not None
        assert len(response.timing.chunks) == 30 and response.raw["finish_reason"] == "stop"


def test_several_tokens_in_an_event_are_one_event() -> None:
    with paced(tokens=20, ttft=0.01, pack=4, usage=1) as service:
        (response,) = ask(chat(service.url), 1)
        assert response.tokens == (7, 20) and response.timing is not None
        assert len(response.timing.chunks) == 5 and response.text == "word " * 20


@pytest.mark.parametrize(("fault", "said"), [("close:5", "after"), ("reset:5", "lost within an answer")])
def test_what_came_of_an_answer_that_broke_is_known(fault: str, said: str) -> None:
    with paced(tokens=20, ttft=0.01, itl=0.01, fault=fault) as service:
        (response,) = ask(chat(service.url), 1)
        assert said in str(response.error) and response.timing is not None
        assert len(response.timing.chunks) == 5 and response.timing.first_byte is not None


def test_what_came_of_an_answer_that_is_cut_off_is_kept() -> None:
    with paced(tokens=500, ttft=0.01, itl=0.01) as service:
        model = chat(service.url).under_load()

        async def go() -> Response:
            asking = asyncio.ensure_future(model.ask(Request("1", "Hi")))
            await asyncio.sleep(0.3)
            asking.cancel()
            return await asking

        response = asyncio.run(go())
        model.close()
    assert str(response.error).startswith("cut off") and response.raw == {"cut": True}
    timing = response.timing
    assert timing is not None and 0 < len(timing.chunks) < 40
    assert timing.sent < timing.chunks[0] <= timing.chunks[-1] <= timing.done


def test_connections_are_opened_ahead_and_used() -> None:
    with serving(reply(completion("Hi"))) as service:
        model = chat(service.url).under_load()

        async def go() -> Sequence[Response]:
            await model.warm(5)
            await model.warm(3)
            return await asyncio.gather(*(model.ask(Request(str(n), "Hi")) for n in range(5)))

        responses = asyncio.run(go())
        assert service.connections == 5
        assert [r.timing.connecting for r in responses if r.timing] == [0.0] * 5
        model.close()
        (cold,) = ask(chat(service.url), 1)
        assert cold.timing is not None and 0 < cold.timing.connecting < cold.timing.sent - cold.timing.due
    with pytest.raises(ModelError, match="nobody listens"):
        asyncio.run(model.warm(1))


def test_a_model_that_knows_no_load_is_what_it_is() -> None:
    model = Model()
    assert model.under_load(keep=False) is model
    asyncio.run(model.warm(9))
