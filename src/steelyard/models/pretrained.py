"""What all Hugging Face models here share: a network with its tokenizer, its identity, its memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from steelyard.models.base import LocalModel
from steelyard.models.chat import text_of
from steelyard.types import Message, Request, Response

# Logits are the largest tensors here: (rows, tokens, vocabulary), 512 MB of float32.
_MOST_LOGITS = 2**27
_BATCH_TOKENS_ON_CPU = 16384
_BATCH_TOKENS_ELSEWHERE = 32768


@dataclass(frozen=True, slots=True)
class Loaded:
    """A network with its tokenizer, and where both came from."""

    name: str
    network: Any
    tokenizer: Any
    identity: Mapping[str, Any] = field(default_factory=dict)

    @property
    def positions(self) -> int | None:
        """How many positions the network has; None where there is no limit."""
        limit = getattr(self.network.config.get_text_config(), "max_position_embeddings", None)
        return limit if isinstance(limit, int) and limit > 0 else None

    @property
    def ends(self) -> frozenset[int]:
        """The tokens that end an answer."""
        ends = self.network.generation_config.eos_token_id
        if ends is None:
            ends = self.tokenizer.eos_token_id
        return frozenset() if ends is None else frozenset([ends] if isinstance(ends, int) else ends)

    @property
    def begin(self) -> int | None:
        """The token that stands before a text when nothing else does."""
        known = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id)
        return next((int(token) for token in known if token is not None), None)

    @property
    def filler(self) -> int:
        """What rows are padded with; nobody looks at it."""
        known = self.tokenizer.pad_token_id
        return 0 if known is None else int(known)

    @property
    def template(self) -> ChatOfTokenizer | None:
        """The tokenizer's chat template, if it has one."""
        return ChatOfTokenizer(self.tokenizer) if getattr(self.tokenizer, "chat_template", None) else None


class ChatOfTokenizer:
    """The chat template that a tokenizer brings along."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def render(self, messages: Sequence[Message]) -> str:
        """The turns as one text; a last turn of the assistant is the beginning of its answer."""
        turns = [{"role": turn["role"], "content": text_of(turn)} for turn in messages]
        begun = bool(turns) and turns[-1]["role"] == "assistant"
        text: str = self._tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=not begun, continue_final_message=begun
        )
        return text


class Pretrained(LocalModel):
    """A transformers model: what its kinds have beside each one's way of answering."""

    metered = True

    def __init__(self, loaded: Loaded, *, batch_size: int | None, batch_tokens: int | None) -> None:
        self.loaded = loaded
        self.network, self.tokenizer = loaded.network, loaded.tokenizer
        on_cpu = self.network.device.type == "cpu"
        self.batch_size = batch_size or 256
        self.batch_tokens = batch_tokens or (_BATCH_TOKENS_ON_CPU if on_cpu else _BATCH_TOKENS_ELSEWHERE)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.loaded.name

    def identity(self) -> Mapping[str, Any]:
        """Weights, adapter, precision, device, options and the versions that compute with them."""
        told = {**super().identity(), **self.loaded.identity}
        # Those of the options that shape answers are told above; the others are folders and batches.
        told.pop("options")
        return told

    def batch(self, requests: Sequence[Request]) -> list[Response]:
        """Answer several requests at once, in their order."""
        with torch.inference_mode():
            return list(super().batch(requests))

    def free(self) -> None:
        """Give cached memory of the device back."""
        if self.network.device.type == "cuda":
            torch.cuda.empty_cache()

    def tokens(self, text: str, *, special: bool) -> list[int]:
        """A text in tokens, with the special ones that the tokenizer adds."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]
        return ids

    def text(self, tokens: Sequence[int]) -> str:
        """Tokens as a text, without the special ones."""
        text: str = self.tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def vocabulary(self) -> Mapping[str, int]:
        """How its tokens are written."""
        written: dict[str, int] = self.tokenizer.get_vocab()
        return written


def memory_for_batches(device: Any) -> int:
    """How many bytes a batch may take, unless batch_tokens= says more."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free) // 2
    return 2**31


def pad(rows: Sequence[Sequence[int]], *, value: int, device: Any) -> dict[str, torch.Tensor]:
    """Rows of tokens padded on the right, and the mask that says where they end."""
    width = max(map(len, rows))
    ids = [[*row, *[value] * (width - len(row))] for row in rows]
    mask = [[1] * len(row) + [0] * (width - len(row)) for row in rows]
    return {
        "input_ids": torch.tensor(ids, device=device),
        "attention_mask": torch.tensor(mask, device=device),
    }


def cut_passes(sizes: Sequence[tuple[int, int]], *, budget: int, vocabulary: int) -> Iterator[slice]:
    """Cut rows of (tokens, logits kept) into passes that fit."""
    begin = longest = kept = 0
    for place, (size, keep) in enumerate(sizes):
        longest, kept = max(longest, size), max(kept, keep)
        count = place + 1 - begin
        if count > 1 and (longest * count > budget or kept * count * vocabulary > _MOST_LOGITS):
            yield slice(begin, place)
            begin, longest, kept = place, size, keep
    if sizes:
        yield slice(begin, len(sizes))
