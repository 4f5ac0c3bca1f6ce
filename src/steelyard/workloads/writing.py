"""Texts of exactly so many tokens, written of words that are one token each wherever they stand.

    writer = find_writer(tokenizer)
    writer.write(512, source=random.Random(7))      'office river until …', 512 tokens, never 511

The words are found once, by the tokenizer itself, and every one of them is tried behind every other: a
token that spanned two of them would be seen. After that writing costs no tokenizing, and a text that
goes on where another ended has as many tokens as both.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from steelyard.errors import UsageError
from steelyard.workloads.tokens import Tokenizer
from steelyard.workloads.words import WORDS

T = TypeVar("T")

# How vocabularies write a space, at the beginning of a word or at its end.
_MARKS = re.compile("[Ġ▁]|</w>")
_MOST = 256
_FEWEST = 8
_HEADS, _HEADS_ASKED = 32, 8
# Of the vocabulary so many are tried.
_TRIED = 3000
_PIECE = 2048
_ROUNDS = 8


class _Brick(NamedTuple):
    """A text that is one token behind any other brick, and which."""

    text: str
    token: int


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes texts of a number of tokens; `exact` unless words were counted for want of a tokenizer.

    A text begins with one of `heads` and goes on with `bodies`; both have 256 entries, so that a byte
    of chance chooses one.
    """

    name: str
    exact: bool
    heads: Sequence[str]
    bodies: Sequence[str]
    head_tokens: Sequence[int] = ()
    body_tokens: Sequence[int] = ()

    def write(self, length: int, source: random.Random, *, begins: bool = True) -> str:
        """A text of so many tokens: the beginning of a prompt, or what goes on behind one."""
        return self.spell(source.randbytes(length), begins=begins)

    def spell(self, chosen: bytes, *, begins: bool = True) -> str:
        """The text that bytes choose, a token each."""
        text = "".join(map(self.bodies.__getitem__, chosen[begins:]))
        return self.heads[chosen[0]] + text if begins and chosen else text

    def number(self, chosen: bytes, *, begins: bool = True) -> list[int]:
        """The tokens that bytes choose."""
        tokens = list(map(self.body_tokens.__getitem__, chosen[begins:]))
        return [self.head_tokens[chosen[0]], *tokens] if begins and chosen else tokens


def count_words() -> Writer:
    """Writes so many words, where nothing is known of tokens."""
    bodies = [f" {word}" for word in WORDS]
    return Writer("words", False, _repeat(WORDS), _repeat(bodies))


def find_writer(tokenizer: Tokenizer) -> Writer:
    """What writes texts of exactly so many of a tokenizer's tokens."""
    written = [_MARKS.sub(" ", text) for text in tokenizer.vocabulary()]
    for texts, joint in _candidates(written):
        spanned = _find_spanned(written, joint)
        texts = [text for text in texts if text not in spanned]  # noqa: PLW2901 - those that may do
        heads = _find_heads(tokenizer, texts)
        if not heads:
            continue
        bodies = _without_faults(tokenizer, heads[0], _find_bodies(tokenizer, heads[0], texts, joint))
        if len(bodies) < _FEWEST:
            continue
        if heads := _find_fitting(tokenizer, heads, bodies):
            return Writer(
                tokenizer.name,
                True,
                _repeat([head.text for head in heads]),
                _repeat([body.text for body in bodies]),
                _repeat([head.token for head in heads]),
                _repeat([body.token for body in bodies]),
            )
    raise UsageError(
        f"no texts of exact length can be written for the tokenizer {tokenizer.name}: "
        "it has no words that stay one token each beside each other",
        hint="tokenizer=none counts words",
    )


def _candidates(written: Sequence[str]) -> Iterator[tuple[list[str], str]]:
    """Texts that may be one token each, with what stands between two: the likeliest first."""
    bare = [text.strip() for text in written]
    plain = [word for word in bare if word.isascii() and word.isalpha() and word.islower()]
    long = [word for word in plain if len(word) > 2]
    yield list(dict.fromkeys([*WORDS, *long[:_TRIED]])), " "
    yield list(dict.fromkeys(["a", "e", "i", "o", "u", *plain[:_TRIED]])), " "
    yield list("abcdefghijklmnopqrstuvwxyz"), ""
    single = [text for text in bare if len(text) == 1 and text.isalnum()]
    yield list(dict.fromkeys(single[:_TRIED])), ""


def _find_spanned(written: Sequence[str], joint: str) -> set[str]:
    """What stands inside of a token with something on both sides: three may be one where no two are."""
    inside: set[str] = set()
    for text in written:
        parts = text.strip().split(" ") if joint else text.strip()
        inside.update(parts[1:-1])
    return inside


def _find_heads(tokenizer: Tokenizer, texts: Sequence[str]) -> list[_Brick]:
    """Texts that are one token at the beginning."""
    found: dict[int, _Brick] = {}
    for text in texts:
        tokens = tokenizer.encode(text)
        if len(tokens) == 1:
            found.setdefault(tokens[0], _Brick(text, tokens[0]))
        if len(found) == (_HEADS_ASKED if tokenizer.slow else _HEADS):
            break
    # What is not in a vocabulary becomes one token as well, the same for all.
    return list(found.values()) if len(found) > 1 else []


def _find_bodies(tokenizer: Tokenizer, head: _Brick, texts: Sequence[str], joint: str) -> list[_Brick]:
    """Those texts that are one token behind others, as long as there are not enough."""
    found: dict[int, _Brick] = {}
    for start in range(0, len(texts), 64):
        for brick in _single(tokenizer, head, [joint + text for text in texts[start : start + 64]]):
            found.setdefault(brick.token, brick)
        if len(found) >= _MOST:
            break
    return list(found.values())[:_MOST]


def _single(tokenizer: Tokenizer, head: _Brick, texts: Sequence[str]) -> list[_Brick]:
    """Those that are one token each; many are tried at once, because a service is slow to ask."""
    tokens = tokenizer.encode(head.text + "".join(texts))
    if len(tokens) == len(texts) + 1 and tokens[0] == head.token:
        return [_Brick(text, token) for text, token in zip(texts, tokens[1:])]
    if len(texts) == 1:
        return []
    middle = len(texts) // 2
    return [*_single(tokenizer, head, texts[:middle]), *_single(tokenizer, head, texts[middle:])]


def _without_faults(tokenizer: Tokenizer, head: _Brick, bricks: list[_Brick]) -> list[_Brick]:
    """Bricks of which every one stays what it is behind every other."""
    for _ in range(_ROUNDS):
        if len(bricks) < _FEWEST:
            return []
        at_fault = _faults(tokenizer, head, bricks)
        if not at_fault:
            return bricks
        bricks = [brick for brick in bricks if brick not in at_fault]
    return []


def _faults(tokenizer: Tokenizer, head: _Brick, bricks: Sequence[_Brick]) -> set[_Brick]:
    """The bricks that have to go, so that none is left that is not one token behind some others."""
    # Few first: where nothing fits, that is soon known.
    for row in (_all_pairs(bricks[:_FEWEST]), random.Random(0).choices(bricks, k=_PIECE), _all_pairs(bricks)):
        found: set[_Brick] = set()
        for start in range(0, len(row), _PIECE):
            _search(tokenizer, head, row[start : start + _PIECE + 1], found)
        if found:
            return found
    return set()


def _search(tokenizer: Tokenizer, head: _Brick, row: Sequence[_Brick], found: set[_Brick]) -> None:
    """Add a brick of each place in the row where bricks are not one token each."""
    if len(row) < 2 or _fits(tokenizer, head, row):
        return
    middle, known = len(row) // 2, len(found)
    if len(row) > 2:
        _search(tokenizer, head, row[: middle + 1], found)
        _search(tokenizer, head, row[middle:], found)
    if len(found) == known:
        # It takes all of them.
        found.add(row[middle])


def _find_fitting(tokenizer: Tokenizer, heads: Sequence[_Brick], bodies: Sequence[_Brick]) -> list[_Brick]:
    """The heads behind which each of the bodies is what it is."""
    twice = f"{heads[0].text}{bodies[0].text}"
    line = tokenizer.encode(f"{twice}\n{twice}")[2:-2]
    found = []
    for head in heads:
        text = "\n".join(f"{head.text}{body.text}" for body in bodies)
        wanted = [token for body in bodies for token in (*line, head.token, body.token)]
        if list(tokenizer.encode(text)) == wanted[len(line) :]:
            found.append(head)
    if found:
        return found
    # Some tokenizers see the beginning of a line as another thing than that of a text.
    tried = heads[:1] if tokenizer.slow else heads
    return [head for head in tried if all(_fits(tokenizer, head, [body]) for body in bodies)]


def _fits(tokenizer: Tokenizer, head: _Brick, row: Sequence[_Brick]) -> bool:
    tokens = tokenizer.encode(head.text + "".join(brick.text for brick in row))
    return list(tokens) == [head.token, *(brick.token for brick in row)]


def _all_pairs(bricks: Sequence[_Brick]) -> list[_Brick]:
    """A row in which each brick stands once behind each: a de Bruijn sequence, closed."""
    row: list[_Brick] = []
    for n, brick in enumerate(bricks):
        row.append(brick)
        for other in bricks[n + 1 :]:
            row += (brick, other)
    return [*row, bricks[0]]


def _repeat(entries: Sequence[T]) -> tuple[T, ...]:
    return tuple(entries[n % len(entries)] for n in range(_MOST))
