"""Metrics of multiple choice: by the letter in the text, or by the likelihood of each option.

`choice` is for both, so that numbers of models that are asked in different ways stand in one column.

The target is the index of the right option, its letter or its text, or a list of such.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from steelyard.errors import DataError
from steelyard.metrics.extraction import LETTERS, Extraction, find_letter
from steelyard.types import Response, Sample


class LetterMatch:
    """Whether the option that is chosen is the target: in a text by letter or words, else the likeliest."""

    name = ref = "choice"

    def extract(self, text: str, sample: Sample) -> Extraction:
        """The letter in a text, and the rule that found it."""
        return find_letter(text, sample)

    def __call__(self, sample: Sample, response: Response) -> bool | None:
        right = target_indices(sample)
        if not right:
            return None
        if response.scores is not None and not response.text:
            return acc(sample, response)
        return find_letter(response.text, sample).value in {LETTERS[index] for index in right}


choice = LetterMatch()


def acc(sample: Sample, response: Response) -> bool | None:
    """Whether the right option is more likely than every wrong one."""
    return _is_likeliest(sample, response, lambda option: 1)


def acc_norm(sample: Sample, response: Response) -> bool | None:
    """Whether the right option is the likeliest per character."""
    return _is_likeliest(sample, response, len)


def acc_bytes(sample: Sample, response: Response) -> bool | None:
    """Whether the right option is the likeliest per byte of UTF-8."""
    return _is_likeliest(sample, response, lambda option: len(option.encode()))


def acc_token(sample: Sample, response: Response) -> bool | None:
    """Whether the right option is the likeliest per token; undefined where the model counts none."""
    raw = response.raw
    counts = raw.get("tokens") if isinstance(raw, Mapping) else None
    if counts is None:
        return None
    lengths = dict(zip(_options(sample), counts))
    return _is_likeliest(sample, response, lengths.__getitem__)


def choice_prob(sample: Sample, response: Response) -> float | None:
    """The probability of the right option among all options; undefined where the answer begins with none."""
    logs, right = _log_probabilities(sample, response), target_indices(sample)
    if logs is None or not right or begins_otherwise(response):
        return None
    top = max(logs)
    if top == -math.inf:
        return None
    shares = [math.exp(log - top) for log in logs]
    return sum(shares[index] for index in right) / math.fsum(shares)


def carried(response: Response) -> float:
    """How much probability the choices of one question have together."""
    raw, scores = response.raw, response.scores
    mass = raw.get("mass") if isinstance(raw, Mapping) else None
    if isinstance(mass, float):
        # Where not all are told, their scores are bounds.
        return min(mass, 1.0)
    logs = scores.values() if isinstance(scores, Mapping) else scores or ()
    return math.fsum(math.exp(min(log, 0.0)) for log in logs)


def begins_otherwise(response: Response) -> bool:
    """Whether an answer begins with none of the choices, as far as its first token was told."""
    return isinstance(response.raw, Mapping) and response.raw.get("mass") == 0.0


def target_indices(sample: Sample) -> list[int]:
    """The places of the right options; empty without a target."""
    target = sample.target
    if target is None:
        return []
    several = target if isinstance(target, (list, tuple)) else [target]
    return [_index(one, sample) for one in several]


def _index(target: object, sample: Sample) -> int:
    options = _options(sample)
    count = len(options) or len(LETTERS)
    if isinstance(target, str):
        # The text of an option comes first: with the options "1", "2", "3" the target "2" is no index.
        for place, option in enumerate(options):
            if option.strip() == target.strip():
                return place
        letter = target.strip(" ().").upper()
        if len(letter) == 1 and letter in LETTERS[:count]:
            return LETTERS.index(letter)
        target = int(letter) if letter.isdecimal() else target
    if isinstance(target, int) and not isinstance(target, bool) and 0 <= target < count:
        return target
    shown = ", ".join(repr(option) for option in options[:6]) or "A, B, C, …"
    hint = f"it must be an index from 0, a letter, or one of {shown}"
    raise DataError(f"the target of sample {sample.id!r} is no option: {target!r}", hint=hint)


def _is_likeliest(sample: Sample, response: Response, length: Callable[[str], int]) -> bool | None:
    """Whether a right option has strictly the highest log-probability by length."""
    logs, right = _log_probabilities(sample, response), target_indices(sample)
    if logs is None or not right:
        return None
    options = _options(sample) or [""] * len(logs)
    scores = [log / max(length(option), 1) for log, option in zip(logs, options)]
    wrong = [score for place, score in enumerate(scores) if place not in right]
    # A tie is no choice: a model that finds all options alike has chosen none of them.
    return max(scores[place] for place in right) > max(wrong, default=-math.inf)


def _log_probabilities(sample: Sample, response: Response) -> Sequence[float] | None:
    """One log-probability an option; None where the answer has none, or one is not a number."""
    scores, options = response.scores, _options(sample)
    if isinstance(scores, Mapping):
        scores = [scores[option] for option in options if option in scores]
    scores = list(scores or ())
    if not scores or any(math.isnan(score) for score in scores):
        return None
    if options and len(scores) != len(options):
        raise DataError(f"sample {sample.id!r} has {len(options)} options, its answer {len(scores)} scores")
    return scores


def _options(sample: Sample) -> Sequence[str]:
    return sample.choices or ()
