"""Tokens are drawn with the probabilities that transformers gives them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from transformers import (  # noqa: E402
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from steelyard.models.parameters import read_params  # noqa: E402
from steelyard.models.sampling import Chooser, choose  # noqa: E402

GRID = 400
# Halves, so that no two logits are nearly equal.
LOGITS = st.lists(st.integers(-8, 8), min_size=6, max_size=6, unique=True).map(
    lambda row: [n / 2 for n in row]
)


def warp(logits: Any, params: dict[str, Any]) -> Any:
    """The probabilities of transformers' own warpers, in its own order."""
    warpers = LogitsProcessorList([TemperatureLogitsWarper(params["temperature"])])
    if params.get("top_k"):
        warpers.append(TopKLogitsWarper(params["top_k"]))
    if params.get("top_p", 1.0) < 1.0:
        warpers.append(TopPLogitsWarper(params["top_p"]))
    if params.get("min_p"):
        warpers.append(MinPLogitsWarper(params["min_p"]))
    return torch.softmax(warpers(None, logits[None])[0], dim=-1)


@given(
    st.lists(LOGITS, min_size=1, max_size=3),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.sampled_from(
        [{}, {"top_k": 3}, {"top_p": 0.7}, {"min_p": 0.2}, {"top_k": 4, "top_p": 0.83, "min_p": 0.11}]
    ),
)
@settings(max_examples=15, deadline=None)
def test_draws_follow_the_warped_probabilities(
    rows: list[list[float]], temperature: float, params: dict[str, Any]
) -> None:
    params = {"temperature": temperature, **params}
    choosers = [Chooser(read_params(params), []) for _ in rows]
    counts = torch.zeros(len(rows), 6)
    for step in range(GRID):
        for chooser in choosers:
            chooser.draw = lambda place=(step + 0.5) / GRID: place
        for row, token in enumerate(choose(torch.tensor(rows), choosers)):
            counts[row, token] += 1
    for row, logits in enumerate(rows):
        expected = warp(torch.tensor(logits), params)
        assert torch.allclose(counts[row] / GRID, expected, atol=2.5 / GRID)
        assert not counts[row][expected == 0].any()


def test_the_top_of_the_ladder_is_a_token_that_stays() -> None:
    chooser = Chooser(read_params({"temperature": 1.0, "top_k": 2}), [])
    chooser.draw = lambda: 1.0
    assert choose(torch.tensor([[0.0, 3.0, 2.0, 1.0]]), [chooser]) == [2]


def test_greedy_and_sampled_rows_stand_side_by_side() -> None:
    greedy, sampled = Chooser(read_params({}), []), Chooser(read_params({"temperature": 1.0}), [])
    sampled.draw = lambda: 0.999
    assert choose(torch.tensor([[0.0, 0.5, 0.1], [0.0, 0.5, 0.1]]), [greedy, sampled]) == [1, 0]
