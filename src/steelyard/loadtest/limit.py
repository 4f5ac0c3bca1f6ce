"""find_limit(model, workload): the highest rate, or concurrency, that keeps given objectives, as a Run.

run = find_limit(
    "http://localhost:8000/v1", workload,
    stage=Stage(name="", duration=30), slo="ttft_p99=500ms,error=0.1%", what="rate", out="runs/limit",
)
run.about["search"]["value"], run.about["search"]["said"]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from steelyard.errors import StoreError, UsageError
from steelyard.loadtest.plan import Stage
from steelyard.loadtest.running import load
from steelyard.loadtest.search import LONGEST, Look, Search
from steelyard.models.base import Model
from steelyard.store import Run
from steelyard.timings.objectives import Objective, read_limits, read_objectives
from steelyard.timings.performance import Performance

MOST_FAILED = "error=1%"
"""What is asked besides, where nobody says how many may fail."""


DRAINING = Stage(name="draining", requests=2, concurrency=1, warmup=True)
"""What is asked behind a level that was too much: a service may still be busy with what nobody awaits."""


def find_limit(
    model: Model | Callable[..., Any] | str | Path,
    workload: Any,
    *,
    stage: Stage,
    slo: str,
    out: str | Path,
    what: str = "rate",
    low: float = 1.0,
    high: float | None = None,
    tolerance: float = 0.05,
    confidence: float = 0.95,
    longest: int = LONGEST,
    warmups: Sequence[Stage] = (),
    goodput: str | None = None,
    **given: Any,
) -> Run:
    """Search the highest level that keeps all objectives of `slo`, and store what was measured in a Run.

    Each level is a `stage` at another rate or concurrency, measured again and longer where it cannot be told
    whether it keeps them; what a Search takes and what `load` takes beside is passed on.
    """
    path, limits = Path(out), None if goodput is None else read_limits(goodput)
    objectives = complete_objectives(slo)
    results: list[Performance] = []

    def look(number: int) -> Look:
        return look_at(path, number, results[number], objectives, limits)

    search = Search(
        stage,
        look=look,
        what=what,
        low=low,
        high=high,
        tolerance=tolerance,
        confidence=confidence,
        longest=longest,
    )
    ahead, drained = list(warmups), 0

    def next_stage(known: Sequence[Performance]) -> Stage | None:
        nonlocal drained
        if ahead:
            return ahead.pop(0)
        if len(known) > drained:
            drained = len(known)
            if known[-1].cut or known[-1].failed:
                return DRAINING
        results[:] = known
        return search(results)

    try:
        run = load(model, workload, stages=next_stage, out=path, slo=slo, goodput=goodput, **given)
    except BaseException:
        if results:
            _note(path, search, results)
        raise
    run.update(search=search.outcome(results).to_dict())
    return run


def complete_objectives(slo: str) -> list[Objective]:
    """The objectives that a text names; that hardly anything fails is one of them in any case."""
    objectives = list(read_objectives(slo))
    if not objectives:
        raise UsageError("a search needs objectives", hint="slo='ttft_p99=500ms,error=0.1%'")
    if all(one.measure != "error" for one in objectives):
        objectives += read_objectives(MOST_FAILED)
    return objectives


def look_at(
    run: Path,
    number: int,
    performance: Performance,
    objectives: Sequence[Objective],
    limits: dict[str, float] | None,
) -> Look:
    """What a stored stage says of the objectives."""
    # numpy is loaded only when something has been measured.
    from steelyard.loadtest.observation import observe
    from steelyard.timings.columns import Columns
    from steelyard.timings.doubts import find_limiting

    columns = Columns.read(run, stage=number)
    return Look(observe(columns, objectives, limits=limits), find_limiting(performance))


def _note(path: Path, search: Search, results: Sequence[Performance]) -> None:
    """Say in a run that was stopped what is known so far."""
    try:
        Run.open(path).update(search=search.outcome(results).to_dict())
    except (StoreError, UsageError):
        # Whatever stopped it is told, and that matters more.
        return
