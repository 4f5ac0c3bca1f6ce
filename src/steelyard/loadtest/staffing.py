"""How many processes a stage of load needs, so that none of them is what it measures."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping, Sequence
from itertools import islice
from math import ceil
from typing import Any

from steelyard.errors import UsageError
from steelyard.loadtest.plan import Stage
from steelyard.workloads.base import Workload, take_share

_EVENTS = 25_000
"""How many token events a second one process takes in with half of its time."""
_IN_FLIGHT = 15_000
_FILES_BESIDE = 100
_TOO_BUSY = 0.7
_WELL_BUSY = 0.5
_LOOKED_AT = 20
_UNKNOWN_LENGTH = 256


def check_workers(workers: int | str) -> None:
    """Raise a UsageError unless this says how many processes measure."""
    if workers != "auto" and not (isinstance(workers, int) and workers > 0):
        raise UsageError(f"workers is {workers!r}", hint="auto, or how many processes measure")


def count_workers(
    workers: int | str, workload: Workload, stage: Stage, before: Sequence[Mapping[str, Any]]
) -> int:
    """How many processes a stage is given: as many as told, else as many as it will keep busy."""
    found = workers if isinstance(workers, int) else _guess(stage, before, workload)
    # One that has nobody to ask is of no use.
    return max(1, min(found, stage.concurrency or found, stage.requests or found))


def _guess(stage: Stage, before: Sequence[Mapping[str, Any]], workload: Workload) -> int:
    in_flight = stage.concurrency or (stage.requests if stage.arrival == "at_once" else None) or 0
    wanted = [in_flight / _IN_FLIGHT]
    if stage.rate is not None and stage.arrival is not None:
        wanted.append(stage.rate * _typical_length(workload) / _EVENTS)
    ended = [entry for entry in before if "busy" in entry]
    if ended and ended[-1]["busy"] > _TOO_BUSY:
        wanted.append(ended[-1]["workers"] * ended[-1]["busy"] / _WELL_BUSY)
    elif ended:
        # What was enough for a like load is enough again.
        wanted.append(min(ended[-1]["workers"], _cores()))
    # What does not fit into the files of a process needs another, however few the cores are.
    least = ceil(in_flight / max(1, _files() - _FILES_BESIDE))
    return max(1, least, min(_cores() - 1, ceil(max(wanted))))


def _typical_length(workload: Workload) -> float:
    """How many tokens an answer has, as far as the first sessions say."""
    lengths = [
        turn.max_tokens or _UNKNOWN_LENGTH
        for session in islice(take_share(workload, 0, 1), _LOOKED_AT)
        for turn in session.turns
    ]
    return sum(lengths) / len(lengths) if lengths else 0.0


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _files() -> int:
    """How many files a process may open."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 1 << 30 if hard == resource.RLIM_INFINITY else hard
