"""The two tables of a load test, as users of such tools know them, each number with its unit.

Performance Parameters  Stage  Average   Min      Max       Median    P75       P90       P99       N
TTFT                    total  146.0 ms  98.2 ms  402.1 ms  139.5 ms  160.7 ms  201.3 ms  377.0 ms  1000

Common Metric           Stage  Value
Request Throughput      total  19.82 req/s
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from steelyard.report.tables import Cell, Table
from steelyard.timings.performance import Performance

_PARAMETERS = (
    ("E2EL", "e2el", "ms"),
    ("TTFT", "ttft", "ms"),
    ("TPOT", "tpot", "ms"),
    ("ITL", "itl", "ms"),
    ("InputTokens", "input_tokens", ""),
    ("OutputTokens", "output_tokens", ""),
    ("OutputTokenThroughput", "output_speed", "token/s"),
    ("PrefillTokenThroughput", "prefill_speed", "token/s"),
    # From when a request was due, so that no queue is hidden, and how late it was sent.
    ("E2EL from due", "e2el_due", "ms"),
    ("TTFT from due", "ttft_due", "ms"),
    ("Lag", "lag", "ms"),
)
COLUMNS = ("Average", "Min", "Max", "Median", "P75", "P90", "P99")
"""The statistics that are shown where nobody chooses among them."""

Stages = Mapping[str, Performance]
"""What was measured, by the name of its stage."""


def tabulate_parameters(stages: Stages, columns: Sequence[str] = COLUMNS) -> Table:
    """How the times and tokens of requests are spread."""
    rows: list[Sequence[Cell]] = []
    for label, name, unit in _PARAMETERS:
        for stage, performance in stages.items():
            found = performance.statistics.get(name)
            if found is not None and found.n:
                numbers = [join(getattr(found, column.lower()), unit) for column in columns]
                rows.append([label, stage, *numbers, str(found.n)])
    return Table(("Performance Parameters", "Stage", *columns, "N"), rows)


def tabulate_metrics(stages: Stages) -> Table:
    """What the load came to as a whole."""
    metrics = collect_metrics(stages)
    rows = [[name, stage, str(value)] for name, told in metrics.items() for stage, value in told.items()]
    rows += [["Doubt", stage, doubt] for stage, one in stages.items() for doubt in one.doubts]
    return Table(("Common Metric", "Stage", "Value"), rows)


def tabulate_turns(stages: Stages) -> Table | None:
    """The averages of each turn of its sessions, where they have several."""
    rows: list[Sequence[Cell]] = []
    for stage, performance in stages.items():
        if len(performance.turns) > 1:
            rows += [_turn_row(number, stage, turn) for number, turn in enumerate(performance.turns, 1)]
    names = [label for label, _, _ in _PARAMETERS[:6]]
    return Table(("Turn", "Stage", "N", *names), rows) if rows else None


def collect_metrics(stages: Stages) -> dict[str, dict[str, Any]]:
    """What the load came to as a whole, by metric and stage."""
    found: dict[str, dict[str, Any]] = {}
    for stage, performance in stages.items():
        for name, value in _metrics_of(performance):
            found.setdefault(name, {})[stage] = value
    return found


def join(value: float | None, unit: str) -> str:
    """A number with its unit; seconds as milliseconds, to a tenth of a microsecond."""
    if value is None:
        return "-"
    number = round(value * 1e3 if unit == "ms" else value, 4)
    return f"{number} {unit}".rstrip()


def _metrics_of(one: Performance) -> Iterator[tuple[str, Any]]:
    yield "Benchmark Duration", join(one.duration, "ms")
    yield "Total Requests", one.total
    yield "Failed Requests", one.failed
    yield "Success Requests", one.ok
    if one.cut:
        yield "Cut Requests", one.cut
    yield "Concurrency", round(one.concurrency_mean or 0.0, 4)
    yield "Max Concurrency", one.concurrency_max
    yield "Request Throughput", join(one.request_rate, "req/s")
    if one.goodput is not None:
        yield "Goodput", join(one.goodput, "req/s")
    given, waited, written = (_sum(one, name) for name in ("input_tokens", "ttft", "output_tokens"))
    if given:
        yield "Total Input Tokens", round(_within(one, one.input_rate, given))
        if waited:
            yield "Prefill Token Throughput", join(given / waited, "token/s")
    if written:
        yield "Total generated tokens", round(_within(one, one.output_rate, written))
    yield "Input Token Throughput", join(one.input_rate, "token/s")
    yield "Output Token Throughput", join(one.output_rate, "token/s")
    yield "Total Token Throughput", join(one.total_rate, "token/s")
    for name, counts in (("Times Taken By", one.taken_by), ("Tokens Counted By", one.counted_by)):
        if counts:
            yield name, ", ".join(counts)


def _sum(one: Performance, name: str) -> float:
    found = one.statistics.get(name)
    return found.average * found.n if found is not None and found.n and found.average is not None else 0.0


def _within(one: Performance, rate: float | None, whole: float) -> float:
    """How many tokens there were: of a part of a stage those that came in it, whosever they were."""
    return whole if one.window is None or rate is None else rate * one.duration


def _turn_row(turn: int, stage: str, one: Performance) -> list[Cell]:
    averages = []
    for _, name, unit in _PARAMETERS[:6]:
        found = one.statistics.get(name)
        averages.append(join(found.average if found is not None and found.n else None, unit))
    return [str(turn), stage, str(one.total), *averages]
