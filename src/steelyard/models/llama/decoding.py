"""Answers, token by token: all rows of a batch together, those that are done leave it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from steelyard.models.llama.choosing import Chooser, choose_all
from steelyard.models.llama.network import Line, Network, Rows
from steelyard.models.parameters import Sampling

# Letting go of rows copies the memory of those that stay: worth it when this few are left.
_FEW_LEFT = 0.75
# A stop text may begin in the middle of a token, and some tokens are less than a character.
_SLACK = 8

Decode = Callable[[Sequence[int]], str]


@dataclass(slots=True)
class Answer:
    """One answer under way."""

    prompt: Sequence[int]
    sampling: Sampling
    limit: int
    tokens: list[int] = field(default_factory=list)
    finish: str = ""

    def take(self, token: int, *, ends: frozenset[int], text_of: Decode) -> None:
        """Add a token, and note whether it was the last."""
        self.tokens.append(token)
        if token in ends or self._stops(text_of):
            self.finish = "stop"
        elif len(self.tokens) >= self.limit:
            self.finish = "length"

    def _stops(self, text_of: Decode) -> bool:
        """Whether a stop text has just come to stand at the end."""
        stops = self.sampling.stop
        if not stops:
            return False
        tail = text_of(self.tokens[-(max(map(len, stops)) + _SLACK) :])
        return any(stop in tail for stop in stops)


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
