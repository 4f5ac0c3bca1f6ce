"""Metrics of short answers about pictures and documents: ANLS and relaxed accuracy.

Where the target is a list of acceptable answers, the best of them counts.
"""

from __future__ import annotations

from rapidfuzz.distance import Levenshtein

from steelyard.metrics.text import fold, references
from steelyard.metrics.values import Quantity, read_quantity
from steelyard.types import Response, Sample


def anls(sample: Sample, response: Response) -> float | None:
    """The similarity of answer and target, 1 - edits / length of the longer; 0 from half of it on.

    As ST-VQA and DocVQA define it: up to case and white space, an answer as far away as half the
    length of the longer text or further scores 0. Its mean over a set is ANLS.
    """
    targets = references(sample)
    if not targets:
        return None
    answer = fold(response.text)
    return max(_similarity(answer, fold(target)) for target in targets)


class RelaxedMatch:
    """Whether a number is within 5 % of the target's; any other answer must be the target, folded.

    As ChartQA defines it, with three freedoms: currencies and separators of thousands are read, a
    percentage is also right as a fraction of one where only one of the two has the sign, and a final
    stop is passed over. The same 5 % hold for years: 2010 is within 5 % of 2019, here as there. A
    target of 0 has no 5 %: only 0 is right.
    """

    name = ref = "relaxed"

    def __init__(self, *, tolerance: float = 0.05) -> None:
        self.tolerance = tolerance

    def __call__(self, sample: Sample, response: Response) -> bool | None:
        targets = references(sample)
        if not targets:
            return None
        answer = _trim(response.text)
        return any(self._passes(answer, _trim(target)) for target in targets)

    def _passes(self, answer: str, target: str) -> bool:
        given, wanted = read_quantity(answer, codes=True), read_quantity(target, codes=True)
        if given is None or wanted is None:
            return answer == target
        return any(self._close(one, other) for one, other in _readings(given, wanted))

    def _close(self, value: float, wanted: float) -> bool:
        try:
            # A whisker more, so that 1.05 is within 5 % of 1 for a computer too.
            return abs(value - wanted) <= self.tolerance * (1 + 1e-9) * abs(wanted)
        except OverflowError:
            return value == wanted


relaxed = RelaxedMatch()


def _similarity(one: str, other: str) -> float:
    longer = max(len(one), len(other))
    distance = Levenshtein.distance(one, other) / longer if longer else 0.0
    return 1 - distance if distance < 0.5 else 0.0


def _trim(text: str) -> str:
    return fold(text).strip("\"'`* ").removesuffix(".")


def _readings(given: Quantity, wanted: Quantity) -> list[tuple[float, float]]:
    """The pairs of numbers that answer and target may stand for."""
    pairs: list[tuple[float, float]] = [(given.value, wanted.value)]
    if (given.unit == "%") != (wanted.unit == "%"):
        percent = given.unit == "%"
        pairs.append((given.value / 100, wanted.value) if percent else (given.value, wanted.value / 100))
    return pairs
