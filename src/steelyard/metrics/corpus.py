"""Metrics of translation over a whole set: BLEU and chrF.

Each answer leaves its counts of matching n-grams; the counts are summed before the score is made,
as the metrics' authors define them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from operator import itemgetter
from typing import Any

from steelyard.errors import need
from steelyard.metrics.base import Corpus
from steelyard.metrics.text import references
from steelyard.types import Response, Sample


class Bleu(Corpus):
    """BLEU with sacrebleu's tokens and smoothing, from 0 to 100."""

    _ORDER = 4

    def __init__(self, name: str = "bleu", *, tokenize: str = "13a", ref: str | None = None) -> None:
        self.name = name
        self.tokenize = tokenize
        self.ref = ref

    @cached_property
    def _sacrebleu(self) -> Any:
        need("sacrebleu", extra="text")
        from sacrebleu.metrics import BLEU

        return BLEU(tokenize=self.tokenize, effective_order=True)

    def __call__(self, sample: Sample, response: Response) -> list[int]:
        """Lengths of answer and target, matches and totals of n-grams."""
        targets = references(sample)
        if not targets:
            return []
        score = self._sacrebleu.sentence_score(response.text, targets)
        return [int(count) for count in (score.sys_len, score.ref_len, *score.counts, *score.totals)]

    def combine(self, statistics: Sequence[Sequence[int]]) -> float | None:
        """BLEU of the summed counts."""
        sums = _sum_columns(statistics)
        if sums is None:
            return None
        counts, totals = sums[2 : 2 + self._ORDER], sums[2 + self._ORDER :]
        score = self._sacrebleu.compute_bleu(counts, totals, sums[0], sums[1], smooth_method="exp")
        return float(score.score)


class Chrf(Corpus):
    """chrF (chrF2): F-score of character n-grams up to six, recall twice as heavy, from 0 to 100."""

    _ORDER = 6
    _BETA = 2.0

    name = ref = "chrf"

    def __call__(self, sample: Sample, response: Response) -> list[int]:
        """N-grams given, wanted and shared, for each order; of the target that scores best."""
        rows = [self._compare(response.text, target) for target in references(sample)]
        return max(rows, key=self._score, default=[])

    def combine(self, statistics: Sequence[Sequence[int]]) -> float | None:
        """chrF of the summed counts."""
        sums = _sum_columns(statistics)
        return None if sums is None else self._score(sums)

    def _compare(self, answer: str, target: str) -> list[int]:
        given, wanted = "".join(answer.split()), "".join(target.split())
        row: list[int] = []
        for order in range(1, self._ORDER + 1):
            ours, theirs = _ngrams(given, order), _ngrams(wanted, order)
            row += [ours.total() if theirs else 0, theirs.total(), (ours & theirs).total()]
        return row

    def _score(self, row: Sequence[int]) -> float:
        precisions, recalls = [], []
        for given, wanted, shared in zip(row[::3], row[1::3], row[2::3]):
            # An order too long for the texts says nothing about them.
            if given and wanted:
                precisions.append(shared / given)
                recalls.append(shared / wanted)
        if not precisions:
            return 0.0
        precision, recall = math.fsum(precisions) / len(precisions), math.fsum(recalls) / len(recalls)
        weight = self._BETA**2
        both = weight * precision + recall
        return 100 * (1 + weight) * precision * recall / both if both else 0.0


bleu = Bleu(ref="bleu")
chrf = Chrf()


def _ngrams(text: str, order: int) -> Counter[str]:
    return Counter(text[at : at + order] for at in range(len(text) - order + 1))


def _sum_columns(statistics: Sequence[Sequence[int]]) -> list[int] | None:
    rows = list(filter(None, statistics))
    return [int(sum(map(itemgetter(column), rows))) for column in range(len(rows[0]))] if rows else None
