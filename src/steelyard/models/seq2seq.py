"""Encoder-decoder models: answers to prompts, and how likely given answers are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from steelyard.errors import UsageError
from steelyard.models.decoding import OTHERS, generate
from steelyard.models.parameters import Sampling, read_params
from steelyard.models.pretrained import Loaded, Pretrained, pad
from steelyard.models.tokenized import Asked, TokenModel
from steelyard.types import Request, Response, Tokens


class Seq2SeqModel(Pretrained, TokenModel):
    """Answers prompts with what its decoder writes, as its own generation settings say."""

    others = OTHERS

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
        TokenModel.__init__(
            self,
            template=loaded.template,
            begin=loaded.begin,
            positions=loaded.positions,
            chat=chat,
            params=params,
        )

    def encode(self, request: Request) -> Asked:
        """The request in tokens; raises what is wrong with it."""
        text, special = self.render(request.prompt)
        prompt = self.tokens(text, special=special)
        if not prompt:
            raise UsageError("the prompt is empty")
        self.check(len(prompt))
        if request.choices is None:
            sampling = read_params({**self.params, **request.params}, others=self.others)
            return Asked(prompt, sampling=sampling)
        if not request.choices or not all(request.choices):
            raise UsageError("a choice is empty" if request.choices else "there are no choices")
        return Asked(prompt, choices=[self.tokens(choice, special=False) for choice in request.choices])

    def size(self, encoded: Asked) -> int:
        """How many tokens a request takes, those of its answer counted."""
        return encoded.size + (encoded.sampling.max_tokens if encoded.sampling else 0)

    def limit(self, asked: Asked, sampling: Sampling) -> int:
        """How long the answer may become; it does not stand behind the prompt."""
        return min(sampling.max_tokens, self.positions or sampling.max_tokens)

    def proceed(self, asked: Sequence[Asked]) -> list[Response]:
        """Answer prompts."""
        answers = self.begin_answers(asked)
        generate(self.network, answers, ends=self._ends, text_of=self.text, filler=self.loaded.filler)
        return [answer.response(ends=self._ends, text_of=self.text) for answer in answers]

    def score(self, asked: Sequence[Asked]) -> list[Response]:
        """Prompts are read once each, then every choice is held against what was read."""
        device = self.network.device
        inputs = pad([one.prompt for one in asked], value=self.loaded.filler, device=device)
        read = self.network.get_encoder()(**inputs).last_hidden_state
        responses = []
        for place, one in enumerate(asked):
            rows = pad(one.choices, value=self.loaded.filler, device=device)
            labels = rows["input_ids"]
            count = len(one.choices)
            logits = self.network(
                encoder_outputs=(read[place : place + 1].expand(count, -1, -1),),
                attention_mask=inputs["attention_mask"][place : place + 1].expand(count, -1),
                decoder_input_ids=self.network.prepare_decoder_input_ids_from_labels(labels=labels),
                use_cache=False,
            ).logits.float()
            mask = rows["attention_mask"]
            chosen = torch.log_softmax(logits, dim=-1).gather(2, labels[:, :, None])[:, :, 0]
            right = (logits.argmax(dim=-1) == labels) | (mask == 0)
            lengths = [len(choice) for choice in one.choices]
            responses.append(
                Response(
                    scores=tuple((chosen * mask).sum(dim=1).tolist()),
                    tokens=Tokens(len(one.prompt) + sum(lengths), 0),
                    raw={"tokens": lengths, "greedy": right.all(dim=1).tolist()},
                )
            )
        return responses
