"""What a load is: stages one after another, each with its own schedule.

Stage(name="64 clients", concurrency=64, requests=1000)          closed: the next goes when one is done
Stage(name="20/s", arrival="poisson", rate=20, duration=60)      open: however slow the answers are
Stage(name="pressure", concurrency=200, joining=10, duration=60) clients join, each asks on and on
"""

from __future__ import annotations

from dataclasses import dataclass

ARRIVALS = ("at_once", "constant", "poisson", "gamma", "burst", "ramp", "trace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One level of load, drained before the next begins.

    Sessions begin until there are `requests` of them or `duration` seconds are over. Without an
    `arrival` the loop is closed: `concurrency` clients ask one request after the other, of which
    `joining` begin a second (None: all at once). With one it is open, and `concurrency`, if any, is the
    most in flight at a time. `grace` is how many seconds after the end of `duration` answers are awaited.
    """

    name: str
    requests: int | None = None
    duration: float | None = None
    concurrency: int | None = None
    arrival: str | None = None
    rate: float | None = None
    burstiness: float | None = None
    burst: int | None = None
    ramp: str | None = None
    ramp_from: float | None = None
    ramp_seconds: float | None = None
    speed: float = 1.0
    joining: float | None = None
    warmup: bool = False
    grace: float = 30.0
    seed: int = 0
