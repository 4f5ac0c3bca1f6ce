"""What a server told of itself during a load: `summarize(read_server(run), start, end)`.

RUN/server.jsonl has a line for each look at it:

    {"t": 1774000000.1, "values": {"running": 64, "tokens_out": 81234}, "histograms": {"ttft": {"0.1": 12}}}
    {"t": 1774000001.1, "error": "nobody listens at 127.0.0.1:8000/metrics"}

Counters stand as they are told, and begin again where the server does; histograms are in a line only
where they changed. Times are in seconds of 1970.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from steelyard.timings.gauges import AMOUNTS, COUNTERS, HISTOGRAMS, SHARES, STARTED

FILE = "server.jsonl"

_PERCENTILES = (50, 90, 99)


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a server; one that failed has an error and no values."""

    t: float
    values: Mapping[str, float] = field(default_factory=dict)
    histograms: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    error: str | None = None


def read_server(run: Path) -> list[Look]:
    """All looks at the server of a run; none where it told nothing, and a torn line is left out."""
    try:
        lines = (run / FILE).read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    return list(_looks(lines))


def _looks(lines: Iterable[bytes]) -> Iterator[Look]:
    decoder = msgspec.json.Decoder(Look)
    known: dict[str, Mapping[str, float]] = {}
    for line in lines:
        try:
            look = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        known.update(look.histograms)
        yield Look(look.t, look.values, dict(known), look.error)


def summarize(looks: Sequence[Look], start: float, end: float) -> dict[str, Any]:
    """What the server says of the time from `start` to `end`; empty where it says nothing.

    Counters are told by how much they grew, what goes up and down by its average and most, times by
    percentiles read off the server's own histograms, which are as coarse as these. The last look
    before `start` and the first behind `end` stand for the two, but not for what went up and down between:
    where nobody looked meanwhile (`looks` is 0) that is left out.
    """
    window = _window([look for look in looks if look.error is None and look.values], start, end)
    told: dict[str, Any] = {}
    if not window:
        return told
    pairs = [(old, new, _is_new(old, new)) for old, new in pairwise(window)]
    within = [look for look in window if start <= look.t <= end]
    for name in COUNTERS:
        if any(name in look.values for look in window):
            told[name] = math.fsum(_growth(old.values, new.values, name, fresh) for old, new, fresh in pairs)
    for name in (*AMOUNTS, *SHARES):
        if found := [look.values[name] for look in within if name in look.values]:
            told[f"{name}_average"] = _average_over_time(
                [look for look in within if name in look.values], name
            )
            told[f"{name}_max"] = max(found)
    for name in HISTOGRAMS:
        told.update(_describe_histogram(name, _grown_histogram(pairs, name)))
    told.update(_derive(told))
    told["restarts"] = sum(fresh for _, _, fresh in pairs)
    told["looks"] = len(within)
    told["unanswered"] = sum(1 for look in looks if look.error is not None and start <= look.t <= end)
    return told


def series_of(looks: Sequence[Look], name: str) -> list[tuple[float, float]]:
    """A value over time: as it was, or (of a counter) how fast it grew, a second."""
    told = [look for look in looks if name in look.values]
    if name not in COUNTERS:
        return [(look.t, look.values[name]) for look in told]
    return [
        (new.t, _growth(old.values, new.values, name, _is_new(old, new)) / (new.t - old.t))
        for old, new in pairwise(told)
        if new.t > old.t
    ]


def _window(looks: Sequence[Look], start: float, end: float) -> list[Look]:
    begin = max((place for place, look in enumerate(looks) if look.t <= start), default=0)
    after = next((place for place, look in enumerate(looks) if place > begin and look.t >= end), len(looks))
    return list(looks[begin : after + 1])


def _is_new(old: Look, new: Look) -> bool:
    """Whether the server began again between two looks, by its own word or because counts fell."""
    begun = [look.values[STARTED] for look in (old, new) if STARTED in look.values]
    if len(begun) == 2 and abs(begun[1] - begun[0]) > 1:
        return True
    counted = (name for name in COUNTERS if name in old.values and name in new.values)
    return any(new.values[name] < old.values[name] for name in counted)


def _growth(old: Mapping[str, float], new: Mapping[str, float], name: str, fresh: bool) -> float:
    if name not in new:
        return 0.0
    # What a server has never counted yet it does not tell.
    return new[name] if fresh else max(new[name] - old.get(name, 0.0), 0.0)


def _average_over_time(looks: Sequence[Look], name: str) -> float:
    """The average, each look standing for the time around it."""
    if len(looks) < 3 or looks[-1].t <= looks[0].t:
        return math.fsum(look.values[name] for look in looks) / len(looks)
    areas = ((b.t - a.t) * (a.values[name] + b.values[name]) / 2 for a, b in pairwise(looks))
    return math.fsum(areas) / (looks[-1].t - looks[0].t)


def _grown_histogram(pairs: Sequence[tuple[Look, Look, bool]], name: str) -> dict[str, float]:
    grown: dict[str, float] = {}
    for old, new, fresh in pairs:
        counts = new.histograms.get(name, {})
        for bound in counts:
            more = _growth(old.histograms.get(name, {}), counts, bound, fresh)
            grown[bound] = grown.get(bound, 0.0) + more
    return grown


def _describe_histogram(name: str, counts: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    total = counts.get("inf", 0.0)
    if total <= 0:
        return
    bounds = sorted((float(bound), count) for bound, count in counts.items() if bound != "sum")
    yield f"{name}_n", total
    yield f"{name}_average", counts.get("sum", 0.0) / total
    for percent in _PERCENTILES:
        if (value := _percentile(bounds, total * percent / 100)) is not None:
            yield f"{name}_p{percent}", value


def _percentile(bounds: Sequence[tuple[float, float]], rank: float) -> float | None:
    """Where a rank falls between two bounds; None beyond the last of them."""
    below, count_below = 0.0, 0.0
    for bound, count in bounds:
        if count >= rank:
            if math.isinf(bound):
                return None
            share = (rank - count_below) / (count - count_below) if count > count_below else 1.0
            return below + (bound - below) * share
        below, count_below = bound, count
    return None


def _derive(told: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Shares of one counter in another."""
    shares: Sequence[tuple[str, str, Callable[[], float]]] = (
        ("prefix_hit_rate", "prefix_queries", lambda: told["prefix_hits"] / told["prefix_queries"]),
        # Who does not count what was looked up looked all of it up.
        ("prefix_hit_rate", "tokens_in", lambda: told["prefix_hits"] / told["tokens_in"]),
        ("acceptance_rate", "drafted", lambda: told["accepted"] / told["drafted"]),
        ("acceptance_length", "drafts", lambda: 1 + told["accepted"] / told["drafts"]),
        ("batch_average", "executions", lambda: told["inferences"] / told["executions"]),
        ("queue_average", "inferences", lambda: told["queue_seconds"] / told["inferences"]),
        ("compute_average", "executions", lambda: told["compute_seconds"] / told["executions"]),
    )
    found: set[str] = set()
    for name, whole, share in shares:
        if told.get(whole, 0) > 0 and name not in found:
            with contextlib.suppress(KeyError):
                yield name, share()
                found.add(name)
