"""Questions with given options, answered by letter or by likelihood.

by="letter"             the options are shown with letters, the model writes one
by="letter-likelihood"  the options are shown with letters, the likeliest letter counts
by="likelihood"         the options are not shown, the likeliest continuation counts
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from steelyard.errors import DataError, UsageError
from steelyard.metrics.base import Metric
from steelyard.metrics.choices import acc, acc_norm, choice, choice_prob, target_indices
from steelyard.metrics.extraction import LETTERS, find_letter
from steelyard.tasks.base import Task
from steelyard.types import Request, Sample

WAYS = ("letter", "letter-likelihood", "likelihood")
_SHOWN = "Question: {input}\n{options}\nAnswer:"
_HIDDEN = "Question: {input}\nAnswer:"


@dataclass(frozen=True, kw_only=True)
class Choice(Task):
    """A task whose samples have choices; `way` says how one of them is picked."""

    way: str = "letter"

    def request(self, sample: Sample, *, chat: bool) -> Request:
        """The question; with the continuations to be compared where it goes by likelihood."""
        options = _options(sample)
        request = super().request(sample, chat=chat)
        if self.way == "letter":
            return request
        texts = LETTERS[: len(options)] if self.way == "letter-likelihood" else options
        # A chat's answer begins at once, a text goes on after a space; a prompt with pictures is a chat.
        begins = chat or not isinstance(request.prompt, str)
        continuations = tuple(text if begins else f" {text}" for text in texts)
        return replace(request, choices=continuations, params={})

    def identity(self) -> Mapping[str, Any]:
        """As every task's, the way under the name of the option that chooses it."""
        own = dict(super().identity())
        return {**own, "by": own.pop("way")}

    def answer(self, sample: Sample) -> str:
        """The right letter, or where the options are not shown the right option."""
        (place, *_) = target_indices(sample)
        return f" {_options(sample)[place]}" if self.way == "likelihood" else f" {LETTERS[place]}"


def choice_task(*, data: Any, by: str = "letter", name: str = "choice", **options: Any) -> Choice:
    """Multiple choice over samples that have choices and a target (a letter, a number or an option)."""
    if by not in WAYS:
        raise UsageError(f"options cannot be picked by {by!r}", hint="by=" + ", by=".join(WAYS))
    metrics: Sequence[Metric] = (choice,) if by == "letter" else (acc, choice_prob)
    if by == "likelihood":
        metrics = (acc, acc_norm, choice_prob)
    preset = {
        "metrics": metrics,
        "template": _HIDDEN if by == "likelihood" else _SHOWN,
        "extract": find_letter if by == "letter" else None,
        "params": {"max_tokens": 32, "stop": ["\n\n"]} if by == "letter" else {},
    }
    return Choice(name=name, data=data, way=by, **{**preset, **options})


def _options(sample: Sample) -> list[str]:
    if not sample.choices:
        hint = "name the column with choices=COLUMN"
        raise DataError(f"sample {sample.id!r} has no choices", hint=hint)
    if len(sample.choices) > len(LETTERS):
        raise DataError(f"sample {sample.id!r} has {len(sample.choices)} choices", hint="26 at the most")
    return list(sample.choices)
