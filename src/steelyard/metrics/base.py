"""What a metric is: a function of (sample, response) whose return type says what it means.

bool = pass or fail, number = score, string = label, None = undefined, mapping = several of these:

    def short(sample, response):
        return len(response.text) < 4

A metric that only exists over a whole set (BLEU, macro F1, AUROC) is a Corpus: called with one
answer it gives that answer's statistics, which are stored; `combine` makes the number of many.
A metric may be `async` (a judge asks a model). A failed answer is not shown to a metric: it scores
0, or what the metric's `failure` says; with `answered_only` it is left out, and only counted. A
Corpus sees it as an empty answer, or with `answered_only` not at all. A metric that gives a mapping
with other names for other samples tells them with `parts(sample)`, so that a failed answer counts
in those that its sample would have. One that is about some samples only says of which with
`concerns(sample)`: others it is not shown, and results that concern none of a set's samples are not
told of it. `estimate(values, groups)` is how a metric wants the uncertainty of its mean estimated,
where it does not leave that to us. Of one with `own_scale` no model is better than another: its
numbers are on a scale that each model has of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, Union

from steelyard.types import Response, Sample, Score

Value = Union[Score, Mapping[str, Score], Sequence[Any]]
Metric = Callable[[Sample, Response], Union[Value, Awaitable[Value]]]


class Corpus(ABC):
    """A metric over a whole set: statistics of each answer, combined.

    One that has `reweigh(statistics, weights)` can be had of many draws at once: `weights[d, i]` is how
    often the statistics at place i are in draw d, and it gives the metric of each draw. `bound(value, n)`,
    of one between -1 and 1, is its interval of n units where draws tell nothing: all give the same, or
    there are very few.
    """

    answered_only: ClassVar[bool] = False
    """Whether failed answers are left out, and only counted."""

    @abstractmethod
    def __call__(self, sample: Sample, response: Response) -> Sequence[Any]:
        """The statistics of one answer, plain JSON."""

    @abstractmethod
    def combine(self, statistics: Sequence[Sequence[Any]]) -> float | None:
        """The metric of many answers; None where it is undefined."""


def is_about(metric: Callable[..., Any] | None, sample: Sample) -> bool:
    """Whether a metric says anything of such a sample."""
    concerns = getattr(metric, "concerns", None)
    return concerns is None or bool(concerns(sample))


def name_of(metric: Callable[..., Any]) -> str:
    """What results call a metric: its `name`, else the name of its function or class."""
    name = getattr(metric, "name", None) or getattr(metric, "__name__", None)
    return str(name or type(metric).__name__)
