"""Small tokenizers of every usual kind, trained on a few words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from steelyard.workloads.words import WORDS

# Every second word is missing, so that others have to be found in the vocabulary.
KNOWN = WORDS[::2]
TEXTS = [" ".join(KNOWN[n:] + KNOWN[:n]) for n in range(0, len(KNOWN), 4)]
TEXTS += ["It isn't 12 o'clock yet: the dog, Öl and 3,141 cats sat.\n\n"] * 4
# A vocabulary as large ones are, in which no usual word is missing.
WHOLE = [" ".join(WORDS[n:] + WORDS[:n]) for n in range(0, len(WORDS), 4)]
SPLIT = Regex(
    r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
)
CHINESE = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏闰馀成岁律吕调阳云腾致雨露结为霜"


def make_byte_level(texts: Sequence[str] = TEXTS, *, size: int = 900) -> Tokenizer:
    """As GPT-2 and Llama 3 have it: bytes, joined within words that begin with their space."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(SPLIT, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "</s>", "<|user|>", "<|assistant|>"]
    made.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=size, initial_alphabet=alphabet, special_tokens=special, show_progress=False
        ),
    )
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return made


def make_sentence_pieces(texts: Sequence[str] = TEXTS, *, size: int = 900) -> Tokenizer:
    """As Llama 2 has it: no words are told apart, spaces are a letter, one stands before every text."""
    made = Tokenizer(models.BPE(fuse_unk=True, byte_fallback=True, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    made.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=size, special_tokens=["<unk>", "<s>"], show_progress=False)
    )
    made.pre_tokenizer = None
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return made


def make_unigram() -> Tokenizer:
    """As T5 and Gemma have it: the likeliest pieces."""
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    made.train_from_iterator(
        TEXTS,
        trainers.UnigramTrainer(
            vocab_size=600, special_tokens=["<unk>", "</s>"], unk_token="<unk>", show_progress=False
        ),
    )
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return made


def make_word_pieces() -> Tokenizer:
    """As BERT has it: lower case, spaces are gone."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[UNK]", "[CLS]", "[SEP]"]
    made.train_from_iterator(
        TEXTS, trainers.WordPieceTrainer(vocab_size=700, special_tokens=special, show_progress=False)
    )
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return made


def make_bytes() -> Tokenizer:
    """As ByT5 has it: every byte is a token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={letter: n for n, letter in enumerate(alphabet)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return made


def make_superwords() -> Tokenizer:
    """Tokens that go over spaces, as some newer vocabularies have them."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    texts = [f"{a} {b}" for n, a in enumerate(KNOWN) for b in KNOWN[n % 7 :: 7]]
    texts += ["of the"] * 200 + ["in the end"] * 200
    made.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=1500, initial_alphabet=alphabet, show_progress=False)
    )
    return made


def make_chinese() -> Tokenizer:
    """Characters without spaces, of which some neighbours are one token."""
    pairs = [CHINESE[n : n + 2] for n in range(0, len(CHINESE) - 1, 5)]
    vocabulary = {text: n for n, text in enumerate(["<unk>", *dict.fromkeys(CHINESE), *pairs])}
    return Tokenizer(models.BPE(vocab=vocabulary, merges=[(a, b) for a, b in pairs], unk_token="<unk>"))


MADE = {
    "byte level": make_byte_level,
    "sentence pieces": make_sentence_pieces,
    "unigram": make_unigram,
    "word pieces": make_word_pieces,
    "bytes": make_bytes,
    "superwords": make_superwords,
    "chinese": make_chinese,
}

TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] | trim }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def write_folder(folder: Path, made: Tokenizer, **settings: Any) -> Path:
    """A model's folder with only what concerns its tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder
