"""The figures of a load run as tables: what each stage showed, and the stages beside each other.

>>> from steelyard.timings.performance import Performance
>>> from steelyard.timings.statistics import Statistics
>>> spread = Statistics(n=2, average=0.25, min=0.2, max=0.3, median=0.25, p75=0.275, p90=0.29, p99=0.299)
>>> print(tabulate_measures(Performance(total=2, ok=2, statistics={"ttft": spread})).text())
      unit  average    min    max  median    p75    p90    p99  n
TTFT  ms      250.0  200.0  300.0   250.0  275.0  290.0  299.0  2
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from steelyard.report.spending import seconds, size
from steelyard.report.tables import Cell, Figure, Table
from steelyard.timings.performance import Performance
from steelyard.timings.statistics import Statistics

STATISTICS = ("average", "min", "max", "median", "p75", "p90", "p99")
LABELS: Mapping[str, tuple[str, str]] = {
    "e2el": ("E2EL", "ms"),
    "ttft": ("TTFT", "ms"),
    "tpot": ("TPOT", "ms"),
    "itl": ("ITL", "ms"),
    "first_byte": ("first byte", "ms"),
    "e2el_due": ("E2EL from due", "ms"),
    "ttft_due": ("TTFT from due", "ms"),
    "output_speed": ("output speed", "tokens/s"),
    "prefill_speed": ("prefill speed", "tokens/s"),
    "input_tokens": ("input tokens", ""),
    "output_tokens": ("output tokens", ""),
    "lag": ("our lag", "ms"),
    "connecting": ("connecting", "ms"),
    "held": ("held by the cap", "ms"),
}
"""What the measures are called, and their units; times are stored in seconds."""

_SPARE = ("in flight", "E2EL ms", "ITL ms", "TTFT ms", "E2EL p99")
"""What a narrow terminal can do without where stages or turns stand beside each other, first to last."""

ASIDE = ("first_byte", "lag", "connecting", "held")
"""What says more of the way there than of the service."""

_TAKEN = {
    "kernel": "the kernel, as it arrived",
    "reader": "our reader, when it came to it",
    "model": "the model itself",
    "unknown": "nobody says whom",
}
_COUNTED = {
    "usage": "the service",
    "tokenizer": "a tokenizer",
    "events": "their events",
    "model": "the model itself",
    "workload": "the workload that made them",
    "unknown": "nobody",
}


def tabulate_measures(performance: Performance, *, aside: bool = True) -> Table:
    """A row a measure: its average, extremes and percentiles, and of how many values."""
    rows: list[list[Cell]] = []
    for name, (label, unit) in LABELS.items():
        spread = performance.statistics.get(name)
        if spread is None or not spread.n or _is_idle(name, spread) or (name in ASIDE and not aside):
            continue
        factor = 1e3 if unit == "ms" else 1.0
        # Times are stored to a ten-millionth of a second: what lies behind that is of the arithmetic.
        values = [None if (v := spread.get(one)) is None else round(v * factor, 6) for one in STATISTICS]
        digits = _decimals(values, whole=not unit)
        rows.append([label, unit, *(Figure(value, digits) for value in values), spread.n])
    return Table(("", "unit", *STATISTICS, "n"), rows, spare=("p75", "min", "p90", "max"))


def tell_totals(performance: Performance) -> Iterator[tuple[str, str]]:
    """What is said of a stage as a whole, each with its name."""
    one = performance
    yield "duration", seconds(one.duration)
    parts = [f"{one.ok:,} answered", f"{one.failed:,} failed", *([f"{one.cut:,} cut off"] if one.cut else [])]
    yield "requests", f"{one.total:,} ({', '.join(parts)})"
    if one.concurrency_mean is not None:
        yield "in flight", f"{one.concurrency_mean:,.1f} on average, {one.concurrency_max:,} at most"
    for label, value, what in (
        ("requests a second", one.request_rate, "request_rate"),
        ("output tokens a second", one.output_rate, "output_rate"),
        ("input tokens a second", one.input_rate, "input_rate"),
        ("tokens a second", one.total_rate, "total_rate"),
    ):
        if value is not None:
            yield label, rate(value) + _interval(one, what)
    if one.goodput is not None:
        of = f", {one.good:,} of {one.total:,}" if one.good is not None else ""
        yield "good requests a second", f"{rate(one.goodput)}{of}"
    yield from tell_clocks(one)


def tell_clocks(performance: Performance) -> Iterator[tuple[str, str]]:
    """Who took the times, and who counted the tokens; those of prompts where that was somebody else."""
    apart = performance.input_counted_by if performance.input_counted_by != performance.counted_by else {}
    for label, counts, names in (
        ("times taken by", performance.taken_by, _TAKEN),
        ("tokens counted by", performance.counted_by, _COUNTED),
        ("input tokens counted by", apart, _COUNTED),
    ):
        if len(counts) == 1:
            yield label, _named(next(iter(counts)), names)
        elif counts:
            yield label, ", ".join(f"{_named(name, names)} ({n:,})" for name, n in counts.items())


def tabulate_levels(
    stages: Sequence[tuple[str, Performance]], *, verdicts: Sequence[str] | None = None
) -> Table:
    """A row a stage, with what one looks at first; `verdicts` say whether its objectives were kept."""
    columns = ["stage", "requests", "failed", "in flight", "req/s", "tokens/s", "TTFT ms", "TTFT p99",
               "ITL ms", "ITL p99", "E2EL ms", "E2EL p99"]  # fmt: skip
    good = any(one.goodput is not None for _, one in stages)
    rows: list[list[Cell]] = []
    for n, (name, one) in enumerate(stages):
        row: list[Cell] = [name, one.total, one.failed + one.cut, Figure(one.concurrency_mean, 1)]
        row += [_figure(one.request_rate), _figure(one.output_rate)]
        for measure in ("ttft", "itl", "e2el"):
            spread = one.statistics.get(measure, Statistics())
            row += [_milli(spread.median), _milli(spread.p99)]
        row += [_figure(one.goodput)] if good else []
        row += [verdicts[n]] if verdicts is not None else []
        rows.append(row)
    more = [*(["good/s"] if good else []), *(["objectives"] if verdicts is not None else [])]
    return _without_empty(Table([*columns, *more], rows, spare=_SPARE))


def tabulate_turns(performance: Performance) -> Table:
    """A row a turn of the sessions."""
    rows: list[list[Cell]] = []
    for turn in performance.turns:
        row: list[Cell] = [len(rows) + 1, turn.total, turn.failed + turn.cut]
        for measure in ("input_tokens", "output_tokens"):
            spread = turn.statistics.get(measure, Statistics())
            row.append(Figure(spread.average, 1))
        for measure in ("ttft", "itl", "e2el"):
            spread = turn.statistics.get(measure, Statistics())
            row += [_milli(spread.median), _milli(spread.p99)]
        rows.append(row)
    columns = ("turn", "requests", "failed", "tokens in", "tokens out", "TTFT ms", "TTFT p99", "ITL ms",
               "ITL p99", "E2EL ms", "E2EL p99")  # fmt: skip
    return _without_empty(Table(columns, rows, spare=_SPARE))


_SERVER: Mapping[str, tuple[str, str]] = {
    "requests": ("requests", "count"),
    "failures": ("failures", "count"),
    "running_average": ("running, average", "number"),
    "running_max": ("running, most", "number"),
    "waiting_average": ("waiting, average", "number"),
    "waiting_max": ("waiting, most", "number"),
    "kv_cache_average": ("KV cache used, average", "share"),
    "kv_cache_max": ("KV cache used, most", "share"),
    "prefix_hit_rate": ("prefix cache hits", "share"),
    "prefix_hit_share_average": ("prefix cache hits", "share"),
    "acceptance_rate": ("drafted tokens accepted", "share"),
    "acceptance_length": ("tokens a draft", "number"),
    "accept_length_average": ("tokens a draft", "number"),
    "preemptions": ("preemptions", "count"),
    "tokens_in": ("tokens in", "count"),
    "tokens_out": ("tokens out", "count"),
    "batch_average": ("batch, average", "number"),
    "queue_average": ("queued, average", "time"),
    "compute_average": ("computed, average", "time"),
    "ttft_p50": ("TTFT by the server, p50", "time"),
    "ttft_p99": ("TTFT by the server, p99", "time"),
    "itl_p50": ("ITL by the server, p50", "time"),
    "itl_p99": ("ITL by the server, p99", "time"),
    "e2el_p50": ("E2EL by the server, p50", "time"),
    "e2el_p99": ("E2EL by the server, p99", "time"),
    "queue_p50": ("queued, p50", "time"),
    "queue_p99": ("queued, p99", "time"),
    "gpu_utilization_average": ("GPU used, average", "share"),
    "gpu_memory_bytes_max": ("GPU memory, most", "bytes"),
    "gpu_watts_average": ("GPU power, average W", "number"),
    "energy_joules": ("GPU energy, J", "count"),
    "rss_bytes_max": ("memory, most", "bytes"),
    "cpu_seconds": ("CPU", "time"),
    "restarts": ("restarts", "count"),
    "looks": ("looks meanwhile", "count"),
    "unanswered": ("looks that failed", "count"),
}


def tell_server(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the server says of itself, each with its name; what says nothing is left out."""
    for name, (label, kind) in _SERVER.items():
        value = told.get(name)
        if value is None or (name in ("restarts", "unanswered", "preemptions", "failures") and not value):
            continue
        yield label, _SHOWN[kind](value)


def tabulate_server(stages: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    """What the server says of itself, a column a stage."""
    told = [dict(tell_server(one)) for _, one in stages]
    names = list(dict.fromkeys(name for one in told for name in one))
    return Table(
        ("the server", *(name for name, _ in stages)), [[n, *(o.get(n) for o in told)] for n in names]
    )


def rate(value: float) -> str:
    """How many a second, in digits that tell it."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.1f}" if value >= 100 else f"{value:.3g}"


_SHOWN = {
    "count": lambda value: f"{value:,.0f}",
    "number": lambda value: f"{value:,.1f}",
    "share": lambda value: f"{100 * value:.1f} %",
    "time": seconds,
    "bytes": size,
}


def _is_idle(name: str, spread: Statistics) -> bool:
    """Whether a measure says nothing: no request was held back, none had to connect."""
    return name in ("held", "connecting") and not spread.max


def _decimals(values: Sequence[float | None], *, whole: bool) -> int:
    """How many decimals tell a row of values apart."""
    known = [abs(value) for value in values[3:4] or values if value]
    if whole and all(value is None or float(value).is_integer() for value in values[1:3]):
        return 1
    return min(3, max(0, 3 - math.ceil(math.log10(known[0])) + 1)) if known else 3


def _milli(value: float | None) -> Figure:
    return Figure(None, 0) if value is None else Figure(value * 1e3, _decimals([value * 1e3], whole=False))


def _figure(value: float | None) -> Figure:
    return Figure(value, 0 if value is not None and value >= 1000 else 1 if (value or 0) >= 10 else 2)


def _interval(one: Performance, name: str) -> str:
    low, high = one.intervals.get(name, (None, None))
    return f" (95 %: {rate(low)} to {rate(high)})" if low is not None and high is not None else ""


def _named(name: str, names: Mapping[str, str]) -> str:
    return names.get(name, name)


def _without_empty(table: Table) -> Table:
    """A table without the columns that hold nothing."""
    used = [
        n
        for n in range(len(table.columns))
        if any(cell is not None and not (isinstance(cell, Figure) and cell.value is None)
               for cell in (row[n] for row in table.rows))
    ]  # fmt: skip
    rows = [[row[n] for n in used] for row in table.rows]
    return Table([table.columns[n] for n in used], rows, spare=table.spare)
