"""A Performance is what one stage of load, or a part of it, showed.

    performance = measure(Columns.read(path, stage=0), limits=read_limits("ttft=500ms,tpot=50ms"))
    performance.statistics["ttft"].p99, performance.output_rate, performance.goodput

Of each request that was answered:

    e2el          from sending to the last event of its answer
    ttft          from sending to its first token event
    tpot          (e2el - ttft) / (output tokens - 1), of answers that came in pieces
    itl           the gaps between its token events, pooled over all requests
    first_byte    from sending to anything of the answer
    e2el_due      from when the schedule wanted it out to the last event: with the queue a slow service makes
    ttft_due      likewise to the first token event
    output_speed  output tokens / e2el
    prefill_speed input tokens / ttft

and of each request: lag (how late we were), connecting, held (how long a limit of ours kept it back).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from steelyard.timings.statistics import Interval, Statistics

if TYPE_CHECKING:
    from steelyard.timings.columns import Columns

MEASURES = (
    "e2el",
    "ttft",
    "tpot",
    "itl",
    "e2el_due",
    "ttft_due",
    "first_byte",
    "output_speed",
    "prefill_speed",
    "input_tokens",
    "output_tokens",
    "lag",
    "connecting",
    "held",
)
"""What there are Statistics of, in the order in which they are shown."""

RATES = ("request_rate", "input_rate", "output_rate", "total_rate", "goodput")
"""What a Performance tells a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """How a service did; times in seconds, rates a second.

    `total` requests are those of the workload that were sent: `ok` were answered, `failed` ended with an
    error, `cut` were cut off at the end of their stage. Statistics are of those answered; lag, connecting
    and held of all. `good` kept every limit of goodput. Of how many answers who took the times says
    `taken_by`, who counted the tokens `counted_by`, and who counted those of the prompts
    `input_counted_by`. `window` is the part of the stage that this is of.
    """

    stage: int | None = None
    duration: float = 0.0
    total: int = 0
    ok: int = 0
    failed: int = 0
    cut: int = 0
    concurrency_mean: float | None = None
    concurrency_max: int = 0
    request_rate: float | None = None
    input_rate: float | None = None
    output_rate: float | None = None
    total_rate: float | None = None
    goodput: float | None = None
    good: int | None = None
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    statistics: Mapping[str, Statistics] = field(default_factory=dict)
    taken_by: Mapping[str, int] = field(default_factory=dict)
    counted_by: Mapping[str, int] = field(default_factory=dict)
    input_counted_by: Mapping[str, int] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)
    turns: Sequence[Performance] = ()
    window: tuple[float, float] | None = None
    sittings: int = 1
    partial: bool = False
    doubts: Sequence[str] = ()

    @property
    def error(self) -> float | None:
        """Which share of the requests was not answered."""
        return (self.failed + self.cut) / self.total if self.total else None

    def to_dict(self) -> dict[str, Any]:
        """As it is stored."""
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            **plain,
            "error": self.error,
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            "statistics": {name: one.to_dict() for name, one in self.statistics.items()},
            "turns": [turn.to_dict() for turn in self.turns],
            "window": None if self.window is None else list(self.window),
            "doubts": list(self.doubts),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Performance:
        """What `to_dict` gave; what it does not know is left out."""
        known = {each.name: stored[each.name] for each in fields(cls) if each.name in stored}
        known["intervals"] = {name: (low, high) for name, (low, high) in stored.get("intervals", {}).items()}
        statistics = stored.get("statistics", {})
        known["statistics"] = {name: Statistics.from_dict(one) for name, one in statistics.items()}
        known["turns"] = tuple(cls.from_dict(turn) for turn in stored.get("turns", ()))
        known["doubts"] = tuple(stored.get("doubts", ()))
        window = stored.get("window")
        known["window"] = None if window is None else (window[0], window[1])
        return cls(**known)


def measure(
    columns: Columns,
    *,
    window: tuple[float, float] | None = None,
    limits: Mapping[str, float] | None = None,
) -> Performance:
    """What the requests of a stage showed; of a part of it, where a window of its time is given.

    In a window the requests are those sent in it, the rates those of what arrived in it. `limits` are the
    most seconds that a good request takes, by the name of the measure.
    """
    # Whoever only reads what was measured, or is about to start processes that measure, does without numpy.
    from steelyard.timings.measuring import measure_columns

    return measure_columns(columns, window=window, limits=limits)
