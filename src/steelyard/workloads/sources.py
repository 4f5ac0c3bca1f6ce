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

from steelyard.errors import SteelyardError, UsageError
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


def draw(seed: int, *names: int | str) -> random.Random:
    """Chance that is the same for the same seed and names, whatever else was drawn before."""
    return random.Random("/".join(map(str, (seed, *names))))


def open_source(tokenizer: Any = None, *, model: Model | None = None, template: str = APART) -> Source:
    """What writes for a tokenizer, given or the model's own; "count" wants its template known."""
    if template not in (APART, COUNT):
        raise UsageError(f"template={template}", hint=f"{APART} or {COUNT}")
    found, why = choose_tokenizer(tokenizer, model=model), "no tokenizer is known"
    writer = None
    if found is not None:
        try:
            writer = find_writer(found)
        except SteelyardError as error:
            if tokenizer is not None:
                raise
            # Nobody asked for this tokenizer, so nobody is kept from a load by it.
            found, why = None, str(error)
    if found is None or writer is None:
        if template == COUNT:
            raise UsageError(f"template=count needs a tokenizer: {why}", hint="tokenizer=FOLDER of the model")
        remark = f"lengths are counted in words: {why} (tokenizer=FOLDER names one)"
        return Source(count_words(), None, None, (remark,))
    around = _around(found, writer, chat=None if model is None else model.chat)
    if around is None and template == COUNT:
        hint = "tokenizer=FOLDER of the model may; template=apart does without"
        raise UsageError(f"{found.name} does not tell how many tokens stand around a prompt", hint=hint)
    stand = "1 token stands" if around == 1 else f"{around} tokens stand"
    told = f"beside the lengths asked for, {stand} around each prompt"
    return Source(writer, found, around, (told,) if around and template == APART else ())


def choose_tokenizer(tokenizer: Any = None, *, model: Model | None = None) -> Tokenizer | None:
    """The tokenizer that is given, else the model's own; None where there is none, or none is wanted."""
    if tokenizer is None:
        return None if model is None else find_tokenizer(model)
    return None if str(tokenizer).lower() in _WORDS else open_tokenizer(tokenizer)


def _around(tokenizer: Tokenizer, writer: Writer, *, chat: bool | None) -> int | None:
    """How many tokens are put around any prompt; None where that depends on it."""
    texts = [writer.write(length, random.Random(length)) for length in _TRIED]
    counted = [None if chat is False else tokenizer.count_chat(text) for text in texts]
    if chat and None in counted:
        return None
    wholes = [n if n is not None else tokenizer.count_special(t) for n, t in zip(counted, texts)]
    found = {whole - length for whole, length in zip(wholes, _TRIED)}
    return found.pop() if len(found) == 1 else None
