"""The statistics of the gaps between token events: exact, and with intervals, in two passes over the blocks.

The first pass counts every microsecond; the second asks how the batches of requests differ in how many of
their gaps are below each percentile, since the gaps of one request, and of one time, are alike.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from steelyard.timings.columns import MICRO, Block, Columns
from steelyard.timings.intervals import (
    FEWEST_BATCHES,
    MOST_BATCHES,
    batch_by,
    bound_level,
    bound_mean,
    find_effect,
)
from steelyard.timings.statistics import LEVELS, Statistics

Integers = NDArray[np.int64]


def describe_gaps(columns: Columns) -> Statistics:
    """The statistics of all gaps of the requests, in seconds."""
    counts = columns.gap_counts
    if not counts.n:
        return Statistics()
    values, times = counts.distinct()
    levels = counts.quantiles([*LEVELS.values()])
    mean = counts.total / counts.n
    spread = float(((values - mean) ** 2) @ times) / max(counts.n - 1, 1)
    intervals = {}
    batches = min(MOST_BATCHES, int(np.count_nonzero(columns.events > 1)))
    if batches >= FEWEST_BATCHES:
        sums, hits, sizes = _batch(columns, levels, batches)
        low, high = bound_mean(sums, sizes, deviation=spread**0.5)
        intervals["average"] = (_seconds(low), _seconds(high))
        for place, (name, level) in enumerate(LEVELS.items()):
            ends = bound_level(level, counts.n / find_effect(hits[place], sizes))
            low, high = (None if end is None else float(counts.quantiles([end])[0]) for end in ends)
            intervals[name] = (_seconds(low), _seconds(high))
    return Statistics(
        n=counts.n,
        average=mean * MICRO,
        min=float(values[0]) * MICRO,
        max=float(values[-1]) * MICRO,
        intervals=intervals,
        **dict(zip(LEVELS, (levels * MICRO).tolist())),
    )


def _batch(
    columns: Columns, levels: NDArray[np.float64], batches: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of each batch of requests the sum of its gaps, how many are at most each level, how many there are."""
    ids = batch_by(columns.done, batches)
    sums, sizes = np.zeros(batches), np.zeros(batches)
    hits = np.zeros((len(levels), batches))
    for block in columns.blocks():
        for batch, gaps in _split(block, ids):
            sums[batch] += int(gaps.sum(dtype=np.uint64))
            sizes[batch] += len(gaps)
            for place, level in enumerate(levels):
                hits[place, batch] += np.count_nonzero(gaps <= np.uint32(level))
    return sums, hits, sizes


def _split(block: Block, ids: Integers) -> Iterator[tuple[int, NDArray[np.uint32]]]:
    """The gaps of a block by the batches that its requests belong to."""
    kept = np.ones(len(block.values), np.bool_)
    kept[block.starts] = False
    gaps = block.values[kept]
    own = ids[block.rows]
    changes = np.concatenate([[0], np.flatnonzero(np.diff(own)) + 1])
    begins = block.starts[changes] - changes
    for place, begin in enumerate(begins):
        end = begins[place + 1] if place + 1 < len(begins) else len(gaps)
        yield int(own[changes[place]]), gaps[begin:end]


def _seconds(micro: float | None) -> float | None:
    return None if micro is None else micro * MICRO
