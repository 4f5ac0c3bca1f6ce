"""The flags of a load as stages: one, several that are written out, or a level each.

>>> [stage.name for stage in read_stages({"rate": 5.0, "requests": 100})]
['warm-up', '5/s poisson']
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from steelyard.cli.flags.load import ARRIVALS
from steelyard.cli.values import read_duration, read_number, read_rate
from steelyard.errors import UnknownName, UsageError
from steelyard.loadtest.plan import Stage
from steelyard.loadtest.sweep import raise_levels

CONCURRENCY = 16
DURATION = 30.0
LEVELS = ("rate", "concurrency")
"""What a sweep and a search go up with."""

ARRIVING = ("concurrency", "rate", "arrival", "pressure")
"""The flags that say how requests arrive."""

_SHAPE = ("concurrency", "rate", "arrival", "burstiness", "burst", "ramp", "ramp_from", "ramp_for",
          "pressure", "speed", "requests", "duration", "grace")  # fmt: skip
_MOST_LEVELS = 200


def _read_arrival(text: str) -> str:
    if text not in ARRIVALS:
        raise argparse.ArgumentTypeError(f"{text!r} is no arrival: {', '.join(ARRIVALS)}")
    return text


_READERS: dict[str, Callable[[str], Any]] = {
    "name": str,
    "concurrency": read_number(int, 1),
    "rate": read_rate,
    "arrival": _read_arrival,
    "burstiness": read_number(float, 0),
    "burst": read_number(int, 1),
    "ramp": str,
    "ramp_from": read_rate,
    "ramp_for": read_duration,
    "pressure": read_rate,
    "speed": read_number(float, 0),
    "requests": read_number(int, 1),
    "duration": read_duration,
    "grace": read_number(float, 0),
    "seed": read_number(int, 0),
}


def read_stages(asked: Mapping[str, Any], *, traced: bool = False) -> list[Stage]:
    """The stages that flags describe; `traced` says that the workload brings times of its own."""
    shape = {name: asked[name] for name in _SHAPE if name in asked}
    given = [name for name in ("stage", "sweep", "search") if name in asked]
    if len(given) > 1:
        message = f"--{given[0]} and --{given[1]} are two ways to say what is asked"
        raise UsageError(message, hint="take one")
    if "stage" in asked:
        stages = [make_stage({**shape, **read_stage(words)}) for words in asked["stage"]]
    elif "search" in asked:
        what, low, _ = read_search(asked["search"])
        if what in shape:
            raise UsageError(f"--search looks for what --{what} says", hint="leave one out")
        stages = [make_stage({**shape, what: low, "name": "level"})]
    elif "sweep" in asked:
        what, levels = read_levels(asked["sweep"])
        if what in shape:
            raise UsageError(f"--sweep {what} goes through what --{what} says", hint="leave one out")
        stages = raise_levels(
            make_stage({**shape, what: levels[0], "name": "level"}), what=what, levels=levels
        )
    else:
        if traced and not shape.keys() & set(ARRIVING):
            shape["arrival"] = "trace"
        stages = [make_stage(shape)]
    return [*_warm_up(asked.get("warmup", 1), stages[0]), *_with_names(stages)]


def read_stage(words: list[str]) -> dict[str, Any]:
    """What --stage says: rate=5 duration=30s, as one word or as several."""
    read: dict[str, Any] = {}
    for pair in " ".join(words).split():
        key, equals, text = pair.partition("=")
        key = key.replace("-", "_")
        if not equals:
            raise UsageError(f"--stage {pair!r} is not key=value", hint="as in rate=5 duration=30s")
        if key not in _READERS:
            raise UnknownName("field of a stage", key, _READERS)
        if key in read:
            raise UsageError(f"--stage says {key} twice", hint="leave one out")
        try:
            read[key] = _READERS[key](text)
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"--stage {key}: {error}") from None
    return read


def make_stage(given: Mapping[str, Any]) -> Stage:
    """The stage that some flags describe; what cannot be together is an error."""
    arrival, rate, pressure = _arrival_of(given), given.get("rate"), given.get("pressure")
    concurrency = given.get("concurrency")
    if pressure is not None and concurrency is None:
        raise UsageError("--pressure says how fast clients join", hint="--concurrency N says how many")
    if arrival is None and concurrency is None:
        concurrency = CONCURRENCY
    if arrival == "at_once" and "requests" not in given:
        raise UsageError("all at once is a number of requests", hint="--requests N")
    requests, duration = given.get("requests"), given.get("duration")
    if requests is None and duration is None and arrival != "trace":
        duration = DURATION
    stage = Stage(
        name=given.get("name", ""),
        requests=requests,
        duration=duration,
        concurrency=concurrency,
        arrival=arrival,
        rate=rate,
        burstiness=given.get("burstiness"),
        burst=given.get("burst"),
        ramp=given.get("ramp", "linear") if arrival == "ramp" else None,
        ramp_from=given.get("ramp_from"),
        ramp_seconds=given.get("ramp_for"),
        speed=given.get("speed", 1.0),
        joining=pressure,
        grace=given.get("grace", 30.0),
        seed=given.get("seed", 0),
    )
    return stage if stage.name else replace(stage, name=name_stage(stage))


def name_stage(stage: Stage) -> str:
    """What a stage is called: what it does in a few words."""
    if stage.arrival is None:
        clients = "1 client" if stage.concurrency == 1 else f"{stage.concurrency:,} clients"
        return clients if stage.joining is None else f"{clients}, {stage.joining:g}/s join"
    if stage.arrival == "at_once":
        return f"{stage.requests:,} at once"
    if stage.arrival == "trace":
        return "trace" if stage.speed == 1 else f"trace, {stage.speed:g}× as fast"
    capped = f", at most {stage.concurrency:,}" if stage.concurrency else ""
    if stage.arrival == "ramp":
        return f"{stage.ramp_from:g} to {stage.rate:g}/s{capped}"
    return f"{stage.rate:g}/s {stage.arrival}{capped}"


def read_levels(text: str) -> tuple[str, list[Any]]:
    """What a sweep goes through: rate=1,2,4 or concurrency=1:256:x2 or rate=10:50:+10."""
    what, equals, levels = text.partition("=")
    what = what.strip()
    if what not in LEVELS or not equals:
        hint = "rate=1,2,4,8 or concurrency=1:256:x2 or rate=10:50:+10"
        raise UsageError(f"{text!r} is no sweep", hint=hint)
    read = _READERS[what]
    try:
        found = list(_span(levels, read, what)) if ":" in levels else [read(one) for one in levels.split(",")]
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"--sweep {what}: {error}") from None
    if len(set(found)) < len(found):
        raise UsageError(f"--sweep {text} has a level twice", hint="each level is one stage")
    return what, found


def read_search(text: str) -> tuple[str, Any, Any]:
    """What a search goes up with, from where, and to where at most: rate, rate=4, rate=1:100."""
    what, _, ends = text.partition("=")
    what = what.strip()
    if what not in LEVELS:
        raise UsageError(f"{text!r} is no search", hint="rate, or concurrency=1:256")
    low, _, high = ends.partition(":")
    read = _READERS[what]
    try:
        found = what, read(low or "1"), read(high) if high else None
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"--search {what}: {error}") from None
    if found[2] is not None and found[2] <= found[1]:
        raise UsageError(f"--search {text} goes nowhere", hint="from a lower to a higher: rate=1:100")
    return found


def _span(text: str, read: Callable[[str], Any], what: str) -> Iterator[Any]:
    parts = text.split(":")
    hint = "LOW:HIGH:x2 doubles, LOW:HIGH:+10 adds 10"
    if len(parts) not in (2, 3):
        raise UsageError(f"{text!r} is no span of levels", hint=hint)
    low, high = read(parts[0]), read(parts[1])
    step = parts[2] if len(parts) == 3 else "x2"
    kind, by = step[:1], read_number(float, 0)(step[1:])
    if kind not in ("x", "+") or (by <= 1 if kind == "x" else by <= 0) or high < low:
        raise UsageError(f"{text!r} goes nowhere", hint=hint)
    level, count = float(low), 0
    # A step may miss the end by what a float is off.
    while level < high * (1 - 1e-9):
        yield round(level) if what == "concurrency" else round(level, 9)
        level = level * by if kind == "x" else level + by
        count += 1
        if count > _MOST_LEVELS:
            raise UsageError(f"{text!r} has more than {_MOST_LEVELS} levels", hint="take longer steps")
    yield high


def _arrival_of(given: Mapping[str, Any]) -> str | None:
    """How requests arrive, as far as it is said; what contradicts it is an error."""
    rises = {"ramp", "ramp_from", "ramp_for"} & given.keys() or given.get("arrival") == "ramp"
    implied = {
        # A ramp may come in bursts, too.
        "burstiness": "ramp" if rises else "gamma",
        "burst": "burst",
        "ramp": "ramp",
        "ramp_from": "ramp",
        "ramp_for": "ramp",
    }
    meant = list(dict.fromkeys(implied[name] for name in implied if name in given))
    arrival: str | None = given.get("arrival")
    if arrival is None:
        arrival = meant[0] if meant else "poisson" if "rate" in given else None
    for name, means in implied.items():
        if name in given and means != arrival:
            flag = "--" + name.replace("_", "-")
            raise UsageError(f"{flag} goes with --arrival {means}, not {arrival}", hint="leave one out")
    if arrival in ("constant", "poisson", "gamma", "burst", "ramp") and "rate" not in given:
        raise UsageError(f"--arrival {arrival} wants a rate", hint="--rate 5, or 300/m")
    if arrival in ("trace", "at_once", None) and "rate" in given:
        raise UsageError(f"--rate is nothing to {arrival}", hint="leave one out")
    if "pressure" in given and arrival is not None:
        hint = "leave --rate and --arrival out: clients that have joined ask on and on"
        raise UsageError("--pressure is a closed loop", hint=hint)
    if arrival == "gamma" and "burstiness" not in given:
        raise UsageError("--arrival gamma wants its shape", hint="--burstiness 0.5 comes in bursts")
    if arrival == "burst" and "burst" not in given:
        raise UsageError("--arrival burst wants a size", hint="--burst 20: so many at once")
    if arrival == "ramp" and not given.keys() >= {"ramp_from", "ramp_for"}:
        hint = "--ramp-from 1 --rate 20 --ramp-for 60s"
        raise UsageError("a ramp is from a rate to a rate within a time", hint=hint)
    if "speed" in given and arrival != "trace":
        raise UsageError("--speed goes with --arrival trace", hint="a workload with times of its own")
    return arrival


def _warm_up(count: int, first: Stage) -> list[Stage]:
    if not count:
        return []
    # No more at a time than will be, so that a small service is not shocked before.
    together = min(count, first.concurrency or CONCURRENCY)
    return [Stage(name="warm-up", requests=count, concurrency=together, warmup=True, seed=first.seed)]


def _with_names(stages: list[Stage]) -> list[Stage]:
    """The stages with names that tell them apart."""
    names: list[str] = []
    for stage in stages:
        numbered = (stage.name if n == 1 else f"{stage.name} ({n})" for n in range(1, len(stages) + 1))
        names.append(next(name for name in numbered if name not in names))
    return [replace(stage, name=name) for stage, name in zip(stages, names)]
