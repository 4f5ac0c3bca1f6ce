"""Causal language models: answers to prompts, and how likely given continuations are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import GenerationConfig

from steelyard.models.answers import Question
from steelyard.models.decoding import OTHERS, decode, generate
from steelyard.models.likelihood import score
from steelyard.models.prefix import Network
from steelyard.models.pretrained import Loaded, Pretrained, memory_for_batches
from steelyard.models.tokenized import Asked, TokenModel
from steelyard.types import Response


class CausalModel(Pretrained, TokenModel):
    """Continues prompts, or scores continuations."""

    others = OTHERS
    tells_tokens = True

    def __init__(
        self,
        loaded: Loaded,
        *,
        chat: bool | None = None,
        batch_size: int | None = None,
        batch_tokens: int | None = None,
        params: Mapping[str, Any],
    ) -> None:
        Pretrained.__init__(self, loaded, batch_size=batch_size, batch_tokens=batch_tokens)
        self._ends = loaded.ends
        # A checkpoint's own habits (a temperature, a penalty) would shape answers unasked.
        loaded.network.generation_config = GenerationConfig(eos_token_id=sorted(self._ends) or None)
        self._engine = Network(loaded.network)
        self.known_tokens = self._engine.vocabulary
        if batch_tokens is None and self._engine.token_bytes:
            # Keys and values of a large model outgrow the memory long before its batches are large.
            fits = memory_for_batches(self.network.device) // self._engine.token_bytes
            self.batch_tokens = max(min(self.batch_tokens or 0, fits), 256)
        TokenModel.__init__(
            self,
            template=loaded.template,
            begin=loaded.begin,
            positions=loaded.positions,
            chat=chat,
            params=params,
        )

    @property
    def shares_prefix(self) -> bool:
        """Whether what prompts have in common is computed once; else the plain way is taken."""
        return self._engine.shares

    def size(self, encoded: Asked) -> int:
        """How many tokens a request takes, those of its answer counted."""
        return encoded.size + (self.limit(encoded, encoded.sampling) if encoded.sampling else 0)

    def score(self, asked: Sequence[Asked]) -> list[Response]:
        """Score the choices behind prompts."""
        questions = [Question(one.prompt, one.choices, told=one.told) for one in asked]
        score(self._engine, questions)
        return [question.response() for question in questions]

    def proceed(self, asked: Sequence[Asked]) -> list[Response]:
        """Continue prompts."""
        answers = self.begin_answers(asked)
        ours = [answer for answer in answers if self.shares_prefix and not answer.sampling.others]
        theirs = [answer for answer in answers if not self.shares_prefix or answer.sampling.others]
        if ours:
            decode(self._engine, ours, ends=self._ends, text_of=self.text)
        if theirs:
            filler = self.loaded.filler
            generate(self.network, theirs, ends=self._ends, text_of=self.text, filler=filler)
        return [answer.response(ends=self._ends, text_of=self.text) for answer in answers]

    def free(self) -> None:
        """Give the shared prefix and cached memory of the device back."""
        self._engine.forget()
        super().free()
