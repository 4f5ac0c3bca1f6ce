"""Objectives: what a service shall keep, and whether it did.

>>> [str(one) for one in read_objectives("ttft_p99=500ms, error=0.1%, request_rate=5")]
['ttft_p99 <= 500 ms', 'error <= 0.1 %', 'request_rate >= 5/s']
>>> read_limits("ttft=500ms,tpot=50ms")
{'ttft': 0.5, 'tpot': 0.05}

Times and shares are at most what is said, rates and speeds at least; `<` and `>` say it otherwise.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from steelyard.errors import UnknownName, UsageError
from steelyard.timings.performance import MEASURES, RATES, Performance
from steelyard.timings.statistics import LEVELS, Interval, Statistics

LIMITS = ("ttft", "tpot", "e2el", "ttft_due", "e2el_due")
"""What may have a limit that makes a request a good one."""

_SPEEDS = ("output_speed", "prefill_speed")
_TOKENS = ("input_tokens", "output_tokens")
_SHARES = ("error",)
_STATISTICS = ("average", "min", "max", *LEVELS)
_OTHER_NAMES = {"mean": "average", "avg": "average", "p50": "median", "p99.9": "p999", "latency": "e2el"}
_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0}
_PER = {"": 1.0, "/s": 1.0, "/m": 1 / 60, "/min": 1 / 60, "/h": 1 / 3600}


@dataclass(frozen=True, slots=True)
class Objective:
    """What one number of a Performance shall be: at most, or at least, a limit."""

    measure: str
    statistic: str | None
    least: bool
    limit: float

    @property
    def name(self) -> str:
        """Its name as it is written: ttft_p99, error, request_rate."""
        return self.measure if self.statistic is None else f"{self.measure}_{self.statistic}"

    def __str__(self) -> str:
        return f"{self.name} {'>=' if self.least else '<='} {tell_value(self.measure, self.limit)}"

    def read(self, performance: Performance) -> tuple[float | None, Interval]:
        """The number, and its interval."""
        if self.statistic is not None:
            found = performance.statistics.get(self.measure, Statistics())
            return found.get(self.statistic), found.intervals.get(self.statistic, (None, None))
        value: float | None = getattr(performance, self.measure)
        return value, performance.intervals.get(self.measure, (None, None))

    def _holds(self, value: float) -> bool:
        return value >= self.limit if self.least else value <= self.limit

    def check(self, performance: Performance) -> Verdict:
        """Whether a performance keeps it."""
        value, (low, high) = self.read(performance)
        if value is None:
            # Where nothing was answered there is no time that could have been kept.
            return Verdict(self, None, None, None, kept=False, sure=performance.total > 0)
        kept = self._holds(value)
        # The end of the interval that is nearer to the limit, or beyond it.
        end = low if self.least == kept else high
        sure = end is not None and self._holds(end) == kept
        return Verdict(self, value, low, high, kept=kept, sure=sure)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an objective was kept; `sure` is whether the whole interval says the same."""

    objective: Objective
    value: float | None
    low: float | None
    high: float | None
    kept: bool
    sure: bool

    def __str__(self) -> str:
        measure = self.objective.measure
        if self.value is None:
            return f"{self.objective}: missed, nothing was measured"
        sides = ["?" if end is None else tell_value(measure, end) for end in (self.low, self.high)]
        word = "kept" if self.kept else "missed"
        return (
            f"{self.objective}: {word}, {tell_value(measure, self.value)} [{sides[0]}, {sides[1]}]"
            f"{'' if self.sure else ', which may be chance'}"
        )


@dataclass(frozen=True, slots=True)
class Objectives:
    """Several objectives."""

    items: tuple[Objective, ...]

    def __iter__(self) -> Iterator[Objective]:
        return iter(self.items)

    def __str__(self) -> str:
        return ", ".join(map(str, self.items))

    def check(self, performance: Performance) -> list[Verdict]:
        """Whether a performance keeps each of them."""
        return [one.check(performance) for one in self.items]


def read_objectives(text: str) -> Objectives:
    """Objectives as they are written on a command line: ttft_p99=500ms,error=0.1%."""
    items = [_read_objective(part) for part in text.split(",") if part.strip()]
    if not items:
        raise UsageError("there is no objective", hint="such as ttft_p99=500ms,itl_p99=50ms,error=0.1%")
    return Objectives(tuple(items))


def read_limits(text: str) -> dict[str, float]:
    """The most seconds that a good request takes, by measure: ttft=500ms,tpot=50ms."""
    limits: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, sign, value = _split(part)
        if name not in LIMITS:
            mend = "tpot is the mean time between the tokens of a request" if name == "itl" else ""
            raise UnknownName("limit of goodput", name, LIMITS, hint=mend)
        if sign.startswith(">"):
            raise UsageError(f"a limit of goodput is the most that {name} may be", hint=f"{name}={value}")
        limits[name] = _read_value(name, value)
    if not limits:
        raise UsageError("there is no limit of goodput", hint="such as ttft=500ms,tpot=50ms")
    return limits


def tell_value(measure: str, value: float) -> str:
    """A number of a measure with its unit."""
    if measure in _SHARES:
        return f"{value * 100:.3g} %"
    if measure in (*RATES, *_SPEEDS):
        return f"{value:.4g}/s"
    if measure in _TOKENS:
        return f"{value:.5g}"
    return tell_seconds(value)


def tell_seconds(seconds: float) -> str:
    """A time with the unit in which it is easily read."""
    if abs(seconds) >= 10 or seconds == 0:
        return f"{seconds:.4g} s"
    return f"{seconds * 1000:.4g} ms" if abs(seconds) >= 1e-3 else f"{seconds * 1e6:.3g} µs"


def _read_objective(part: str) -> Objective:
    name, sign, value = _split(part)
    measure, statistic = _read_name(name)
    least = sign.startswith(">") if sign != "=" else measure in (*RATES, *_SPEEDS)
    return Objective(measure, statistic, least, _read_value(measure, value))


def _split(part: str) -> tuple[str, str, str]:
    found = re.fullmatch(r"\s*([a-z0-9_.]+)\s*(<=|>=|<|>|=)\s*(.+?)\s*", part, re.I)
    if found is None:
        raise UsageError(
            f"{part.strip()!r} is no objective", hint="a name and a limit, such as ttft_p99=500ms"
        )
    return found[1].lower(), found[2], found[3]


def _read_name(name: str) -> tuple[str, str | None]:
    name = _OTHER_NAMES.get(name, name)
    if name in (*RATES, *_SHARES):
        return name, None
    measure, _, statistic = name.rpartition("_")
    measure, statistic = _OTHER_NAMES.get(measure, measure), _OTHER_NAMES.get(statistic, statistic)
    if measure in MEASURES and statistic in _STATISTICS:
        return measure, statistic
    if name in MEASURES:
        hint = f"such as {name}_p99; known: " + ", ".join(_STATISTICS)
        raise UsageError(f"an objective for {name} needs to say which of its values", hint=hint)
    if measure in MEASURES:
        raise UnknownName("statistic", statistic, _STATISTICS)
    known = [*RATES, *_SHARES, *(f"{one}_{of}" for one in MEASURES for of in _STATISTICS)]
    raise UnknownName("objective", name, known)


def _read_value(measure: str, text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d*)?(?:e-?\d+)?)\s*([a-zµ/%]*)", text.replace("μ", "µ"), re.I)
    number, unit = (float(found[1]), found[2].lower()) if found else (math.nan, "")
    if measure in _SHARES:
        share = number * 0.01 if unit == "%" else number
        factor, wanted = {"%": 0.01, "": 1.0}.get(unit) if share <= 1 else None, "0.1% or 0.001"
    elif measure in (*RATES, *_SPEEDS):
        factor, wanted = _PER.get(unit), "5, 5/s or 300/m"
    elif measure in _TOKENS:
        factor, wanted = {"": 1.0}.get(unit), "a number"
    else:
        factor, wanted = _SECONDS.get(unit), "500ms or 0.5s"
    if found is None or factor is None:
        raise UsageError(f"{text!r} is no limit for {measure}", hint=f"write {wanted}")
    return number * factor
