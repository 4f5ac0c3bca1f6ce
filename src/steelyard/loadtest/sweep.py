"""A stage for each of several levels: `raise_levels(stage, what="rate", levels=[1, 2, 4, 8])`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from steelyard.errors import UsageError
from steelyard.loadtest.plan import Stage


def raise_levels(stage: Stage, *, what: str, levels: Sequence[float]) -> list[Stage]:
    """The stage at each level, the lowest first; each has arrivals of its own."""
    if what not in ("rate", "concurrency"):
        raise UsageError(f"there is no sweep of {what}", hint="rate or concurrency")
    if not levels or not all(level > 0 for level in levels) or len(set(levels)) < len(levels):
        raise UsageError(f"the levels {list(levels)} are none", hint="several numbers above 0, each once")
    if what == "concurrency" and any(level != int(level) for level in levels):
        raise UsageError("a concurrency is a whole number")
    return [
        replace(stage, name=name_level(what, level), seed=stage.seed + number, **at_level(stage, what, level))
        for number, level in enumerate(sorted(levels))
    ]


def at_level(stage: Stage, what: str, level: float) -> dict[str, Any]:
    """The fields of a stage at a level."""
    if what == "concurrency":
        return {"concurrency": int(level)}
    return {"rate": level, "arrival": stage.arrival or "poisson"}


def name_level(what: str, level: float) -> str:
    """What a level is called."""
    if what == "rate":
        return f"{level:g}/s"
    return "1 client" if level == 1 else f"{level:,.0f} clients"
