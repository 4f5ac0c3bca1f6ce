"""The parameters of an answer: what is taken, what is refused, and by what name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.errors import UnknownName, UsageError
from steelyard.models.parameters import Sampling, cut, read_params


def test_what_is_left_out_or_none_is_as_usual() -> None:
    assert read_params({}) == Sampling()
    assert read_params({"temperature": None, "seed": None, "stop": None}) == Sampling()
    assert read_params({}).greedy and not read_params({"temperature": 0.1}).greedy


def test_they_are_read_as_what_they_are() -> None:
    sampling = read_params({"max_tokens": 3.0, "temperature": 1, "stop": "\n", "seed": 0})
    assert sampling == Sampling(max_tokens=3, temperature=1.0, stop=("\n",), seed=0)
    assert isinstance(sampling.max_tokens, int) and isinstance(sampling.temperature, float)
    assert read_params({"num_beams": 4}, others=frozenset({"num_beams"})).others == {"num_beams": 4}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"max_tokens": 0}, "max_tokens=0 is not a whole number from 1"),
        ({"max_tokens": 1.5}, "max_tokens=1.5 is not a whole number"),
        ({"max_tokens": True}, "max_tokens=True"),
        ({"max_tokens": float("inf")}, "max_tokens=inf"),
        ({"temperature": float("nan")}, "temperature=nan"),
        ({"temperature": float("inf")}, "temperature=inf"),
        ({"temperature": "hot"}, "temperature='hot' is not a number"),
        ({"top_p": 1.01}, "top_p=1.01 is not a number from 0 to 1"),
        ({"seed": -1}, "seed=-1"),
        ({"stop": [""]}, "stop="),
        ({"stop": 3}, "stop=3"),
        ({"stop": ["a", 3]}, "stop="),
    ],
)
def test_what_cannot_be_is_named(params: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_params(params)
    assert said in str(caught.value)


def test_an_unknown_name_shows_near_ones() -> None:
    with pytest.raises(UnknownName, match="did you mean max_tokens"):
        read_params({"max_token": 3})


@given(st.text("abc"), st.lists(st.text("abc", min_size=1)))
def test_a_text_is_cut_before_the_first_stop(text: str, stops: list[str]) -> None:
    kept = cut(text, tuple(stops))
    assert text.startswith(kept)
    assert not any(stop in kept for stop in stops)
    assert kept == text or any(text.startswith(stop, len(kept)) for stop in stops)
