"""How the next token is chosen, for many rows at once.

A row draws from a generator of its own, seeded by its request: what stands beside it in the
batch cannot change its answer.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from steelyard.models.parameters import Sampling


class Chooser:
    """One row's choice of tokens: its parameters, what stands before, and its own generator."""

    __slots__ = ("draw", "sampling", "seen")

    def __init__(self, sampling: Sampling, prompt: Sequence[int]) -> None:
        self.sampling = sampling
        self.draw = random.Random(sampling.seed).random
        self.seen = set(prompt) if sampling.repetition_penalty != 1.0 else None


def choose(logits: Tensor, choosers: Sequence[Chooser]) -> list[int]:
    """The next token of every row, from logits of shape (rows, vocabulary)."""
    logits = logits.float()
    for row, chooser in enumerate(choosers):
        if chooser.seen:
            _penalise(logits[row], chooser)
    tokens: list[int] = logits.argmax(dim=-1).tolist()
    sampled = [row for row, chooser in enumerate(choosers) if not chooser.sampling.greedy]
    if sampled:
        drawn = _sample(logits[sampled], [choosers[row] for row in sampled])
        for row, token in zip(sampled, drawn):
            tokens[row] = token
    for chooser, token in zip(choosers, tokens):
        if chooser.seen is not None:
            chooser.seen.add(token)
    return tokens


def _penalise(logits: Tensor, chooser: Chooser) -> None:
    seen = torch.tensor(sorted(chooser.seen or ()), device=logits.device)
    penalty = chooser.sampling.repetition_penalty
    values = logits[seen]
    logits[seen] = torch.where(values < 0, values * penalty, values / penalty)


def _sample(logits: Tensor, choosers: Sequence[Chooser]) -> list[int]:
    """Draw a token a row: temperature, then top_k, top_p and min_p, as transformers orders them."""

    def column(values: list[float]) -> Tensor:
        return torch.tensor(values, device=logits.device)[:, None]

    options = [chooser.sampling for chooser in choosers]
    ordered, tokens = torch.sort(
        logits / column([o.temperature for o in options]), descending=True, stable=True
    )
    odds = torch.softmax(ordered, dim=-1)
    rank = torch.arange(odds.shape[1], device=logits.device)
    odds = odds.masked_fill(rank >= column([float(o.top_k or odds.shape[1]) for o in options]), 0.0)
    odds = odds / odds.sum(dim=-1, keepdim=True)
    # A token stays if those before it do not make up top_p yet; the likeliest always stays.
    before = odds.cumsum(dim=-1) - odds
    odds = odds.masked_fill((before >= column([o.top_p for o in options])) & (rank > 0), 0.0)
    odds = odds.masked_fill(odds < odds[:, :1] * column([o.min_p for o in options]), 0.0)
    ladder = odds.cumsum(dim=-1)
    drawn = column([chooser.draw() for chooser in choosers]) * ladder[:, -1:]
    place = torch.searchsorted(ladder, drawn, right=True)
    # Rounding may leave the draw at the very top of the ladder, behind the last token that stays.
    place = torch.minimum(place, (odds > 0).sum(dim=-1, keepdim=True) - 1)
    chosen: list[int] = tokens.gather(1, place)[:, 0].tolist()
    return chosen
