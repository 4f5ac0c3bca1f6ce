"""Answers, token by token: all rows of a batch together, those that are done leave it."""

from __future__ import annotations

from collections.abc import Sequence

from steelyard.models.answers import Answer, Decode, Line
from steelyard.models.llama.choosing import Chooser, choose_all
from steelyard.models.llama.network import Network, Rows

# Letting go of rows copies the memory of those that stay: worth it when this few are left.
_FEW_LEFT = 0.75


def decode(network: Network, answers: Sequence[Answer], *, ends: frozenset[int], text_of: Decode) -> None:
    """Fill in the answers."""
    prefix = network.share([answer.prompt for answer in answers])
    start = len(prefix.ids)
    lines = []
    for answer in answers:
        line = Line()
        line.append(answer.prompt[start:], start=start)
        lines.append(line)
    rows = Rows(network, lines, prefix=prefix)
    live = list(answers)
    choosers = [Chooser(answer.sampling, answer.prompt) for answer in live]
    states = rows.read(keep=1)[:, 0]
    while True:
        tokens = choose_all(network.logits(states), choosers)
        for answer, token in zip(live, tokens):
            if not answer.finish:
                answer.take(token, ends=ends, text_of=text_of)
        going = [place for place, answer in enumerate(live) if not answer.finish]
        if not going:
            return
        if len(going) <= _FEW_LEFT * len(live):
            rows.select(going)
            live, choosers = [live[place] for place in going], [choosers[place] for place in going]
            tokens = [tokens[place] for place in going]
        states = rows.extend(tokens)
