"""What a model of one's own is: `sr`, and `score_batch`, which is asked with BenchmarkBatchInputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from steelyard.models.rewards import Piece as BenchmarkBatchInput

if TYPE_CHECKING:
    import numpy as np

__all__ = ["BenchmarkBatchInput", "BenchmarkModelABC"]


class BenchmarkModelABC(ABC):
    """A model that says how well music fits what was asked for, and how good it is."""

    @property
    @abstractmethod
    def sr(self) -> int:
        """The sampling rate that it hears music at: waveforms come in it."""

    @abstractmethod
    def score_batch(
        self, inputs: Sequence[BenchmarkBatchInput], batch_size: int, max_dur: float | None, **kwargs: Any
    ) -> np.ndarray[Any, Any]:
        """The scores of the inputs, in their order, as [N, 2]: column 0 alignment, column 1 musicality.

        Of music longer than `max_dur` seconds only so much is heard; `kwargs` are what the benchmark was
        given as --model_score_kwargs_json.
        """
