"""Metrics applied to one answer: `scores_of(metrics, sample, response)`.

The result is flat, as it is stored: {"exact": True}, {"rouge.1": 0.5, "rouge.2": 0.3} (what stands under
"" has the name of the metric alone), and for a metric that failed {"exact": None, "exact.error":
"TypeError: …"}: an answer is never lost to a metric.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, cast

from steelyard.errors import describe
from steelyard.metrics.base import Corpus, Metric, Value, is_about, name_of
from steelyard.types import Response, Sample, Score

Pending = list[tuple[str, "Awaitable[Value]"]]

_SCORES = (bool, int, float, str, list, tuple, type(None))


class Scorer:
    """Metrics with their names, ready to be applied to many answers."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.named = [(name_of(metric), metric) for metric in metrics]
        self.corpora = [
            (name, metric)
            for name, metric in self.named
            if isinstance(metric, Corpus) and not metric.answered_only
        ]

    def begin(self, sample: Sample, response: Response) -> tuple[dict[str, Score], Pending]:
        """The scores at once, and those that are still to be awaited."""
        scores: dict[str, Score] = {}
        pending: Pending = []
        # A failed answer scores 0 without being shown; what a set's metric needs of it is that it is empty.
        for name, metric in self.named if response.error is None else self.corpora:
            try:
                if not is_about(metric, sample):
                    continue
                value = metric(sample, response)
                if hasattr(value, "__await__"):
                    pending.append((name, cast("Awaitable[Value]", value)))
                else:
                    _put(scores, name, value)
            except Exception as error:  # noqa: BLE001 - a metric's failure is stored beside the answer
                _fail(scores, name, error)
        return scores, pending

    def fail(self, error: Exception) -> dict[str, Score]:
        """The scores of an answer of which no metric could be shown what it asks for."""
        scores: dict[str, Score] = {}
        for name, _ in self.named:
            _fail(scores, name, error)
        return scores


async def settle(scores: dict[str, Score], pending: Pending) -> None:
    """Await the scores that were not there at once."""
    for name, waiting in pending:
        try:
            _put(scores, name, await waiting)
        except Exception as error:  # noqa: BLE001 - a metric's failure is stored beside the answer
            _fail(scores, name, error)


def _put(scores: dict[str, Score], name: str, value: Value) -> None:
    if isinstance(value, Mapping):
        for key, part in value.items():
            scores[f"{name}.{key}" if key else name] = _plain(part)
    else:
        scores[name] = _plain(value)


def _plain(value: Any) -> Score:
    # numpy's and torch's numbers are not JSON; NaN and infinity are no scores.
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not -1e308 <= value <= 1e308:
        return None
    if not isinstance(value, _SCORES):
        raise TypeError(
            f"a score is a number, true or false, a label or a list, not a {type(value).__name__}"
        )
    return value


def _fail(scores: dict[str, Score], name: str, error: Exception) -> None:
    scores[name] = None
    scores[f"{name}.error"] = describe(error)
