"""Texts that begin alike are tokenised as if they did not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors, trainers

from steelyard.models.tokenized import Asked, TokenModel
from steelyard.types import Response

LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPLITS = {
    "gpt-2": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "llama-3": pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA_3), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    ),
    "metaspace": pre_tokenizers.Metaspace(),
    "prefixed": pre_tokenizers.ByteLevel(add_prefix_space=True),
}
TEXTS = ["ab. ab 12\n\nQ: ab\n\n", "a.\n\nb ba\n\n\n 1 2 12\n\n", "Q: ab ba. 12.\n\nQ: ", "\n\n\n. .\n\n"] * 3


class Counting(TokenModel):
    """Counts the letters it tokenises."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.letters = 0
        self._tokenizer = tokenizer
        super().__init__(template=None, begin=0, positions=10_000, chat=None, params={})

    def tokens(self, text: str, *, special: bool) -> list[int]:
        self.letters += len(text)
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=special).ids
        return ids

    def text(self, tokens: Sequence[int]) -> str:
        raise NotImplementedError

    def proceed(self, asked: Sequence[Asked]) -> list[Response]:
        raise NotImplementedError

    def score(self, asked: Sequence[Asked]) -> list[Response]:
        raise NotImplementedError


def make_tokenizer(split: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = SPLITS[split]
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    single = "<s> $A </s>" if split == "prefixed" else "<s> $A"
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return tokenizer


@pytest.mark.parametrize("split", SPLITS)
def test_a_known_beginning_changes_no_token(split: str) -> None:
    model = Counting(make_tokenizer(split))
    parts = st.lists(st.sampled_from([*"ab12.Q: ", "\n", "\n\n"]), max_size=8).map("".join)

    @settings(max_examples=80, deadline=None)
    @given(parts, st.lists(parts, min_size=1, max_size=6), st.booleans())
    def check(end: str, rests: list[str], special: bool) -> None:
        beginning = "Q: ab ba. 12\n\n" * 18 + end
        for rest in [*rests, *rests]:
            text = f"{beginning}\n\n{rest}"
            assert model.tokens_behind(text, special=special) == model.tokens(text, special=special)

    check()


def test_a_known_beginning_is_not_tokenised_again() -> None:
    model = Counting(make_tokenizer("gpt-2"))
    beginning = "Q: ab ba. 12\n\n" * 100
    texts = [f"{beginning}Q: {n}?" for n in range(50)]
    for text in texts:
        model.tokens_behind(text, special=True)
    assert model.letters < 5 * len(texts[0])
