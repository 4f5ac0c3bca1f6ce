"""What the folder of a load run holds: its stages, what each showed, and what may be said of it all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from steelyard.errors import UsageError
from steelyard.store import Run
from steelyard.timings.objectives import Objectives, Verdict, read_limits, read_objectives
from steelyard.timings.performance import Performance, measure
from steelyard.timings.serverside import Look, read_server, summarize
from steelyard.timings.shards import shards_of

if TYPE_CHECKING:
    from steelyard.timings.columns import Columns

KIND = "load"
WARM_UP = -1
"""The number of the stage that a warm-up is stored as."""
# Failures that differ in these only are of one kind; 400 and 503 are two.
_NUMBER = re.compile(r"(?<!HTTP )(?<!status )\b\d+")


@dataclass(frozen=True)
class StageContents:
    """One stage of a load run: as it was asked for, what it showed, and what the server said meanwhile."""

    number: int
    name: str
    plan: Mapping[str, Any]
    performance: Performance
    server: Mapping[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """Whether it is done, or what else became of it."""
        return str(self.plan.get("state") or "done")

    @property
    def level(self) -> str:
        """What it is called where there is little room: its rate, or its clients."""
        rate, clients = self.plan.get("rate"), self.plan.get("concurrency")
        return f"{rate:g}/s" if rate else f"{clients:,}" if clients else self.name


@dataclass
class LoadContents:
    """A load run; its requests are read from the shards where they are wanted."""

    run: Run
    stages: list[StageContents]
    looks: Sequence[Look] = ()
    sittings: Mapping[int, float] = field(default_factory=dict)
    """When each sitting began, in seconds of 1970."""

    @property
    def title(self) -> str:
        """What was asked, and whom."""
        return f"{workload_of(self.run)} · {self.run.about.get('model', 'a model')}"

    @property
    def state(self) -> str:
        """done, running, stopped, interrupted or partial, which is also what was killed."""
        return "partial" if self.was_killed else str(self.run.about.get("state"))

    @cached_property
    def was_killed(self) -> bool:
        """Whether it ended without a word: it says that it is running, and nobody writes to it."""
        return self.run.is_abandoned

    @property
    def failed(self) -> int:
        """How many requests were not answered to their end."""
        return sum(stage.performance.failed + stage.performance.cut for stage in self.stages)

    @property
    def requests(self) -> int:
        """How many requests were sent."""
        return sum(stage.performance.total for stage in self.stages)

    @property
    def reasons(self) -> dict[str, int]:
        """Why requests failed, the most frequent first; one stands for all that differ in a number."""
        counted: Counter[str] = Counter()
        examples: dict[str, str] = {}
        for stage in self.stages:
            for reason, count in stage.performance.errors.items():
                kind = _NUMBER.sub("0", reason)
                counted[examples.setdefault(kind, reason)] += count
        return dict(counted.most_common())

    @property
    def spoiled(self) -> bool:
        """Whether the client, and not the service, was the limit in some stage."""
        # What finds doubts comes with numpy.
        from steelyard.timings.doubts import is_spoiled

        return any(is_spoiled(stage.performance) for stage in self.stages)

    @cached_property
    def everything(self) -> Columns:
        """All requests but those of warm-ups."""
        # numpy is loaded only where single requests matter.
        from steelyard.timings.columns import Columns

        return Columns.read(self.run.path)

    @cached_property
    def warmups(self) -> Columns:
        """The requests of warm-ups, which are in no figure."""
        from steelyard.timings.columns import Columns

        return Columns.read(self.run.path, stage=WARM_UP)

    @cached_property
    def columns(self) -> Columns:
        """The requests of the workload: without those that check answers."""
        found = self.everything
        return found.select(~found.check) if found.check.any() else found

    @property
    def began(self) -> float:
        """When the first sitting began, in seconds of 1970: the zero of all times."""
        return min(self.sittings.values(), default=0.0)

    @property
    def objectives(self) -> Objectives | None:
        """What was to be kept."""
        slo = self.run.about.get("slo")
        return read_objectives(slo) if slo else None

    @property
    def search(self) -> Mapping[str, Any] | None:
        """What a search found, where the stages are those of one."""
        found: Mapping[str, Any] | None = self.run.about.get("search")
        return found

    @property
    def answers(self) -> Mapping[str, Any] | None:
        """What was said of the answers under load, where these were checked."""
        found: Mapping[str, Any] | None = self.run.about.get("answers")
        return found

    def verdicts(self, stage: StageContents) -> list[Verdict]:
        """Whether a stage kept what was to be kept."""
        return self.objectives.check(stage.performance) if self.objectives else []

    def start_of(self, stage: StageContents) -> float | None:
        """When a stage began, in seconds after the first sitting did."""
        begin, sitting = stage.plan.get("from"), stage.plan.get("sitting", 0)
        if begin is None or sitting not in self.sittings:
            return None
        return float(begin) + self.sittings[sitting] - self.began


def is_load(run: Run) -> bool:
    """Whether a run is one of load."""
    return run.about.get("kind") == KIND


def read_load(run: Run) -> LoadContents:
    """Read a load run; what it did not come to measure itself is measured from its shards."""
    if not is_load(run):
        raise UsageError(f"{run.path} is no load run", hint="steelyard load makes one")
    contents = LoadContents(run, [], read_server(run.path), _read_sittings(run.path))
    known = {result.get("stage"): result for result in run.about.get("results") or []}
    goodput = run.about.get("goodput")
    limits = read_limits(goodput) if goodput else None
    for number, plan in enumerate(run.about.get("stages") or []):
        # Of a stage that was gone on with there may be figures of an earlier sitting.
        if number in known and plan.get("state") != "running":
            performance = Performance.from_dict(known[number])
        else:
            columns = contents.columns.of_stage(number)
            if not len(columns):
                continue
            performance = measure(columns, limits=limits)
            performance = replace(performance, partial=plan.get("state") != "done")
        contents.stages.append(
            StageContents(number, str(plan.get("name") or f"stage {number + 1}"), plan, performance,
                          _summarize(contents, plan))
        )  # fmt: skip
    return contents


def workload_of(run: Run) -> str:
    """What the workload of a run is called."""
    workload = run.about.get("workload")
    name = workload.get("name") if isinstance(workload, Mapping) else workload
    return str(name or "a load")


def _summarize(contents: LoadContents, plan: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the server said of the time of a stage."""
    begin, end, sitting = plan.get("from"), plan.get("to"), plan.get("sitting", 0)
    if not contents.looks or begin is None or end is None or sitting not in contents.sittings:
        return {}
    zero = contents.sittings[sitting]
    return summarize(contents.looks, zero + begin, zero + end)


def _read_sittings(path: Path) -> dict[int, float]:
    """When each sitting of a run began, in seconds of 1970."""
    found: dict[int, float] = {}
    for shard in shards_of(path):
        try:
            about = msgspec.json.decode((shard / "shard.json").read_bytes(), type=dict[str, Any])
            found[int(about["sitting"])] = float(about["began"])
        except (OSError, KeyError, ValueError, msgspec.DecodeError):
            # A kill may have left it half written; Columns say so of its requests.
            continue
    return found
