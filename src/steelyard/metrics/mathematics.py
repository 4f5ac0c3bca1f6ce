"""The metric of mathematical answers: formulas that mean the same, however they are written.

>>> formula(Sample("1", "", target="\\\\frac{1}{2}"), Response("So it is $\\\\boxed{0.5}$."))
True
"""

from __future__ import annotations

from steelyard.errors import DataError
from steelyard.metrics.extraction import Extraction
from steelyard.metrics.extraction.base import find_boxes
from steelyard.metrics.extraction.formulas import find_formula
from steelyard.metrics.formulas.equality import are_equal
from steelyard.metrics.text import references
from steelyard.types import Response, Sample

_LONGEST = 200


class FormulaMatch:
    """Whether the formula that an answer gives means the same as the target, or one of several."""

    name = ref = "formula"

    def extract(self, text: str, sample: Sample) -> Extraction:
        """The formula in a text, and the rule that found it."""
        return find_formula(text, sample)

    def __call__(self, sample: Sample, response: Response) -> bool | None:
        targets = [_final(target, sample) for target in references(sample)]
        if not targets:
            return None
        answers = [str(find_formula(response.text, sample).value or "")]
        # What was taken out already, "no solution", is an answer as it stands.
        if len(response.text) <= _LONGEST:
            answers.append(response.text)
        return any(are_equal(answer, target) for target in targets for answer in answers if answer.strip())


formula = FormulaMatch()


def _final(target: str, sample: Sample) -> str:
    """The answer that a target is, or that the last box of a solution holds."""
    boxes = find_boxes(target)
    if boxes:
        return target[slice(*boxes[-1])]
    if len(target) > _LONGEST:
        raise DataError(f"the target of sample {sample.id!r} is no answer: it is long and has no \\boxed one")
    return target
