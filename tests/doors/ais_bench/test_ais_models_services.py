"""A class of one's own that asks a service: what it is given, and what becomes of its answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from PIL import Image

from ais_bench.benchmark.models import BaseAPIModel
from ais_bench.benchmark.models.hanging import hang
from ais_bench.benchmark.models.output import Output, RequestOutput
from chat_service import streamed
from faulty_service import Service, reply, serving
from steelyard.engine import answer
from steelyard.errors import ModelError, UsageError
from steelyard.types import Part, Request, Response

KEY = "sk-hidden-123456"


class Pieces(BaseAPIModel):
    """A service that is asked {"ask", "most"} and says {"said", "thought", "count"}."""

    bodies = 0

    def _get_url(self) -> str:
        return f"{self.base_url}talk"

    async def get_request_body(self, input: Any, max_out_len: int, output: Output, **args: Any) -> Any:
        self.bodies += 1
        output.extra_details_data["asked"] = str(input)
        return {"ask": input, "most": max_out_len, **self.generation_kwargs, **args}

    async def parse_text_response(self, data: Any, output: Output) -> None:
        output.content = data["said"]
        output.output_tokens = data.get("count", 0)

    async def parse_stream_response(self, data: Any, output: Output) -> None:
        output.content += data.get("said", "")
        output.reasoning_content += data.get("thought", "")
        output.output_tokens = data.get("count", output.output_tokens)


def opened(service: Service, cls: type[BaseAPIModel] = Pieces, **config: Any) -> Any:
    told = {
        "type": cls,
        "attr": "service",
        "abbr": "mine",
        "url": f"127.0.0.1:{service.port}",
        "backoff": 0.001,
    }
    return hang({**told, **config})


def ask(model: Any, prompt: Any = "Hello", **params: Any) -> Response:
    (response,) = answer(model, [Request("0", prompt, params=params)])
    return response


def event(**said: Any) -> bytes:
    return b"data: " + json.dumps(said).encode() + b"\n\n"


ONE_TWO = [
    event(role="assistant"), event(thought="hm"), event(said="one "), event(said="two"), event(count=2),
    b"data: [DONE]\n\n",
]  # fmt: skip


def test_an_answer_in_one_piece() -> None:
    with serving(reply({"said": "Hi", "count": 1})) as service:
        response = ask(opened(service, max_out_len=7, generation_kwargs={"heat": 1}, api_key=KEY), top_p=0.5)
    (asked,) = service.asked
    assert (asked.method, asked.target) == ("POST", "/talk")
    assert asked.json == {"ask": "Hello", "most": 7, "heat": 1, "top_p": 0.5}
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["content-type"] == "application/json"
    assert (response.error, response.text) == (None, "Hi")
    assert response.tokens is not None and response.tokens.output == 1
    assert response.raw["asked"] == "Hello" and len(response.raw["uuid"]) == 32
    timing = response.timing
    assert timing is not None and timing.due <= timing.sent <= timing.done and not timing.chunks


def test_a_stream_is_timed_by_when_its_pieces_came() -> None:
    with serving(streamed(ONE_TWO)) as service:
        response = ask(opened(service, stream=True), max_tokens=3)
    assert service.asked[0].json["most"] == 3
    assert (response.error, response.text, response.raw["reasoning"]) == (None, "one two", "hm")
    timing = response.timing
    # Those that say who speaks and how much it was are no pieces of the answer.
    assert timing is not None and len(timing.chunks) == 3
    assert [timing.sent, *timing.chunks, timing.done] == sorted([timing.sent, *timing.chunks, timing.done])
    assert timing.chunks[2] - timing.chunks[0] > 0.002


@pytest.mark.parametrize(
    "body",
    [
        b"".join(ONE_TWO).replace(b"\n", b"\r\n"),
        b": hello\n\nevent: x\nid: 1\n" + b"".join(ONE_TWO),
        b"".join(ONE_TWO[:5]).rstrip(),
        b"".join(ONE_TWO).replace(b"\n\n", b"\r\r"),
        b"\n".join(line[6:].strip() for line in ONE_TWO[:5]),
        b'data: {\ndata: "said": "one two",\ndata: "thought": "hm", "count": 2}\n\n',
    ],
    ids=["returns", "comments", "no end", "old returns", "lines", "several lines"],
)
def test_streams_in_every_form(body: bytes) -> None:
    with serving(reply(body=body, headers={"Content-Type": "text/event-stream"})) as service:
        response = ask(opened(service, stream=True))
    assert (response.error, response.text, response.raw.get("reasoning")) == (None, "one two", "hm")


def test_an_answer_that_is_tried_again_begins_empty_and_is_asked_in_the_same_words() -> None:
    whole = streamed(ONE_TWO)
    with serving((whole[:4], Service.RESET), (whole[:3], Service.CLOSE), reply(status=503), whole) as service:
        model = opened(service, stream=True, retry=4)
        response = ask(model)
    assert (response.error, response.text, response.raw["asked"]) == (None, "one two", "Hello")
    assert len(service.asked) == 4 and len({asked.body for asked in service.asked}) == 1
    assert model.made.bodies == 1


@pytest.mark.parametrize(("retry", "tries"), [(0, 1), (1, 1), (2, 2)])
def test_retry_counts_tries(retry: int, tries: int) -> None:
    with serving(reply({"error": {"message": "too much"}}, status=500)) as service:
        response = ask(opened(service, retry=retry))
    assert len(service.asked) == tries
    assert response.error is not None and response.error.startswith("HTTP 500: too much")


def test_what_is_refused_is_not_tried_again_and_shows_no_key() -> None:
    said = f"the key {KEY} is wrong " + "x" * 1000
    with serving(reply({"detail": said}, status=401)) as service:
        response = ask(opened(service, api_key=KEY, retry=5))
    assert len(service.asked) == 1
    assert response.error is not None and response.error.startswith("HTTP 401: the key *** is wrong")
    assert len(response.error) < 600


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (event(said="one ") + event(error={"message": "out of memory"}), "reports an error: out of memory"),
        (event(said="one ") + b"data: {oops}\n\n" + event(said="two"), "an event of the answer is not JSON"),
        (b'{"error": "no such model"}', "reports an error: no such model"),
        (b'{"said": "whole"}', None),
        (b"<html>", "the answer is not JSON"),
    ],
)
def test_streams_that_fail(body: bytes, error: str | None) -> None:
    with serving(reply(body=body)) as service:
        response = ask(opened(service, stream=True, retry=3))
    assert len(service.asked) == 1
    assert (
        (response.error is None and response.text == "whole")
        if error is None
        else error in str(response.error)
    )
    assert error is None or response.text == ""


def test_a_stream_that_ends_within_an_event_is_tried_again() -> None:
    cut = reply(body=event(said="one ") + b'data: {"said": "tw')
    with serving(cut, reply(body=b": nothing\n\n"), streamed(ONE_TWO)) as service:
        assert ask(opened(service, stream=True, retry=3)).text == "one two"
    with serving(cut) as service:
        response = ask(opened(service, stream=True))
    assert "ended within an event" in str(response.error) and len(service.asked) == 2


def test_what_a_parser_raises_is_the_error_of_that_answer_alone() -> None:
    with serving(
        lambda asked: reply({"said": "Hi"} if asked.json["ask"] == "good" else {"sid": KEY})
    ) as service:
        model = opened(service, api_key=KEY)
        bad, good = answer(model, [Request("0", "bad"), Request("1", "good")])
    assert good.text == "Hi"
    assert bad.error == 'Pieces.parse_text_response: KeyError: \'said\'; it was given {"sid":"***"}'


def test_a_class_that_lacks_a_parser_says_so() -> None:
    class Mute(BaseAPIModel):
        async def get_request_body(self, input: Any, max_out_len: int, output: Output, **args: Any) -> Any:
            return {"ask": input}

    with serving(reply({"said": "Hi"})) as service:
        assert "Mute has no parse_text_response()" in str(ask(opened(service, Mute)).error)
    with serving(streamed(ONE_TWO)) as service:
        assert "Mute has no parse_stream_response()" in str(ask(opened(service, Mute)).error)


def test_generate_may_be_ones_own() -> None:
    class Told(Pieces):
        async def generate(self, input: Any, max_out_len: int, output: Output, session: Any = None) -> Any:  # type: ignore[override]
            if input == "raise":
                raise ValueError(f"no {self.api_key}")
            if input == "fail":
                output.error_info = "I cannot"
            if input == "write":
                output.content = "written"
                output.record_time_point()
                await output.record_time_point()
            if input == "above":
                await super().generate(input, max_out_len, output, session)
                output.content = output.content.upper()
            return "returned" if input == "return" else None

    prompts = ["raise", "fail", "write", "above", "return", "nothing"]
    with serving(reply({"said": "Hi", "count": 1})) as service:
        model = opened(service, Told, api_key=KEY, batch_size=1)
        responses = answer(model, [Request(prompt, prompt, params={"top_p": 1}) for prompt in prompts])
    assert [response.error for response in responses] == [
        "ValueError: no ***", "I cannot", None, None, None, "Told wrote nothing in its output",
    ]  # fmt: skip
    assert [response.text for response in responses][2:5] == ["written", "HI", "returned"]
    assert responses[2].timing is not None and len(responses[2].timing.chunks) == 1
    assert responses[3].tokens is not None and responses[3].tokens.output == 1


def test_all_may_be_plain_functions() -> None:
    class Plain(BaseAPIModel):
        def get_request_body(self, input: Any, max_out_len: int, output: Output) -> Any:  # type: ignore[override]
            return json.dumps({"ask": input}).encode()

        def parse_text_response(self, data: Any, output: Output) -> None:  # type: ignore[override]
            output.content = data["said"]

    with serving(reply({"said": "Hi"})) as service:
        assert ask(opened(service, Plain), top_p=1).text == "Hi"
    assert (service.asked[0].target, service.asked[0].json) == ("/", {"ask": "Hello"})


def test_what_a_class_is_given() -> None:
    turns: Any = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    picture = [Part("image", Image.new("RGB", (2, 2))), Part("text", "What?")]
    meta = {
        "round": [
            {"role": "HUMAN", "api_role": "user"},
            {"role": "BOT", "api_role": "bot", "generate": True},
        ],
    }
    with serving(reply({"said": "Hi"})) as service:
        plain, told = opened(service), opened(service, meta_template=meta)
        assert (plain.chat, told.chat) == (False, True)
        ask(plain, turns)
        ask(plain, [{"role": "user", "content": picture}])
        ask(told, turns)
        ask(told, "as it is")
        ask(plain, {"own": ["object"]})
    texts, pictures, roles, text, own = [asked.json["ask"] for asked in service.asked]
    assert (texts, text, own) == ("a\nb", "as it is", {"own": ["object"]})
    assert pictures[0]["role"] == "HUMAN" and pictures[0]["prompt"][0]["type"] == "image_url"
    assert roles == [{"role": "user", "prompt": "a"}, {"role": "bot", "prompt": "b"}]


def test_likelihoods_are_not_told() -> None:
    with serving(reply({"said": "Hi"})) as service:
        (response,) = answer(opened(service), [Request("0", "1 + 1 =", choices=["2", "3"])])
    assert "does not tell how likely choices are" in str(response.error) and not service.asked


@pytest.mark.parametrize(
    ("config", "base"),
    [
        ({}, "http://localhost:8080/"),
        ({"host_ip": "::1", "host_port": 80}, "http://[::1]:80/"),
        ({"host_ip": "[::1]", "host_port": "80", "enable_ssl": True}, "https://[::1]:80/"),
        ({"url": "model.example/api"}, "http://model.example/api/"),
        ({"url": "model.example/api//", "enable_ssl": True}, "https://model.example/api/"),
        ({"url": "https://model.example/v1/"}, "https://model.example/v1/"),
        ({"url": "http://[::1]:8000"}, "http://[::1]:8000/"),
    ],
)
def test_addresses(config: Mapping[str, Any], base: str) -> None:
    made = Pieces(**config)
    assert (made.base_url, made.address()) == (base, f"{base}talk")


def test_a_class_may_say_where_by_setting_url() -> None:
    class Placed(Pieces):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.url = f"{self.base_url}elsewhere?x=1"
            self.headers["X-Seen"] = "7"

    with serving(reply({"said": "Hi"})) as service:
        assert ask(opened(service, Placed)).text == "Hi"
    assert (service.asked[0].target, service.asked[0].headers["x-seen"]) == ("/elsewhere?x=1", "7")


def test_headers_may_change_from_request_to_request() -> None:
    class Numbered(Pieces):
        async def get_request_body(self, input: Any, max_out_len: int, output: Output, **args: Any) -> Any:
            self.headers = {**self.headers, "X-Number": str(input)}
            return {"ask": input}

    with serving(reply({"said": "Hi"})) as service:
        model = opened(service, Numbered)
        for number in ("1", "2"):
            ask(model, number)
    assert [asked.headers["x-number"] for asked in service.asked] == ["1", "2"]


def test_the_name_of_the_model_is_looked_up_once() -> None:
    with serving(reply({"data": [{"id": "served"}, {"id": "other"}]})) as service:
        made = Pieces(url=f"http://127.0.0.1:{service.port}/v1", api_key=KEY)
        assert {made._get_service_model_path() for _ in range(3)} == {"served"}
    (asked,) = service.asked
    assert (asked.method, asked.target, asked.headers["authorization"]) == (
        "GET",
        "/v1/models",
        f"Bearer {KEY}",
    )
    for body in (reply({"data": []}), reply(["served"]), reply({"models": 1}), reply(status=404)):
        with (
            serving(body) as service,
            pytest.raises(ModelError, match=r"no model is named, and .* lists none"),
        ):
            Pieces(url=service.url)._get_service_model_path()


@pytest.fixture
def silent() -> Iterator[Service]:
    with serving(Service.HANG) as service:
        yield service


def test_a_service_that_is_silent_fails_in_time(silent: Service) -> None:
    response = ask(opened(silent, timeout=0.05, retry=1))
    assert "within 0.05 s" in str(response.error) or "for 0.05 s" in str(response.error)


def test_nobody_listens() -> None:
    with serving(reply()) as service:
        pass
    response = ask(opened(service))
    assert f"nobody listens at 127.0.0.1:{service.port}/talk" in str(response.error)


def test_keys_may_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    made = Pieces(api_key="env:MY_KEY")
    assert (made.api_key, made.headers["Authorization"]) == (KEY, f"Bearer {KEY}")
    with pytest.raises(UsageError, match="there is no environment variable NO_KEY"):
        Pieces(api_key="env:NO_KEY")


def test_as_many_are_under_way_as_batch_size_says() -> None:
    seen: list[int] = []
    with serving(lambda asked: seen.append(service.connections) or [b"", reply({"said": "Hi"})]) as service:
        model = opened(service, batch_size=3)
        answer(model, [Request(str(n), str(n)) for n in range(12)])
    assert model.concurrency == 3 and max(seen) == 3


def test_identities_tell_what_shapes_answers_and_no_key() -> None:
    config = {
        "type": Pieces, "abbr": "mine", "attr": "service", "url": "http://127.0.0.1:1", "max_out_len": 5,
        "api_key": KEY, "batch_size": 4, "generation_kwargs": {"heat": 1, "api_key": KEY},
    }  # fmt: skip

    def identity(**changes: Any) -> Any:
        return hang({**config, **changes}).identity()

    first = identity()
    assert KEY not in json.dumps(first) and first["url"] == "http://127.0.0.1:1/talk"
    for same in ({"batch_size": 1}, {"retry": 7}, {"api_key": "other"}, {"abbr": "x"}, {"request_rate": 3}):
        assert identity(**same) == first
    for other in (
        {"max_out_len": 6},
        {"generation_kwargs": {"heat": 2}},
        {"path": "x"},
        {"url": "http://h/"},
    ):
        assert identity(**other) != first


def test_outputs_tell_what_came() -> None:
    output = RequestOutput(perf_mode=True)
    output.content, output.reasoning_content = "4", "2 and 2"
    assert output.get_prediction() == "2 and 2</think>4"
    assert output.to_dict() == {
        "perf_mode": True, "success": False, "error_info": "", "time_points": [], "content": "4",
        "reasoning_content": "2 and 2", "input_tokens": 0, "output_tokens": 0, "extra_perf_data": {},
        "extra_details_data": {}, "input": None, "uuid": "", "turn_id": 0,
    }  # fmt: skip
    assert "latency" not in output.get_metrics()
    output.success, output.time_points, output.output_tokens = True, [1.0, 1.5, 1.75, 2.25], 4
    told = output.get_metrics()
    assert (told["latency"], told["ttft"], told["itl"], told["tpot"]) == (1.25, 0.5, [0.25, 0.5], 0.25)
    output.content, output.reasoning_content = None, ""
    assert output.get_prediction() == ""
