"""Who writes the prompts of a workload: found by its tokenizer, else words are counted, which it says.

source = open_source("Qwen2.5-7B-Instruct")
source.writer.write(512, random.Random(7))
source.around                   5: what the chat template puts around every prompt
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from steelyard.errors import UsageError
from steelyard.models.base import Model
from steelyard.workloads.tokens import Tokenizer, find_tokenizer, open_tokenizer
from steelyard.workloads.writing import Writer, count_words, find_writer

APART, COUNT = "apart", "count"
_WORDS = ("none", "words", "false")
_TRIED = (1, 2, 7, 64, 300)


@dataclass(frozen=True, slots=True)
class Source:
    """What writes texts, by which tokenizer, and how many tokens stand around each of its prompts."""

    writer: Writer
    tokenizer: Tokenizer | None
    around: int | None
    remarks: Sequence[str]

    def identity(self) -> Any:
        """Which tokenizer it is, or that words are counted."""
        return "words" if self.tokenizer is None else self.tokenizer.identity()

    def count(self, text: str) -> int:
        """How many tokens a text has, or words."""
        return len(text.split()) if self.tokenizer is None else len(self.tokenizer.encode(text))


def draw(seed: int, *names: int | str) -> random.Random:
    """Chance that is the same for the same seed and names, whatever else was drawn before."""
    return random.Random("/".join(map(str, (seed, *names))))


def open_source(tokenizer: Any = None, *, model: Model | None = None, template: str = APART) -> Source:
    """What writes for a tokenizer, given or the model's own; "count" wants its template known."""
    if template not in (APART, COUNT):
        raise UsageError(f"template={template}", hint=f"{APART} or {COUNT}")
    found = None
    if tokenizer is None:
        found = None if model is None else find_tokenizer(model)
    elif str(tokenizer).lower() not in _WORDS:
        found = open_tokenizer(tokenizer)
    if found is None:
        if template == COUNT:
            raise UsageError("template=count needs a tokenizer", hint="tokenizer=FOLDER of the model")
        remark = "lengths are counted in words: no tokenizer is known (tokenizer=FOLDER names one)"
        return Source(count_words(), None, None, (remark,))
    writer = find_writer(found)
    around = _around(found, writer, chat=None if model is None else model.chat)
    if around is None and template == COUNT:
        hint = "it is constant for most models: template=apart leaves it out"
        raise UsageError(f"what stands around the prompts of {found.name} is not always as long", hint=hint)
    told = f"beside the lengths asked for, {around} tokens stand around each prompt"
    return Source(writer, found, around, (told,) if around and template == APART else ())


def _around(tokenizer: Tokenizer, writer: Writer, *, chat: bool | None) -> int | None:
    """How many tokens are put around any prompt; None where that depends on it."""
    texts = [writer.write(length, random.Random(length)) for length in _TRIED]
    counted = [None if chat is False else tokenizer.count_chat(text) for text in texts]
    if chat and None in counted:
        return None
    wholes = [n if n is not None else tokenizer.count_special(t) for n, t in zip(counted, texts)]
    found = {whole - length for whole, length in zip(wholes, _TRIED)}
    return found.pop() if len(found) == 1 else None
