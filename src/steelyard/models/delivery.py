"""Delivery: what came of one question to a service, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from steelyard.types import Timing
from steelyard.wire.reading import Answer

CUT = "cut off: the time for answers is over"
"""What failed where nobody waits for the rest of an answer."""

T = TypeVar("T")


@dataclass(slots=True)
class Delivery(Generic[T]):
    """What came of one question: a value or a failure; when its last try began and ended, how many tries."""

    value: T | None
    failure: str
    begun: float
    done: float
    tries: int
    answer: Answer | None = None

    def timing(self, due: float, chunks: Sequence[float] = ()) -> Timing:
        """When things happened, where it was wanted then and its pieces came at these times."""
        answer = self.answer
        if answer is None or not answer.sent:
            return Timing(due=due, sent=self.begun, chunks=chunks, done=self.done)
        return Timing(
            due,
            answer.sent,
            chunks,
            self.done,
            answer.first_byte,
            answer.connecting,
            taken_by=answer.taken_by,
        )
