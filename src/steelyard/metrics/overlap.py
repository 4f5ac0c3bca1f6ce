"""Metrics of how much of the target an answer has: token F1, ROUGE, word and character errors.

Where the target is a list of acceptable texts, the best of them counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from operator import itemgetter

from rapidfuzz.distance import LCSseq, Levenshtein

from steelyard.metrics.base import Corpus
from steelyard.metrics.text import fold_words, references
from steelyard.types import Response, Sample

# A character of a script without blanks is a word of its own.
_CJK = "぀-ヿ㐀-䶿一-鿿豈-﫿"
_TOKEN = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+")

Split = Callable[[str], Sequence[Hashable]]


def token_f1(sample: Sample, response: Response) -> float | None:
    """F1 of the answer's words, without case, punctuation and English articles."""
    return _best(sample, response, lambda text: fold_words(text).split(), _shared)


def rouge_1(sample: Sample, response: Response) -> float | None:
    """ROUGE-1: F1 of single words."""
    return _best(sample, response, split_words, _shared)


def rouge_2(sample: Sample, response: Response) -> float | None:
    """ROUGE-2: F1 of pairs of words."""
    return _best(sample, response, _split_pairs, _shared)


def rouge_l(sample: Sample, response: Response) -> float | None:
    """ROUGE-L: F1 of the longest common subsequence of words."""
    return _best(sample, response, split_words, LCSseq.similarity)


class ErrorRate(Corpus):
    """Edits needed to turn the answers into the targets, for each unit of the targets."""

    lower_is_better = True

    def __init__(self, name: str, split: Split, *, ref: str | None = None) -> None:
        self.name = name
        self.split = split
        self.ref = ref

    def __call__(self, sample: Sample, response: Response) -> list[int]:
        """Edits and length; empty where there is no target."""
        answer = self.split(response.text)
        pairs = []
        for target in map(self.split, references(sample)):
            pairs.append([Levenshtein.distance(target, answer), len(target)])
        return min(pairs, key=lambda pair: pair[0] / max(pair[1], 1), default=[])

    def combine(self, statistics: Sequence[Sequence[int]]) -> float | None:
        """All edits over all units."""
        counted = list(filter(None, statistics))
        edits, length = (sum(map(itemgetter(column), counted)) for column in (0, 1))
        return edits / length if length else None


wer = ErrorRate("wer", str.split, ref="wer")
cer = ErrorRate("cer", str.strip, ref="cer")


def split_words(text: str) -> list[str]:
    """The words of a text in small letters, without punctuation."""
    return _TOKEN.findall(text.lower())


def _split_pairs(text: str) -> list[tuple[str, str]]:
    words = split_words(text)
    return list(pairwise(words))


def _shared(target: Sequence[Hashable], answer: Sequence[Hashable]) -> int:
    return (Counter(target) & Counter(answer)).total()


def _best(
    sample: Sample,
    response: Response,
    split: Split,
    common: Callable[[Sequence[Hashable], Sequence[Hashable]], int],
) -> float | None:
    """The best F1 over the targets, of `common` units over the lengths."""
    targets = [split(target) for target in references(sample)]
    if not targets:
        return None
    answer = split(response.text)
    return max(_f1(common(target, answer), len(target), len(answer)) for target in targets)


def _f1(common: int, wanted: int, given: int) -> float:
    # Nothing wanted and nothing given is all that could be.
    return 2 * common / (wanted + given) if wanted + given else 1.0
