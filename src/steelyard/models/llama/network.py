"""The network in numpy: weights, and sequences under way side by side.

    prompts   [worked examples][question 1]     Prefix   the examples, computed once, kept between batches
              [worked examples][question 2]     Rows     [padding][question], one row a prompt

A row may branch: several continuations of one prompt lie behind each other, each blind to its siblings,
so that the choices of a question are read in one pass over its prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from steelyard.models.llama.shape import Shape
from steelyard.models.llama.weights import Weights

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

# A shorter prefix costs more to keep apart than to compute again in every row.
SHORTEST_PREFIX = 8
# Tokens in one pass, and attention weights of one layer in it (64 MB): more do not run faster.
_PASS_TOKENS = 2048
_PASS_WEIGHTS = 2**24
# Finite, so that a row of nothing but padding stays a number.
_UNSEEN = np.float32(-1e30)


@dataclass(frozen=True, slots=True)
class Layer:
    """The weights of one layer; the queries, keys and values in one matrix, gate and up in another."""

    attention_norm: Floats
    inward: Floats
    inward_bias: Floats | None
    head_norms: Floats | None
    outward: Floats
    outward_bias: Floats | None
    gated_norm: Floats
    gated: Floats
    gated_bias: Floats | None
    down: Floats
    down_bias: Floats | None
    window: int | None


@dataclass(frozen=True, slots=True)
class Prefix:
    """Tokens that several sequences begin with, and their keys and values in every layer."""

    ids: tuple[int, ...] = ()
    layers: Sequence[tuple[Floats, Floats]] = ()

    def cut(self, length: int) -> Prefix:
        """Its first tokens only."""
        layers = [(keys[:, :length], values[:, :length]) for keys, values in self.layers if length]
        return Prefix(self.ids[:length], layers)


@dataclass(slots=True)
class Line:
    """What is fed in one row: tokens, their positions, and the branch of each (0 is the trunk)."""

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    branches: list[int] = field(default_factory=list)

    def append(self, ids: Sequence[int], *, start: int, branch: int = 0) -> None:
        """Add tokens that stand at `start` and after."""
        self.ids.extend(ids)
        self.positions.extend(range(start, start + len(ids)))
        self.branches.extend([branch] * len(ids))


class Network:
    """A causal language model, and the prefix that its last sequences shared."""

    def __init__(self, shape: Shape, weights: Weights) -> None:
        self.shape = shape
        self._embeddings = weights["model.embed_tokens.weight"]
        self._head = self._embeddings if shape.tied else weights["lm_head.weight"]
        self._norm = weights["model.norm.weight"]
        self._layers = [_read_layer(weights, shape, place) for place in range(shape.layers)]
        self._prefix = Prefix()

    def share(self, sequences: Sequence[Sequence[int]]) -> Prefix:
        """The tokens that all sequences begin with, computed unless the last ones had them too."""
        # Each still needs a token of its own to be fed.
        common = tuple(_common(sequences)[: min(map(len, sequences)) - 1])
        kept = len(_common([self._prefix.ids, common]))
        if len(sequences) == 1:
            # What only one sequence has is not worth a pass of its own.
            common = common[:kept]
        if len(common) < SHORTEST_PREFIX:
            return Prefix()
        if kept < len(common):
            line = Line()
            line.append(common[kept:], start=kept)
            known = self._prefix.cut(kept)
            rows = Rows(self, [line], prefix=known)
            rows.read(keep=0)
            self._prefix = Prefix(common, list(rows.joined(known)))
        return self._prefix.cut(len(common))

    def forget(self) -> None:
        """Let go of the kept prefix."""
        self._prefix = Prefix()

    def logits(self, states: Floats) -> Floats:
        """The logits of the token that follows each state: (states, width) to (states, vocabulary)."""
        logits: Floats = states @ self._head.T
        return logits

    def forward(self, rows: Rows, ids: Ints, *, begin: int, keep: int) -> Floats:
        """Feed tokens (rows, tokens) at the columns from `begin`; the states of the last `keep`."""
        shape = self.shape
        x = self._embeddings[ids]
        end = begin + ids.shape[1]
        angles = rows.positions[:, begin:end, None, None].astype(np.float32) * shape.speeds
        turns = np.cos(angles), np.sin(angles)
        split = (shape.heads + shape.groups) * shape.head
        for place, layer in enumerate(self._layers):
            y = _times(_normed(x, layer.attention_norm, shape.epsilon), layer.inward, layer.inward_bias)
            heads = y[..., :split].reshape(*ids.shape, -1, shape.head)
            if layer.head_norms is not None:
                heads = _normed(heads, layer.head_norms, shape.epsilon)
            heads = _turned(heads, turns)
            keys, values = rows.memory[place]
            keys[:, :, begin:end] = heads[:, :, shape.heads :].swapaxes(1, 2)
            values[:, :, begin:end] = y[..., split:].reshape(*ids.shape, -1, shape.head).swapaxes(1, 2)
            if place == shape.layers - 1:
                # Nothing reads the last states of the others.
                x, heads = x[:, x.shape[1] - keep :], heads[:, ids.shape[1] - keep :]
                if not keep:
                    break
            seen = rows.attend(place, heads[:, :, : shape.heads], end=end, window=layer.window)
            x = x + _times(seen, layer.outward, layer.outward_bias)
            gate, up = np.split(
                _times(_normed(x, layer.gated_norm, shape.epsilon), layer.gated, layer.gated_bias), 2, axis=-1
            )
            x = x + _times(_silu(gate) * up, layer.down, layer.down_bias)
        return _normed(x, self._norm, shape.epsilon)


class Rows:
    """Sequences under way side by side: what they were fed, their keys and values, and who sees what."""

    def __init__(self, network: Network, lines: Sequence[Line], *, prefix: Prefix) -> None:
        shape = network.shape
        width = max(len(line.ids) for line in lines)
        self._network = network
        self._prefix = prefix
        self._padded = any(len(line.ids) < width for line in lines)
        self._branched = any(line.branches and line.branches[-1] for line in lines)
        self._used = 0
        # Padded on the left, so that all rows end, and grow, in the same column.
        self._ids = _table([line.ids for line in lines], width=width, blank=0)
        self.positions = _table([line.positions for line in lines], width=width, blank=-1)
        self._branches = _table([line.branches for line in lines], width=width, blank=0)
        size = (len(lines), shape.groups, width, shape.head)
        self.memory = [(np.empty(size, np.float32), np.empty(size, np.float32)) for _ in range(shape.layers)]

    def read(self, *, keep: int) -> Floats:
        """Feed all lines; the states (rows, keep, width) of their last `keep` tokens."""
        count, width = self._ids.shape
        longest = width + len(self._prefix.ids)
        step = min(_PASS_TOKENS // count, _PASS_WEIGHTS // (count * self._network.shape.heads * longest))
        states = []
        for begin in range(0, width, max(step, 1)):
            end = min(begin + max(step, 1), width)
            wanted = max(0, keep - (width - end))
            passed = self._pass(self._ids[:, begin:end], keep=min(wanted, end - begin))
            if wanted:
                states.append(passed)
        return np.concatenate(states, axis=1) if states else np.empty((count, 0, 0), np.float32)

    def extend(self, tokens: Sequence[int]) -> Floats:
        """Append one token to each row; the states (rows, width) behind them."""
        if self._used == self.positions.shape[1]:
            self._grow()
        self.positions[:, self._used] = self.positions[:, self._used - 1] + 1
        return self._pass(np.array(tokens, np.int32)[:, None], keep=1)[:, 0]

    def select(self, rows: Sequence[int]) -> None:
        """Let go of all rows but these."""
        self.positions, self._branches = self.positions[rows], self._branches[rows]
        self.memory = [(keys[rows], values[rows]) for keys, values in self.memory]

    def joined(self, prefix: Prefix) -> Iterator[tuple[Floats, Floats]]:
        """Keys and values of the first row, behind those of a prefix."""
        for place, (keys, values) in enumerate(self.memory):
            begun = [prefix.layers[place]] if prefix.layers else []
            both = [*begun, (keys[0, :, : self._used], values[0, :, : self._used])]
            yield np.concatenate([k for k, _ in both], axis=1), np.concatenate([v for _, v in both], axis=1)

    def attend(self, place: int, queries: Floats, *, end: int, window: int | None) -> Floats:
        """What queries (rows, tokens, heads, head) see of one layer, up to a column."""
        count, tokens, heads, head = queries.shape
        keys, values = (states[:, :, :end] for states in self.memory[place])
        groups = keys.shape[1]
        grouped = queries.reshape(count, tokens, groups, heads // groups, head).transpose(0, 2, 3, 1, 4)
        folded = (grouped * np.float32(head**-0.5)).reshape(count, groups, -1, head)
        weights: Floats = folded @ keys.swapaxes(2, 3)
        mask = self._mask(tokens, end=end, window=window)
        if mask is not None:
            weights.reshape(count, groups, -1, tokens, end)[...] += mask[:, None, None]
        if not self._prefix.layers:
            weights -= weights.max(axis=-1, keepdims=True)
            np.exp(weights, out=weights)
            seen: Floats = (weights @ values) / weights.sum(axis=-1, keepdims=True)
        else:
            seen = self._attend_both(place, folded, weights, values, tokens=tokens, end=end, window=window)
        unfolded: Floats = seen.reshape(count, groups, -1, tokens, head).transpose(0, 3, 1, 2, 4)
        return unfolded.reshape(count, tokens, heads * head)

    def _attend_both(
        self,
        place: int,
        folded: Floats,
        weights: Floats,
        values: Floats,
        *,
        tokens: int,
        end: int,
        window: int | None,
    ) -> Floats:
        """Attention to the prefix, all rows in one product, and to the row's own, under one softmax."""
        count, groups, each, head = folded.shape
        before_keys, before_values = self._prefix.layers[place]
        together = folded.swapaxes(0, 1).reshape(groups, -1, head)
        before = together @ before_keys.swapaxes(1, 2)
        if window is not None:
            length = before.shape[-1]
            far = self.positions[:, end - tokens : end, None] - np.arange(length) >= window
            before.reshape(groups, count, -1, tokens, length)[...] += np.where(far, _UNSEEN, 0)[:, None]
        own_most = weights.max(axis=-1, keepdims=True)
        most = np.maximum(own_most, before.max(axis=-1).reshape(groups, count, each, 1).swapaxes(0, 1))
        weights -= most
        before -= most.swapaxes(0, 1).reshape(groups, -1, 1)
        np.exp(weights, out=weights)
        np.exp(before, out=before)
        total = before.sum(axis=-1).reshape(groups, count, each, 1).swapaxes(0, 1)
        seen: Floats = (before @ before_values).reshape(groups, count, each, head).swapaxes(
            0, 1
        ) + weights @ values
        seen /= total + weights.sum(axis=-1, keepdims=True)
        return seen

    def _mask(self, tokens: int, *, end: int, window: int | None) -> Floats | None:
        """What the last `tokens` before a column do not see of the row: padding, later, siblings, too far."""
        begin = end - tokens
        hidden: NDArray[np.bool_] | None = None
        if tokens > 1:
            hidden = (np.arange(end) > np.arange(begin, end)[:, None])[None]
        if self._padded:
            blank = (self.positions[:, :end] < 0)[:, None]
            hidden = blank if hidden is None else hidden | blank
        if self._branched:
            others, own = self._branches[:, None, :end], self._branches[:, begin:end, None]
            foreign = (others != 0) & (others != own)
            hidden = foreign if hidden is None else hidden | foreign
        if window is not None:
            far = self.positions[:, begin:end, None] - self.positions[:, None, :end] >= window
            hidden = far if hidden is None else hidden | far
        return None if hidden is None else np.where(hidden, _UNSEEN, np.float32(0))

    def _pass(self, ids: Ints, *, keep: int) -> Floats:
        begin, self._used = self._used, self._used + ids.shape[1]
        return self._network.forward(self, ids, begin=begin, keep=keep)

    def _grow(self) -> None:
        """Twice the columns, so that a long answer is not copied at every token."""
        more = max(32, self._used)
        self.positions = np.pad(self.positions, ((0, 0), (0, more)))
        self._branches = np.pad(self._branches, ((0, 0), (0, more)))
        self.memory = [(_longer(keys, more), _longer(values, more)) for keys, values in self.memory]


def _read_layer(weights: Weights, shape: Shape, place: int) -> Layer:
    def read(name: str, kind: str = "weight") -> Floats:
        return weights[f"model.layers.{place}.{name}.{kind}"]

    def bias(*names: str) -> Floats | None:
        if f"model.layers.{place}.{names[0]}.bias" not in weights:
            return None
        return np.concatenate([read(name, "bias") for name in names])

    def head_norms() -> Floats | None:
        if f"model.layers.{place}.self_attn.q_norm.weight" not in weights:
            return None
        queries, keys = read("self_attn.q_norm"), read("self_attn.k_norm")
        return np.concatenate([np.tile(queries, (shape.heads, 1)), np.tile(keys, (shape.groups, 1))])

    inward = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    gated = ("mlp.gate_proj", "mlp.up_proj")
    return Layer(
        attention_norm=read("input_layernorm"),
        inward=np.concatenate([read(name) for name in inward]),
        inward_bias=bias(*inward),
        head_norms=head_norms(),
        outward=read("self_attn.o_proj"),
        outward_bias=bias("self_attn.o_proj"),
        gated_norm=read("post_attention_layernorm"),
        gated=np.concatenate([read(name) for name in gated]),
        gated_bias=bias(*gated),
        down=read("mlp.down_proj"),
        down_bias=bias("mlp.down_proj"),
        window=shape.windows[place],
    )


def _times(x: Floats, matrix: Floats, bias: Floats | None) -> Floats:
    y: Floats = x.reshape(-1, x.shape[-1]) @ matrix.T
    if bias is not None:
        y += bias
    return y.reshape(*x.shape[:-1], -1)


def _normed(x: Floats, weight: Floats, epsilon: float) -> Floats:
    squares = np.einsum("...i,...i->...", x, x)[..., None]
    scale = 1 / np.sqrt(squares / np.float32(x.shape[-1]) + np.float32(epsilon))
    normed: Floats = x * scale * weight
    return normed


def _turned(heads: Floats, turns: tuple[Floats, Floats]) -> Floats:
    """Turn each pair of dimensions by its angle; the pairs are the two halves of a head."""
    cosines, sines = turns
    half = heads.shape[-1] // 2
    a, b = heads[..., :half], heads[..., half:]
    turned = np.empty_like(heads)
    turned[..., :half] = a * cosines - b * sines
    turned[..., half:] = b * cosines + a * sines
    return turned


def _silu(x: Floats) -> Floats:
    # Far below zero the exponential overflows, and the quotient is the zero that it should be.
    with np.errstate(over="ignore"):
        activated: Floats = x / (1 + np.exp(-x))
    return activated


def _table(rows: Sequence[Sequence[int]], *, width: int, blank: int) -> Ints:
    table = np.full((len(rows), width), blank, np.int32)
    for place, row in enumerate(rows):
        table[place, width - len(row) :] = row
    return table


def _longer(states: Floats, more: int) -> Floats:
    count, groups, width, head = states.shape
    longer = np.empty((count, groups, width + more, head), np.float32)
    longer[:, :, :width] = states
    return longer


def _common(sequences: Sequence[Sequence[int]]) -> Sequence[int]:
    """The longest prefix of all sequences: that of the least and the greatest of them."""
    low, high = min(sequences, key=list), max(sequences, key=list)
    for place, (a, b) in enumerate(zip(low, high)):
        if a != b:
            return low[:place]
    return low if len(low) < len(high) else high
