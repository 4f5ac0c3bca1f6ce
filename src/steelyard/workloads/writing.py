"""Texts of exactly so many tokens, written of words that are one token each wherever they stand.

    writer = find_writer(tokenizer)
    writer.write(512, source=random.Random(7))      'office river until …', 512 tokens, never 511

The words are found once, by the tokenizer itself, and every one of them is tried behind every other: a
token that spanned two of them would be seen. After that writing costs no tokenizing, and a text that
goes on where another ended has as many tokens as both.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from steelyard.errors import UsageError
from steelyard.workloads.tokens import Tokenizer
from steelyard.workloads.words import WORDS

T = TypeVar("T")

_MOST = 256
_FEWEST = 8
_HEADS = 32
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
    for texts, joint in _candidates(tokenizer):
        heads = _find_heads(tokenizer, texts)
        if not heads:
            continue
        bodies = _without_faults(tokenizer, heads[0], _find_bodies(tokenizer, heads[0], texts, joint))
        if len(bodies) < _FEWEST:
            continue
        # Each head before each body, too.
        heads = [head for head in heads if _fits(tokenizer, head, bodies)]
        if heads:
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


def _candidates(tokenizer: Tokenizer) -> Iterator[tuple[list[str], str]]:
    """Texts that may be one token each, with what stands between two: the likeliest first."""
    written = [text.lstrip("Ġ▁").removesuffix("</w>") for text in tokenizer.vocabulary()]
    plain = [word for word in written if word.isascii() and word.isalpha() and word.islower()]
    long = [word for word in plain if len(word) > 2]
    yield list(dict.fromkeys([*WORDS, *long[:_TRIED]])), " "
    yield list(dict.fromkeys(["a", "e", "i", "o", "u", *plain[:_TRIED]])), " "
    yield list("abcdefghijklmnopqrstuvwxyz"), ""
    single = [text for text in written if len(text) == 1 and text.isalnum()]
    yield list(dict.fromkeys(single[:_TRIED])), ""


def _find_heads(tokenizer: Tokenizer, texts: Sequence[str]) -> list[_Brick]:
    """Texts that are one token at the beginning."""
    found: dict[int, _Brick] = {}
    for text in texts:
        tokens = tokenizer.encode(text)
        if len(tokens) == 1:
            found.setdefault(tokens[0], _Brick(text, tokens[0]))
        if len(found) == _HEADS:
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
    """The bricks that have to go, so that no pair is left that is not two tokens."""
    # Few first: where nothing fits, that is soon known.
    for tried in (bricks[:_FEWEST], bricks):
        row = _all_pairs(tried)
        found: set[_Brick] = set()
        for start in range(0, len(row), _PIECE):
            _search(tokenizer, head, row[start : start + _PIECE + 1], found)
        if found:
            return found
    return set()


def _search(tokenizer: Tokenizer, head: _Brick, row: Sequence[_Brick], found: set[_Brick]) -> None:
    """Add of each pair in the row that is not two tokens the brick that is met second."""
    if len(row) < 2 or _fits(tokenizer, head, row):
        return
    if len(row) == 2:
        found.add(row[1])
        return
    middle = len(row) // 2
    _search(tokenizer, head, row[: middle + 1], found)
    _search(tokenizer, head, row[middle:], found)


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
