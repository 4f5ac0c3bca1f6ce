"""Texts: tokens, XLM-RoBERTa, T5, the transformer behind them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from .layers import (
    ACTIVATIONS,
    Array,
    Weights,
    below,
    in_heads,
    joined,
    layer_norm,
    linear,
    numbered,
    softmax,
)


def tokens_of(text: str, folder: Path, *, most: int) -> list[int]:
    """The tokens of a text with those that frame it; the text gives way where there are too many."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    bare = tokenizer.encode(text, add_special_tokens=False).ids
    frame = tokenizer.encode("", add_special_tokens=True).ids
    kept = bare[: most - len(frame)]
    return [*frame[:-1], *kept, frame[-1]]


def roberta(tokens: list[int], weights: Weights, config: Mapping[str, Any]) -> Array:
    """XLM-RoBERTa's last hidden states, without padding: places count from behind the padding token's."""
    eps, heads = config["layer_norm_eps"], config["num_attention_heads"]
    words = below(weights, "embeddings")
    places = np.arange(len(tokens)) + config["pad_token_id"] + 1
    x = words["word_embeddings.weight"][tokens] + words["position_embeddings.weight"][places]
    x = layer_norm(x + words["token_type_embeddings.weight"][0], below(words, "LayerNorm"), eps=eps)
    for layer in numbered(weights, "encoder.layer"):
        own = below(layer, "attention.self")
        q, k, v = (in_heads(linear(x, below(own, name)), heads) for name in ("query", "key", "value"))
        looks = softmax(q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1]))
        y = linear(joined(looks @ v), below(layer, "attention.output.dense"))
        x = layer_norm(x + y, below(layer, "attention.output.LayerNorm"), eps=eps)
        y = ACTIVATIONS[config["hidden_act"]](linear(x, below(layer, "intermediate.dense")))
        x = layer_norm(x + linear(y, below(layer, "output.dense")), below(layer, "output.LayerNorm"), eps=eps)
    return x


def with_adapters(weights: Weights, *, alpha: float) -> dict[str, Array]:
    """Weights under PEFT's names as plain ones: W + alpha / r * B A."""
    plain = {}
    for name, value in below(weights, "base_model.model").items():
        if ".lora_" in name:
            continue
        bare = name.replace(".base_layer.", ".")
        plain[bare] = value
        adapter = below(weights, f"base_model.model.{bare.removesuffix('.weight')}")
        if bare.endswith(".weight") and "lora_A.default.weight" in adapter:
            down, up = adapter["lora_A.default.weight"], adapter["lora_B.default.weight"]
            plain[bare] = value + alpha / len(down) * up @ down
    return plain


def buckets(count: int, config: Mapping[str, Any]) -> np.ndarray:
    """T5's bucket of every distance key - query, [T, T]."""
    half = config["relative_attention_num_buckets"] // 2
    exact, far = half // 2, config.get("relative_attention_max_distance", 128)
    distance = np.arange(count)[None, :] - np.arange(count)[:, None]
    away = np.abs(distance)
    # In single precision, as the bounds of the buckets are a matter of rounding.
    ratio = np.log(np.maximum(away, 1).astype(np.float32) / np.float32(exact))
    wide = exact + (ratio / np.float32(math.log(far / exact)) * np.float32(half - exact)).astype(int)
    return (distance > 0) * half + np.where(away < exact, away, np.minimum(wide, half - 1))


def root_norm(x: Array, weights: Weights, eps: float) -> Array:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * weights["weight"]


def t5(tokens: list[int], weights: Weights, config: Mapping[str, Any]) -> Array:
    """T5's encoder: no scale in the attention, one table of distances for all layers."""
    eps, heads = config.get("layer_norm_epsilon", 1e-6), config["num_heads"]
    kind = config.get("feed_forward_proj", "relu")
    act = ACTIVATIONS["gelu_new" if kind == "gated-gelu" else kind.split("-")[-1]]
    x = weights["shared.weight"][tokens]
    encoder = below(weights, "encoder")
    table = encoder["block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
    bias = table[buckets(len(tokens), config)].transpose(2, 0, 1)
    for block in numbered(encoder, "block"):
        own = below(block, "layer.0.SelfAttention")
        y = root_norm(x, below(block, "layer.0.layer_norm"), eps)
        q, k, v = (in_heads(linear(y, below(own, name)), heads) for name in "qkv")
        x = x + linear(joined(softmax(q @ k.transpose(0, 2, 1) + bias) @ v), below(own, "o"))
        y = root_norm(x, below(block, "layer.1.layer_norm"), eps)
        dense = below(block, "layer.1.DenseReluDense")
        if kind.startswith("gated"):
            inner = act(linear(y, below(dense, "wi_0"))) * linear(y, below(dense, "wi_1"))
        else:
            inner = act(linear(y, below(dense, "wi")))
        x = x + linear(inner, below(dense, "wo"))
    return root_norm(x, below(encoder, "final_layer_norm"), eps)
