"""How likely given continuations are: every prompt read once, all its choices behind it.

    row   [prefix, shared by all][rest of the prompt][choice 1][choice 2][choice 3][choice 4]

The last token of a choice is never fed, only scored: choices of one token cost nothing at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from steelyard.models.answers import Look, Question
from steelyard.models.llama.network import Network, Prefix, Rows

Floats = NDArray[np.float32]

# Logits computed at a time, 64 MB.
_MOST_LOGITS = 2**24


def score(network: Network, questions: Sequence[Question]) -> None:
    """Fill in the questions."""
    prefix: Prefix = network.share([question.prompt for question in questions])
    rows = [row for question in questions for row in question.rows()]
    lines = [row.line(len(prefix.ids)) for row in rows]
    keep = max(row.branches for row in rows) + 1
    states = Rows(network, lines, prefix=prefix).read(keep=keep)
    before: list[Floats] = []
    targets: list[int] = []
    for row, kept in zip(rows, states):
        # Counted from the end: the choices' tokens, and before them the last of the prompt.
        place = keep - row.branches
        for choice in row.choices:
            behind = place + len(choice) - 1
            before += [kept[keep - row.branches - 1 : keep - row.branches], kept[place:behind]]
            targets += choice
            place = behind
    found = _look_up(network, np.concatenate(before), targets)
    for row in rows:
        for choice in row.choices:
            looks = [next(found) for _ in choice]
            greedy = all(look.likeliest == token for look, token in zip(looks, choice))
            row.question.add(sum(look.logprob for look in looks), greedy=greedy)
            if row.question.told:
                row.question.looks += looks


def _look_up(network: Network, states: Floats, targets: Sequence[int]) -> Iterator[Look]:
    """What is found of each target behind its state."""
    step = max(1, _MOST_LOGITS // network.shape.vocabulary)
    for begin in range(0, len(targets), step):
        logits = network.logits(states[begin : begin + step])
        wanted = np.array(targets[begin : begin + step])
        most = logits.max(axis=-1)
        chosen = logits[np.arange(len(wanted)), wanted]
        total = np.log(np.exp(logits - most[:, None]).sum(axis=-1, dtype=np.float64)) + most
        likeliest = logits.argmax(axis=-1).tolist()
        yield from map(Look, (chosen - total).tolist(), likeliest, (most - total).tolist())
