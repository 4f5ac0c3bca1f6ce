"""The ready-made backends against services that speak their protocols, in one piece and in streams."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import ais_bench.benchmark.models as backends
from ais_bench.benchmark.models.hanging import hang
from ais_bench.benchmark.models.output import Output
from chat_service import chatting, completion, streamed
from faulty_service import Service, reply, serving
from steelyard.engine import answer
from steelyard.types import Request, Response

KEY = "sk-hidden-123456"
TURNS: Any = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "1 + 1?"},
    {"role": "assistant", "content": "2"},
    {"role": "user", "content": "2 + 2?"},
]


def sse(*said: Any) -> list[bytes]:
    return streamed([b"data:" + json.dumps(one).encode() + b"\n\n" for one in said])


def detail(reason: str = "length") -> dict[str, Any]:
    return {"finish_reason": reason, "generated_tokens": 2, "seed": None, "prefill": [], "tokens": []}


def tgi_event(text: str, whole: str | None = None) -> dict[str, Any]:
    token = {"id": 1, "text": text, "logprob": -0.5, "special": False}
    return {"token": token, "generated_text": whole, "details": detail() if whole else None}


def text_event(text: str, finish: str | None = None) -> dict[str, Any]:
    return {
        "id": "cmpl-1", "object": "text_completion", "created": 1, "model": "served",
        "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": finish}],
    }  # fmt: skip


USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
MODEL = {"model": "served"}
# The class, whether in a stream, more options, what the service answers, where it is asked, in which body.
CASES: list[tuple[str, bool, Mapping[str, Any], Any, str, Mapping[str, Any]]] = [
    (
        "VLLMCustomAPI", False, MODEL, reply({**text_event("It is 4", "stop"), "usage": USAGE}),
        "/v1/completions", {"model": "served", "prompt": "2 + 2?", "max_tokens": 9, "top_k": 3},
    ),
    (
        "VLLMCustomAPI", True, MODEL,
        sse(text_event("It is"), text_event(" 4", "stop"), {**text_event(""), "choices": [], "usage": USAGE}),
        "/v1/completions", {"prompt": "2 + 2?", "stream": True, "stream_options": {"include_usage": True}},
    ),
    (
        "TGICustomAPI", False, {}, reply({"generated_text": "It is 4", "details": detail()}),
        "/generate", {"inputs": "2 + 2?", "parameters.max_new_tokens": 9, "parameters.top_k": 3},
    ),
    (
        "TGICustomAPI", True, {}, sse(tgi_event("It is"), tgi_event(" 4", "It is 4")),
        "/generate_stream", {"inputs": "2 + 2?", "parameters.max_new_tokens": 9},
    ),
    (
        "TritonCustomAPI", False, MODEL, reply({"model_name": "served", "text_output": "It is 4"}),
        "/v2/models/served/generate", {"text_input": "2 + 2?"},
    ),
    (
        "TritonCustomAPI", True, {"model_name": "served"},
        sse({"text_output": "It is"}, {"text_output": " 4"}),
        "/v2/models/served/generate_stream", {"text_input": "2 + 2?"},
    ),
    (
        "MindieStreamApi", False, {}, reply({"generated_text": "It is 4", "details": detail()}),
        "/infer", {"inputs": "2 + 2?", "stream": False, "parameters.max_new_tokens": 9},
    ),
    (
        "MindieStreamApi", True, {},
        sse({"generated_text": "It is"}, {"generated_text": "It is 4", "details": detail()}),
        "/infer", {"inputs": "2 + 2?", "stream": True, "parameters.max_new_tokens": 9},
    ),
]  # fmt: skip


def opened(service: Service, cls: Any, **config: Any) -> Any:
    told = {"type": cls, "attr": "service", "abbr": "mine", "url": f"http://127.0.0.1:{service.port}"}
    return hang({"backoff": 0.001, "max_out_len": 9, "api_key": KEY, **told, **config})


def ask(model: Any, prompt: Any = "2 + 2?", **params: Any) -> Response:
    (response,) = answer(model, [Request("0", prompt, params=params)])
    return response


def found(body: Any, path: str) -> Any:
    for name in path.split("."):
        body = body[name]
    return body


def rewritten(cls: type[Any]) -> type[Any]:
    """A class of one's own that only adds a little to a ready-made one, in all documented places."""

    class Rewritten(cls):  # type: ignore[misc]
        async def get_request_body(self, input: Any, max_out_len: int, output: Output, **args: Any) -> Any:
            return {**await super().get_request_body(input, max_out_len, output, **args), "mine": 1}

        async def parse_text_response(self, data: Any, output: Output) -> None:
            await super().parse_text_response(data, output)
            output.content += "!"

        async def parse_stream_response(self, data: Any, output: Output) -> None:
            await super().parse_stream_response(data, output)
            if output.content == "It is":
                output.content += " really"

    return Rewritten


@pytest.mark.parametrize(("name", "stream", "options", "answered", "target", "body"), CASES)
def test_each_protocol(
    name: str, stream: bool, options: Any, answered: Any, target: str, body: Mapping[str, Any]
) -> None:
    cls = getattr(backends, name)
    generation = {"top_k": 3, "temperature": 0.5}
    with serving(answered) as service:
        ready = opened(service, cls, stream=stream, generation_kwargs=generation, **options)
        response = ask(ready)
        changed = ask(opened(service, rewritten(cls), stream=stream, generation_kwargs=generation, **options))
    first, second = service.asked
    assert (first.method, first.target, first.headers["authorization"]) == ("POST", target, f"Bearer {KEY}")
    for path, value in body.items():
        assert found(first.json, path) == value, path
    assert second.json == {**first.json, "mine": 1}
    assert (response.error, response.text) == (None, "It is 4")
    # One that reads what comes itself gets it event by event, and may change it.
    assert (changed.error, changed.text) == (None, "It is really 4" if stream else "It is 4!")
    assert changed.tokens == response.tokens
    for one in (response, changed):
        assert one.timing is not None and len(one.timing.chunks) == (2 if stream else 0)
    assert KEY not in json.dumps(ready.identity())


def test_chat_in_one_piece() -> None:
    with chatting(lambda asked: completion("4", reasoning_content="two and two")) as service:
        config = {"max_out_len": 9, "generation_kwargs": {"temperature": 0.5, "seed": None}}
        response = ask(opened(service, backends.VLLMCustomAPIChat, **config), TURNS)
    listed, asked = service.asked
    # Nobody said which model: the one that the service lists.
    assert (listed.method, listed.target) == ("GET", "/v1/models")
    assert asked.json == {"model": "served", "messages": TURNS, "max_tokens": 9, "temperature": 0.5}
    assert (response.error, response.text) == (None, "4")
    assert response.raw.get("reasoning", response.raw.get("reasoning_content")) == "two and two"
    assert response.tokens is not None and tuple(response.tokens) == (7, 3)


@pytest.mark.parametrize("name", ["VLLMCustomAPIChat", "VLLMCustomAPIChatStream"])
def test_chat_in_a_stream(name: str) -> None:
    options = {} if name.endswith("Stream") else {"stream": True}
    with chatting(lambda asked: "It is 4") as service:
        response = ask(opened(service, getattr(backends, name), model="served", **options), TURNS)
    assert service.asked[0].json["stream"] is True
    assert (response.error, response.text) == (None, "It is 4")
    assert response.tokens is not None and tuple(response.tokens) == (7, 3)
    assert response.timing is not None and len(response.timing.chunks) == 3


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_of_ones_own_thinks_too(stream: bool) -> None:
    """What a service says of its thinking reaches a class that changes what is sent."""
    about = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "served"}
    deltas = [{"role": "assistant", "content": ""}, {"reasoning_content": "hm"}, {"content": "4"}]
    told = [{**about, "choices": [{"index": 0, "delta": one, "finish_reason": None}]} for one in deltas]
    told.append({**about, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": USAGE})
    answered = sse(*told) if stream else reply(completion("4", tokens=(5, 2), reasoning_content="hm"))
    for cls in (rewritten(backends.VLLMCustomAPIChat), type("Mine", (backends.VLLMCustomAPIChat,), {})):
        with serving(answered) as service:
            response = ask(opened(service, cls, model="served", stream=stream), TURNS)
        assert service.asked[0].json["messages"] == TURNS
        assert response.error is None and response.text.rstrip("!") == "4"
        assert response.raw.get("reasoning", response.raw.get("reasoning_content")) == "hm"
        assert response.tokens is not None and tuple(response.tokens) == (5, 2)
        assert response.timing is not None and len(response.timing.chunks) == (2 if stream else 0)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("name", ["VLLMCustomAPI", "TGICustomAPI", "TritonCustomAPI", "MindieStreamApi"])
def test_streams_that_break_off_are_tried_again(name: str, own: bool) -> None:
    answered, options = next((case[3], case[2]) for case in CASES if case[:2] == (name, True))
    cls = getattr(backends, name)
    with serving((answered[:2], Service.RESET), answered) as service:
        model = opened(service, rewritten(cls) if own else cls, stream=True, retry=2, **options)
        response = ask(model)
    assert (response.error, response.text) == (None, "It is really 4" if own else "It is 4")
    assert len(service.asked) == 2


@pytest.mark.parametrize("own", [False, True])
def test_a_stream_that_ends_too_early_is_no_answer(own: bool) -> None:
    cls = rewritten(backends.VLLMCustomAPI) if own else backends.VLLMCustomAPI
    with serving(sse(text_event("It is"))) as service:
        response = ask(opened(service, cls, stream=True, retry=2, model="served"))
    assert len(service.asked) == 2 and "ended before the answer did" in str(response.error)
    with serving(sse(text_event("It is"), {"error": {"message": "out of memory"}})) as service:
        response = ask(opened(service, cls, stream=True, model="served"))
    assert "out of memory" in str(response.error) and response.text == ""


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("name", ["VLLMCustomAPIChat", "TGICustomAPI", "TritonCustomAPI", "MindieStreamApi"])
def test_what_a_service_refuses(name: str, own: bool) -> None:
    cls = getattr(backends, name)
    with serving(reply({"error": f"no, {KEY}", "error_type": "validation"}, status=422)) as service:
        options = {} if name in ("TGICustomAPI", "MindieStreamApi") else MODEL
        response = ask(opened(service, rewritten(cls) if own else cls, **options))
    assert (
        response.error is not None and response.error.startswith("HTTP 422") and "no, ***" in response.error
    )


@pytest.mark.parametrize("tail", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
def test_addresses_may_say_more_or_less(tail: str) -> None:
    with chatting() as service:
        address = f"127.0.0.1:{service.port}{tail}"
        for cls in (backends.VLLMCustomAPIChat, rewritten(backends.VLLMCustomAPIChat)):
            model = opened(service, cls, url=address, generation_kwargs={"max_completion_tokens": 4})
            assert ask(model).error == (
                "HTTP 400: mine is not permitted" if cls.__name__ == "Rewritten" else None
            )
    assert {asked.target for asked in service.asked} == {"/v1/models", "/v1/chat/completions"}
    posted = [asked.json for asked in service.asked if asked.method == "POST"]
    assert all("max_tokens" not in body and body["max_completion_tokens"] == 4 for body in posted)


def test_likelihoods_over_a_ready_made_backend_are_the_engines() -> None:
    with chatting() as service:
        model = opened(service, backends.VLLMCustomAPI, model="served")
    assert model.likelihoods
    assert model.asking(model.likelihoods[0]).model.wire.likelihood == model.likelihoods[0]


@pytest.mark.parametrize("wrap", [lambda cls: cls, rewritten])
@pytest.mark.parametrize(
    ("name", "said", "place"),
    [
        ("VLLMCustomAPI", {**text_event("4", "stop"), "usage": USAGE}, "prompt"),
        ("TGICustomAPI", {"generated_text": "4", "details": detail()}, "inputs"),
        ("TritonCustomAPI", {"model_name": "served", "text_output": "4"}, "text_input"),
        ("MindieStreamApi", {"generated_text": "4", "details": detail()}, "inputs"),
    ],
)
def test_turns_are_one_text_for_who_takes_a_text(
    name: str, said: Any, place: str, wrap: Callable[[Any], Any]
) -> None:
    with serving(reply(said)) as service:
        options = {"model": "served"} if getattr(backends, name).names_model else {}
        model = opened(service, wrap(getattr(backends, name)), stream=False, **options)
        assert ask(model, TURNS).error is None and not model.chat
    assert service.asked[0].json[place] == "Be brief.\n1 + 1?\n2\n2 + 2?"


def test_choices_behind_turns_that_are_one_text() -> None:
    asked: list[Any] = []
    with serving(reply({"choices": [{"index": 0, "text": "", "scores": [-1.0, -2.0]}]})) as service:
        model = opened(service, backends.VLLMCustomAPI, model="served")
        model = model.asking(model.likelihoods[0])
        for choices in (("no", "so"), (" no", " so")):
            answer(model, [Request("0", TURNS, choices=choices)])
        asked = [each.json["prompt"] for each in service.asked]
    # A choice is the next turn, or goes on in the last.
    assert asked == ["Be brief.\n1 + 1?\n2\n2 + 2?\n", "Be brief.\n1 + 1?\n2\n2 + 2?"]


META = {
    "round": [
        {"role": "HUMAN", "begin": "<u>", "end": "\n", "api_role": "HUMAN"},
        {"role": "BOT", "begin": "<b>", "end": "\n", "api_role": "assistant", "generate": True},
    ],
    "reserved_roles": [{"role": "SYSTEM", "begin": "<s>", "end": "\n", "api_role": "HUMAN"}],
}


@pytest.mark.parametrize("wrap", [lambda cls: cls, rewritten])
def test_templates_of_roles(wrap: Callable[[Any], Any]) -> None:
    with serving(reply({"generated_text": "4", "details": detail()})) as service:
        model = opened(service, wrap(backends.TGICustomAPI), meta_template=META)
        assert model.chat
        ask(model, TURNS)
    assert service.asked[0].json["inputs"] == "<s>Be brief.\n<u>1 + 1?\n<b>2\n<u>2 + 2?\n<b>"
    with serving(reply(completion("4"))) as service:
        ask(opened(service, wrap(backends.VLLMCustomAPIChat), model="served", meta_template=META), TURNS)
    # A service without a system's role is told as its user what the system says.
    assert service.asked[0].json["messages"] == [{"role": "user", "content": "Be brief.\n1 + 1?"}, *TURNS[2:]]


def test_identities_of_ready_made_backends_know_the_template() -> None:
    with serving(reply({})) as service:
        plain, told = (opened(service, backends.TGICustomAPI, meta_template=meta) for meta in (None, META))
    assert plain.identity() != told.identity() and plain.name == told.name == "mine"


@pytest.mark.parametrize("wrap", [lambda cls: cls, rewritten])
def test_identities_know_which_model_is_served(wrap: Callable[[Any], Any]) -> None:
    told = []
    for name in ("one", "other"):
        with chatting(models=(name,)) as service:
            identity = opened(service, wrap(backends.VLLMCustomAPIChat)).identity()
        assert identity["model"] == name
        told.append({key: value for key, value in identity.items() if key != "url"})
    assert told[0] != told[1]
