"""When each request is due: iterators of seconds after the start, never decreasing.

    >>> from itertools import islice
    >>> list(islice(constant(4), 3))
    [0.0, 0.25, 0.5]

An endless schedule ends with the items; a finite one ends the run.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import count, repeat

from steelyard.errors import UsageError


def at_once() -> Iterator[float]:
    """Everything is due at the start."""
    return repeat(0.0)


def constant(rate: float) -> Iterator[float]:
    """`rate` requests a second, evenly spaced."""
    _check("rate", rate)
    return (n / rate for n in count())


def poisson(rate: float, *, seed: int = 0) -> Iterator[float]:
    """`rate` requests a second on average, each arriving independently of the others."""
    return gamma(rate, burstiness=1.0, seed=seed)


def gamma(rate: float, *, burstiness: float, seed: int = 0) -> Iterator[float]:
    """`rate` requests a second on average with gamma-distributed gaps.

    `burstiness` is the gamma shape: 1 is poisson, below 1 comes in bursts, above 1 is more even.
    """
    _check("rate", rate)
    _check("burstiness", burstiness)
    source = random.Random(seed)
    due = 0.0
    while True:
        yield due
        due += source.gammavariate(burstiness, 1 / (rate * burstiness))


def ramp(start: float, end: float, *, seconds: float, shape: str = "linear") -> Iterator[float]:
    """From `start` to `end` requests a second within `seconds`, linear or exponential; then `end`."""
    _check("start", start)
    _check("end", end)
    _check("seconds", seconds)
    if shape not in ("linear", "exponential"):
        raise UsageError(f"a ramp cannot be {shape!r}", hint="linear or exponential")
    due = 0.0
    while True:
        yield due
        done = min(due / seconds, 1.0)
        rate = start + (end - start) * done if shape == "linear" else start * (end / start) ** done
        due += 1 / rate


def burst(size: int, *, every: float) -> Iterator[float]:
    """`size` requests together, again and again after `every` seconds."""
    _check("size", size)
    _check("every", every)
    return (n * every for n in count() for _ in range(size))


def trace(times: Iterable[float]) -> Iterator[float]:
    """Recorded times in seconds; the first of them is the start."""
    first = last = None
    for time in times:
        if first is None or last is None:
            first = last = time
        if time < last:
            raise UsageError(f"a trace goes back in time, from {last} to {time}", hint="sort it by time")
        last = time
        yield time - first


def _check(name: str, value: float) -> None:
    if not value > 0:
        raise UsageError(f"{name} is {value}", hint="it must be more than 0")
