"""Real clients, in environments of their own, against our server: they get what the model itself says.

`make .venv-clients/ready .venv-clients-tgi/ready` sets the environments up. What each library asks stands
in clients/; it prints what it made of the answers, or how it failed.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from http_calls import CHAT, begin, call, chat, wait_for
from served_models import Held
from tiny import write_model

from steelyard.engine import answer
from steelyard.models.base import Model
from steelyard.models.embedded import Embedded
from steelyard.serving.server import Server
from steelyard.types import Message, Request

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
PROMPT = "Tom has 3 pens. He buys 4 more."
KEY = {"Authorization": "Bearer right"}


class Full(Held):
    """Has one place, which the tests take."""

    concurrency = 1


@pytest.fixture(scope="module", params=["embedded", "hugging face"])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    from steelyard.models.huggingface import load_huggingface

    if request.param == "embedded":
        model: Model = Embedded(max_tokens=24)
    else:
        model = load_huggingface(write_model(tmp_path_factory.mktemp("hf") / "tiny"), device="cpu")
    yield model
    model.close()


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    from tiny_networks import make_network, make_tokenizer, save

    from steelyard.models.huggingface import load_huggingface

    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    network = make_network("bert", loader="AutoModel", vocab_size=400, **shape)
    folder = save(tmp_path_factory.mktemp("vectors") / "bert", network, make_tokenizer(pair=True))
    model = load_huggingface(folder, device="cpu")
    assert model.embeds
    yield model
    model.close()


@pytest.fixture(scope="module")
def server(small: Model, vectors: Model) -> Iterator[Server]:
    models = {"small": small, "vectors": vectors, "full": Full()}
    with Server(models, port=0, api_key="right", queue=0) as server:
        taken = begin(server.url, chat("a b", model="full"), headers=KEY)
        wait_for(lambda: server.app.models["full"].places.full)
        yield server
        taken.close()


@pytest.fixture(scope="module")
def own(small: Model) -> dict[str, str]:
    """What the model says to the prompt: as text, as a chat, and as text that goes on."""
    turns: list[Message] = [{"role": "user", "content": PROMPT}]
    prompts = {"text": PROMPT, "chat": turns, "more": PROMPT + " and"}
    requests = [Request(name, prompt, params={"max_tokens": 8}) for name, prompt in prompts.items()]
    return {request.id: one.text for request, one in zip(requests, answer(small, requests))}


def ask(server: Server, script: str, *, environment: str = ".venv-clients") -> dict[str, Any]:
    python = ROOT / environment / "bin" / "python"
    if not python.exists():
        pytest.skip(f"make {environment}/ready")
    command = [python, Path(__file__).parent / "clients" / f"{script}.py", server.url, json.dumps(PROMPT)]
    # Tests of models forbid themselves the hub; this client then refuses to ask this machine too.
    free = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=free)
    assert done.returncode == 0, done.stderr
    notes: dict[str, Any] = json.loads(done.stdout)
    return notes


def failed(note: Any) -> tuple[str, int | None]:
    return note["failed"], note["status"]


def test_the_openai_library(server: Server, own: dict[str, str]) -> None:
    notes = ask(server, "openai_sdk")
    assert notes["models"] == ["small", "vectors", "full"]
    assert notes["model"] == "small"
    whole, streamed = notes["chat"], notes["chat stream"]
    assert (whole["text"], whole["model"]) == (own["chat"], "small")
    assert streamed["text"] == own["chat"]
    assert (streamed["finish"], streamed["tokens"]) == (whole["finish"], whole["tokens"])
    assert streamed["pieces"] > 1
    assert notes["several"] == 3
    assert notes["many"] == [own["chat"]] * 20
    assert notes["completions"] == [own["text"], own["more"]]
    assert notes["completion stream"] == own["text"]
    assert failed(notes["wrong model"]) == ("NotFoundError", 404)
    assert failed(notes["wrong parameter"]) == ("BadRequestError", 400)
    assert failed(notes["wrong key"]) == ("AuthenticationError", 401)
    assert failed(notes["too many"]) == ("RateLimitError", 429)
    assert failed(notes["embeddings of a writer"]) == ("BadRequestError", 400)
    assert notes["embeddings"] == [32, 32]


def test_huggingface_hub(server: Server, own: dict[str, str]) -> None:
    notes = ask(server, "inference_client")
    assert notes["generation"] == notes["stream"] == own["text"]
    assert notes["details"]["text"] == notes["detailed stream"]["text"] == own["text"]
    assert notes["details"]["tokens"] == notes["detailed stream"]["tokens"]
    assert notes["detailed stream"]["pieces"] > 1
    for name in ("chat", "chat stream", "chat by name", "chat stream by name"):
        assert notes[name] == own["chat"], name
    assert notes["wrong parameter"]["failed"] == "ValidationError"
    assert notes["too many"]["failed"] == "OverloadedError"
    assert "the API key is missing or wrong" in notes["wrong key"]["said"]


def test_the_text_generation_library(server: Server, own: dict[str, str]) -> None:
    notes = ask(server, "generation_client", environment=".venv-clients-tgi")
    assert notes["generate"]["text"] == notes["stream"]["text"] == own["text"]
    assert notes["stream"]["joined"] == own["text"]
    assert notes["generate"]["tokens"] == notes["stream"]["tokens"] > 1
    assert own["text"].startswith(notes["stop"].removesuffix("e"))
    assert notes["too many"]["failed"] == "OverloadedError"
    assert notes["too long"]["failed"] == "ValidationError"
    assert "the API key is missing or wrong" in notes["wrong key"]["said"]


def test_tritonclient(server: Server, own: dict[str, str]) -> None:
    notes = ask(server, "triton_client")
    for name in ("live", "ready", "model ready"):
        assert notes[name] is True, name
    assert notes["no model ready"] is False
    assert notes["inputs"] == ["text_input"]
    for name in ("binary", "json", "unnamed"):
        assert notes[name] == [own["text"]], name
    assert notes["several"] == [own["text"], own["more"]]
    for name, status in (("other model", 404), ("too many", 429), ("wrong key", 401)):
        assert notes[name]["said"].startswith(f"[{status}]")


def test_langchain(server: Server, own: dict[str, str]) -> None:
    notes = ask(server, "langchain_client")
    assert notes["chat"] == notes["chat stream"] == own["chat"]
    assert notes["batch"] == [own["chat"]] * 3
    assert notes["completion"] == notes["completion stream"] == own["text"]
    assert notes["usage"] > 1
    assert notes["wrong key"]["status"] == 401
    assert notes["embeddings"] == [32, 32]


def test_curl(server: Server, own: dict[str, str]) -> None:
    def curl(path: str, body: Any, *more: str) -> str:
        command = ["curl", "-sS", "-N", "-H", "Authorization: Bearer right", "-d", json.dumps(body), *more]
        done = subprocess.run([*command, server.url + path], capture_output=True, text=True, check=True)
        return done.stdout

    body = {**chat(PROMPT), "model": "small", "max_tokens": 8}
    assert json.loads(curl(CHAT, body))["choices"][0]["message"]["content"] == own["chat"]
    streamed = curl(CHAT, {**body, "stream": True})
    assert streamed.startswith("data: {")
    assert streamed.endswith("data: [DONE]\n\n")
    asked = {"inputs": PROMPT, "parameters": {"max_new_tokens": 8}}
    assert json.loads(curl("/small/generate", asked))["generated_text"] == own["text"]
    asked = {"text_input": PROMPT, "parameters": {"max_tokens": 8}}
    assert json.loads(curl("/v2/models/small/generate", asked))["text_output"] == own["text"]
    # A large body makes curl ask first whether it may come.
    large = json.dumps({**body, "user": "x" * 2_000_000})
    done = subprocess.run(
        ["curl", "-sS", "-H", "Authorization: Bearer right", "-d", "@-", server.url + CHAT],
        input=large, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["choices"][0]["message"]["content"] == own["chat"]
    assert call(server.url, CHAT, body).status == 401
