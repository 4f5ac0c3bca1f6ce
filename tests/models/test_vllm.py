"""A real vLLM engine on the CPU, held against the same folders through transformers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vllm", reason="needs an environment with vLLM: make test-engines", exc_type=ImportError)

from engines import (
    all_answers,
    ask,
    check_alike,
    check_times,
    picture,
    text_requests,
    vision_requests,
    write_text_model,
    write_vision_model,
)

from steelyard import open_model
from steelyard.errors import ModelError, UnknownName
from steelyard.models.base import Model
from steelyard.models.vllm import Vllm
from steelyard.types import Request

pytestmark = [pytest.mark.real, pytest.mark.engines, pytest.mark.filterwarnings("ignore")]
OPTIONS: dict[str, Any] = {
    "dtype": "float32",
    "max_model_len": 512,
    "enforce_eager": True,
    "max_num_seqs": 16,
    "max_tokens": 12,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text_model(tmp_path_factory.mktemp("text") / "llama")


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[Model]:
    model = open_model("vllm", path=folder, **OPTIONS)
    yield model
    model.close()


def test_texts_are_answered_as_by_transformers(model: Vllm, folder: Path) -> None:
    ours = open_model("hf", path=folder, dtype="float32", max_tokens=12)
    assert model.chat and model.name == "llama" and model.positions == 512
    requests = [*text_requests(), Request("again", "The", params={"repetition_penalty": 1.7})]
    theirs = model.batch(requests)
    check_alike(theirs, ours.batch(requests))
    check_times([one for one in theirs if one.scores is None])


def test_what_is_asked_at_once_is_answered_together_and_measured(model: Vllm) -> None:
    requests = [Request(str(n), f"Number {n} is", params={"max_tokens": 4}) for n in range(40)]
    responses = asyncio.run(all_answers(model, requests))
    assert [one.text for one in responses] == [one.text for one in model.batch(requests)]
    assert all(one.cost is not None and one.cost.shared > 1 for one in responses)
    check_times(responses)
    for one in responses:
        assert one.timing is not None and one.tokens is not None
        assert len(one.timing.chunks) == one.tokens.output == 4
        assert list(one.timing.chunks) == sorted(set(one.timing.chunks))


def test_one_bad_request_fails_alone(model: Vllm) -> None:
    long, odd, refused, fine, pictured = model.batch(
        [
            Request("0", "word " * 600),
            Request("1", "The", params={"top_q": 1}),
            Request("2", "The", params={"min_tokens": 50, "max_tokens": 4}),
            Request("3", "The"),
            ask(picture(20, 20)),
        ]
    )
    assert long.error is not None and "llama has 512 positions" in long.error
    assert odd.error is not None and "did you mean top_p" in odd.error
    assert refused.error is not None and "min_tokens" in refused.error
    assert pictured.error == "llama takes no pictures"
    assert fine.error is None and fine.text


def test_sampling_follows_the_seed_and_vllm_s_own_parameters(model: Vllm) -> None:
    def say(**params: Any) -> str:
        (response,) = model.batch([Request("0", "The", params={"temperature": 1.5, **params})])
        assert response.error is None
        return response.text

    assert say(seed=5) == say(seed=5)
    assert len({say(seed=seed) for seed in range(8)}) > 1
    tokens = model.tokens(" apples", special=False)
    assert model.tokens(say(allowed_token_ids=tokens, ignore_eos=True, max_tokens=3), special=False)[:1] in [
        [token] for token in tokens
    ]
    assert say(structured_outputs={"choice": ["yes", "no"]}) in ("yes", "no")


def test_a_model_says_what_shapes_its_answers(model: Vllm) -> None:
    told = json.loads(json.dumps(model.identity()))
    assert told["versions"].keys() == {"vllm", "torch", "transformers"}
    assert told["engine"]["max_model_len"] == 512 and told["params"] == {"max_tokens": 12}
    assert told["weights"].startswith("b2-")


def test_what_cannot_be_opened_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"max_model_length.*did you mean max_model_len"):
        open_model("vllm", path=folder, max_model_length=5)
    with pytest.raises(ModelError, match="vLLM cannot load"):
        open_model("vllm", path=folder, quantization="awq")
    with pytest.raises(ModelError, match="no folder"):
        open_model("vllm", path=tmp_path / "nowhere")


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "smolvlm"])
def test_pictures_are_seen_as_by_transformers(family: str, tmp_path: Path, seen: Callable[..., Vllm]) -> None:
    folder = write_vision_model(family, tmp_path / family)
    model = seen(folder, limit_mm_per_prompt={"image": 2})
    ours = open_model("hf", path=folder, dtype="float32", max_tokens=12)
    theirs = model.batch(vision_requests())
    check_alike(theirs, ours.batch(vision_requests()))
    check_times([one for one in theirs if one.scores is None])
    same = ask(picture(64, 80))
    none, many, fine, again = model.batch(
        [ask(tmp_path / "none.png"), ask(*[picture(30, 30)] * 3), same, same]
    )
    assert none.error is not None and "none.png" in none.error
    assert many.error is not None and "At most 2 image" in many.error
    assert fine.error is None and fine.text == again.text == theirs[0].text


def test_limits_of_pictures_are_those_of_the_processor(tmp_path: Path, seen: Callable[..., Vllm]) -> None:
    folder = write_vision_model("qwen2_vl", tmp_path / "qwen2_vl")
    limits = {"min_pixels": 28 * 28 * 2, "max_pixels": 28 * 28 * 9}
    ours = open_model("hf", path=folder, dtype="float32", max_tokens=12, **limits)
    check_alike(seen(folder, **limits).batch(vision_requests()), ours.batch(vision_requests()))


@pytest.fixture
def seen() -> Iterator[Callable[..., Model]]:
    opened = []

    def open_folder(folder: Path, **options: Any) -> Model:
        opened.append(open_model("vllm", path=folder, **OPTIONS, **options))
        return opened[-1]

    yield open_folder
    for model in opened:
        model.close()
