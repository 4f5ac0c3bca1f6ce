"""Evaluators: how answers are scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class BaseEvaluator:
    """Scores all answers against all that was wanted. One of one's own writes `score`."""

    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Any]:
        """The scores by their names."""
        raise NotImplementedError(f"{type(self).__name__} has no score()")


class AccEvaluator(BaseEvaluator):
    """How many answers, of a hundred, are exactly what was wanted."""


class EMEvaluator(BaseEvaluator):
    """The same, without regard to case, articles and punctuation."""


class AccwithDetailsEvaluator(AccEvaluator):
    """The same as AccEvaluator: what was scored is kept by a flag of the command."""


class RougeEvaluator(BaseEvaluator):
    """What answers and references have in common."""


class BleuEvaluator(BaseEvaluator):
    """BLEU over all answers."""
