"""A real SGLang engine on the CPU, held against the same folders through transformers.

SGLang has no wheels for the CPU. Its plain PyTorch ways are enough for Llama and Qwen-VL, with one
operator that it takes from vLLM.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "sglang", reason="needs an environment with SGLang: make test-engines", exc_type=ImportError
)

from engines import (
    SGLANG,
    all_answers,
    ask,
    check_alike,
    check_times,
    picture,
    text_requests,
    write_text_model,
)

from steelyard import open_model
from steelyard.errors import UnknownName
from steelyard.models.base import Model
from steelyard.models.sglang import Sglang
from steelyard.types import Request

pytestmark = [pytest.mark.real, pytest.mark.engines, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text_model(tmp_path_factory.mktemp("text") / "llama")


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[Model]:
    model = open_model("sglang", path=folder, **SGLANG)
    yield model
    model.close()


def test_texts_are_answered_as_by_transformers(model: Sglang, folder: Path) -> None:
    ours = open_model("hf", path=folder, dtype="float32", max_tokens=12)
    assert model.chat and model.name == "llama" and model.positions == 512
    theirs = model.batch(text_requests())
    check_alike(theirs, ours.batch(text_requests()))
    check_times([one for one in theirs if one.scores is None])


def test_what_is_asked_at_once_is_answered_together(model: Sglang) -> None:
    requests = [Request(str(n), f"Number {n} is", params={"max_tokens": 4}) for n in range(40)]
    responses = asyncio.run(all_answers(model, requests))
    assert [one.text for one in responses] == [one.text for one in model.batch(requests)]
    assert model.elsewhere and all(one.cost is None for one in responses)
    check_times(responses)


def test_one_bad_request_fails_alone(model: Sglang) -> None:
    long, odd, refused, fine, pictured = model.batch(
        [
            Request("0", "word " * 600),
            Request("1", "The", params={"top_q": 1}),
            Request("2", "The", params={"frequency_penalty": 9}),
            Request("3", "The"),
            ask(picture(20, 20)),
        ]
    )
    assert long.error is not None and "llama has 512 positions" in long.error
    assert odd.error is not None and "did you mean top_p" in odd.error
    assert refused.error is not None and "frequency_penalty" in refused.error
    assert pictured.error == "llama takes no pictures"
    assert fine.error is None and fine.text


def test_sglang_s_own_parameters_go_through(model: Sglang) -> None:
    def say(**params: Any) -> str:
        (response,) = model.batch([Request("0", "The", params={"temperature": 1.5, **params})])
        assert response.error is None
        return response.text

    assert say(regex="(yes|no)") in ("yes", "no")
    assert say(ignore_eos=True, max_tokens=3, stop_token_ids=list(range(7, 400))) != ""


def test_a_model_says_what_shapes_its_answers(model: Sglang) -> None:
    told = json.loads(json.dumps(model.identity()))
    assert told["versions"].keys() == {"sglang", "torch", "transformers"}
    assert told["engine"]["context_length"] == 512 and told["params"] == {"max_tokens": 12}


def test_an_option_that_is_none_is_told(folder: Path) -> None:
    with pytest.raises(UnknownName, match=r"context_lenght.*did you mean context_length"):
        open_model("sglang", path=folder, context_lenght=5)
