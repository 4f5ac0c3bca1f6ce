"""The layers of a network: their weights, and what they compute besides attention."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steelyard.models.llama.shape import Shape
from steelyard.models.llama.weights import Weights

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Linear:
    """A matrix (out, in), and what is added behind it."""

    matrix: Floats
    bias: Floats | None

    def __call__(self, x: Floats) -> Floats:
        y: Floats = x.reshape(-1, x.shape[-1]) @ self.matrix.T
        if self.bias is not None:
            y += self.bias
        return y.reshape(*x.shape[:-1], -1)


@dataclass(frozen=True, slots=True)
class Norm:
    """Scales vectors to length one, times a weight for each dimension."""

    weight: Floats
    epsilon: np.float32

    def __call__(self, x: Floats) -> Floats:
        squares = np.einsum("...i,...i->...", x, x)[..., None]
        normed: Floats = x * (1 / np.sqrt(squares / np.float32(x.shape[-1]) + self.epsilon)) * self.weight
        return normed


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer; its queries, keys and values come of one matrix, gate and up of another."""

    attention_norm: Norm
    inward: Linear
    head_norm: Norm | None
    outward: Linear
    gated_norm: Norm
    gated: Linear
    down: Linear
    window: int | None

    def transform(self, x: Floats) -> Floats:
        """What the gated half of the layer adds to each state."""
        y = self.gated(self.gated_norm(x))
        gate, up = y[..., : y.shape[-1] // 2], y[..., y.shape[-1] // 2 :]
        # Far below zero the exponential overflows, and the quotient is the zero that it should be.
        with np.errstate(over="ignore"):
            return self.down(gate / (1 + np.exp(-gate)) * up)


def read_layer(weights: Weights, shape: Shape, place: int) -> Layer:
    """One layer of a checkpoint."""
    begin = f"model.layers.{place}."

    def read(*names: str) -> Linear:
        matrices = [weights[f"{begin}{name}.weight"] for name in names]
        biases = [weights[key] for name in names if (key := f"{begin}{name}.bias") in weights]
        return Linear(np.concatenate(matrices), np.concatenate(biases) if biases else None)

    def norm(name: str) -> Norm:
        return Norm(weights[f"{begin}{name}.weight"], np.float32(shape.epsilon))

    head_norm = None
    if f"{begin}self_attn.q_norm.weight" in weights:
        queries, keys = norm("self_attn.q_norm"), norm("self_attn.k_norm")
        tiled = [np.tile(queries.weight, (shape.heads, 1)), np.tile(keys.weight, (shape.groups, 1))]
        head_norm = Norm(np.concatenate(tiled), queries.epsilon)
    return Layer(
        attention_norm=norm("input_layernorm"),
        inward=read("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        head_norm=head_norm,
        outward=read("self_attn.o_proj"),
        gated_norm=norm("post_attention_layernorm"),
        gated=read("mlp.gate_proj", "mlp.up_proj"),
        down=read("mlp.down_proj"),
        window=shape.windows[place],
    )


def turn(heads: Floats, cosines: Floats, sines: Floats) -> Floats:
    """Turn each pair of dimensions by its angle; the pairs are the two halves of a head."""
    half = heads.shape[-1] // 2
    a, b = heads[..., :half], heads[..., half:]
    turned = np.empty_like(heads)
    turned[..., :half] = a * cosines - b * sines
    turned[..., half:] = b * cosines + a * sines
    return turned
