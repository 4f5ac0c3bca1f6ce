"""The audio encoder's layers, as transformers has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Wav2Vec2ConformerConfig
from transformers.models.wav2vec2_conformer.modeling_wav2vec2_conformer import Wav2Vec2ConformerEncoder

from steelyard.errors import ModelError, describe

# All that matters of what a checkpoint tells of itself; the rest may not suit every version of the library.
_KEYS = (
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "position_embeddings_type",
    "rotary_embedding_base",
    "conv_depthwise_kernel_size",
    "layer_norm_eps",
    "max_source_positions",
)
_POSITIONS = ("relative", "rotary", None)
# A part that checkpoints hold, and that nothing ever uses, must not keep the others from being built.
_UNUSED = {"num_conv_pos_embeddings": 2, "num_conv_pos_embedding_groups": 1}


class Rotations(nn.Module):  # type: ignore[misc]
    """By how much each place is turned; unlike the library's, several threads may ask at the same time."""

    def __init__(self, inv_freq: Tensor) -> None:
        super().__init__()
        self.register_buffer("inv_freq", inv_freq)

    def forward(self, frames: Tensor) -> Tensor:
        """Cosines and sines (2, places, 1, 1, head)."""
        places = torch.arange(frames.shape[1], dtype=torch.float32, device=frames.device)
        angles = (places[:, None] * self.inv_freq).repeat(1, 2)[:, None, None]
        return torch.stack([angles.cos(), angles.sin()]).to(frames.dtype)


def make_conformer(told: Mapping[str, Any], *, dim: int, depth: int) -> nn.Module:
    """The layers for a configuration."""
    try:
        known = {key: told[key] for key in _KEYS if key in told}
        config = Wav2Vec2ConformerConfig(**known, **_UNUSED, hidden_size=dim, num_hidden_layers=depth)
        if config.position_embeddings_type not in _POSITIONS:
            raise ValueError(f"position_embeddings_type is {config.position_embeddings_type!r}")
        # The library's other way of attention knows nothing of relative positions.
        relative = config.position_embeddings_type == "relative"
        config._attn_implementation = "eager" if relative else "sdpa"
        encoder = Wav2Vec2ConformerEncoder(config)
    except Exception as error:
        raise ModelError(f"w2v2_config of the audio encoder will not do: {describe(error)}") from error
    if config.position_embeddings_type == "rotary":
        encoder.embed_positions = Rotations(encoder.embed_positions.inv_freq)
    encoder.pos_conv_embed = nn.Identity()
    return encoder
