"""Answers in pieces: joined they are the whole, whatever the tokenizer; no half characters, no stop texts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from steelyard.models.answers import Answer
from steelyard.models.base import Listener
from steelyard.models.parameters import Sampling
from steelyard.models.pieces import Pieces

WORDS = [
    "the",
    "cat",
    "é",
    "日本",
    "語",
    "🙂",
    "👨‍👩‍👧",
    "a",
    "ab",
    "b",
    "\n",
    "\n\n",
    "\ufffd",
    "##",
    "####",
]


@cache
def tokenizer(kind: str) -> Any:
    """Words as tokens, and a token for every byte, written as each kind of tokenizer does."""
    if kind == "bytes":
        letters = {letter: place for place, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
        spell = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str
        words = ["".join(part for part, _ in spell(" " + word)) for word in WORDS]
        names = list(dict.fromkeys([*letters, *words]))
        found = Tokenizer(models.WordLevel({name: place for place, name in enumerate(names)}, unk_token="a"))
        found.decoder = decoders.ByteLevel()
        return found
    names = [f"<0x{byte:02X}>" for byte in range(256)] + ["▁" + word for word in WORDS] + WORDS
    names = list(dict.fromkeys(names))
    found = Tokenizer(models.WordLevel({name: place for place, name in enumerate(names)}, unk_token="a"))
    found.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return found


def text_of(kind: str, tokens: Sequence[int]) -> str:
    return str(tokenizer(kind).decode(list(tokens), skip_special_tokens=True))


def bytes_alone(kind: str) -> frozenset[int]:
    return frozenset(range(256)) if kind == "fallback" else frozenset()


@st.composite
def answers(draw: st.DrawFn) -> tuple[str, list[int], tuple[str, ...]]:
    """Tokens with whole and broken characters, and stop texts that do or do not occur."""
    kind = draw(st.sampled_from(["bytes", "fallback"]))
    size = tokenizer(kind).get_vocab_size()
    some = st.one_of(st.integers(0, size - 1), st.integers(256, size - 1))
    tokens = draw(st.lists(some, min_size=1, max_size=30)) * draw(st.sampled_from([1, 1, 1, 5]))
    text = text_of(kind, tokens)
    begin = draw(st.integers(0, len(text)))
    within = text[begin : begin + draw(st.integers(1, 5))]
    stops = draw(st.sets(st.sampled_from([within or "?", "##", "ab", "the cat", "日本語"]), max_size=3))
    return kind, tokens, tuple(stops)


@given(answers())
@settings(max_examples=400, deadline=None)
def test_pieces_joined_are_the_answer(drawn: tuple[str, list[int], tuple[str, ...]]) -> None:
    kind, tokens, stops = drawn
    loop = asyncio.new_event_loop()
    try:
        listener = Listener(loop)
        sampling = Sampling(max_tokens=len(tokens), stop=stops)
        answer = Answer([1], sampling, len(tokens), listener=listener, bytes_alone=bytes_alone(kind))
        so_far = []
        for token in tokens:
            answer.take(token, ends=frozenset(), text_of=lambda some: text_of(kind, some))
            so_far.append(listener.said)
            if answer.finish:
                break
        whole = answer.response(ends=frozenset(), text_of=lambda some: text_of(kind, some)).text
    finally:
        loop.close()
    assert so_far[-1] == whole
    assert all(whole.startswith(said) for said in so_far)


@given(st.text(alphabet="日本é🙂ab\n ", min_size=1, max_size=60), st.sampled_from(["bytes", "fallback"]))
@settings(max_examples=200, deadline=None)
def test_no_piece_shows_half_a_character(text: str, kind: str) -> None:
    heard: list[str] = []
    tokens = tokens_of(kind, text)
    pieces = Pieces(
        lambda piece, at: heard.append(piece),
        text_of=lambda some: text_of(kind, some),
        bytes_alone=bytes_alone(kind),
    )
    for count in range(1, len(tokens) + 1):
        pieces.grow(tokens[:count])
    whole = text_of(kind, tokens)
    pieces.end(whole)
    assert "".join(heard) == whole
    assert not any("\ufffd" in piece for piece in heard)


def tokens_of(kind: str, text: str) -> list[int]:
    """A text spelt in bytes."""
    if kind == "fallback":
        return list(text.encode())
    ((letters, _),) = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)
    return [tokenizer(kind).token_to_id(letter) for letter in letters]


def test_text_is_heard_as_soon_as_it_is_certain() -> None:
    heard: list[str] = []
    pieces = Pieces(
        lambda piece, at: heard.append(piece), text_of=lambda t: "".join(map(chr, t)), stops=("END",)
    )
    told = []
    for count in range(1, 10):
        pieces.grow([ord(letter) for letter in "aE bENcdE"][:count])
        told.append("".join(heard))
    assert told == ["a", "a", "aE ", "aE b", "aE b", "aE b", "aE bENc", "aE bENcd", "aE bENcd"]


def test_a_long_answer_is_not_decoded_whole_again_and_again() -> None:
    lengths: list[int] = []

    def count(tokens: Sequence[int]) -> str:
        lengths.append(len(tokens))
        return text_of("bytes", tokens)

    heard: list[str] = []
    pieces = Pieces(lambda piece, at: heard.append(piece), text_of=count)
    tokens = tokens_of("bytes", "日本語 and a cat é 🙂\n" * 60)
    for place in range(len(tokens)):
        pieces.grow(tokens[: place + 1])
    assert "".join(heard) == "日本語 and a cat é 🙂\n" * 60
    assert max(lengths) < 100


def test_an_answer_begun_anew_is_not_heard_twice() -> None:
    loop = asyncio.new_event_loop()
    listener = Listener(loop)
    for piece, at in [("ab", 0), ("c", 2), ("a", 0), ("bcd", 1), ("e", 4)]:
        listener.hear(piece, at=at)
    loop.close()
    assert listener.said == "abcde"


def test_an_answer_that_nobody_waits_for_any_more_ends() -> None:
    loop = asyncio.new_event_loop()
    listener = Listener(loop)
    answer = Answer([1], Sampling(max_tokens=9), 9, listener=listener)
    answer.take(65, ends=frozenset(), text_of=lambda t: "".join(map(chr, t)))
    assert not answer.finish
    listener.gone = True
    answer.take(66, ends=frozenset(), text_of=lambda t: "".join(map(chr, t)))
    loop.close()
    assert answer.finish == "abandoned"
    assert listener.said == "A"
