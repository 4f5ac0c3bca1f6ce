"""How a Performance is computed from the columns of a stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from steelyard.timings.arrivals import count_arrivals
from steelyard.timings.clients import Client
from steelyard.timings.columns import MICRO, Columns
from steelyard.timings.concurrency import Staircase
from steelyard.timings.counting import take_quantiles
from steelyard.timings.doubts import find_doubts
from steelyard.timings.gaps import describe_gaps
from steelyard.timings.intervals import (
    batch_by,
    bound_level,
    bound_mean,
    bound_rate,
    bound_share,
    count_batches,
    find_effect,
)
from steelyard.timings.measures import take_measure
from steelyard.timings.performance import MEASURES, Performance
from steelyard.timings.statistics import LEVELS, Interval, Statistics

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_UNFINISHED = ("partial", "interrupted", "stopped")
_MOST_TURNS = 50

OF_ALL = ("lag", "connecting", "held")
"""What is told of every request, answered or not: it is ours, and not the service's."""

_WHOLE = {"ttft": "e2el", "ttft_due": "e2el_due"}


def measure_columns(
    columns: Columns,
    *,
    window: tuple[float, float] | None = None,
    limits: Mapping[str, float] | None = None,
) -> Performance:
    """What the requests of a stage, or those sent in a part of it, showed."""
    asked = columns.select(~columns.check) if columns.check.any() else columns
    performance = _measure_requests(asked, everything=columns, window=window, limits=limits)
    client = Client.of_shards(columns.paths, stage=performance.stage)
    return replace(performance, doubts=tuple(find_doubts(performance, asked, client)))


def describe(values: Floats, times: Floats) -> Statistics:
    """The statistics of values that were had at these times."""
    there = np.isfinite(values)
    values, times = values[there], times[there]
    n = len(values)
    if not n:
        return Statistics()
    batches = count_batches(n)
    ids = batch_by(times, batches)
    sizes = np.bincount(ids, minlength=batches).astype(np.float64)
    ordered = np.sort(values)
    found = dict(zip(LEVELS, take_quantiles(ordered, [*LEVELS.values()]).tolist()))
    sums = np.bincount(ids, weights=values, minlength=batches).astype(np.float64)
    deviation = float(np.std(values, ddof=1)) if n > 1 else 0.0
    intervals = {"average": bound_mean(sums, sizes, deviation=deviation)}
    for name, level in LEVELS.items():
        hits = np.bincount(ids[values <= found[name]], minlength=batches).astype(np.float64)
        ends = bound_level(level, n / find_effect(hits, sizes))
        low, high = (None if end is None else float(take_quantiles(ordered, [end])[0]) for end in ends)
        intervals[name] = (low, high)
    return Statistics(
        n=n,
        average=float(values.mean()),
        min=float(ordered[0]),
        max=float(ordered[-1]),
        intervals=intervals,
        **found,
    )


def _measure_requests(
    asked: Columns,
    *,
    everything: Columns,
    window: tuple[float, float] | None,
    limits: Mapping[str, float] | None,
    turns: bool = True,
) -> Performance:
    spans = asked.spans if window is None else [window]
    chosen = asked if window is None else asked.select(_inside(asked.sent, window))
    answered = chosen.answered
    duration = sum(end - begin for begin, end in spans)
    stairs = Staircase.of(everything.sent, everything.done)
    good = None if limits is None else find_good(answered, limits)
    rates, intervals = _measure_rates(asked, window=window, limits=limits, duration=duration, spans=spans)
    intervals["error"] = _bound_error(chosen)
    stages = np.unique(asked.stage).tolist()
    return Performance(
        stage=stages[0] if len(stages) == 1 else None,
        duration=duration,
        total=len(chosen),
        ok=len(answered),
        failed=int(np.count_nonzero(chosen.failed)),
        cut=int(np.count_nonzero(chosen.cut)),
        concurrency_mean=sum(stairs.area(*span) for span in spans) / duration if duration else None,
        concurrency_max=max((round(stairs.most_between(*span)) for span in spans), default=0),
        good=None if good is None else int(np.count_nonzero(good)),
        request_rate=rates["request_rate"],
        input_rate=rates["input_rate"],
        output_rate=rates["output_rate"],
        total_rate=rates["total_rate"],
        goodput=rates["goodput"],
        intervals=intervals,
        statistics=_measure_statistics(chosen, answered),
        taken_by=answered.taken_counts(),
        counted_by=answered.counted_counts(),
        input_counted_by=answered.input_counted_counts(),
        errors=chosen.error_counts(),
        turns=_measure_turns(asked, everything=everything, window=window, limits=limits) if turns else (),
        window=window,
        sittings=len(np.unique(asked.sitting)),
        partial=_is_partial(asked, stages),
    )


def find_good(columns: Columns, limits: Mapping[str, float]) -> NDArray[np.bool_]:
    """Which answered requests took at most what the limits say."""
    good = columns.ok
    for name, limit in limits.items():
        values = take_measure(columns, name)
        if name in _WHOLE:
            # An answer that came whole had its first token when it ended.
            values = np.where(np.isnan(values), take_measure(columns, _WHOLE[name]), values)
        good &= ~(values > limit)
    return good


def _measure_rates(
    asked: Columns,
    *,
    window: tuple[float, float] | None,
    limits: Mapping[str, float] | None,
    duration: float,
    spans: Sequence[tuple[float, float]],
) -> tuple[dict[str, float | None], dict[str, Interval]]:
    """What came a second; of a window what came in it, else what the answered requests had."""
    done = asked.answered
    ended = np.ones(len(done), np.bool_) if window is None else _inside(done.done, window)
    begun = ended if window is None else _inside(np.where(done.events > 0, done.first, done.done), window)
    amounts: dict[str, Floats | None] = {
        "request_rate": np.ones(len(done)),
        "input_rate": _amount(done.tokens_in),
        "output_rate": _amount(done.tokens_out),
        "goodput": None if limits is None else find_good(done, limits).astype(np.float64),
    }
    rates: dict[str, float | None] = {}
    intervals: dict[str, Interval] = {}
    for name, amount in amounts.items():
        if amount is None or not duration:
            rates[name] = None
            continue
        counted = float(amount[begun if name == "input_rate" else ended].sum())
        if window is not None and name == "output_rate":
            # What ends the window has arrived in it, although times are rounded.
            width = window[1] - window[0] + MICRO
            counted = float(count_arrivals(asked, begin=window[0], width=width, count=1)[0])
        rates[name] = counted / duration
        intervals[name] = bound_rate(done.sent, done.done, amount, spans=spans)
    given, out = rates["input_rate"], rates["output_rate"]
    rates["total_rate"] = None if given is None or out is None else given + out
    if (total := _add(amounts["input_rate"], amounts["output_rate"])) is not None and duration:
        intervals["total_rate"] = bound_rate(done.sent, done.done, total, spans=spans)
    return rates, intervals


def _measure_statistics(chosen: Columns, answered: Columns) -> dict[str, Statistics]:
    found = {}
    for name in MEASURES:
        if name == "itl":
            found[name] = describe_gaps(answered)
        elif name in OF_ALL:
            found[name] = describe(take_measure(chosen, name), chosen.sent)
        else:
            found[name] = describe(take_measure(answered, name), answered.done)
    return found


def _measure_turns(
    asked: Columns,
    *,
    everything: Columns,
    window: tuple[float, float] | None,
    limits: Mapping[str, float] | None,
) -> tuple[Performance, ...]:
    turns = np.unique(asked.turn).tolist()
    if len(turns) < 2:
        return ()
    return tuple(
        _measure_requests(
            asked.of_turn(turn), everything=everything, window=window, limits=limits, turns=False
        )
        for turn in turns[:_MOST_TURNS]
    )


def _bound_error(chosen: Columns) -> Interval:
    bad = ~chosen.ok
    batches = count_batches(len(chosen))
    ids = batch_by(chosen.sent, batches)
    hits = np.bincount(ids[bad], minlength=batches).astype(np.float64)
    sizes = np.bincount(ids, minlength=batches).astype(np.float64)
    return bound_share(int(bad.sum()), len(chosen), effect=find_effect(hits, sizes))


def _is_partial(asked: Columns, stages: Sequence[int]) -> bool:
    """Whether the run says that a stage did not come to its end."""
    planned = (asked.about or {}).get("stages", [])
    return any(0 <= n < len(planned) and planned[n].get("state") in _UNFINISHED for n in stages)


def _inside(times: Floats, window: tuple[float, float]) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (times >= window[0]) & (times <= window[1])
    return inside


def _amount(tokens: Integers) -> Floats | None:
    """Tokens as numbers to be added up; None where nobody knows any."""
    return np.maximum(tokens, 0).astype(np.float64) if (tokens >= 0).any() else None


def _add(first: Floats | None, second: Floats | None) -> Floats | None:
    return None if first is None or second is None else first + second
