"""A load run in words: why it may not be believed, and what came of what was to be kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from steelyard.report.load_contents import LoadContents, StageContents
from steelyard.report.load_tables import rate, tabulate_levels
from steelyard.report.tables import Cell, Figure, Table

_MOST_REASONS = 8
_FEWEST_LEVELS = 3
_NEARLY = 0.95
_BAD_ANSWERS = ("worse", "mixed up")


def doubt_load(contents: LoadContents) -> Iterator[str]:
    """Why a reader should not lean on a run, its state first; then what the workload has to say."""
    reason = contents.run.about.get("reason")
    if contents.state != "done":
        reason = "it was killed; --resume goes on with it" if contents.was_killed else reason
        why = f" ({reason})" if reason else ""
        yield f"this run is {contents.state}: {contents.requests:,} requests were measured{why}"
    for stage in contents.stages:
        before = f"{stage.name}: " if len(contents.stages) > 1 else ""
        for doubt in stage.performance.doubts:
            yield before + doubt
    yield from contents.run.about.get("remarks") or ()


def judge_load(contents: LoadContents) -> bool:
    """Whether a run came to its end, answered all, and kept what was to be kept.

    Where an objective says how many may fail, that many may; a search is to have found something, and
    answers that were checked are not to have got worse.
    """
    if contents.state != "done" or not contents.stages:
        return False
    if any(level["verdict"] in _BAD_ANSWERS for level in (contents.answers or {}).get("levels", ())):
        return False
    if contents.search is not None:
        return contents.search.get("value") is not None
    names = {one.measure for one in contents.objectives or ()}
    if "error" not in names and contents.failed:
        return False
    return all(verdict.kept for stage in contents.stages for verdict in contents.verdicts(stage))


def tabulate_stages(contents: LoadContents) -> Table:
    """The stages beside each other, with whether each kept what was to be kept."""
    levels = [(stage.name, stage.performance) for stage in contents.stages]
    if not contents.objectives:
        return tabulate_levels(levels)
    missed = [[v.objective.name for v in contents.verdicts(one) if not v.kept] for one in contents.stages]
    return tabulate_levels(levels, verdicts=[f"missed {', '.join(m)}" if m else "kept" for m in missed])


def tell_outcome(contents: LoadContents) -> Iterator[str]:
    """What was found, whether each stage kept what was to be kept, and why requests failed."""
    stages = contents.stages
    several = len(stages) > 1
    if contents.search is not None:
        yield f"found: {contents.search.get('said')}"
    elif several and (most := _tell_most(stages)):
        yield most
    for stage in stages if contents.search is None else ():
        for verdict in contents.verdicts(stage):
            if not several or not verdict.kept:
                yield f"{stage.name}: {verdict}" if several else str(verdict)
    reasons = list(contents.reasons.items())
    for reason, count in reasons[:_MOST_REASONS]:
        yield f"{count:,} × {reason}"
    if others := reasons[_MOST_REASONS:]:
        yield f"{sum(count for _, count in others):,} × other reasons, of {len(others):,} kinds"


def tabulate_answers(answers: Mapping[str, Any]) -> Table:
    """What became of the answers at each level, a row a metric."""
    rows: list[list[Cell]] = []
    for level in answers["levels"]:
        head: list[Cell] = [level["name"], level["verdict"], level["asked"], level["failed"]]
        differing = level["differing"]
        head.append(None if differing is None else f"{100 * differing:.1f} %")
        for one in level["metrics"] or [{}]:
            numbers = [Figure(one.get(name), 3) for name in ("before", "after", "low", "high")]
            rows.append([*head, one.get("metric"), *numbers, Figure(one.get("adjusted"), 4)])
    columns = ("stage", "verdict", "asked", "failed", "other words", "metric", "at idle", "under load",
               "difference from", "to", "p")  # fmt: skip
    return Table(columns, rows)


def tell_answers(answers: Mapping[str, Any]) -> Iterator[str]:
    """What became of the answers in words, with an example where they were mixed up."""
    idle = answers["idle"]
    if idle.get("differing"):
        yield f"even at idle {100 * idle['differing']:.1f} % of the answers are other words when asked again"
    for level in answers["levels"]:
        yield level["said"]
        for one in level["mixed"][:1]:
            yield f"  {one['sample']} was answered what {one['other']} is: {one['text']}"


def _tell_most(stages: Sequence[StageContents]) -> str | None:
    """The most that came a second, and from which level on hardly more comes."""
    rates = [(stage.performance.output_rate, stage.performance.request_rate) for stage in stages]
    tokens = all(output for output, _ in rates)
    found = [(output if tokens else requests) or 0.0 for output, requests in rates]
    if len(stages) < _FEWEST_LEVELS or not max(found):
        return None
    best = stages[found.index(max(found))]
    first = next(stage for stage, one in zip(stages, found) if one >= _NEARLY * max(found))
    what = "output tokens" if tokens else "requests"
    near = f"; {first.name} comes within {1 - _NEARLY:.0%} of it" if first is not best else ""
    return f"the most was {rate(max(found))} {what} a second, at {best.name}{near}"
