"""An answer in pieces while it is written: never half a character, never a part of a stop text.

    pieces = Pieces(listener.hear, text_of=model.text, stops=("\\n\\n",))
    pieces.grow([17, 4, 33])            the tokens so far, after each new one
    pieces.end("the whole answer")

What is passed on, joined, is the whole answer. Only answers that somebody listens to have pieces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

# What a decoder puts where bytes are no character, or not one yet.
_HALF = "\ufffd"
# So many tokens are decoded again and again before those that are done are left behind; so many stay.
_LONGEST, _KEPT = 64, 16
# How tokenizers write a token that stands for one byte.
_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")


class Hear(Protocol):
    """Takes a piece of an answer, and where it stands in it."""

    def __call__(self, piece: str, *, at: int) -> None: ...


class Pieces:
    """Passes on what is certain of an answer."""

    def __init__(
        self,
        hear: Hear,
        *,
        text_of: Callable[[Sequence[int]], str],
        stops: Sequence[str] = (),
        bytes_alone: frozenset[int] = frozenset(),
    ) -> None:
        """`bytes_alone` are tokens that stand for one byte, whose text is known when others follow."""
        self._hear = hear
        self._text_of = text_of
        self._stops = stops
        self._bytes_alone = bytes_alone
        self._said = 0
        # Where decoding begins: a token, and the place in the answer of what is decoded from there.
        self._base, self._place = 0, 0

    def grow(self, tokens: Sequence[int]) -> None:
        """Look at the answer's tokens so far."""
        if tokens[-1] in self._bytes_alone:
            return
        text = self._text_of(tokens[self._base :])
        whole = text.rstrip(_HALF)
        certain = whole[: _begin_of_stop(whole, self._stops, behind=self._said - self._place)]
        self._say(certain[self._said - self._place :])
        if len(tokens) - self._base >= _LONGEST and whole == text:
            self._leave_behind(tokens, text)

    def end(self, answer: str) -> None:
        """Pass on what is left of the answer."""
        self._say(answer[self._said :])

    def _say(self, piece: str) -> None:
        if piece:
            self._hear(piece, at=self._said)
            self._said += len(piece)

    def _leave_behind(self, tokens: Sequence[int], text: str) -> None:
        """Decode from a later token on, if that gives the same text."""
        base = len(tokens) - _KEPT
        kept = self._text_of(tokens[base:])
        place = self._place + len(text) - len(kept)
        # What waits to be passed on must still be there; a first space may be lost, half characters not.
        if kept and text.endswith(kept) and place <= self._said and tokens[base] not in self._bytes_alone:
            self._base, self._place = base, place


def find_bytes(vocabulary: Mapping[str, int]) -> frozenset[int]:
    """The tokens that stand for single bytes."""
    return frozenset(token for name, token in vocabulary.items() if _BYTE.fullmatch(name))


def _begin_of_stop(text: str, stops: Sequence[str], *, behind: int) -> int:
    """Where a stop text begins, or may have begun at the end; the text's length where none does."""
    found = len(text)
    for stop in stops:
        place = text.find(stop, behind)
        if place < 0:
            longest = min(len(stop) - 1, len(text) - behind)
            ends = (length for length in range(longest, 0, -1) if text.endswith(stop[:length]))
            place = len(text) - next(ends, 0)
        found = min(found, place)
    return found
