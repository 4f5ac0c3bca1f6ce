"""The steady state of the stages of a load run: what they showed once the load stood still."""

from __future__ import annotations

from dataclasses import replace

from steelyard.report.drawing import clock
from steelyard.report.load_contents import LoadContents, StageContents
from steelyard.report.load_tables import rate
from steelyard.timings.objectives import read_limits
from steelyard.timings.performance import measure
from steelyard.timings.steady import Steady, find_steady


def keep_steady(contents: LoadContents, stage: StageContents) -> tuple[StageContents, str]:
    """A stage in its steady state, and that in words; where there is none the whole of it, and why."""
    columns = contents.columns.of_stage(stage.number)
    steady = find_steady(columns)
    if steady.window is None:
        return stage, f"no steady state: {steady.why}; this is the whole stage"
    goodput = contents.run.about.get("goodput")
    limits = read_limits(goodput) if goodput else None
    found = replace(stage, performance=measure(columns, window=steady.window, limits=limits))
    return found, _tell(steady, found, of=stage.performance.duration)


def _tell(steady: Steady, stage: StageContents, *, of: float) -> str:
    begin, end = steady.window or (0.0, 0.0)
    one = stage.performance
    rates = [(one.request_rate, "requests"), (one.output_rate, "output tokens")]
    said = [f"{rate(value)} {what} a second" for value, what in rates if value]
    # The busiest part of arrivals at random is no more than that, if it is a small part.
    part = f", {min((end - begin) / of, 1.0):.0%} of the stage" if of else ""
    when = f"from {clock(begin)} to {clock(end)}{part}"
    return f"{when}, {steady.concurrency:,} in flight or more: {', '.join(said)}"
