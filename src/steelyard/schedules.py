"""When each request is due: iterators of seconds after the start, never decreasing.

    >>> from itertools import islice
    >>> list(islice(constant(4), 3))
    [0.0, 0.25, 0.5]

An endless schedule ends with the items; a finite one ends the run.
"""

from __future__ import annotations

import math
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
    return (number / rate for number in _numbers(burstiness, seed))


def ramp(
    start: float,
    end: float,
    *,
    seconds: float,
    shape: str = "linear",
    burstiness: float | None = None,
    seed: int = 0,
) -> Iterator[float]:
    """From `start` to `end` requests a second within `seconds`, linear or exponential; then `end`.

    The n-th request is due when the rate has summed up to n; with `burstiness` to the n-th number of a
    random sequence that grows by 1 on average. A linear ramp may start at 0, or end there and be over.
    """
    _check("seconds", seconds)
    if shape not in ("linear", "exponential"):
        raise UsageError(f"a ramp cannot be {shape!r}", hint="linear or exponential")
    lowest, highest = min(start, end), max(start, end)
    if not (lowest >= 0 and highest > 0) or (shape == "exponential" and not lowest):
        hint = "both above 0; one end of a linear ramp may be 0"
        raise UsageError(f"a ramp from {start} to {end} requests a second", hint=hint)
    if burstiness is None:
        return _ramp(count(), start, end, seconds, shape)
    _check("burstiness", burstiness)
    return _ramp(_numbers(burstiness, seed), start, end, seconds, shape)


def burst(size: int, *, every: float) -> Iterator[float]:
    """`size` requests together, again and again after `every` seconds."""
    _check("size", size)
    _check("every", every)
    return (n * every for n in count() for _ in range(size))


def trace(times: Iterable[float], *, speed: float = 1.0) -> Iterator[float]:
    """Recorded times in seconds, `speed` times as fast; the first of them is the start."""
    _check("speed", speed)
    return _trace(times, speed)


def _trace(times: Iterable[float], speed: float) -> Iterator[float]:
    first = last = None
    for time in times:
        if first is None or last is None:
            first = last = time
        if time < last:
            raise UsageError(f"a trace goes back in time, from {last} to {time}", hint="sort it by time")
        last = time
        yield (time - first) / speed


def _numbers(burstiness: float, seed: int) -> Iterator[float]:
    """From 0 on, numbers that grow by 1 on average, by gamma-distributed gaps."""
    source = random.Random(seed)
    scale = 1 / burstiness
    number = 0.0
    while True:
        yield number
        number += source.gammavariate(burstiness, scale)


def _ramp(numbers: Iterable[float], start: float, end: float, seconds: float, shape: str) -> Iterator[float]:
    """When the rate of a ramp has summed up to each of these numbers."""
    # Of nearly equal ends a logarithm has no digits to speak of.
    bent = shape == "exponential" and abs(math.log(end / start)) > 1e-9
    growth = (math.log(end / start) if bent else end - start) / seconds
    total = (end - start) / growth if bent else (start + end) / 2 * seconds
    for number in numbers:
        if number > total:
            if not end:
                return
            yield seconds + (number - total) / end
        elif not number:
            yield 0.0
        elif bent:
            yield min(math.log1p(number * growth / start) / growth, seconds)
        else:
            # The form of the root that loses no digits where the ramp is nearly level.
            root = math.sqrt(max(start * start + 2 * number * growth, 0.0))
            yield min(2 * number / (start + root), seconds)


def _check(name: str, value: float) -> None:
    if not value > 0:
        raise UsageError(f"{name} is {value}", hint="it must be more than 0")
