"""Metrics of the number an answer gives.

>>> number(Sample("1", "", target="#### 1,250"), Response("So it costs $1250.00 in all."))
True
"""

from __future__ import annotations

import math

from steelyard.errors import DataError
from steelyard.metrics.extraction import Extraction, find_number
from steelyard.metrics.text import references
from steelyard.types import Response, Sample


class NumberMatch:
    """Whether the number that an answer gives is the target, however both are written.

    A percentage is also right as a fraction of one where only one of the two is written with a sign.
    """

    def __init__(self, name: str = "number", *, tolerance: float = 1e-6, ref: str | None = None) -> None:
        self.name = name
        self.tolerance = tolerance
        self.ref = ref

    def extract(self, text: str, sample: Sample) -> Extraction:
        """The number in a text, and the rule that found it."""
        return find_number(text, sample)

    def __call__(self, sample: Sample, response: Response) -> bool | None:
        targets = references(sample)
        if not targets:
            return None
        found = find_number(response.text, sample)
        return any(
            self._equal(found, response.text, self._read(target, sample), target) for target in targets
        )

    def _read(self, target: str, sample: Sample) -> Extraction:
        wanted = find_number(target)
        if wanted.value is None:
            raise DataError(f"the target of sample {sample.id!r} is not a number: {target!r}")
        return wanted

    def _equal(self, found: Extraction, text: str, wanted: Extraction, target: str) -> bool:
        if not isinstance(found.value, (int, float)) or not isinstance(wanted.value, (int, float)):
            return False
        if self._close(found.value, wanted.value):
            return True
        percent, wanted_percent = _is_percent(found, text), _is_percent(wanted, target)
        if percent and not wanted_percent:
            return self._close(found.value / 100, wanted.value)
        return wanted_percent and not percent and self._close(found.value, wanted.value / 100)

    def _close(self, value: float, wanted: float) -> bool:
        if isinstance(value, int) and isinstance(wanted, int):
            return value == wanted
        return math.isclose(value, wanted, rel_tol=self.tolerance, abs_tol=self.tolerance * 1e-6)


number = NumberMatch(ref="number")


def _is_percent(found: Extraction, text: str) -> bool:
    return text[found.start : found.end].rstrip().lower().endswith(("%", "percent", "per cent", "％"))
