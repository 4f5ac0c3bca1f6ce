"""Answers, token by token: many at once with a loop of our own, or through transformers' `generate`.

The loop (`decode`) feeds prompts behind what they share, sets memory aside once, and drops rows
that are done. `generate` serves what the loop does not know: beams and other arguments of
transformers, encoder-decoder models, and models whose memory is not keys and values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria

from steelyard.models.answers import Answer, Decode, has_stop
from steelyard.models.parameters import Sampling
from steelyard.models.prefix import Network
from steelyard.models.pretrained import pad
from steelyard.models.sampling import Chooser, choose

# Letting go of rows copies the memory of those that stay: worth it when this few are left.
_FEW_LEFT = 0.75
# What we set ourselves, and what would change the shape of what comes back.
_OURS = {"max_length", "max_new_tokens", "num_return_sequences", "pad_token_id", "return_dict_in_generate"}
_OURS |= {"stop_strings", "transformers_version"}

OTHERS = frozenset(name for name in vars(GenerationConfig()) if not name.startswith(("_", "output_"))) - _OURS
"""The arguments of `generate` that a request may carry."""


def decode(network: Network, answers: Sequence[Answer], *, ends: frozenset[int], text_of: Decode) -> None:
    """Fill in the answers, all rows together."""
    rows, logits = network.read([a.prompt for a in answers], room=max(a.limit for a in answers))
    live = list(answers)
    choosers = [Chooser(answer.sampling, answer.prompt) for answer in live]
    while True:
        tokens = choose(logits, choosers)
        for answer, token in zip(live, tokens):
            if not answer.finish:
                answer.take(token, ends=ends, text_of=text_of)
        going = [row for row, answer in enumerate(live) if not answer.finish]
        if not going:
            return
        if len(going) <= _FEW_LEFT * len(live):
            rows.select(going)
            live, choosers = [live[row] for row in going], [choosers[row] for row in going]
            tokens = [tokens[row] for row in going]
        logits = rows.extend(tokens)[:, -1]


def generate(
    model: Any, answers: Sequence[Answer], *, ends: frozenset[int], text_of: Decode, filler: int
) -> None:
    """Fill in the answers through the model's own `generate`, together where that changes none."""
    for group in _alike(answers, padded=bool(model.config.is_encoder_decoder)):
        inputs = pad([answer.prompt for answer in group], value=filler, device=model.device)
        generate_alike(model, group, inputs, ends=ends, text_of=text_of, filler=filler)


def generate_alike(
    model: Any,
    group: Sequence[Answer],
    inputs: Mapping[str, Any],
    *,
    ends: frozenset[int],
    text_of: Decode,
    filler: int,
) -> None:
    """Fill in answers with equal parameters, whose prompts are in the inputs."""
    sampling = group[0].sampling
    arguments = _arguments(sampling, limit=max(answer.limit for answer in group), filler=filler)
    # The first token of a decoder only starts it.
    begin = 1 if model.config.is_encoder_decoder else inputs["input_ids"].shape[1]
    taking = _Taking(group, begin=begin, ends=ends, text_of=text_of)
    with _seeded(sampling, model.device):
        out = model.generate(**inputs, **arguments, stopping_criteria=[taking])
    taking.finish(out[:, begin:].tolist())


def _alike(answers: Sequence[Answer], *, padded: bool) -> Iterator[list[Answer]]:
    """Groups with equal parameters; without an encoder's mask, of equal length too; samplers alone."""
    groups: dict[Any, list[Answer]] = {}
    for place, answer in enumerate(answers):
        sampling = answer.sampling
        alone = place if not sampling.greedy or sampling.others.get("do_sample") else None
        length = None if padded else len(answer.prompt)
        groups.setdefault((repr(sampling), answer.limit, length, alone), []).append(answer)
    yield from groups.values()


def _arguments(sampling: Sampling, *, limit: int, filler: int) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "max_new_tokens": limit,
        "pad_token_id": filler,
        "do_sample": not sampling.greedy,
    }
    if not sampling.greedy:
        arguments |= {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "min_p": sampling.min_p or None,
        }
    if sampling.repetition_penalty != 1.0:
        arguments["repetition_penalty"] = sampling.repetition_penalty
    return arguments | dict(sampling.others)


@contextmanager
def _seeded(sampling: Sampling, device: Any) -> Iterator[None]:
    """Seed torch for one answer, and give back its generators as they were."""
    seeded = sampling.seed is not None
    with torch.random.fork_rng([device] if device.type == "cuda" else [], enabled=seeded):
        if seeded:
            torch.manual_seed(sampling.seed)
        yield


class _Taking(StoppingCriteria):  # type: ignore[misc]
    """Takes the tokens of `generate` as they come, and stops the rows that are done."""

    def __init__(
        self, answers: Sequence[Answer], *, begin: int, ends: frozenset[int], text_of: Decode
    ) -> None:
        self._answers, self._begin, self._ends, self._text_of = answers, begin, ends, text_of

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        rows = input_ids[:, self._begin :].tolist()
        if len(rows) == len(self._answers):
            for answer, row in zip(self._answers, rows):
                self._take(answer, row)
            done = [bool(answer.finish) for answer in self._answers]
        else:
            # Beams: which of them is the answer is known at the end.
            stops = self._answers[0].sampling.stop
            done = [has_stop(row, stops, text_of=self._text_of) for row in rows]
        return torch.tensor(done, device=input_ids.device)

    def finish(self, rows: Sequence[Sequence[int]]) -> None:
        """Take what `generate` gave as a whole."""
        for answer, row in zip(self._answers, rows):
            if list(row[: len(answer.tokens)]) != answer.tokens:
                # What was seen on the way was not the answer.
                answer.begin_anew()
            self._take(answer, row)
            answer.finish = answer.finish or "stop"

    def _take(self, answer: Answer, row: Sequence[int]) -> None:
        for token in row[len(answer.tokens) :]:
            if answer.finish:
                return
            answer.take(token, ends=self._ends, text_of=self._text_of)
