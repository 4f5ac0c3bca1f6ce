"""The small parts that every tower is made of, in double precision."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Weights = Mapping[str, Array]

# Own attention: unit vectors are multiplied by this, whatever the size of a head.
OWN_SCALE = 8.0


def below(weights: Weights, prefix: str) -> dict[str, Array]:
    """The tensors whose names begin with a prefix, without it."""
    return {
        name[len(prefix) + 1 :]: value for name, value in weights.items() if name.startswith(f"{prefix}.")
    }


def numbered(weights: Weights, prefix: str = "") -> Iterator[dict[str, Array]]:
    """The tensors of layer 0, 1, …, as long as there are any."""
    number = 0
    while layer := below(weights, f"{prefix}.{number}" if prefix else str(number)):
        yield layer
        number += 1


def linear(x: Array, weights: Weights) -> Array:
    y = x @ weights["weight"].T
    return y + weights["bias"] if "bias" in weights else y


def layer_norm(x: Array, weights: Weights, *, eps: float = 1e-5) -> Array:
    """A layer norm, also the one without a bias whose weight is called learned_gamma."""
    gamma = weights["learned_gamma"] if "learned_gamma" in weights else weights["weight"]
    centred = x - x.mean(-1, keepdims=True)
    y = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps) * gamma
    return y + weights["bias"] if "bias" in weights else y


def batch_norm(x: Array, weights: Weights, *, axis: int) -> Array:
    """A batch norm by its stored statistics; the channels lie along an axis."""
    shape = [1] * x.ndim
    shape[axis] = -1
    mean, var, gamma, beta = (
        weights[name].reshape(shape) for name in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / np.sqrt(var + 1e-5) * gamma + beta


def softmax(logits: Array) -> Array:
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def sigmoid(x: Array) -> Array:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


def silu(x: Array) -> Array:
    return x * sigmoid(x)


_ERF = np.vectorize(math.erf, otypes=[np.float64])


def gelu(x: Array) -> Array:
    return 0.5 * x * (1.0 + _ERF(x / math.sqrt(2.0)))


def gelu_new(x: Array) -> Array:
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": gelu,
    "gelu_new": gelu_new,
    "relu": relu,
    "silu": silu,
    "swish": silu,
}


def depthwise(x: Array, kernel: Array, *, stride: int = 1) -> Array:
    """Each column of [T, D] correlated with its own row of [D, 1, k], padded by (k - 1) / 2 on both sides."""
    taps = kernel.shape[-1]
    half = (taps - 1) // 2
    padded = np.pad(x, ((half, half), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, taps, axis=0)[::stride]
    return np.einsum("tdk,dk->td", windows, kernel[:, 0])


def in_heads(x: Array, heads: int) -> Array:
    """[T, h * e] as [h, T, e]; the number of the head is slow."""
    return x.reshape(len(x), heads, -1).transpose(1, 0, 2)


def joined(x: Array) -> Array:
    """[h, T, e] back as [T, h * e]."""
    return x.transpose(1, 0, 2).reshape(x.shape[1], -1)


def unit(x: Array) -> Array:
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def own_weights(q: Array, k: Array, *, uniform: bool) -> Array:
    """Who looks at whom in the own attention; uniform wherever a mask has wiped the logits out."""
    if uniform:
        return np.full((q.shape[0], q.shape[1], k.shape[1]), 1.0 / k.shape[1])
    return softmax(OWN_SCALE * q @ k.transpose(0, 2, 1))


def own_attention(x: Array, weights: Weights, *, heads: int, uniform: bool = False) -> Array:
    y = layer_norm(x, below(weights, "norm"))
    keys_and_values = linear(y, below(weights, "to_kv"))
    half = keys_and_values.shape[-1] // 2
    q = unit(in_heads(linear(y, below(weights, "to_q")), heads)) * weights["q_scale"]
    k = unit(in_heads(keys_and_values[:, :half], heads)) * weights["k_scale"]
    v = in_heads(keys_and_values[:, half:], heads)
    return linear(joined(own_weights(q, k, uniform=uniform) @ v), below(weights, "to_out.0"))


def gated(x: Array) -> Array:
    """The second half opens the first."""
    half = x.shape[-1] // 2
    return x[..., :half] * gelu(x[..., half:])


def own_feed_forward(x: Array, weights: Weights) -> Array:
    y = gated(linear(layer_norm(x, below(weights, "0")), below(weights, "1")))
    return linear(y, below(weights, "4"))


def own_transformer(x: Array, weights: Weights, *, heads: int, uniform: bool = False) -> Array:
    """The transformer of the reward model itself: no positions, no last norm, no layers: the identity."""
    if len(x) == 0:
        return x
    for layer in numbered(weights, "layers"):
        x = x + own_attention(x, below(layer, "0"), heads=heads, uniform=uniform)
        x = x + own_feed_forward(x, below(layer, "1"))
    return x


def cross_attention(x: Array, prompt: Array, weights: Weights, *, heads: int) -> Array:
    """Plain attention from x to the prompt; an empty prompt says nothing."""
    if len(prompt) == 0:
        return np.zeros_like(x)
    keys_and_values = linear(layer_norm(prompt, below(weights, "norm_kv")), below(weights, "to_kv"))
    half = keys_and_values.shape[-1] // 2
    q = in_heads(linear(layer_norm(x, below(weights, "norm_q")), below(weights, "to_q")), heads)
    k, v = in_heads(keys_and_values[:, :half], heads), in_heads(keys_and_values[:, half:], heads)
    looks = softmax(q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1]))
    return linear(joined(looks @ v), below(weights, "to_out.0"))


def crossed_transformer(x: Array, prompt: Array, weights: Weights, *, heads: int) -> Array:
    """Layers that look at themselves, then at the prompt, which stays as it is."""
    if len(x) == 0:
        return x
    for layer in numbered(weights):
        x = x + own_attention(x, below(layer, "self_attn"), heads=heads)
        x = x + cross_attention(x, prompt, below(layer, "cross_attn"), heads=heads)
        x = x + own_feed_forward(x, below(layer, "ffn"))
    return x


def head(rows: Array, weights: Weights) -> Array:
    """Layer norm, linear, ReLU, linear of the mean row; no rows are a row of zeros."""
    mean = rows.mean(0) if len(rows) else np.zeros(rows.shape[-1])
    y = layer_norm(mean, below(weights, "0"))
    return linear(relu(linear(y, below(weights, "1"))), below(weights, "3"))
