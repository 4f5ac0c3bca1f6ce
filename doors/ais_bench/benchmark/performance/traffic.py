"""What a configuration says of its traffic, as stages of a load.

request_rate=0,  batch_size=64                                  64 clients, each asks on and on
request_rate=20, batch_size=64                                  one every 1/20 s, 64 in flight at most
request_rate=20, traffic_cfg=dict(burstiness=1)                 20/s, each independent of the others
traffic_cfg=dict(ramp_up_strategy="linear", ramp_up_start_rps=1, ramp_up_end_rps=20)
--pressure, request_rate=5, batch_size=64                       5 clients more a second, until there are 64
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ais_bench.benchmark.models.api_models.transport import LEAST_RATE
from steelyard.errors import UnknownName, UsageError
from steelyard.loadtest.plan import Stage

TOTAL = "total"
"""What the stage that counts is called in tables."""

_TRAFFIC = ("burstiness", "ramp_up_strategy", "ramp_up_start_rps", "ramp_up_end_rps", "seed")
_STRATEGIES = ("linear", "exponential")


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What a command line says of all load tests: how many warm up, and for how long clients press."""

    warmups: int = 1
    pressure: float | None = None


def stages_of(
    config: Mapping[str, Any], wishes: Wishes, *, questions: int | None, recorded: bool = False
) -> list[Stage]:
    """The stages in which a model is asked so many questions; `recorded` where they say when they are due."""
    name, most = str(config.get("abbr")), int(config.get("batch_size") or 1)
    rate = float(config.get("request_rate") or 0)
    traffic = _read_traffic(config.get("traffic_cfg"), name)
    seed = int(traffic.get("seed") or 0)
    shared: dict[str, Any] = {"name": TOTAL, "seed": seed}
    steady = rate >= LEAST_RATE
    ramp = _ramp_of(traffic, questions, name) if "ramp_up_strategy" in traffic else None
    if wishes.pressure is not None:
        if recorded or ramp is not None:
            what = "questions that say when they are due" if recorded else "a ramp of its rate"
            hint = "request_rate says how many clients begin a second under --pressure"
            raise UsageError(f"{name} has {what}, and --pressure asks on and on", hint=hint)
        joining = rate if steady else None
        main = Stage(**shared, concurrency=most, joining=joining, duration=wishes.pressure)
    elif recorded:
        main = Stage(**shared, requests=questions, arrival="trace")
    elif ramp is not None:
        main = Stage(**shared, **ramp, requests=questions, concurrency=most, **_gaps(traffic))
    elif steady:
        arrival = {0.0: "constant", 1.0: "poisson"}.get(float(traffic.get("burstiness") or 0), "gamma")
        gaps = _gaps(traffic) if arrival == "gamma" else {}
        main = Stage(**shared, arrival=arrival, rate=rate, requests=questions, concurrency=most, **gaps)
    else:
        main = Stage(**shared, requests=questions, concurrency=most)
    if not wishes.warmups:
        return [main]
    together = min(wishes.warmups, most)
    return [Stage(name="warmup", warmup=True, requests=wishes.warmups, concurrency=together, seed=seed), main]


def is_ramp(config: Mapping[str, Any]) -> bool:
    """Whether the rate grows with the questions, so that they have to be counted before."""
    traffic = config.get("traffic_cfg")
    return isinstance(traffic, Mapping) and bool(traffic.get("ramp_up_strategy"))


def _ramp_of(traffic: Mapping[str, Any], questions: int | None, name: str) -> dict[str, Any]:
    """A ramp that reaches its end with the last question."""
    shape = traffic["ramp_up_strategy"]
    if shape not in _STRATEGIES:
        raise UnknownName(f"ramp_up_strategy of {name}", str(shape), _STRATEGIES)
    start, end = (traffic.get(key) for key in ("ramp_up_start_rps", "ramp_up_end_rps"))
    if not (start and end):
        hint = "ramp_up_start_rps and ramp_up_end_rps, both above 0"
        raise UsageError(f"the ramp of {name} has no beginning or no end", hint=hint)
    if shape == "exponential" and start != end:
        mean = (end - start) / math.log(end / start)
    else:
        mean = (start + end) / 2
    seconds = (questions or 1) / mean
    return {"arrival": "ramp", "ramp": shape, "ramp_from": start, "rate": end, "ramp_seconds": seconds}


def _gaps(traffic: Mapping[str, Any]) -> dict[str, Any]:
    burstiness = traffic.get("burstiness")
    return {"burstiness": float(burstiness)} if burstiness else {}


def _read_traffic(told: Any, name: str) -> dict[str, Any]:
    if not told:
        return {}
    if not isinstance(told, Mapping):
        raise UsageError(f"traffic_cfg of {name} is {told!r}", hint="dict(burstiness=0.5)")
    for key, value in told.items():
        if key not in _TRAFFIC:
            raise UnknownName(f"key in traffic_cfg of {name}", str(key), _TRAFFIC)
        number = key != "ramp_up_strategy" and value is not None
        if number and not (type(value) in (int, float) and 0 <= value < math.inf):
            raise UsageError(f"{key} of {name} is {value!r}", hint="a number, at least 0")
    given = {key: value for key, value in told.items() if value not in (None, "")}
    for key in ("ramp_up_start_rps", "ramp_up_end_rps"):
        if key in given and "ramp_up_strategy" not in given:
            hint = f"ramp_up_strategy: {' or '.join(_STRATEGIES)}"
            raise UsageError(f"{key} of {name} is that of a ramp, of which no kind is named", hint=hint)
    return given
