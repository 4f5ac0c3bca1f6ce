"""How the next token of each row is chosen.

A row draws from a generator of its own, seeded by its request: what stands beside it in the batch
cannot change its answer.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from steelyard.models.parameters import Sampling

Floats = NDArray[np.float32]


class Chooser:
    """One row's choice of tokens: its parameters, the tokens that stand before, its own generator."""

    __slots__ = ("_draw", "_sampling", "_seen")

    def __init__(self, sampling: Sampling, prompt: Sequence[int]) -> None:
        self._sampling = sampling
        self._draw = random.Random(sampling.seed).random
        self._seen = set(prompt) if sampling.repetition_penalty != 1.0 else None

    @property
    def plain(self) -> bool:
        """Whether it takes the likeliest token as it is."""
        return self._sampling.greedy and self._seen is None

    def choose(self, logits: Floats) -> int:
        """The next token, from the logits of the vocabulary."""
        if self._seen:
            logits = self._penalised(logits)
        token = int(logits.argmax()) if self._sampling.greedy else self._sample(logits)
        if self._seen is not None:
            self._seen.add(token)
        return token

    def _penalised(self, logits: Floats) -> Floats:
        logits = logits.copy()
        seen = np.array(sorted(self._seen or ()))
        penalty = np.float32(self._sampling.repetition_penalty)
        values = logits[seen]
        logits[seen] = np.where(values < 0, values * penalty, values / penalty)
        return logits

    def _sample(self, logits: Floats) -> int:
        """Draw: temperature first, then top_k, top_p and min_p, in the order that is usual."""
        sampling = self._sampling
        order = np.argsort(-logits, kind="stable")[: sampling.top_k or None]
        odds = np.exp((logits[order] - logits[order[0]]).astype(np.float64) / sampling.temperature)
        odds /= odds.sum()
        # A token stays if those before it do not make up top_p yet; the likeliest always stays.
        stays = (odds.cumsum() - odds < sampling.top_p) & (odds >= odds[0] * sampling.min_p)
        stays[0] = True
        ladder = np.where(stays, odds, 0.0).cumsum()
        place = int(np.searchsorted(ladder, self._draw() * ladder[-1], side="right"))
        # Rounding may leave the draw at the very top of the ladder, behind the last token that stays.
        return int(order[min(place, int(stays.nonzero()[0][-1]))])


def choose_all(logits: Floats, choosers: Sequence[Chooser]) -> list[int]:
    """The next token of every row, from logits of shape (rows, vocabulary)."""
    tokens: list[int] = logits.argmax(axis=-1).tolist()
    for place, chooser in enumerate(choosers):
        if not chooser.plain:
            tokens[place] = chooser.choose(logits[place])
    return tokens
