"""The network's own transformers: no positions, gated feed-forwards, queries and keys of length one.

values (sequences, places, width) → each layer adds what attention sees and what the feed-forward makes of it
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from steelyard.models.music.configuration import Depth
from steelyard.models.music.lengths import Rows

# What the products of queries and keys are multiplied by, whatever the size of a head.
_SHARPNESS = 8.0


class Norm(nn.Module):  # type: ignore[misc]
    """A layer norm without a bias."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.learned_gamma = nn.Parameter(torch.ones(dim))

    def forward(self, values: Tensor) -> Tensor:
        """The values of each place, centred and scaled."""
        return functional.layer_norm(values, self.learned_gamma.shape, self.learned_gamma)


class Attention(nn.Module):  # type: ignore[misc]
    """What each place sees of all places of its sequence."""

    def __init__(self, dim: int, size: Depth) -> None:
        super().__init__()
        self.heads, inner = size.heads, size.heads * size.dim_head
        self.norm = Norm(dim)
        self.q_scale = nn.Parameter(torch.ones(size.dim_head))
        self.k_scale = nn.Parameter(torch.ones(size.dim_head))
        self.to_q = nn.Linear(dim, inner, bias=False)
        self.to_kv = nn.Linear(dim, 2 * inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, dim, bias=False))

    def forward(self, values: Tensor, seen: Tensor | None = None, *, evenly: bool = False) -> Tensor:
        """Weighed by queries and keys, or `evenly` over all places that are seen."""
        normed = self.norm(values)
        keys, told = (_split(part, self.heads) for part in self.to_kv(normed).chunk(2, dim=-1))
        if evenly:
            return self.to_out(_join(_average(told, seen).expand_as(told)))
        queries = functional.normalize(_split(self.to_q(normed), self.heads), dim=-1) * self.q_scale
        keys = functional.normalize(keys, dim=-1) * self.k_scale
        return self.to_out(_join(_attend(queries, keys, told, seen, scale=_SHARPNESS)))


class CrossAttention(nn.Module):  # type: ignore[misc]
    """What each place of one sequence sees of another sequence."""

    def __init__(self, dim: int, size: Depth) -> None:
        super().__init__()
        self.heads, inner = size.heads, size.heads * size.dim_head
        self.norm_q, self.norm_kv = Norm(dim), Norm(dim)
        self.to_q = nn.Linear(dim, inner, bias=False)
        self.to_kv = nn.Linear(dim, 2 * inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, dim, bias=False))

    def forward(self, values: Tensor, context: Tensor, seen: Tensor | None = None) -> Tensor:
        """Weighed by plain queries and keys."""
        queries = _split(self.to_q(self.norm_q(values)), self.heads)
        keys, told = (_split(part, self.heads) for part in self.to_kv(self.norm_kv(context)).chunk(2, dim=-1))
        return self.to_out(_join(_attend(queries, keys, told, seen, scale=queries.shape[-1] ** -0.5)))


class GatedGelu(nn.Module):  # type: ignore[misc]
    """The first half of the values, gated by the second."""

    def forward(self, values: Tensor) -> Tensor:
        """Half as wide as it was."""
        told, gate = values.chunk(2, dim=-1)
        return functional.gelu(gate) * told


class Transformer(nn.Module):  # type: ignore[misc]
    """Layers of attention and feed-forward; none of them leaves everything as it is."""

    def __init__(self, dim: int, size: Depth) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList([Attention(dim, size), make_feed_forward(dim, size.ff_mult)])
            for _ in range(size.depth)
        )

    def forward(self, rows: Rows, *, evenly: bool = False) -> Rows:
        """Each sequence as if it were alone."""
        values = rows.values
        if not values.shape[1]:
            return rows
        seen = make_sight(rows)
        for attention, feed_forward in self.layers:
            values = attention(values, seen, evenly=evenly) + values
            values = feed_forward(values) + values
        return Rows(values, rows.lengths)


class _CrossLayer(nn.Module):  # type: ignore[misc]
    def __init__(self, dim: int, size: Depth) -> None:
        super().__init__()
        self.self_attn = Attention(dim, size)
        self.cross_attn = CrossAttention(dim, size)
        self.ffn = make_feed_forward(dim, size.ff_mult)


class CrossTransformer(nn.ModuleList):  # type: ignore[misc]
    """Layers that look at a second sequence between attention and feed-forward."""

    def __init__(self, dim: int, size: Depth) -> None:
        super().__init__(_CrossLayer(dim, size) for _ in range(size.depth))

    def forward(self, rows: Rows, context: Rows) -> Rows:
        """Each sequence with its own context; one whose context is empty sees nothing there."""
        values = rows.values
        if not values.shape[1]:
            return rows
        seen, shown = make_sight(rows), make_sight(context)
        told = torch.tensor(context.lengths, device=values.device)[:, None, None] > 0
        for layer in self:
            values = layer.self_attn(values, seen) + values
            if any(context.lengths):
                values = layer.cross_attn(values, context.values, shown) * told + values
            values = layer.ffn(values) + values
        return Rows(values, rows.lengths)


def make_feed_forward(dim: int, mult: float) -> nn.Sequential:
    """A gated feed-forward; the places in it are those that weights are named by."""
    inner = int(dim * mult * 2 / 3)
    return nn.Sequential(
        Norm(dim),
        nn.Linear(dim, 2 * inner, bias=False),
        GatedGelu(),
        nn.Identity(),
        nn.Linear(inner, dim, bias=False),
    )


def make_sight(rows: Rows) -> Tensor | None:
    """Which places may be seen (sequences, 1, 1, places); None where all may."""
    mask = rows.mask()
    if mask is None:
        return None
    # Whoever sees nothing at all would become NaN; nobody looks at what an empty sequence sees.
    mask[:, 0] = True
    return mask[:, None, None]


def _split(values: Tensor, heads: int) -> Tensor:
    return values.unflatten(-1, (heads, -1)).transpose(1, 2)


def _join(values: Tensor) -> Tensor:
    return values.transpose(1, 2).flatten(2)


def _attend(queries: Tensor, keys: Tensor, told: Tensor, seen: Tensor | None, *, scale: float) -> Tensor:
    if seen is not None:
        seen = seen.expand(-1, -1, queries.shape[2], -1)
    return functional.scaled_dot_product_attention(queries, keys, told, attn_mask=seen, scale=scale)


def _average(told: Tensor, seen: Tensor | None) -> Tensor:
    if seen is None:
        return told.mean(2, keepdim=True)
    weights = seen.transpose(2, 3)
    return (told * weights).sum(2, keepdim=True) / weights.sum(2, keepdim=True)
