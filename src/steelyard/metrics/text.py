"""Metrics of an answer's text against the target: equal, contained, matching a pattern.

A target may be a list of acceptable texts: the answer passes if it passes with one of them.
Without a target these metrics are undefined.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable

from steelyard.errors import DataError
from steelyard.types import Response, Sample

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")


def exact(sample: Sample, response: Response) -> bool | None:
    """Whether the answer is the target, up to outer white space."""
    return _passes(sample, response, str.strip, str.__eq__)


def exact_ci(sample: Sample, response: Response) -> bool | None:
    """Whether the answer is the target, up to case and white space."""
    return _passes(sample, response, fold, str.__eq__)


def exact_words(sample: Sample, response: Response) -> bool | None:
    """Whether the answer has the target's words, without case, punctuation and English articles."""
    return _passes(sample, response, fold_words, str.__eq__)


def contains(sample: Sample, response: Response) -> bool | None:
    """Whether the target occurs in the answer."""
    return _passes(sample, response, str.strip, str.__contains__)


def contains_ci(sample: Sample, response: Response) -> bool | None:
    """Whether the target occurs in the answer, up to case and white space."""
    return _passes(sample, response, fold, str.__contains__)


def starts_with(sample: Sample, response: Response) -> bool | None:
    """Whether the answer begins with the target."""
    return _passes(sample, response, str.strip, str.startswith)


def regex(sample: Sample, response: Response) -> bool | None:
    """Whether the pattern that is the target (or the sample's `pattern`) occurs in the answer."""
    patterns = references(sample, "pattern")
    if not patterns:
        return None
    try:
        return any(re.search(pattern, response.text) is not None for pattern in patterns)
    except re.error as error:
        raise DataError(f"the pattern of sample {sample.id!r} is no regular expression: {error}") from error


def references(sample: Sample, field: str = "") -> list[str]:
    """The acceptable answers of a sample as texts; a column called `field` stands before the target."""
    target = sample.meta.get(field, sample.target)
    if target is None:
        return []
    if isinstance(target, (list, tuple)):
        return [str(one) for one in target if one is not None]
    return [str(target)]


def fold(text: str) -> str:
    """A text without case, its white space single blanks."""
    return " ".join(text.casefold().split())


def fold_words(text: str) -> str:
    """A text without case, punctuation and English articles, its white space single blanks."""
    return " ".join(_ARTICLE.sub(" ", text.casefold().translate(_PUNCTUATION)).split())


def _passes(
    sample: Sample,
    response: Response,
    normalise: Callable[[str], str],
    test: Callable[[str, str], bool],
) -> bool | None:
    wanted = references(sample)
    if not wanted:
        return None
    answer = normalise(response.text)
    return any(test(answer, normalise(target)) for target in wanted)
