"""Two load runs beside each other, stage by stage: what changed, and whether that can be told from chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from steelyard.errors import UsageError
from steelyard.report.load_contents import LoadContents, StageContents
from steelyard.report.tables import Cell, Figure, Table
from steelyard.store import differences
from steelyard.timings.comparison import Change, compare
from steelyard.timings.objectives import tell_value

_MOST_DIFFERENCES = 8
_PLAN = ("requests", "duration", "concurrency", "arrival", "rate", "burstiness", "burst", "ramp", "ramp_from",
         "ramp_seconds", "speed", "joining", "seed")  # fmt: skip


@dataclass(frozen=True)
class LoadPairing:
    """A stage of one run and that of another which is compared with it, and what changed."""

    base: LoadContents
    other: LoadContents
    before: StageContents
    after: StageContents
    changes: Sequence[Change]
    remarks: Sequence[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What the two stages are called."""
        one, two = self.before.name, self.after.name
        return one if one == two else f"{two} against {one}"


def compare_loads(base: LoadContents, other: LoadContents) -> list[LoadPairing]:
    """Compare the stages that two runs have both; where each has only one, these two."""
    named = {stage.name: stage for stage in other.stages}
    pairs = [(stage, named[stage.name]) for stage in base.stages if stage.name in named]
    if not pairs and len(base.stages) == len(other.stages) == 1:
        pairs = [(base.stages[0], other.stages[0])]
    if not pairs:
        names = ", ".join(stage.name for stage in base.stages) or "none"
        raise UsageError(
            f"{base.run.path} and {other.run.path} have no stage in common", hint=f"the first has {names}"
        )
    return [_pair(base, other, one, two) for one, two in pairs]


def tabulate_changes(pairing: LoadPairing) -> Table:
    """A row a number: before, after, the difference with its interval, and the verdict."""
    rows: list[list[Cell]] = [
        [
            change.name,
            tell_value(change.measure, change.before),
            tell_value(change.measure, change.after),
            _percent(change.ratio),
            _percent(_share(change.low, change)),
            _percent(_share(change.high, change)),
            Figure(change.p, 4),
            change.verdict,
        ]
        for change in pairing.changes
    ]
    return Table(("", "base", "other", "difference", "95 % low", "high", "p", "verdict"), rows)


def tabulate_all(found: Sequence[LoadPairing]) -> Table:
    """All changes of several pairings, numbers in full."""
    rows: list[list[Cell]] = []
    for pairing in found:
        for change in pairing.changes:
            numbers = (change.before, change.after, change.low, change.high, change.p)
            cells = [Figure(number, 6) for number in numbers]
            rows.append([str(pairing.other.run.path), pairing.name, change.name, *cells, change.verdict])
    return Table(("run", "stage", "number", "base", "other", "difference low", "high", "p", "verdict"), rows)


def as_comparison_document(pairing: LoadPairing) -> Mapping[str, Any]:
    """A comparison for machines."""
    return {
        "base": str(pairing.base.run.path),
        "other": str(pairing.other.run.path),
        "stage": pairing.name,
        "remarks": list(pairing.remarks),
        "changes": [change.to_dict() for change in pairing.changes],
    }


def _pair(base: LoadContents, other: LoadContents, one: StageContents, two: StageContents) -> LoadPairing:
    changes = compare(one.performance, two.performance)
    return LoadPairing(base, other, one, two, changes, list(_remark(base, other, one, two)))


def _remark(base: LoadContents, other: LoadContents, one: StageContents, two: StageContents) -> Iterator[str]:
    """What makes the two hard to compare."""
    for contents, stage in ((base, one), (other, two)):
        for doubt in stage.performance.doubts:
            yield f"{contents.run.path}: {doubt}"
    plans = [{name: stage.plan.get(name) for name in _PLAN} for stage in (one, two)]
    changed = differences(plans[0], plans[1], at="stage")
    for part in ("workload", "model", "sampling"):
        was, now = (c.run.about.get("identity", {}).get(part) for c in (base, other))
        changed += differences(was, now, at=part)
    more = len(changed) - _MOST_DIFFERENCES
    if changed:
        shown = [*changed[:_MOST_DIFFERENCES], *([f"and {more} more"] if more > 0 else [])]
        yield f"what differs: {'; '.join(shown)}"


def _share(end: float | None, change: Change) -> float | None:
    return None if end is None or not change.before else end / change.before


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:+.1f} %"
