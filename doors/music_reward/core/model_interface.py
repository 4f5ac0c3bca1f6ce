"""The built-in model of the benchmark: the published network behind `sr` and `score_batch`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.model_abc import BenchmarkBatchInput, BenchmarkModelABC
from steelyard.models.references import open_model
from steelyard.models.rewards import score_pieces

if TYPE_CHECKING:
    import numpy as np


@dataclass
class RewardModelAdapterConfig:
    """What the model is made of; `init_kwargs` are further options of it: bf16, workers, …"""

    checkpoint: str | Path
    config: str | Path | None = None
    device: str = "cuda:0"
    mode: str = "final"
    init_kwargs: Mapping[str, Any] | None = None


class RewardModelAdapter(BenchmarkModelABC):
    """The published network; `model` is it as the engine asks it."""

    def __init__(self, config: RewardModelAdapterConfig) -> None:
        named = {"config": config.config, "device": config.device, "mode": config.mode}
        options = {"checkpoint": config.checkpoint, **named, **(config.init_kwargs or {})}
        self.model: Any = open_model("music-reward", **options)

    @property
    def sr(self) -> int:
        """The sampling rate that it hears music at."""
        return int(self.model.network.rate)

    def score_batch(
        self, inputs: Sequence[BenchmarkBatchInput], batch_size: int, max_dur: float | None, **kwargs: Any
    ) -> np.ndarray[Any, Any]:
        """Alignment and musicality of each input; in standard mode there is a window every `dur_step`."""
        import numpy as np

        self.model.listen(max_dur=max_dur, **kwargs)
        scores = score_pieces(self.model, inputs, batch_size=batch_size)
        return np.array([(one["alignment"], one["musicality"]) for one in scores]).reshape(-1, 2)
