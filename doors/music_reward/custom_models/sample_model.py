"""The example to copy: a model of one's own is a class with `sr` and `score_batch`.

python inference_benchmark.py -c model.safetensors --dataset_jsonl rows.jsonl --dataset_root music \
  --model_class_path custom_models.sample_model:CMIRewardModelBaseline
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baselines.inference import RewardModelInference
from core.model_abc import BenchmarkBatchInput, BenchmarkModelABC

if TYPE_CHECKING:
    import numpy as np


class CMIRewardModelBaseline(BenchmarkModelABC):
    """The CMI reward model; what it takes here comes from the flags of the benchmark."""

    def __init__(
        self,
        checkpoint: str | Path,
        config: str | Path | None = None,
        device: str = "cuda:0",
        mode: str = "final",
        sr: int = 24000,
    ) -> None:
        self.inference = RewardModelInference(checkpoint, config=config, device=device, sr=sr, mode=mode)

    @property
    def sr(self) -> int:
        """The sampling rate that it hears music at."""
        return self.inference.sr

    def score_batch(
        self, inputs: Sequence[BenchmarkBatchInput], batch_size: int, max_dur: float | None, **kwargs: Any
    ) -> np.ndarray[Any, Any]:
        """Alignment and musicality of each input."""
        items = [one.to_dict() for one in inputs]
        return self.inference.score_batch(items, batch_size=batch_size, max_dur=max_dur, **kwargs)
