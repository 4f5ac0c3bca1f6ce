"""Requests made what a model takes: turns or text, and only parameters that say something."""

from __future__ import annotations

from typing import Any, cast

import pytest

from steelyard.errors import DataError
from steelyard.models.base import LocalModel, Model
from steelyard.serving.requests import fit
from steelyard.types import Message, Part, Request

USER: Message = {"role": "user", "content": "Hi"}
SYSTEM: Message = {"role": "system", "content": "Be short."}
SAID: Message = {"role": "assistant", "content": "Yes?"}


class Talker(LocalModel):
    chat = True


@pytest.mark.parametrize(
    ("turns", "text"),
    [
        ([USER], "Hi"),
        ([SYSTEM, USER], "Be short.\n\nHi"),
        ([{"role": "user", "content": [Part("text", "a"), Part("text", "b")]}], "ab"),
        ([SYSTEM, USER, SAID, USER], "Be short.\n\nUser: Hi\nAssistant: Yes?\nUser: Hi\nAssistant:"),
        ([USER, SAID], "User: Hi\nAssistant: Yes?"),
    ],
)
def test_a_model_without_turns_gets_a_text(turns: list[Message], text: str) -> None:
    assert fit(Request("0", turns), LocalModel()).prompt == text
    assert fit(Request("0", turns), Talker()).prompt == turns


DOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAA"
    "DElEQVR4nGP4z8AAAAMBAQAY3Y2wAAAAAElFTkSuQmCC"
)


def pictured(url: str) -> Request:
    part = Part("image", {"type": "image_url", "image_url": {"url": url, "detail": "low"}})
    return Request("0", [{"role": "user", "content": [Part("text", "?"), part]}])


@pytest.mark.parametrize("model", [LocalModel(), Talker()])
def test_pictures_stay_in_turns_and_become_images(model: Model) -> None:
    (turn,) = cast("list[Message]", fit(pictured(DOT), model).prompt)
    text, shown = cast("list[Part]", turn["content"])
    assert text == Part("text", "?")
    assert (shown.data.size(), shown.data.detail) == ((1, 1), "low")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a.png", "data:image/png;base64,§"])
def test_pictures_that_did_not_come_along_are_not_fetched(url: str) -> None:
    with pytest.raises(DataError, match="data: URLs"):
        fit(pictured(url), Talker())


def test_texts_stay_texts() -> None:
    assert fit(Request("0", "raw"), Talker()).prompt == "raw"
    assert fit(Request("0", {"a": 1}), Talker()).prompt == {"a": 1}


def test_what_asks_for_nothing_is_left_out_for_models_that_refuse_what_they_do_not_know() -> None:
    nothing: dict[str, Any] = {
        "stream": True, "stream_options": {}, "user": "me", "n": 1, "frequency_penalty": 0.0,
        "logprobs": False, "presence_penalty": 0, "tool_choice": "auto",
        "response_format": {"type": "text"}, "top_k": -1, "seed": None,
    }  # fmt: skip
    something: dict[str, Any] = {
        "temperature": 0, "max_tokens": 3, "seed": 0, "logprobs": 0, "frequency_penalty": 0.5, "stop": ["a"],
    }  # fmt: skip
    asked = Request("0", "a", params={**nothing, **something})
    assert fit(asked, LocalModel()).params == something
    asked = Request("0", "a", params=nothing)
    assert set(fit(asked, Model()).params) == set(nothing) - {"stream", "stream_options", "user"}


def test_tools_are_not_passed_over() -> None:
    params = {"tools": [{"type": "function"}], "tool_choice": "auto"}
    assert fit(Request("0", "a", params=params), LocalModel()).params == params


def test_the_longest_answer_has_one_name() -> None:
    params = {"max_completion_tokens": 7}
    assert fit(Request("0", "a", params=params), LocalModel()).params == {"max_tokens": 7}
