"""The audio encoder: chunks of sound become frames, each chunk by itself.

samples (chunks, S) → mel → convolutions → conformer → projection → transformer → (chunks, T, dim)
"""

from __future__ import annotations

from torch import Tensor, nn

from steelyard.errors import UsageError
from steelyard.models.music.configuration import Mulan, Muq
from steelyard.models.music.conformer import make_conformer
from steelyard.models.music.convolutions import Front
from steelyard.models.music.layers import Transformer
from steelyard.models.music.lengths import Rows
from steelyard.models.music.mel import SHORTEST, Mel


class Ear(nn.Module):  # type: ignore[misc]
    """What hears; it keeps nothing between calls, so that several threads may call it."""

    def __init__(self, muq: Muq, mulan: Mulan) -> None:
        super().__init__()
        self.mel = Mel(muq.hop, mean=muq.mean, deviation=muq.deviation)
        self.front = Front(muq.channels, muq.dim, label_rate=muq.label_rate)
        self.conformer = make_conformer(muq.conformer, dim=muq.dim, depth=muq.depth)
        self.proj = nn.Linear(muq.dim, mulan.dim)
        self.transformer = Transformer(mulan.dim, mulan.audio_depth)

    def forward(self, chunks: Tensor) -> Tensor:
        """The frames of chunks of equal length."""
        if chunks.ndim != 2 or chunks.shape[1] < SHORTEST:
            raise UsageError(
                f"chunks of shape {tuple(chunks.shape)} cannot be heard",
                hint=f"(chunks, samples), {SHORTEST} samples or more",
            )
        # In full precision between the layers, whatever they compute in.
        frames = self.proj(self.conformer(self.front(self.mel(chunks)).float()).last_hidden_state)
        rows = Rows(frames.float(), (frames.shape[1],) * frames.shape[0])
        return self.transformer(rows).values.float()
