"""The servers of vLLM and SGLang on the CPU, asked over HTTP and held against transformers.

Both serve one tiny Qwen2-VL. What their offline engines do is in test_vllm.py and test_sglang.py.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vllm", reason="needs vLLM and SGLang: make test-engines", exc_type=ImportError)
pytest.importorskip("sglang", reason="needs vLLM and SGLang: make test-engines", exc_type=ImportError)

from engines import CHOICES, PROMPTS, SGLANG, ask, picture, vision_requests, write_vision_model

from loaded import check_times, load_by_command, read_counter, total
from model_interface.model_factory import ModelFactory
from steelyard import open_model
from steelyard.engine import answer
from steelyard.models.base import Model
from steelyard.models.http import HttpModel
from steelyard.types import Message, Part, Request, Response
from steelyard.wire.completions import Completions

pytestmark = [pytest.mark.real, pytest.mark.engines, pytest.mark.filterwarnings("ignore")]
PATIENCE = 300
SHAPING = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
FOX = "The quick brown fox"
TURNS: list[Message] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is a steelyard?"},
]


def flags(options: dict[str, Any]) -> list[str]:
    """Options as a command takes them."""
    given = []
    for name, value in options.items():
        if value is not None:
            given += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
    return given


VLLM: dict[str, Any] = {
    "dtype": "float32",
    "max_model_len": 512,
    "enforce_eager": True,
    "max_num_seqs": 16,
    "limit_mm_per_prompt": '{"image": 2}',
}
# Of thinking that is told apart where there is some; a question may ask for it.
THINKING = {"reasoning_parser": "deepseek-v3"}
SERVERS = {
    "vllm": ("vllm.entrypoints.openai.api_server", VLLM, "model"),
    "sglang": ("sglang.launch_server", {**SGLANG, **THINKING, "max_tokens": None}, "model_path"),
}


@contextlib.contextmanager
def serving(engine: str, folder: Path, log: Path) -> Iterator[str]:
    """A server for the time of a `with` block, once it is well; what it said, where it never is."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    module, options, where = SERVERS[engine]
    own = {where: folder, "served_model_name": "tiny", "host": "127.0.0.1", "port": port}
    with log.open("wb") as said:
        server = subprocess.Popen(
            [sys.executable, "-m", module, *flags({**options, **own})],
            env={**os.environ, "VLLM_ENABLE_V1_MULTIPROCESSING": "1"},
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until_well(f"http://127.0.0.1:{port}/health", server, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        # With all the processes it began.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait(20)


def wait_until_well(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=20) as told:
            if told.status == 200:
                return
        time.sleep(0.5)
    pytest.fail(f"the server is not well:\n{log.read_text(errors='replace')[-6000:]}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_vision_model("qwen2_vl", tmp_path_factory.mktemp("seeing") / "qwen2_vl")
    # vLLM makes colours numbers by what the folder itself says of it, as those on the hub do.
    settings = folder / "preprocessor_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), **SHAPING}))
    return folder


@pytest.fixture(scope="module")
def ours(folder: Path) -> Iterator[Model]:
    model = open_model("hf", path=folder, dtype="float32", max_tokens=12)
    yield model
    model.close()


@pytest.fixture(scope="module", params=["sglang", "vllm"])
def served(
    request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    engine = request.param
    with serving(engine, folder, tmp_path_factory.mktemp("log") / f"{engine}.log") as url:
        yield engine, url


@pytest.fixture
def theirs(served: tuple[str, str]) -> Iterator[Model]:
    model = open_model("openai", url=served[1], max_tokens=12, temperature=0, timeout=60)
    yield model
    model.close()


def respond(model: Model, *requests: Request) -> list[Response]:
    return answer(model, [Request(str(n), one.prompt, params=one.params) for n, one in enumerate(requests)])


def say(model: Model, prompt: Any = FOX, **params: Any) -> Response:
    (response,) = respond(model, Request("0", prompt, params=params))
    assert response.error is None
    return response


def fail(model: Model, prompt: Any = FOX, **params: Any) -> str:
    (response,) = respond(model, Request("0", prompt, params=params))
    assert response.error is not None and response.text == ""
    return response.error


def check_alike(theirs: list[Response], ours: list[Response]) -> None:
    """Equal answers and equal counts."""
    for their, our in zip(theirs, ours, strict=True):
        assert their.error is None and our.error is None
        # vLLM's server keeps back a character that is not whole at the end.
        assert their.text.rstrip("\ufffd") == our.text.rstrip("\ufffd")
        assert their.tokens == our.tokens
        assert their.timing is not None and their.timing.latency > 0
        assert their.raw["finish_reason"] in ("stop", "length")


def files() -> dict[str, bytes]:
    """One picture in the forms in which pictures come."""
    from PIL import Image

    shown, turned = Image.fromarray(picture(60, 90, seed=7)), Image.Exif()
    turned[0x0112] = 6
    forms: dict[str, tuple[str, str, dict[str, Any]]] = {
        "png": ("RGB", "PNG", {}),
        "cmyk": ("CMYK", "JPEG", {"exif": turned, "quality": 90}),
        "grey": ("LA", "PNG", {}),
        "palette": ("P", "GIF", {}),
        "tiff": ("RGB", "TIFF", {}),
    }
    made = {}
    for name, (mode, kind, options) in forms.items():
        file = io.BytesIO()
        shown.convert(mode).save(file, kind, **options)
        made[name] = file.getvalue()
    return made


def test_the_one_model_is_found_by_itself(theirs: Model) -> None:
    assert (theirs.name, theirs.chat) == ("tiny", True)


def test_texts_are_answered_as_by_transformers(theirs: Model, ours: Model) -> None:
    asked = [Request("0", [{"role": "user", "content": text}]) for text in PROMPTS]
    asked += [Request("0", TURNS)]
    asked += [Request("0", TURNS, params={"stop": " "}), Request("0", TURNS, params={"max_tokens": 3})]
    asked += [Request("0", TURNS, params={"temperature": 1.0, "top_k": 1})]
    asked += [Request("0", TURNS, params={"temperature": 1.0, "min_p": 1.0})]
    check_alike(respond(theirs, *asked), respond(ours, *asked))
    # A text alone is a turn of the user.
    check_alike(respond(theirs, Request("0", FOX)), respond(ours, Request("0", asked[1].prompt)))


def test_a_begun_answer_is_gone_on_with_where_that_is_asked_for(theirs: Model, ours: Model) -> None:
    begun: list[Message] = [*TURNS, {"role": "assistant", "content": "A steelyard is"}]
    going_on = {"continue_final_message": True, "add_generation_prompt": False}
    check_alike([say(theirs, begun, **going_on)], [say(ours, begun)])
    assert say(theirs, begun).tokens != say(ours, begun).tokens


def test_pictures_are_seen_as_by_transformers(theirs: Model, ours: Model) -> None:
    # Servers take a mark that is written in a text for a picture; SGLang's then never answers.
    asked = [one for one in vision_requests() if one.choices is None and "image_pad" not in str(one.prompt)]
    asked += [ask(file) for file in files().values()]
    expected = respond(ours, *asked)
    check_alike(respond(theirs, *asked), expected)
    assert len({one.text for one in expected}) > len(expected) // 2


def test_the_door_asks_the_server(served: tuple[str, str], ours: Model) -> None:
    turns: list[Message] = [{"role": "system", "content": "Be brief."}]
    shown = [Part("image", picture(64, 64, seed=2)), Part("image", files()["cmyk"])]
    turns += [{"role": "user", "content": [*shown, Part("text", "Which one is larger?")]}]
    expected = say(ours, turns)
    for name in ("openai-vl", "sglang-vl"):
        options = {"url": served[1], "system_prompt": "Be brief.", "max_tokens": 12, "temperature": 0}
        with ModelFactory.get_model(name, options) as model:
            text = model.predict_on_images([picture(64, 64, seed=2), files()["cmyk"]], "Which one is larger?")
            assert text.rstrip("\ufffd") == expected.text.rstrip("\ufffd")
            measured = model.measurements[-1]
            assert measured["tokens_in"] == expected.tokens.input
            assert 0 < measured["ttft"] <= measured["seconds"]
            assert model.predict_on_image(files()["png"], "What does it show?")


def test_choices_are_as_likely_as_to_transformers(served: tuple[str, str], ours: Model) -> None:
    # SGLang always writes something behind what it echoes.
    likelihood = {"vllm": "echo", "sglang": "echo-each"}[served[0]]
    asked = [Request("0", PROMPTS[4], choices=these) for these in CHOICES]
    theirs = HttpModel(served[1], wire=Completions(model="tiny", likelihood=likelihood), timeout=60)
    try:
        for their, our in zip(answer(theirs, asked), answer(ours, asked)):
            assert their.error is None
            assert their.scores == pytest.approx(our.scores, abs=1e-3)
            assert their.raw == our.raw
    finally:
        theirs.close()


def test_what_both_have_beside_the_protocol(theirs: Model) -> None:
    assert say(theirs, ignore_eos=True, max_tokens=9).tokens.output == 9
    assert say(theirs, stop_token_ids=list(range(7, 400))).tokens.output == 1
    assert "<|im_end|>" in say(theirs, ignore_eos=True, skip_special_tokens=False, max_tokens=12).text
    assert say(theirs, PROMPTS[0], repetition_penalty=1.7).text != say(theirs, PROMPTS[0]).text
    odds = say(theirs, logprobs=True, top_logprobs=2).raw["logprobs"]["content"]
    assert len(odds[0]["top_logprobs"]) == 2 and odds[0]["logprob"] < 0
    named = {"name": "x", "schema": SCHEMA}
    written = say(theirs, response_format={"type": "json_schema", "json_schema": named}, max_tokens=60)
    assert isinstance(json.loads(written.text)["a"], int)
    two = say(theirs, n=2, temperature=1.0)
    assert len(two.raw["choices"]) == 2 and two.text == two.raw["choices"][0]["message"]["content"]


def test_what_only_one_of_them_has(served: tuple[str, str], theirs: Model) -> None:
    engine, _ = served
    if engine == "sglang":
        assert say(theirs, regex="(yes|no)").text in ("yes", "no")
        assert say(theirs, ebnf='root ::= "left" | "right"').text in ("left", "right")
        assert say(theirs, extra_body={"regex": "[0-9]{3}"}).text.isdigit()
        assert say(theirs, min_tokens=9, max_tokens=12).tokens.output >= 9
        thought = {"regex": "<think>ab</think>(yes|no)", "max_tokens": 30}
        apart = say(theirs, **thought)
        assert apart.text in ("yes", "no") and apart.raw["reasoning"] == "ab"
        assert say(theirs, **thought, separate_reasoning=False).text == f"<think>ab</think>{apart.text}"
        return
    assert say(theirs, structured_outputs={"choice": ["yes", "no"]}).text in ("yes", "no")
    assert say(theirs, extra_body={"structured_outputs": {"regex": "[0-9]{3}"}}).text.isdigit()
    assert say(theirs, seed=5, temperature=1.5).text == say(theirs, seed=5, temperature=1.5).text
    told = say(theirs, return_token_ids=True, prompt_logprobs=0)
    assert len(told.raw["token_ids"]) == told.tokens.output
    assert len(told.raw["prompt_logprobs"]) == len(told.raw["prompt_token_ids"]) == told.tokens.input


def test_a_load_counts_what_the_server_counts(served: tuple[str, str], tmp_path: Path) -> None:
    engine, url = served
    metrics = f"{url.removesuffix('/v1')}/metrics"
    names = ("vllm:request_success_total", "vllm:prompt_tokens_total", "vllm:generation_tokens_total")
    before = [read_counter(metrics, name) for name in names] if engine == "vllm" else []
    flags = ["--workload", "synthetic", "input=40", "output=8", "exact_output=true", "--workers", "1"]
    stage = load_by_command(
        tmp_path, [url], *flags, "--concurrency", "4", "--requests", "24", "--warmup", "2"
    )
    one, server = stage["performance"], stage["server"]
    assert (one["total"], one["counted_by"], one["input_counted_by"]) == (24, {"usage": 24}, {"usage": 24})
    assert total(one, "output_tokens") == 24 * 8
    assert one["concurrency_max"] <= 4
    check_times(one)
    if engine == "sglang":
        # It tells of itself only where it is started so.
        assert server == {}
        return
    assert (server["requests"], server["tokens_out"]) == (24, 24 * 8)
    assert server["tokens_in"] == total(one, "input_tokens")
    grown = [read_counter(metrics, name) - known for name, known in zip(names, before)]
    # With the two that warmed it up.
    assert (grown[0], grown[2]) == (26, 26 * 8)
    assert grown[1] > server["tokens_in"]


def test_what_they_refuse_is_told_in_their_words(served: tuple[str, str], theirs: Model) -> None:
    engine, url = served
    assert "HTTP 400" in fail(theirs, "word " * 600) and "512" in fail(theirs, "word " * 600)
    assert "frequency_penalty must be in [-2, 2]" in fail(theirs, frequency_penalty=9)
    assert "HTTP 400: top_p" in fail(theirs, top_p=0)
    torn = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert "cannot identify image" in fail(theirs, [{"role": "user", "content": [torn]}])
    # Ours is not even sent.
    assert fail(theirs, ask(b"\x89PNG no picture").prompt).startswith("the prompt cannot be sent")
    three = ask(*[picture(30, 30)] * 3).prompt
    other = open_model("openai", url=url, model="nothing", max_tokens=3)
    if engine == "vllm":
        assert "At most 2 image" in fail(theirs, three)
        assert "The model `nothing` does not exist" in fail(other)
    else:
        assert say(theirs, three).text
        # SGLang answers to any name.
        assert say(other).raw["model"] == "nothing"
    other.close()
