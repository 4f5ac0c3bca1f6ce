"""Metrics of classification over a whole set: accuracy, precision, recall, F1, confusion, AUROC.

The label an answer gives is the likeliest of its scores, where it has scores, else its text;
it counts as the target's where the two are equal up to case and white space.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from steelyard.metrics.base import Corpus
from steelyard.metrics.text import fold, references
from steelyard.types import Response, Sample


def accuracy(sample: Sample, response: Response) -> bool | None:
    """Whether the label given is the target."""
    wanted = _wanted(sample)
    return None if wanted is None else label_of(sample, response) == wanted


def label_of(sample: Sample, response: Response) -> str:
    """The label that an answer gives."""
    scores = scores_by_label(sample, response)
    return fold(response.text) if not scores else max(scores, key=scores.__getitem__)


def scores_by_label(sample: Sample, response: Response) -> dict[str, float]:
    """The scores of an answer by label; a sequence of them belongs to the sample's options."""
    scores = response.scores
    if isinstance(scores, Mapping):
        # A single score is a score of the answer, no choice among labels.
        if len(scores) < 2:
            return {}
        return {fold(label): float(score) for label, score in scores.items()}
    options = sample.choices or ()
    return {fold(option): float(score) for option, score in zip(options, scores or ())}


def count_pairs(statistics: Sequence[Sequence[Any]]) -> Counter[tuple[Any, ...]]:
    """The confusion table: how often each target got each label."""
    pairs = Counter(map(tuple, statistics))
    pairs.pop((), None)
    return pairs


Rate = Callable[[int, int, int], float]
"""From the counts right, given and wanted of one label."""


class LabelPairs(Corpus):
    """A metric over pairs of target and label given; a failed answer gives the label ""."""

    def __call__(self, sample: Sample, response: Response) -> list[str]:
        """Target and label given; empty where there is no target."""
        wanted = _wanted(sample)
        return [] if wanted is None else [wanted, label_of(sample, response)]


class LabelScore(LabelPairs):
    """A rate of each label, averaged over labels (macro, weighted) or taken over all (micro)."""

    def __init__(self, name: str, rate: Rate, average: str, *, ref: str | None = None) -> None:
        self.name = name
        self.rate = rate
        self.average = average
        self.ref = ref

    def combine(self, statistics: Sequence[Sequence[str]]) -> float | None:
        """The rate over many answers."""
        pairs = count_pairs(statistics)
        if not pairs:
            return None
        right: Counter[str] = Counter()
        given: Counter[str] = Counter()
        wanted: Counter[str] = Counter()
        for (target, label), count in pairs.items():
            wanted[target] += count
            # No answer at all is a label missed, not a label of its own to average over.
            if label:
                given[label] += count
            if target == label:
                right[target] += count
        if self.average == "micro":
            return self.rate(right.total(), given.total(), wanted.total())
        # In order, so that the sum does not depend on which answer came first.
        labels = sorted(wanted.keys() | given.keys())
        rates = [self.rate(right[label], given[label], wanted[label]) for label in labels]
        if self.average == "macro":
            return math.fsum(rates) / len(rates)
        return math.fsum(rate * wanted[label] for rate, label in zip(rates, labels)) / wanted.total()


class Auroc(Corpus):
    """How often a sample of a label scores higher on it than one of another, averaged over labels.

    With two labels whose scores sum to one, this is the usual area under the ROC curve. An answer
    without scores ranks last where its own label is asked for, and first where another is.
    """

    name = ref = "auroc"

    def __call__(self, sample: Sample, response: Response) -> list[Any]:
        """Target and scores by label."""
        wanted = _wanted(sample)
        return [] if wanted is None else [wanted, scores_by_label(sample, response)]

    def combine(self, statistics: Sequence[Sequence[Any]]) -> float | None:
        """The mean area over the labels; None where a label has no positives or no negatives."""
        rows = [(row[0], row[1]) for row in statistics if row]
        labels = sorted({target for target, _ in rows}.union(*(scores for _, scores in rows)))
        areas = [_area(rows, label) for label in labels]
        known = [area for area in areas if area is not None]
        return math.fsum(known) / len(known) if known and len(known) == len(areas) else None


def _area(rows: Sequence[tuple[str, Mapping[str, float]]], label: str) -> float | None:
    import numpy as np

    lowest, highest = -math.inf, math.inf
    positives = [scores.get(label, lowest) for target, scores in rows if target == label]
    negatives = [
        scores.get(label, lowest) if scores else highest for target, scores in rows if target != label
    ]
    if not positives or not negatives:
        return None
    others = np.sort(negatives)
    # Half for a tie: the places before and after equal scores, together.
    below = (
        np.searchsorted(others, positives, "left").sum() + np.searchsorted(others, positives, "right").sum()
    )
    return float(below / (2 * len(positives) * len(negatives)))


class Confusion(LabelPairs):
    """The share of answers on the diagonal of the confusion table, with `table` for the whole."""

    name = ref = "confusion"

    def combine(self, statistics: Sequence[Sequence[str]]) -> float | None:
        """The share that got the target's label."""
        pairs = count_pairs(statistics)
        right = sum(count for (target, label), count in pairs.items() if target == label)
        return right / pairs.total() if pairs else None

    def tabulate(self, statistics: Sequence[Sequence[str]]) -> dict[str, int]:
        """How often each target got each label, as "target → label"."""
        pairs = count_pairs(statistics)
        return {f"{target} → {label or '(none)'}": pairs[target, label] for target, label in sorted(pairs)}


def _precision(right: int, given: int, wanted: int) -> float:
    return right / given if given else 0.0


def _recall(right: int, given: int, wanted: int) -> float:
    return right / wanted if wanted else 0.0


def _f1(right: int, given: int, wanted: int) -> float:
    return 2 * right / (given + wanted) if given + wanted else 0.0


def _wanted(sample: Sample) -> str | None:
    """The target as a label: an index stands for the option at its place."""
    target = sample.target
    if sample.choices and isinstance(target, int) and not isinstance(target, bool):
        target = sample.choices[target] if 0 <= target < len(sample.choices) else target
        return fold(str(target))
    wanted = references(sample)
    return fold(wanted[0]) if wanted else None


precision_macro = LabelScore("precision_macro", _precision, "macro", ref="precision_macro")
precision_micro = LabelScore("precision_micro", _precision, "micro", ref="precision_micro")
precision_weighted = LabelScore("precision_weighted", _precision, "weighted", ref="precision_weighted")
recall_macro = LabelScore("recall_macro", _recall, "macro", ref="recall_macro")
recall_micro = LabelScore("recall_micro", _recall, "micro", ref="recall_micro")
recall_weighted = LabelScore("recall_weighted", _recall, "weighted", ref="recall_weighted")
f1_macro = LabelScore("f1_macro", _f1, "macro", ref="f1_macro")
f1_micro = LabelScore("f1_micro", _f1, "micro", ref="f1_micro")
f1_weighted = LabelScore("f1_weighted", _f1, "weighted", ref="f1_weighted")
auroc = Auroc()
confusion = Confusion()
