"""What a network looks like: its config.json, as far as this engine knows it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import ModelError

ARCHITECTURES = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")
_INSTEAD = "pip install 'steelyard[hf]' runs it through transformers"


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes and constants of a network: `groups` heads of keys and values serve `heads` of queries."""

    width: int
    heads: int
    groups: int
    head: int
    vocabulary: int
    positions: int
    epsilon: float
    tied: bool
    windows: tuple[int | None, ...]
    speeds: NDArray[np.float32]

    @property
    def layers(self) -> int:
        """How many layers there are."""
        return len(self.windows)


def read_shape(config: Mapping[str, Any], *, name: str) -> Shape:
    """The shape that a config.json describes; raises where this engine cannot compute it."""
    architecture = (config.get("architectures") or [None])[0]
    if architecture not in ARCHITECTURES:
        raise ModelError(
            f"{name} is a {architecture}, which the embedded engine does not know", hint=_INSTEAD
        )
    for key, plain in (("hidden_act", "silu"), ("quantization_config", None), ("partial_rotary_factor", 1.0)):
        if config.get(key, plain) not in (plain, None):
            wrong = f"{key}={config[key]!r}"
            raise ModelError(
                f"{name} has {wrong:.80}, which the embedded engine does not know", hint=_INSTEAD
            )
    try:
        heads = int(config["num_attention_heads"])
        width = int(config["hidden_size"])
        layers = int(config["num_hidden_layers"])
        head = int(config.get("head_dim") or width // heads)
        return Shape(
            width=width,
            heads=heads,
            groups=int(config.get("num_key_value_heads") or heads),
            head=head,
            vocabulary=int(config["vocab_size"]),
            positions=int(config.get("max_position_embeddings") or 2048),
            epsilon=float(config.get("rms_norm_eps", 1e-6)),
            tied=bool(config.get("tie_word_embeddings", False)),
            windows=_windows(config, layers),
            speeds=_speeds(config, head, name=name),
        )
    except KeyError as error:
        raise ModelError(
            f"config.json of {name} lacks {error}", hint="is it a whole model folder?"
        ) from error


def _windows(config: Mapping[str, Any], layers: int) -> tuple[int | None, ...]:
    """How far back each layer sees; None: as far as there is anything."""
    window = config.get("sliding_window")
    if not window or config.get("use_sliding_window") is False:
        return (None,) * layers
    kinds = config.get("layer_types")
    if kinds:
        return tuple(int(window) if kind == "sliding_attention" else None for kind in kinds)
    if "use_sliding_window" in config:
        first = int(config.get("max_window_layers", layers))
        return tuple(int(window) if place >= first else None for place in range(layers))
    return (int(window),) * layers


def _speeds(config: Mapping[str, Any], head: int, *, name: str) -> NDArray[np.float32]:
    """How fast each pair of dimensions turns with the position."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    base = float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0)
    speeds = base ** -(np.arange(0, head, 2) / head)
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind == "default":
        scaled = speeds
    elif kind == "linear":
        scaled = speeds / float(rope["factor"])
    elif kind == "llama3":
        scaled = _stretched(speeds, rope)
    else:
        raise ModelError(
            f"{name} has rope_type={kind!r}, which the embedded engine does not know", hint=_INSTEAD
        )
    return scaled.astype(np.float32)


def _stretched(speeds: NDArray[np.float64], rope: Mapping[str, Any]) -> NDArray[np.float64]:
    """Llama 3's scaling: slow turns by the factor, fast ones as they were, between them blended."""
    factor, low, high = (float(rope[key]) for key in ("factor", "low_freq_factor", "high_freq_factor"))
    turns = float(rope["original_max_position_embeddings"]) * speeds / (2 * math.pi)
    blend = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return (1 - blend) * speeds / factor + blend * speeds
