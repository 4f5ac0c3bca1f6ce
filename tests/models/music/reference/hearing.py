"""One chunk of sound: mel spectrogram, convolutions, conformer, projection."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from .layers import (
    ACTIVATIONS,
    Array,
    Weights,
    batch_norm,
    below,
    depthwise,
    in_heads,
    joined,
    layer_norm,
    linear,
    numbered,
    own_transformer,
    relu,
    sigmoid,
    softmax,
)

MELS = 128


def power_spectrogram(x: Array, *, hop: int) -> Array:
    """[1025, 1 + S // hop]: windows of 2048 samples around every hop, the ends reflected."""
    window = torch.hann_window(2048).double().numpy()  # Rounded to single precision, as is seen in scores.
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(x, 1024, mode="reflect"), 2048)[::hop]
    return np.abs(np.fft.rfft(frames * window, axis=1).T) ** 2


def mel_filters() -> Array:
    """[128, 1025] triangles, in single precision throughout: double precision is seen in the scores."""
    top = 2595.0 * math.log10(1.0 + 12000.0 / 700.0)
    points = 700.0 * (10.0 ** (torch.linspace(0.0, top, MELS + 2) / 2595.0) - 1.0)
    bins = torch.linspace(0, 12000, 1025)[None, :]
    left, peak, right = (points[i : i + MELS, None] for i in range(3))
    rising, falling = (bins - left) / (peak - left), (right - bins) / (right - peak)
    return torch.clamp(torch.minimum(rising, falling), min=0.0).double().numpy()


def decibels(power: Array) -> Array:
    """Decibels above a floor of 1e-10; nothing is cut at the top."""
    return 10.0 * np.log10(np.maximum(power, 1e-10))


def without_last(frames: Array) -> Array:
    """The last frame is dropped, whatever the length of the sound."""
    return frames[:, :-1]


def mel_image(x: Array, config: Mapping[str, Any]) -> Array:
    """[128, M] as the convolutions see it."""
    power = power_spectrogram(x, hop=config.get("hop_length", 240))
    stat = config["stat"]
    image = without_last(decibels(mel_filters() @ power))
    return (image - stat["melspec_2048_mean"]) / stat["melspec_2048_std"]


def conv2d(x: Array, weights: Weights, *, strides: tuple[int, int] = (1, 1)) -> Array:
    """A 3x3 convolution of [C, F, T], padded by one on every side."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    high, wide = (math.ceil(size / stride) for size, stride in zip(x.shape[1:], strides))
    kernel, out = weights["weight"], weights["bias"][:, None, None]
    for i in range(3):
        for j in range(3):
            seen = padded[:, i : i + x.shape[1] : strides[0], j : j + x.shape[2] : strides[1]]
            out = out + np.tensordot(kernel[:, :, i, j], seen[:, :high, :wide], axes=1)
    return out


def residual_block(x: Array, weights: Weights, *, strides: tuple[int, int]) -> Array:
    y = batch_norm(conv2d(x, below(weights, "conv1"), strides=strides), below(weights, "bn1"), axis=0)
    y = batch_norm(conv2d(relu(y), below(weights, "conv2")), below(weights, "bn2"), axis=0)
    skip = batch_norm(conv2d(x, below(weights, "conv3"), strides=strides), below(weights, "bn3"), axis=0)
    return relu(y + skip)


def convolved(image: Array, weights: Weights, *, label_rate: int) -> Array:
    """[128, M] to [T, encoder_dim]."""
    y = residual_block(image[None], below(weights, "conv.0"), strides=(2, 2))
    y = residual_block(y, below(weights, "conv.1"), strides=(2, 2 if label_rate == 25 else 1))
    flat = y.reshape(-1, y.shape[-1]).T  # The channel is slow, the frequency fast.
    return linear(flat, below(weights, "linear"))


def rotated(x: Array, base: float) -> Array:
    """Heads [h, T, e] turned by their places."""
    size = x.shape[-1]
    speeds = base ** (-2.0 * np.arange(size // 2) / size)
    angles = np.tile(np.arange(x.shape[1])[:, None] * speeds, 2)
    turned = np.concatenate([-x[..., size // 2 :], x[..., : size // 2]], axis=-1)
    return x * np.cos(angles) + turned * np.sin(angles)


def queries_and_keys(x: Array, weights: Weights, config: Mapping[str, Any]) -> tuple[Array, Array]:
    """Of rotary positions the input is turned, before it becomes queries and keys."""
    heads = config["num_attention_heads"]
    if config["position_embeddings_type"] == "rotary":
        x = joined(rotated(in_heads(x, heads), config.get("rotary_embedding_base", 10000)))
    q, k = linear(x, below(weights, "linear_q")), linear(x, below(weights, "linear_k"))
    return in_heads(q, heads), in_heads(k, heads)


def relative_logits(q: Array, weights: Weights) -> Array:
    """What query i thinks of anything that stands i - j before it, [h, T, T]."""
    heads, count, size = q.shape
    distances = np.arange(count - 1, -count, -1)
    speeds = np.exp(-math.log(10000.0) * np.arange(0, heads * size, 2) / (heads * size))
    angles = distances[:, None] * speeds
    table = np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(len(distances), -1)
    places = in_heads(linear(table, below(weights, "linear_pos")), heads)
    by_distance = (q + weights["pos_bias_v"][:, None]) @ places.transpose(0, 2, 1)
    rows, columns = np.indices((count, count))
    return by_distance[:, rows, count - 1 - rows + columns]


def conformer_attention(x: Array, weights: Weights, config: Mapping[str, Any]) -> Array:
    q, k = queries_and_keys(x, weights, config)
    v = in_heads(linear(x, below(weights, "linear_v")), config["num_attention_heads"])
    if config["position_embeddings_type"] == "relative":
        logits = (q + weights["pos_bias_u"][:, None]) @ k.transpose(0, 2, 1) + relative_logits(q, weights)
    else:
        logits = q @ k.transpose(0, 2, 1)
    return linear(joined(softmax(logits / math.sqrt(q.shape[-1])) @ v), below(weights, "linear_out"))


def conformer_convolution(x: Array, weights: Weights, config: Mapping[str, Any]) -> Array:
    y = layer_norm(x, below(weights, "layer_norm")) @ weights["pointwise_conv1.weight"][:, :, 0].T
    half = y.shape[-1] // 2
    y = depthwise(y[:, :half] * sigmoid(y[:, half:]), weights["depthwise_conv.weight"])
    y = ACTIVATIONS[config["hidden_act"]](batch_norm(y, below(weights, "batch_norm"), axis=1))
    return y @ weights["pointwise_conv2.weight"][:, :, 0].T


def conformer_feed_forward(x: Array, weights: Weights, config: Mapping[str, Any]) -> Array:
    inner = ACTIVATIONS[config["hidden_act"]](linear(x, below(weights, "intermediate_dense")))
    return linear(inner, below(weights, "output_dense"))


def conformer(x: Array, weights: Weights, config: Mapping[str, Any]) -> Array:
    for layer in numbered(weights, "layers"):
        y = layer_norm(x, below(layer, "ffn1_layer_norm"))
        x = x + 0.5 * conformer_feed_forward(y, below(layer, "ffn1"), config)
        y = layer_norm(x, below(layer, "self_attn_layer_norm"))
        x = x + conformer_attention(y, below(layer, "self_attn"), config)
        x = x + conformer_convolution(x, below(layer, "conv_module"), config)
        y = layer_norm(x, below(layer, "ffn2_layer_norm"))
        x = x + 0.5 * conformer_feed_forward(y, below(layer, "ffn2"), config)
        x = layer_norm(x, below(layer, "final_layer_norm"))
    return layer_norm(x, below(weights, "layer_norm"), eps=config.get("layer_norm_eps", 1e-5))


def heard(chunk: Array, weights: Weights, *, muq: Mapping[str, Any], heads: int) -> Array:
    """One chunk of sound [S] as frames [T, D]; the weights are those of the audio module."""
    inner = below(weights, "model.model")
    x = convolved(mel_image(chunk, muq), below(inner, "conv"), label_rate=muq.get("label_rate", 25))
    x = conformer(x, below(inner, "conformer"), muq["w2v2_config"])
    return own_transformer(linear(x, below(weights, "proj")), below(weights, "transformer"), heads=heads)
