"""Attention: what each token sees of those before it, weighed.

queries                (rows, tokens, heads, head)
keys, values           (rows, groups, columns, head)     each group serves several heads
of a shared prefix     (groups, columns, head)           one for all rows
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
States = tuple[Floats, Floats]

# Finite, so that a row of nothing but padding stays a number.
UNSEEN = np.float32(-1e30)


@dataclass(frozen=True, slots=True)
class Sight:
    """What is added to the weights (rows, tokens, columns) so that what is not to be seen weighs nothing."""

    own: Floats | None
    prefix: Floats | None = None

    def last(self, tokens: int) -> Sight:
        """That of the last tokens only."""
        own = None if self.own is None else self.own[:, -tokens:]
        return Sight(own, None if self.prefix is None else self.prefix[:, -tokens:])


def attend(queries: Floats, own: States, prefix: States | None, *, sight: Sight) -> Floats:
    """What the queries see: (rows, tokens, heads times head)."""
    rows, tokens, heads, head = queries.shape
    keys, values = own
    groups = keys.shape[1]
    grouped = queries.reshape(rows, tokens, groups, heads // groups, head).transpose(0, 2, 3, 1, 4)
    folded = (grouped * np.float32(head**-0.5)).reshape(rows, groups, -1, head)
    weights: Floats = folded @ keys.swapaxes(2, 3)
    if sight.own is not None:
        weights.reshape(rows, groups, -1, *sight.own.shape[1:])[...] += sight.own[:, None, None]
    most = weights.max(axis=-1, keepdims=True)
    if prefix is not None:
        # All rows in one product: the keys of the prefix are the same for all.
        before_keys, before_values = prefix
        before: Floats = folded.swapaxes(0, 1).reshape(groups, -1, head) @ before_keys.swapaxes(1, 2)
        if sight.prefix is not None:
            before.reshape(groups, rows, -1, *sight.prefix.shape[1:])[...] += sight.prefix[:, None]
        before_most = before.max(axis=-1).reshape(groups, rows, -1, 1).swapaxes(0, 1)
        most = np.maximum(most, before_most)
        before -= most.swapaxes(0, 1).reshape(groups, -1, 1)
        np.exp(before, out=before)
    weights -= most
    np.exp(weights, out=weights)
    total = weights.sum(axis=-1, keepdims=True)
    seen: Floats = weights @ values
    if prefix is not None:
        total += before.sum(axis=-1).reshape(groups, rows, -1, 1).swapaxes(0, 1)
        seen += (before @ before_values).reshape(groups, rows, -1, head).swapaxes(0, 1)
    seen /= total
    unfolded: Floats = seen.reshape(rows, groups, -1, tokens, head).transpose(0, 3, 1, 2, 4)
    return unfolded.reshape(rows, tokens, heads * head)
