"""What is known so far: every question with both answers, and which answers are bound to differ and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from steelyard.parity.findings import PROMPT_CAUSES, Finding
from steelyard.parity.questions import Question
from steelyard.parity.sides import Change, Pair, Side

MOSTLY = 0.8
"""The share of answers that is taken for all: some may differ by noise or for a cause of their own."""
RARELY = 0.2
BROKEN = "\N{REPLACEMENT CHARACTER}"
"""What is written where a character was cut in two."""
_SHOWN = 40
# A text that is the beginning of another one by chance is shorter than this.
_LEAST = 4


@dataclass
class Survey:
    """Both sides, what they answered greedily, and what was found in it."""

    a: Side
    b: Side
    params: Mapping[str, Any]
    pairs: list[Pair] = field(default_factory=list)
    found: list[Finding] = field(default_factory=list)
    explained: dict[str, str] = field(default_factory=dict)
    adjusted: dict[str, Pair] = field(default_factory=dict)

    def ask(self, questions: Sequence[Question], params: Mapping[str, Any] | None = None) -> list[Pair]:
        """Ask both sides; greedily unless told otherwise."""
        params = self.params if params is None else params
        answers = [side.ask(questions, params) for side in (self.a, self.b)]
        return [Pair(*one) for one in zip(questions, *answers)]

    def explain(self, pairs: Iterable[Pair], cause: str) -> None:
        """Note why answers are bound to differ."""
        for pair in pairs:
            self.explained.setdefault(pair.question.id, cause)

    def short(self, form: str) -> list[Pair]:
        """The plainest prompts of a form: of one turn, without a system turn, without space at their ends."""
        asked = [pair for pair in self.pairs if pair.good and pair.question.form == form]
        return [pair for pair in asked if pair.question.cell == (False, 1) and not pair.question.spaced]

    def cause_of(self, form: str) -> str | None:
        """Why all of the plainest prompts of a form are bound to be answered differently, if they are."""
        causes = {self.explained.get(pair.question.id) for pair in self.short(form)}
        return next(iter(causes)) if len(causes) == 1 and causes <= PROMPT_CAUSES else None

    def comparable(self) -> list[Pair]:
        """The pairs whose prompts are as far as is known the same to both, made so where that can be."""
        good = [pair for pair in self.pairs if pair.good]
        kept = [self.adjusted.get(p.question.id, p) for p in good if p.question.id not in self.explained]
        return kept + [p for name, p in self.adjusted.items() if name in self.explained]

    def left(self, pairs: Iterable[Pair]) -> list[Pair]:
        """Those that are not bound to differ, and those that are, made so that they are not."""
        known = [pair for pair in pairs if pair.question.id not in self.explained]
        made = [self.adjusted[p.question.id] for p in pairs if p.question.id in self.adjusted]
        return [pair for pair in known if pair.question.id not in self.adjusted] + made

    def retell(self, pairs: Sequence[Pair], change: Change, back: Change) -> list[Pair]:
        """The pairs as they would be, were the prompts of the side in this process changed in tokens.

        `change` makes A's prompts those of B, `back` the other way round.
        """
        questions = [pair.question for pair in pairs]
        if told := self.a.retell(questions, self.params, change):
            return [replace(pair, a=said) for pair, said in zip(pairs, told)]
        if told := self.b.retell(questions, self.params, back):
            return [replace(pair, b=said) for pair, said in zip(pairs, told)]
        return []


def most_common(numbers: Iterable[int | None]) -> int | None:
    """The number that is there most often; None where none is known."""
    known = Counter(number for number in numbers if number is not None)
    return known.most_common(1)[0][0] if known else None


def agree(pair: Pair) -> bool:
    """Whether both said the same, as far as the shorter one went."""
    a, b = pair.a.text, pair.b.text
    short, long = sorted((a, b), key=len)
    return pair.good and (a == b or (len(short) >= _LEAST and long.startswith(short)))


def share(pairs: Sequence[Pair], holds: Callable[[Pair], bool] = agree) -> float:
    """The share of pairs that something holds for; 0 of none."""
    return sum(map(holds, pairs)) / len(pairs) if pairs else 0.0


def is_clear(pair: Pair, end: int) -> bool:
    """Whether both answers are of whole characters up to a place."""
    return not any(BROKEN in one.text[:end] for one in (pair.a, pair.b))


def place_of(pair: Pair) -> int:
    """Where two answers part."""
    a, b = pair.a.text, pair.b.text
    return next((n for n, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


def show_pair(pair: Pair) -> str:
    """Where a pair of answers parts, in one line."""
    if pair.a.error or pair.b.error:
        said = " / ".join(" ".join((one.error or "answered").split())[:80] for one in (pair.a, pair.b))
        return f"{pair.question.id}: {said}"
    place = place_of(pair)
    a, b = [quote(one.text[max(place - 8, 0) :]) for one in (pair.a, pair.b)]
    return f"{pair.question.id}, character {place + 1}: A {a}, B {b}"


def show_counts(pair: Pair) -> str:
    """How many tokens both read, in one line."""
    read = [one.tokens.input if one.tokens else None for one in (pair.a, pair.b)]
    return f"{pair.question.id}: A read {read[0]} tokens, B {read[1]}"


def quote(text: str, most: int = _SHOWN) -> str:
    """A text that is short enough to be shown."""
    return repr(text if len(text) <= most else text[: most - 1] + "…")


def count(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number} {noun}{'' if abs(number) == 1 else 's'}"
