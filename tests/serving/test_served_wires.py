"""Every wire from our client to our server, and through a proxy: answers are those of the model itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from http_calls import CHAT, Reply, call, chat
from served_models import Breaking

from steelyard.engine import answer
from steelyard.models.base import LocalModel
from steelyard.models.embedded import Embedded
from steelyard.models.http import HttpModel
from steelyard.plugins import resolve
from steelyard.serving.server import Server
from steelyard.types import Request, Response, Tokens

PROMPTS = ["Question: What is 2 + 7?\nAnswer:", "Tom has 3 pens.", "é 日本語"]
NAMED = {"triton", "kserve"}


class Vectors(LocalModel):
    """Gives every text its length and its number of spaces."""

    embeds = True

    def batch(self, requests: Sequence[Request]) -> list[Response]:
        rows = [[len(str(one.prompt)), str(one.prompt).count(" ")] for one in requests]
        return [Response(tokens=Tokens(row[0], 0), raw=[float(value) for value in row]) for row in rows]


@pytest.fixture(scope="module")
def model() -> Iterator[Embedded]:
    model = Embedded(max_tokens=12)
    yield model
    model.close()


@pytest.fixture(scope="module")
def server(model: Embedded) -> Iterator[Server]:
    with Server({"small": model}, port=0) as server:
        yield server


def client(server: Server, wire: str, *, stream: bool = False) -> HttpModel:
    named = {"model": "small"} if wire in NAMED else {}
    options: dict[str, Any] = {**named, **({"stream": True} if stream else {})}
    path = "/v1/predict" if wire == "plain" else ""
    return HttpModel(server.url + path, wire=resolve("wires", wire)(**options), retries=0)


@pytest.mark.parametrize(
    ("wire", "stream"),
    [
        *((wire, False) for wire in ("openai-completions", "tgi", "triton", "kserve", "mindie", "plain")),
        *((wire, True) for wire in ("openai-completions", "tgi", "triton", "mindie")),
    ],
)
def test_texts_over_every_wire(server: Server, model: Embedded, wire: str, stream: bool) -> None:
    requests = [Request(str(n), prompt) for n, prompt in enumerate(PROMPTS)]
    asking = client(server, wire, stream=stream)
    assert [one.text for one in answer(asking, requests)] == [one.text for one in answer(model, requests)]
    asking.close()


def test_chats(server: Server, model: Embedded) -> None:
    requests = [Request(str(n), [{"role": "user", "content": prompt}]) for n, prompt in enumerate(PROMPTS)]
    for stream in (False, True):
        asking = client(server, "openai", stream=stream)
        given, own = answer(asking, requests), answer(model, requests)
        assert [(one.text, one.tokens) for one in given] == [(one.text, one.tokens) for one in own]
        asking.close()


def test_how_likely_choices_are(server: Server, model: Embedded) -> None:
    request = Request("0", PROMPTS[0], choices=[" 9", " 12", " 8", " Tom"])
    wire = resolve("wires", "openai-completions")(likelihood="choices")
    asking = HttpModel(server.url, wire=wire)
    (given,), (own,) = answer(asking, [request]), answer(model, [request])
    assert given.error is None
    assert given.scores == pytest.approx(own.scores)
    asking.close()


def test_a_model_that_tells_no_likelihoods_says_so() -> None:
    with Server(lambda prompt: "a", port=0, wires="openai") as server:
        body = {"prompt": "b", "choices": ["c", "d"]}
        refused = call(server.url, "/v1/completions", body)
    assert refused.status == 400
    assert "how likely choices are" in refused.json["error"]["message"]


def test_vectors_of_texts() -> None:
    with Server({"vectors": Vectors(), "small": "embedded"}, port=0, wires="openai") as server:

        def embed(**more: Any) -> Reply:
            return call(server.url, "/v1/embeddings", {"model": "vectors", "input": ["a", "b c"], **more})

        told = embed().json
        assert [row["embedding"] for row in told["data"]] == [[1.0, 0.0], [3.0, 1.0]]
        assert told["usage"]["prompt_tokens"] == 4
        asking = HttpModel(server.url, wire=resolve("wires", "openai-embeddings")(model="vectors"))
        (packed,) = answer(asking, [Request("0", "b c")])
        assert packed.raw == [3.0, 1.0]
        with Server({"far": asking}, port=0, wires="openai") as proxy:
            told = call(proxy.url, "/v1/embeddings", {"input": ["b c"]}).json
        assert told["data"][0]["embedding"] == [3.0, 1.0]
        asking.close()
        assert "no vectors" in embed(model="small").json["error"]["message"]
        assert embed(model="small").status == 400
        assert call(server.url, CHAT, chat(model="vectors")).status == 400


def test_models_are_listed_as_triton_lists_them(server: Server) -> None:
    listed = call(server.url, "/v2/repository/index", {})
    assert (listed.status, {one["state"] for one in listed.json}) == (200, {"READY"})
    for one in listed.json:
        about = call(server.url, f"/v2/models/{one['name']}").json
        assert about["outputs"][0] == {"name": "text_output", "datatype": "BYTES", "shape": [-1, 1]}
    assert call(server.url, "/v2/repository/nothing", {}).status == 404


@pytest.mark.parametrize("wire", ["tgi", "openai-completions"])
def test_a_service_of_one_protocol_is_served_in_another(server: Server, model: Embedded, wire: str) -> None:
    behind = client(server, wire)
    (own,) = answer(model, [Request("0", PROMPTS[1], params={"max_tokens": 6})])
    with Server({"proxy": behind}, port=0) as proxy:
        asked = {"prompt": PROMPTS[1], "max_tokens": 6}
        whole = call(proxy.url, "/v1/completions", asked).json
        streamed = call(proxy.url, "/v1/completions", {**asked, "stream": True}).events
        asked = {"text_input": PROMPTS[1], "parameters": {"max_tokens": 6}}
        assert call(proxy.url, "/v2/models/proxy/generate", asked).json["text_output"] == own.text
    assert whole["choices"][0]["text"] == own.text
    assert whole["choices"][0]["finish_reason"] == "length"
    pieces = [one["choices"][0]["text"] for one in streamed[:-1] if one["choices"]]
    assert "".join(pieces) == own.text
    assert len([piece for piece in pieces if piece]) > 1
    behind.close()


def test_what_a_service_refuses_keeps_its_status_and_what_fails_there_failed_here() -> None:
    with Server({"small": "embedded", "breaking": Breaking()}, port=0, wires="openai") as server:
        small = HttpModel(server.url, wire=resolve("wires", "openai")(model="small"), retries=0)
        breaking = HttpModel(server.url, wire=resolve("wires", "openai")(model="breaking"), retries=0)
        with Server({"small": small, "breaking": breaking}, port=0, wires="openai") as proxy:
            refused = call(proxy.url, CHAT, chat(model="small", temperature=-1))
            failed = call(proxy.url, CHAT, chat(model="breaking"))
            streamed = call(proxy.url, CHAT, chat(model="breaking", stream=True))
            # What its protocol has no words for is not its failure.
            tokens = {"model": "small", "prompt": [1, 2]}
            unsaid = [call(proxy.url, "/v1/completions", {**tokens, "stream": on}) for on in (False, True)]
            small.close(), breaking.close()
    assert (refused.status, failed.status, streamed.status) == (400, 502, 502)
    for one in unsaid:
        assert one.status == 400 and one.json["error"]["message"].startswith("a chat takes a text")
    assert "temperature" in refused.json["error"]["message"]
