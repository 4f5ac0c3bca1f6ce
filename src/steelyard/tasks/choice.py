"""Questions with given options, answered by letter or by likelihood.

by="auto"               the best of the next two that the model offers; a run finds out by asking it
by="letter"             the options are shown with letters, the model writes one
by="letter-likelihood"  the options are shown with letters, the likeliest letter counts
by="likelihood"         the options are not shown, the likeliest continuation counts

The first three ask the same question, so their numbers compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from steelyard.errors import DataError, UsageError
from steelyard.metrics.choices import acc, acc_norm, choice, choice_prob, target_indices
from steelyard.metrics.extraction import LETTERS, find_letter
from steelyard.tasks.base import Task
from steelyard.types import Request, Sample

AUTO, LETTER, LETTER_LIKELIHOOD, LIKELIHOOD = WAYS = ("auto", "letter", "letter-likelihood", "likelihood")
_SHOWN = "Question: {input}\n{options}\nAnswer:"
_HIDDEN = "Question: {input}\nAnswer:"
_LIKELIHOODS = {
    "own": "the model's own",
    "choices": "the service's own",
    "prompt": "prompt",
    "prefill": "prefill",
    "echo": "echoed",
    "echo-each": "echoed",
    "first-token": "first-token",
}
# Who answers in the turns of a chat may think first, and stops by itself.
_ROOM_TO_THINK = 1024


@dataclass(frozen=True, kw_only=True)
class Choice(Task):
    """A task whose samples have choices; `way` says how one of them is picked."""

    way: str = LETTER

    def request(self, sample: Sample, *, chat: bool) -> Request:
        """The question; with the continuations to be compared where it goes by likelihood."""
        options = _options(sample)
        request = super().request(sample, chat=chat)
        if self.way in (AUTO, LETTER):
            return request
        texts = LETTERS[: len(options)] if self.way == LETTER_LIKELIHOOD else options
        # A chat's answer begins at once, a text goes on after a space; a prompt with pictures is a chat.
        begins = chat or not isinstance(request.prompt, str)
        continuations = tuple(text if begins else f" {text}" for text in texts)
        return replace(request, choices=continuations, params={})

    def settled(self, way: str, *, chat: bool) -> Choice:
        """What by="auto" turns out to be: the same questions, with what nobody chose as the way wants it."""
        was, now = _preset(AUTO), _preset(way)
        if way == LETTER_LIKELIHOOD:
            # By the name that it has where a letter is written.
            now["metrics"] = (choice, choice_prob)
        elif chat:
            now["params"] = {"max_tokens": _ROOM_TO_THINK}
        changed = {name: value for name, value in now.items() if getattr(self, name) == was[name]}
        return replace(self, way=way, **changed)

    def identity(self) -> Mapping[str, Any]:
        """As every task's, the way under the name of the option that chooses it."""
        own = dict(super().identity())
        return {**own, "by": own.pop("way")}

    def answer(self, sample: Sample) -> str:
        """The right letter, or where the options are not shown the right option."""
        (place, *_) = target_indices(sample)
        return f" {_options(sample)[place]}" if self.way == LIKELIHOOD else f" {LETTERS[place]}"


def choice_task(*, data: Any, by: str = AUTO, name: str = "choice", **options: Any) -> Choice:
    """Multiple choice over samples that have choices and a target (a letter, a number or an option)."""
    if by not in WAYS:
        raise UsageError(f"options cannot be picked by {by!r}", hint="by=" + ", by=".join(WAYS))
    return Choice(name=name, data=data, way=by, **{**_preset(by), **options})


def describe_way(about: Mapping[str, Any]) -> str:
    """In words how the options of a run were picked."""
    if about["by"] == LETTER:
        return "a letter in the text"
    what = "letters" if about["by"] == LETTER_LIKELIHOOD else "options"
    return f"{name_likelihood(about['likelihood'])} of {what}"


def name_likelihood(likelihood: str) -> str:
    """What one of the ways of telling likelihoods is called."""
    return f"{_LIKELIHOODS.get(likelihood, likelihood)} log-probabilities"


def _preset(way: str) -> dict[str, Any]:
    """What a way of picking options wants of a task."""
    if way in (AUTO, LETTER):
        params = {"max_tokens": 32, "stop": ["\n\n"]}
        return {"metrics": (choice,), "template": _SHOWN, "extract": find_letter, "params": params}
    shown = way == LETTER_LIKELIHOOD
    metrics = (acc, choice_prob) if shown else (acc, acc_norm, choice_prob)
    return {"metrics": metrics, "template": _SHOWN if shown else _HIDDEN, "extract": None, "params": {}}


def _options(sample: Sample) -> list[str]:
    if not sample.choices:
        hint = "name the column with choices=COLUMN"
        raise DataError(f"sample {sample.id!r} has no choices", hint=hint)
    if len(sample.choices) > len(LETTERS):
        raise DataError(f"sample {sample.id!r} has {len(sample.choices)} choices", hint="26 at the most")
    return list(sample.choices)
