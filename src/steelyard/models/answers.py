"""Answers and scores under way, in tokens: what engines that are fed tokens fill in.

Answer     a prompt that is continued token by token
Question   a prompt with choices behind it that are scored
Line       what one row of a batch is fed; choices are branches, each blind to its siblings
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from steelyard.models.base import Listener, clock
from steelyard.models.parameters import Sampling, cut
from steelyard.models.pieces import Pieces
from steelyard.types import Response, Timing, Tokens

# A stop text may begin in the middle of a token, and some tokens are less than a character.
_SLACK = 8
# Choices behind each other in one row pay for pairs that do not see each other; more go into a new row.
_LONGEST_BRANCHES = 512

Decode = Callable[[Sequence[int]], str]


@dataclass(slots=True)
class Answer:
    """One answer under way, when each of its tokens came, and who listens to it, if anybody."""

    prompt: Sequence[int]
    sampling: Sampling
    limit: int
    listener: Listener | None = None
    bytes_alone: frozenset[int] = frozenset()
    tokens: list[int] = field(default_factory=list)
    finish: str = ""
    begun: float = field(default_factory=clock)
    stamps: array[float] = field(default_factory=lambda: array("d"))
    _pieces: Pieces | None = None

    def take(self, token: int, *, ends: frozenset[int], text_of: Decode) -> None:
        """Add a token, and note when it came and whether it was the last."""
        self.tokens.append(token)
        self.stamps.append(clock())
        if token in ends or has_stop(self.tokens, self.sampling.stop, text_of=text_of):
            self.finish = "stop"
        elif len(self.tokens) >= self.limit:
            self.finish = "length"
        if self.listener is not None:
            self._tell(self.listener, ends=ends, text_of=text_of)

    def begin_anew(self) -> None:
        """Forget what was said."""
        self.tokens.clear()
        del self.stamps[:]
        self.finish, self._pieces = "", None

    def text(self, *, ends: frozenset[int], text_of: Decode) -> str:
        """What was said, up to where it was to stop."""
        said = self.tokens[:-1] if self.tokens and self.tokens[-1] in ends else self.tokens
        return cut(text_of(said), self.sampling.stop)

    def response(self, *, ends: frozenset[int], text_of: Decode) -> Response:
        """What was said; its time ends where it is handed over, with all others of its batch."""
        return Response(
            text=self.text(ends=ends, text_of=text_of),
            tokens=Tokens(len(self.prompt), len(self.tokens)),
            timing=Timing(due=self.begun, sent=self.begun, chunks=self.stamps.tolist(), done=clock()),
            raw={"finish": self.finish},
        )

    def _tell(self, listener: Listener, *, ends: frozenset[int], text_of: Decode) -> None:
        if listener.quiet:
            self.finish = self.finish or ("abandoned" if listener.gone else "")
            return
        if self._pieces is None:
            self._pieces = Pieces(
                listener.hear, text_of=text_of, stops=self.sampling.stop, bytes_alone=self.bytes_alone
            )
        if self.finish:
            self._pieces.end(self.text(ends=ends, text_of=text_of))
        elif listener.gone:
            # Nobody waits for it: its place in the batch is worth more than its end.
            self.finish = "abandoned"
        else:
            self._pieces.grow(self.tokens)


@dataclass(slots=True)
class Line:
    """What is fed in one row: tokens, their positions, and the branch of each (0 is the trunk)."""

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    branches: list[int] = field(default_factory=list)

    def append(self, ids: Sequence[int], *, start: int, branch: int = 0) -> None:
        """Add tokens that stand at `start` and after."""
        self.ids.extend(ids)
        self.positions.extend(range(start, start + len(ids)))
        self.branches.extend([branch] * len(ids))


class Look(NamedTuple):
    """What was found of one token: its log-probability, the likeliest token in its place, and that one's."""

    logprob: float
    likeliest: int
    highest: float


@dataclass(slots=True)
class Question:
    """A prompt and its continuations in tokens, and what was found of each; with `told` of every token."""

    prompt: Sequence[int]
    choices: Sequence[Sequence[int]]
    told: bool = False
    scores: list[float] = field(default_factory=list)
    greedy: list[bool] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)

    def rows(self) -> Iterator[Row]:
        """The choices in as many rows as their length demands."""
        choices: list[Sequence[int]] = []
        length = 0
        for choice in self.choices:
            if choices and length + len(choice) > _LONGEST_BRANCHES:
                yield Row(self, choices)
                choices, length = [], 0
            choices.append(choice)
            length += len(choice) - 1
        yield Row(self, choices)

    def add(self, score: float, *, greedy: bool) -> None:
        """Note the next choice's log-probability, and whether the model itself would have said it."""
        self.scores.append(score)
        self.greedy.append(greedy)

    def response(self) -> Response:
        """What was found of each choice."""
        counts = [len(choice) for choice in self.choices]
        raw: dict[str, Any] = {"tokens": counts, "greedy": self.greedy}
        if self.told:
            raw["looks"] = self.looks
        return Response(scores=tuple(self.scores), tokens=Tokens(len(self.prompt) + sum(counts), 0), raw=raw)


@dataclass(slots=True)
class Row:
    """Some choices of a question, behind its prompt. The last token of each is scored, never fed."""

    question: Question
    choices: Sequence[Sequence[int]]

    @property
    def branches(self) -> int:
        """How many tokens of choices are fed."""
        return sum(len(choice) - 1 for choice in self.choices)

    def line(self, start: int) -> Line:
        """What is fed behind the first `start` tokens of the prompt."""
        line, prompt = Line(), self.question.prompt
        line.append(prompt[start:], start=start)
        for branch, choice in enumerate(self.choices, start=1):
            line.append(choice[:-1], start=len(prompt), branch=branch)
        return line


def has_stop(tokens: Sequence[int], stops: Sequence[str], *, text_of: Decode) -> bool:
    """Whether a stop text has just come to stand at the end."""
    if not stops:
        return False
    tail = text_of(tokens[-(max(map(len, stops)) + _SLACK) :])
    return any(stop in tail for stop in stops)


def common_prefix(sequences: Sequence[Sequence[int]]) -> Sequence[int]:
    """The longest prefix of all sequences: that of the least and the greatest of them."""
    low, high = min(sequences, key=list), max(sequences, key=list)
    for place, (a, b) in enumerate(zip(low, high)):
        if a != b:
            return low[:place]
    return low if len(low) < len(high) else high
