"""Real servers of the OpenAI protocol, each with the same tiny weights, held against our own engine.

vLLM, llama.cpp, transformers and mlx-lm are started on free ports, chat and completions, streamed and not:
the greedy texts and the likelihoods of choices are those of the local model. `make test-servers` sets their
environments up; a server whose environment is not there is skipped.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from loaded import check_times, load_by_command, total
from steelyard import Model, Part, Request, Response, answer, open_model
from steelyard.models.http import HttpModel
from steelyard.wire.completions import Completions
from steelyard.wire.openai import OpenAI

pytestmark = pytest.mark.real
ROOT = Path(__file__).parents[2]
PATIENCE = 300
QUIET = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
PARAMS = {"max_tokens": 16, "temperature": 0}
TEXTS = ["Tom has 3 apples.", "The cat sat on the", "Question: what is 3 + 4?\nAnswer:"]
TURNS: list[Any] = [
    [{"role": "user", "content": TEXTS[0]}],
    [{"role": "user", "content": [Part("text", "Which is a "), Part("text", "planet?")]}],
    [
        {"role": "user", "content": "A ball?"},
        {"role": "assistant", "content": "Red."},
        {"role": "user", "content": "And a hat?"},
    ],
]
CHOICES = [[" mat", " dogs ran", " 7"], ["A", "B", "7 dogs"]]


@dataclass(frozen=True)
class Server:
    """How a server is started, and what it offers."""

    python: Path
    command: str
    environment: Mapping[str, str] = field(default_factory=dict)
    health: str = "/v1/models"
    params: Mapping[str, Any] = field(default_factory=dict)
    counts_streams: bool = True
    lists_models: bool = True
    stops_in_texts: bool = False
    answers_several: bool = False
    likelihoods: tuple[str, ...] = ()
    of_chat: tuple[str, ...] = ()


ENGINES = Path(os.environ.get("ENGINES", ROOT / ".venv-engines")) / "bin/python"
OTHERS = Path(os.environ.get("SERVERS", ROOT / ".venv-servers")) / "bin/python"
# torchvision's build for CUDA is in the way of what they share.
SHIM = {"PYTHONPATH": str(Path(__file__).parent / "torchvision_on_cpu")}
WHERE = " --host 127.0.0.1 --port {port}"
VLLM = "-m vllm.entrypoints.openai.api_server --model {folder} --served-model-name {name} --dtype float32"
LLAMA = "-m llama_cpp.server --model {file} --model_alias {name} --n_ctx 512 --n_threads 1"
SERVERS = {
    "vllm": Server(
        ENGINES,
        VLLM + WHERE + " --max-model-len 512 --enforce-eager --max-num-seqs 16",
        {
            **SHIM,
            "VLLM_TARGET_DEVICE": "cpu",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            # Else the first question for log-probabilities waits until something is compiled.
            "TORCHDYNAMO_DISABLE": "1",
        },
        health="/health",
        stops_in_texts=True,
        answers_several=True,
        likelihoods=("echo", "prompt", "echo-each"),
        of_chat=("prompt", "first-token"),
    ),
    "llamacpp": Server(
        OTHERS,
        # Else it tells nothing of prompts, keeps what it read as float16, and breaks off whatever it is
        # writing when somebody else asks.
        LLAMA + WHERE + " --logits_all true --type_k 0 --type_v 0 --interrupt_requests false",
        # Unless told otherwise it makes what was said less likely.
        params={"repeat_penalty": 1.0},
        counts_streams=False,
        stops_in_texts=True,
        likelihoods=("echo-each",),
        of_chat=("first-token",),
    ),
    "transformers": Server(
        ENGINES,
        "-m transformers.cli.transformers serve {folder} --device cpu" + WHERE,
        SHIM,
        health="/health",
        lists_models=False,
    ),
    "mlx": Server(OTHERS, "-m mlx_lm server --model {folder}" + WHERE, of_chat=("first-token",)),
}


class Served(NamedTuple):
    """A server that runs: what it is, where, and under which name it has the model."""

    server: Server
    url: str
    name: str


@contextlib.contextmanager
def running(server: Server, folder: Path, home: Path) -> Iterator[tuple[str, str]]:
    """A server for the time of a `with` block, once it is well; what it said, where it never is."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    named = "{name}" in server.command
    said = {"folder": folder, "file": folder.with_suffix(".gguf"), "name": "tiny", "port": port}
    log = home / "log"
    (home / "hub").mkdir()
    with log.open("wb") as told:
        process = subprocess.Popen(
            [server.python, *server.command.format(**said).split()],
            env={**os.environ, **QUIET, "HF_HOME": str(home), **server.environment},
            stdout=told,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + PATIENCE
        while not _is_well(f"http://127.0.0.1:{port}{server.health}"):
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"the server is not well:\n{log.read_text(errors='replace')[-6000:]}")
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1", "tiny" if named else str(folder)
    finally:
        # With all the processes it began.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


def _is_well(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=20) as told:
        return bool(told.status == 200)
    return False


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("gguf")
    from gguf_files import write_gguf
    from service_models import write_service_model

    folder = write_service_model(tmp_path_factory.mktemp("served") / "tiny")
    write_gguf(folder, folder.with_suffix(".gguf"))
    return folder


@pytest.fixture(scope="module")
def ours(folder: Path) -> Iterator[Model]:
    model = open_model(folder, engine="huggingface", device="cpu", dtype="float32")
    yield model
    model.close()


@pytest.fixture(scope="module", params=sorted(SERVERS))
def served(
    request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    server = SERVERS[request.param]
    if not server.python.exists():
        pytest.skip("its environment is not there: make test-servers")
    with running(server, folder, tmp_path_factory.mktemp(request.param)) as (url, name):
        yield Served(server, url, name)


def ask(served: Served, wire: Any, requests: list[Request], **options: Any) -> list[Response]:
    model = HttpModel(served.url, wire=wire(model=served.name, **options), timeout=120, retries=0)
    try:
        return answer(model, requests)
    finally:
        model.close()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wire", [OpenAI, Completions], ids=["chat", "completions"])
def test_the_texts_are_those_of_the_local_model(served: Served, ours: Model, wire: Any, stream: bool) -> None:
    prompts = TURNS if wire is OpenAI else TEXTS
    params = {**PARAMS, **served.server.params}
    theirs = ask(served, wire, [Request("0", one, params=params) for one in prompts], stream=stream)
    local = answer(ours, [Request("0", one, params=PARAMS) for one in prompts])
    assert [one.error for one in theirs] == [None] * len(prompts)
    assert [one.text for one in theirs] == [one.text for one in local]
    assert len({one.text for one in local}) == len(prompts)
    for their, our in zip(theirs, local):
        counted = served.server.counts_streams or not stream
        assert their.tokens == (our.tokens if counted else None)
        assert their.raw["finish_reason"] == our.raw["finish"]
        assert their.timing is not None
        assert (len(their.timing.chunks) > 5) == stream
        assert list(their.timing.chunks) == sorted(their.timing.chunks)


def test_a_stop_ends_an_answer_as_it_ends_that_of_the_local_model(served: Served, ours: Model) -> None:
    if not served.server.stops_in_texts:
        pytest.skip("it stops at tokens and not at texts")
    (whole,) = answer(ours, [Request("0", TEXTS[1], params=PARAMS)])
    stop = whole.text[4:6]
    params = {**PARAMS, **served.server.params, "stop": [stop]}
    (our,) = answer(ours, [Request("0", TEXTS[1], params={**PARAMS, "stop": [stop]})])
    for stream in (False, True):
        (their,) = ask(served, Completions, [Request("0", TEXTS[1], params=params)], stream=stream)
        assert (their.error, their.text, their.raw["finish_reason"]) == (None, our.text, "stop")


def test_choices_are_as_likely_as_to_the_local_model(served: Served, ours: Model) -> None:
    asked = [Request("0", text, choices=these) for text in [*TEXTS, "Answer: "] for these in CHOICES]
    local = answer(ours, asked)
    for likelihood in served.server.likelihoods:
        check_alike(ask(served, Completions, asked, likelihood=likelihood), local)
    asked = [Request("0", turns, choices=["A", "7 dogs"]) for turns in TURNS]
    local = answer(ours, asked)
    for likelihood in set(served.server.of_chat) - {"first-token"}:
        check_alike(ask(served, OpenAI, asked, likelihood=likelihood), local)


def check_alike(theirs: list[Response], ours: list[Response]) -> None:
    for their, our in zip(theirs, ours, strict=True):
        assert their.error is None
        assert their.scores == pytest.approx(our.scores, abs=1e-4)
        assert their.raw == our.raw


def test_ways_that_a_server_does_not_offer_fail_and_leave_it_well(served: Served) -> None:
    for wire, offered in ((Completions, served.server.likelihoods), (OpenAI, served.server.of_chat)):
        prompt: Any = TEXTS[0] if wire is Completions else TURNS[0]
        for likelihood in wire.likelihoods:
            if likelihood in offered or (wire is Completions and likelihood == "first-token"):
                continue
            (response,) = ask(served, wire, [Request("0", prompt, choices=["A", "B"])], likelihood=likelihood)
            assert response.error and response.scores is None, likelihood
    (well,) = ask(served, OpenAI, [Request("0", TURNS[0], params=PARAMS)])
    assert well.error is None and well.text


def test_the_likeliest_first_tokens_are_those_of_the_local_model(served: Served, ours: Model) -> None:
    if "first-token" not in served.server.of_chat:
        pytest.skip("it tells no log-probabilities")
    (whole,) = answer(ours, [Request("0", TURNS[1], params={**PARAMS, "max_tokens": 1})])
    asked = Request("0", TURNS[1], choices=[whole.text.strip(), "zebra"])
    (local,) = answer(ours, [asked])
    (their,) = ask(served, OpenAI, [asked], likelihood="first-token")
    assert their.error is None and their.scores is not None and local.scores is not None
    # A token counts with a space before it as well.
    assert their.scores[0] >= local.scores[0] - 1e-3
    assert their.scores[1] < their.scores[0] and their.raw["greedy"] == [True, False]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_several_answers_to_one_question(served: Served, ours: Model, stream: bool) -> None:
    if not served.server.answers_several:
        pytest.skip("it gives one answer, whatever it is asked for")
    (local,) = answer(ours, [Request("0", TURNS[0], params=PARAMS)])
    # It gives no two answers where only one can be.
    params = {**PARAMS, "n": 2, "temperature": 1.0, "top_k": 1}
    (their,) = ask(served, OpenAI, [Request("0", TURNS[0], params=params)], stream=stream)
    assert [one["message"]["content"] for one in their.raw["choices"]] == [local.text] * 2
    assert their.text == local.text


def test_a_load_is_measured(served: Served, tmp_path: Path) -> None:
    data = tmp_path / "asked.jsonl"
    data.write_text("".join(json.dumps({"prompt": f"{n} {text}"}) + "\n" for n in range(6) for text in TEXTS))
    model = [served.url, "wire=openai", f"model={served.name}"]
    flags = ["--concurrency", "2", "--requests", "12", "--warmup", "2", "--workers", "1"]
    stage = load_by_command(tmp_path, model, "--data", str(data), *flags, "--max-tokens", "8")
    one = stage["performance"]
    by = "usage" if served.server.counts_streams else "events"
    assert (one["total"], one["counted_by"]) == (12, {by: 12})
    told = "output tokens were counted as events, since the service told no usage"
    assert (told in stage["warnings"]) == (by == "events")
    assert 12 <= total(one, "output_tokens") <= 12 * 8
    assert one["concurrency_max"] <= 2
    check_times(one)
    if served.server is SERVERS["vllm"]:
        assert stage["server"]["requests"] == 12
        assert stage["server"]["tokens_out"] == total(one, "output_tokens")


def test_what_is_wrong_is_told_in_their_words(served: Served) -> None:
    (response,) = ask(served, OpenAI, [Request("0", TURNS[0], params={"max_tokens": "many"})])
    assert response.error is not None and response.error.startswith("HTTP ")
    assert response.text == ""


def test_the_one_model_is_found_by_itself(served: Served) -> None:
    if not served.server.lists_models:
        pytest.skip("it lists what lies in a cache")
    model = open_model("openai", url=served.url)
    assert model.name == served.name
    model.close()
