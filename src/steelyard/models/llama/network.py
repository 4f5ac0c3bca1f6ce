"""The network in numpy: weights, and sequences under way side by side.

    prompts   [worked examples][question 1]     Prefix   the examples, computed once, kept between batches
              [worked examples][question 2]     Rows     [padding][question], one row a prompt

A row may branch: several continuations of one prompt lie behind each other, each blind to its siblings,
so that the choices of a question are read in one pass over its prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from steelyard.models.answers import Line, common_prefix
from steelyard.models.llama.attention import UNSEEN, Sight, States, attend
from steelyard.models.llama.layers import Norm, read_layer, turn
from steelyard.models.llama.shape import Shape
from steelyard.models.llama.weights import Weights

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

# A shorter prefix costs more to keep apart than to compute again in every row.
SHORTEST_PREFIX = 8
# Tokens in one pass, and attention weights of one layer in it (64 MB): more do not run faster.
_PASS_TOKENS = 2048
_PASS_WEIGHTS = 2**24


@dataclass(frozen=True, slots=True)
class Prefix:
    """Tokens that several sequences begin with, and their keys and values in every layer."""

    ids: tuple[int, ...] = ()
    layers: Sequence[States] = ()

    def cut(self, length: int) -> Prefix:
        """Its first tokens only."""
        layers = [(keys[:, :length], values[:, :length]) for keys, values in self.layers if length]
        return Prefix(self.ids[:length], layers)


class Network:
    """A causal language model, and the prefix that its last sequences shared."""

    def __init__(self, shape: Shape, weights: Weights) -> None:
        self.shape = shape
        self._embeddings = weights["model.embed_tokens.weight"]
        self._head = self._embeddings if shape.tied else weights["lm_head.weight"]
        self._norm = Norm(weights["model.norm.weight"], np.float32(shape.epsilon))
        self._layers = [read_layer(weights, shape, place) for place in range(shape.layers)]
        self._prefix = Prefix()

    def share(self, sequences: Sequence[Sequence[int]]) -> Prefix:
        """The tokens that all sequences begin with, computed unless the last ones had them too."""
        # Each still needs a token of its own to be fed.
        common = tuple(common_prefix(sequences)[: min(map(len, sequences)) - 1])
        kept = len(common_prefix([self._prefix.ids, common]))
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
        x: Floats = self._embeddings[ids]
        end = begin + ids.shape[1]
        angles = rows.positions[:, begin:end, None, None].astype(np.float32) * shape.speeds
        cosines, sines = np.cos(angles), np.sin(angles)
        sights = {window: rows.sight(begin, end, window=window) for window in set(shape.windows)}
        split = (shape.heads + shape.groups) * shape.head
        for place, layer in enumerate(self._layers):
            y = layer.inward(layer.attention_norm(x))
            heads = y[..., :split].reshape(*ids.shape, -1, shape.head)
            if layer.head_norm is not None:
                heads = layer.head_norm(heads)
            heads = turn(heads, cosines, sines)
            values = y[..., split:].reshape(*ids.shape, -1, shape.head)
            own, prefix = rows.remember(place, heads[:, :, shape.heads :], values, begin=begin)
            queries, sight = heads[:, :, : shape.heads], sights[layer.window]
            if place == shape.layers - 1:
                # Nothing reads the last states of the others.
                if not keep:
                    break
                x, queries, sight = x[:, -keep:], queries[:, -keep:], sight.last(keep)
            x = x + layer.outward(attend(queries, own, prefix, sight=sight))
            x = x + layer.transform(x)
        return self._norm(x)


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
        self._memory = [(np.empty(size, np.float32), np.empty(size, np.float32)) for _ in range(shape.layers)]

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
        self._memory = [(keys[rows], values[rows]) for keys, values in self._memory]

    def joined(self, prefix: Prefix) -> Iterator[tuple[Floats, Floats]]:
        """Keys and values of the first row, behind those of a prefix."""
        for place, (keys, values) in enumerate(self._memory):
            begun = [prefix.layers[place]] if prefix.layers else []
            both = [*begun, (keys[0, :, : self._used], values[0, :, : self._used])]
            yield np.concatenate([k for k, _ in both], axis=1), np.concatenate([v for _, v in both], axis=1)

    def remember(
        self, place: int, keys: Floats, values: Floats, *, begin: int
    ) -> tuple[States, States | None]:
        """Keep what one layer made of new tokens; give all that it has, and that of the prefix."""
        end = begin + keys.shape[1]
        for kept, new in zip(self._memory[place], (keys, values)):
            kept[:, :, begin:end] = new.swapaxes(1, 2)
        all_keys, all_values = self._memory[place]
        before = self._prefix.layers[place] if self._prefix.layers else None
        return (all_keys[:, :, :end], all_values[:, :, :end]), before

    def sight(self, begin: int, end: int, *, window: int | None) -> Sight:
        """What the tokens of some columns do not see: padding, later ones, siblings, what is too far."""
        hidden: list[NDArray[np.bool_]] = []
        prefix = None
        places = self.positions[:, begin:end, None]
        if end - begin > 1:
            hidden.append((np.arange(end) > np.arange(begin, end)[:, None])[None])
        if self._padded:
            hidden.append((self.positions[:, :end] < 0)[:, None])
        if self._branched:
            others, own = self._branches[:, None, :end], self._branches[:, begin:end, None]
            hidden.append((others != 0) & (others != own))
        if window is not None:
            hidden.append(places - self.positions[:, None, :end] >= window)
            far = places - np.arange(len(self._prefix.ids)) >= window
            prefix = np.where(far, UNSEEN, np.float32(0))
        own_sight = np.where(reduce(np.logical_or, hidden), UNSEEN, np.float32(0)) if hidden else None
        return Sight(own_sight, prefix)

    def _pass(self, ids: Ints, *, keep: int) -> Floats:
        begin, self._used = self._used, self._used + ids.shape[1]
        return self._network.forward(self, ids, begin=begin, keep=keep)

    def _grow(self) -> None:
        """Twice the columns, so that a long answer is not copied at every token."""
        more = max(32, self._used)
        self.positions = np.pad(self.positions, ((0, 0), (0, more)))
        self._branches = np.pad(self._branches, ((0, 0), (0, more)))
        self._memory = [(_longer(keys, more), _longer(values, more)) for keys, values in self._memory]


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
