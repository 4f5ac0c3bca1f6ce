"""When tokens arrived: how many in each stretch of time, by the time of each token event.

Where an event carried several tokens, as the count of its answer says, it counts for as many; an answer that
came without events arrived when it ended.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from steelyard.timings.columns import Block, Columns

Floats = NDArray[np.float64]

_MICRO = 1_000_000


def count_arrivals(columns: Columns, *, begin: float, width: float, count: int) -> Floats:
    """How many tokens arrived in each of `count` stretches of `width` seconds, their ends included."""
    start, step = round(begin * _MICRO), max(round(width * _MICRO), 1)
    end = begin + width * count
    there = (columns.done >= begin) & (columns.sent <= end)
    near = columns.select(there) if not there.all() else columns
    weights = np.ones(len(near))
    counted = (near.tokens_out > 0) & (near.events > 0)
    weights[counted] = near.tokens_out[counted] / near.events[counted]
    # One more on either side takes what lies outside.
    found = np.zeros(count + 2)
    for block in near.blocks():
        places = np.clip((_arrivals(block, near.sent) - start - 1) // step + 1, 0, count + 1)
        each = weights[block.rows]
        if (each == 1).all():
            found += np.bincount(places, minlength=count + 2)
        else:
            lengths = np.diff(block.starts, append=len(block.values))
            found += np.bincount(places, weights=np.repeat(each, lengths), minlength=count + 2)
    whole = (near.events == 0) & (near.tokens_out > 0) & near.ok
    at = (np.round(near.done[whole] * _MICRO).astype(np.int64) - start - 1) // step + 1
    found += np.bincount(
        np.clip(at, 0, count + 1), weights=near.tokens_out[whole].astype(np.float64), minlength=count + 2
    )
    return found[1:-1]


def _arrivals(block: Block, sent: Floats) -> NDArray[np.int64]:
    """When each event of a block came, in microseconds."""
    begun = np.round(sent[block.rows] * _MICRO).astype(np.int64)
    times = block.values.astype(np.int64)
    ended = begun + np.add.reduceat(times, block.starts)
    # One running sum over the block, which jumps from the end of an answer to the sending of the next.
    times[block.starts] += begun
    times[block.starts[1:]] -= ended[:-1]
    return np.cumsum(times, out=times)
