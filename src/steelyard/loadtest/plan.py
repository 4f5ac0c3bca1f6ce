"""What a load is: stages one after another, each with its own schedule.

Stage(name="64 clients", concurrency=64, requests=1000)          closed: the next goes when one is done
Stage(name="20/s", arrival="poisson", rate=20, duration=60)      open: however slow the answers are
Stage(name="pressure", concurrency=200, joining=10, duration=60) clients join, each asks on and on
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from steelyard import schedules
from steelyard.errors import UsageError

ARRIVALS = ("at_once", "constant", "poisson", "gamma", "burst", "ramp", "trace")
_RATED = ("constant", "poisson", "gamma", "burst", "ramp")
_POSITIVE = ("duration", "rate", "burstiness", "ramp_from", "ramp_seconds", "speed", "joining")


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


def check_stage(stage: Stage) -> None:
    """Raise a UsageError where a stage cannot be."""
    for field in fields(stage):
        value, least = (
            getattr(stage, field.name),
            1 if field.name in ("requests", "concurrency", "burst") else 0,
        )
        if value is None or isinstance(value, (str, bool)) or field.name == "seed":
            continue
        if not value >= least or (field.name in _POSITIVE and not value > 0):
            wanted = "at least 1" if least else "above 0" if field.name in _POSITIVE else "at least 0"
            raise _cannot(stage, f"{field.name} is {value}", f"it must be {wanted}")
    if stage.arrival is None:
        if stage.concurrency is None:
            raise _cannot(
                stage, "nothing says how much is asked", "concurrency=64, or arrival='poisson', rate=20"
            )
        if stage.rate is not None:
            raise _cannot(stage, "a rate without an arrival", "arrival='constant' or 'poisson'")
    elif stage.arrival not in ARRIVALS:
        raise _cannot(stage, f"there is no arrival {stage.arrival!r}", f"known: {', '.join(ARRIVALS)}")
    elif stage.arrival in _RATED and stage.rate is None:
        raise _cannot(stage, f"arrival {stage.arrival!r} without a rate", "rate=20 is 20 a second")
    elif stage.arrival == "ramp" and stage.ramp_seconds is None:
        raise _cannot(stage, "a ramp without a length", "ramp_seconds=60")


def list_dues(stage: Stage) -> Iterator[float]:
    """The seconds after the start of a stage at which its sessions are due, but for those of a trace."""
    rate, seed = stage.rate or 1.0, stage.seed
    if stage.arrival == "constant":
        return schedules.constant(rate)
    if stage.arrival == "poisson":
        return schedules.poisson(rate, seed=seed)
    if stage.arrival == "gamma":
        return schedules.gamma(rate, burstiness=stage.burstiness or 1.0, seed=seed)
    if stage.arrival == "burst":
        size = stage.burst or 1
        return schedules.burst(size, every=size / rate)
    if stage.arrival == "ramp":
        return schedules.ramp(
            stage.ramp_from or rate / 100,
            rate,
            seconds=stage.ramp_seconds or 1.0,
            shape=stage.ramp or "linear",
            burstiness=stage.burstiness,
            seed=seed,
        )
    return schedules.at_once()


def _cannot(stage: Stage, what: str, hint: str) -> UsageError:
    return UsageError(f"the stage {stage.name!r} cannot be: {what}", hint=hint)


def stage_of(said: dict[str, Any]) -> Stage:
    """The stage that a run says it had."""
    return Stage(**{field.name: said[field.name] for field in fields(Stage) if field.name in said})
