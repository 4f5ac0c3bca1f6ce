"""Evaluators of configurations as metrics of the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ais_bench.benchmark.configuration.files import find_written
from ais_bench.benchmark.openicl.icl_evaluator import BaseEvaluator
from steelyard.errors import UnknownName, UsageError, describe
from steelyard.metrics.base import Corpus, Metric
from steelyard.metrics.extraction import NOTHING, Extraction
from steelyard.plugins import resolve, source_digest
from steelyard.types import Response, Sample

_METRICS = {
    "AccEvaluator": "exact",
    "AccwithDetailsEvaluator": "exact",
    "EMEvaluator": "exact_words",
    "GSM8KEvaluator": "number",
    "Gsm8kEvaluator": "number",
    "MATHEvaluator": "formula",
    "RougeEvaluator": "rouge",
    "BleuEvaluator": "bleu",
    "HumanEvalEvaluator": "code_passes",
    "IFEvaluator": "instructions",
}


class GSM8KEvaluator(BaseEvaluator):
    """How many numbers are those that were wanted."""


class Gsm8kEvaluator(GSM8KEvaluator):
    """The same."""


class MATHEvaluator(BaseEvaluator):
    """How many answers are equal to what was wanted, however they are written."""


class HumanEvalEvaluator(BaseEvaluator):
    """How many functions pass their tests."""


class IFEvaluator(BaseEvaluator):
    """How many instructions were followed."""


class Scored(Corpus):
    """An evaluator of one's own: its `score(predictions, references)` over all answers, of a hundred."""

    name = "score"
    percent = True

    def __init__(self, evaluator: Any, options: Mapping[str, Any]) -> None:
        self._evaluator = evaluator
        self.identity = [source_digest(type(evaluator)), {name: repr(options[name]) for name in options}]

    def __call__(self, sample: Sample, response: Response) -> Sequence[Any]:
        return [response.text, sample.target]

    def combine(self, statistics: Sequence[Sequence[Any]]) -> float | None:
        """The first number that it gives."""
        predictions, references = zip(*statistics) if statistics else ((), ())
        found = self._evaluator.score(list(predictions), list(references))
        numbers = [value for value in _values(found) if isinstance(value, (int, float))]
        return float(numbers[0]) if numbers else None


class Postprocessed:
    """A postprocessor as an extractor: what is left of a text is the answer."""

    def __init__(self, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
        self._function, self._options = function, dict(options)
        self.name = getattr(function, "__name__", type(function).__name__)
        self.identity = [
            source_digest(function),
            {name: repr(value) for name, value in self._options.items()},
        ]

    def __call__(self, text: str, sample: Sample | None = None) -> Extraction:
        found = self._function(text, **self._options)
        return NOTHING if found is None or found == "" else Extraction(str(found), self.name)


def metric_of(told: Mapping[str, Any]) -> Metric:
    """The metric that an evaluator of a configuration stands for."""
    options = {name: value for name, value in told.items() if name != "type"}
    kind: Any = told.get("type")
    if isinstance(kind, str) and ":" in kind:
        kind = find_written(kind)
    lineage = [cls.__name__ for cls in getattr(kind, "__mro__", ())] or [str(kind)]
    if getattr(kind, "score", BaseEvaluator.score) is BaseEvaluator.score:
        known = next((name for name in lineage if name in _METRICS), None)
        if known is None:
            hint = "or a class with score(predictions, references)"
            raise UnknownName("evaluator", lineage[0], _METRICS, hint=hint)
        return resolve("metrics", _METRICS[known])  # type: ignore[no-any-return]
    try:
        return Scored(kind(**options), options)
    except TypeError as error:
        raise UsageError(f"the evaluator {lineage[0]} cannot be made: {describe(error)}") from error


def _values(found: Any) -> Sequence[Any]:
    return list(found.values()) if isinstance(found, Mapping) else [found]
