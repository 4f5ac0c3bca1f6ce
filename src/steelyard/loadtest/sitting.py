"""One sitting of a load: its stages one after another, and what is noted of each in the run.

A run that is stopped and gone on with has several. In `run.json` each stage says what it was, how it
ended (`state`), in which sitting, and `from` and `to` which second of that; `first` is the number of its
first session, `reached` how many it got through; what earlier sittings did of it is in `before`.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol, Union

from steelyard.errors import Interrupted, RunMismatch, StoreError, describe
from steelyard.loadtest.measuring import Orders, Outcome, Refused
from steelyard.loadtest.plan import Stage, check_stage, stage_of
from steelyard.loadtest.resumption import Left, find_left
from steelyard.loadtest.sessions import Share
from steelyard.loadtest.staffing import count_workers
from steelyard.loadtest.ticks import Watch
from steelyard.models.base import clock
from steelyard.store import Run, differences
from steelyard.timings.performance import Performance, measure
from steelyard.timings.shards import read_about, shards_of

Stages = Union[Sequence[Stage], Callable[[Sequence[Performance]], "Stage | None"]]
Entry = dict[str, Any]

_CHANGED = ("state", "reason", "stages", "warmups", "results")


class Measurers(Protocol):
    """Who measures: this process, or some that it watches."""

    def hire(self, workers: int) -> None:
        """Have at least so many ready."""
        ...

    def run(self, share: Share, *, workers: int, watch: Watch | None) -> Outcome:
        """Measure a stage to its end."""
        ...

    def close(self) -> None:
        """Store what is not stored, and end."""
        ...


@dataclass(kw_only=True)
class Sitting:
    """The stages of one sitting, and what is noted of them."""

    run: Run
    orders: Orders
    measurers: Measurers
    stages: Stages
    seed: int = 0
    workers: int | str = "auto"
    limits: Mapping[str, float] | None = None
    was: Mapping[str, Any] = field(default_factory=dict)
    """What the run said before it was gone on with."""
    watch: Watch | None = None
    scraping: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext
    results: list[Performance] = field(default_factory=list)

    def run_to_end(self) -> None:
        """Measure all stages that are not measured yet, and note in the run how it ended."""
        self._entries: list[Entry] = list(self.run.about.get("stages", []))
        self._warmups: list[Entry] = list(self.run.about.get("warmups", []))
        self.run.about["reason"] = None
        try:
            self._measure_all()
        except (KeyboardInterrupt, asyncio.CancelledError) as error:
            self._end("interrupted")
            hint = f"go on with: steelyard load --resume {shlex.quote(str(self.run.path))}"
            raise Interrupted("stopped; what was measured is stored", hint=hint) from error
        except Refused as refused:
            self._take_back()
            raise refused.why from None
        except Exception as error:
            # A full disk may be what stopped it, and then nothing can be noted either.
            with contextlib.suppress(StoreError):
                self._end("stopped", describe(error))
            raise

    def _measure_all(self) -> None:
        warmups: list[Stage] = []
        for stage, last in self._plan():
            check_stage(stage)
            if stage.warmup:
                warmups.append(stage)
                continue
            number = len(self.results)
            left = self._find_left(number, stage)
            if left is not None and left.nothing:
                self._note_result(number, done=True)
                warmups.clear()
                continue
            for nth, warmup in enumerate(warmups):
                self._warm_up(warmup, number, nth)
            warmups.clear()
            lost = self._measure(stage, number, left, last=last)
            if lost is not None:
                self._end("partial", lost)
                return
        self._close()
        self.run.update(state="done")

    def _plan(self) -> Iterator[tuple[Stage, bool]]:
        """The stages, each with whether it is known to be the last."""
        if callable(self.stages):
            while (stage := self.stages(tuple(self.results))) is not None:
                yield stage, False
            return
        for place, stage in enumerate(self.stages, 1):
            yield stage, place == len(self.stages)

    def _find_left(self, number: int, stage: Stage) -> Left | None:
        """What is left of a stage that the run holds already; a different one in its place is an error."""
        if number >= len(self._entries):
            return None
        entry = self._entries[number]
        if changed := differences(asdict(stage_of(entry)), asdict(stage)):
            message = f"{self.run.path}: stage {number} was another one: {'; '.join(changed)}"
            raise RunMismatch(message, hint="ask for the stages that it had, or start a new run")
        if entry["state"] == "done":
            return Left((), None, None)
        left = find_left(self.run.path, number, self._seeded(stage), entry)
        entry["reached"] = max(entry["reached"], left.reached)
        return left

    def _warm_up(self, stage: Stage, number: int, nth: int) -> None:
        """Ask what nobody counts; what warmed up before a stage does so again where that is gone on with."""
        known = [entry for entry in self._warmups if entry["ahead_of"] == number]
        first = known[nth]["first"] if nth < len(known) else self._next_session()
        entry = {**asdict(stage), "ahead_of": number, "first": first}
        outcome = self._run(stage, -1, entry, Left(((0, stage.requests),), 0.0, stage.duration))
        if nth >= len(known):
            self._warmups.append({**entry, "reached": outcome.reached})
            self.run.update(warmups=self._warmups)

    def _measure(self, stage: Stage, number: int, left: Left | None, *, last: bool) -> str | None:
        """Measure a stage, or what is left of it; why it is not whole, if it is not."""
        now = {
            "state": "running",
            "sitting": self.orders.sitting,
            "from": round(clock() - self.orders.zero, 6),
        }
        if left is None:
            first = 0 if stage.arrival == "trace" else self._next_session()
            self._entries.append({**asdict(stage), **now, "first": first, "reached": 0})
            left = Left(((0, stage.requests),), 0.0, stage.duration)
        else:
            was = self._entries[number]
            before = {name: was[name] for name in ("sitting", "from", "to", "workers") if name in was}
            self._entries[number] = {**was, **now, "before": [*was.get("before", []), before]}
            self._entries[number].pop("to", None)
        entry = self._entries[number]
        self.run.update(stages=self._entries)
        outcome = self._run(stage, number, entry, left)
        entry.update(
            state="done" if outcome.lost is None else "partial",
            **{"from": round(outcome.begin, 6), "to": round(outcome.end, 6)},
            reached=max(outcome.reached, entry["reached"]),
            unsent=outcome.unsent + (entry.get("unsent") or 0),
            skipped=outcome.skipped,
            ended=outcome.ended,
            workers=outcome.workers,
            busy=round(outcome.busy, 3),
        )
        self.run.update(stages=self._entries)
        if last:
            # They need not be there, with their memory, while the figures are made.
            self._close()
        self._note_result(number, done=False)
        return outcome.lost

    def _run(self, stage: Stage, number: int, entry: Mapping[str, Any], left: Left) -> Outcome:
        share = Share(
            stage=self._seeded(stage),
            number=number,
            first=entry["first"],
            places=left.places,
            skipped=left.skipped,
            left=left.seconds,
        )
        workers = count_workers(self.workers, self.orders.workload, stage, self._entries)
        # Before there is a thread here that a new process would have half of.
        self.measurers.hire(workers)
        with self.scraping():
            return self.measurers.run(share, workers=workers, watch=self.watch)

    def _seeded(self, stage: Stage) -> Stage:
        return replace(stage, seed=stage.seed + self.seed)

    def _next_session(self) -> int:
        """The number of the first session that was not asked."""
        return max((one["first"] + one["reached"] for one in [*self._entries, *self._warmups]), default=0)

    def _note_result(self, number: int, *, done: bool) -> None:
        """Have the figures of a stage in the run; those of one that was done before may be there."""
        stored = list(self.run.about.get("results", []))
        if done and number < len(stored) and self._entries[number]["state"] == "done":
            self.results.append(Performance.from_dict(stored[number]))
            return
        self._entries[number]["state"] = "done" if done else self._entries[number]["state"]
        performance = measure_stage(self.run, number, limits=self.limits, entry=self._entries[number])
        self.results.append(performance)
        self.run.update(stages=self._entries, results=[*stored[:number], performance.to_dict()])

    def _end(self, state: str, reason: str | None = None) -> None:
        """Note that the run ended before its end."""
        self._close()
        number = len(self.results)
        entry = self._entries[number] if number < len(self._entries) else {}
        unfinished = entry.get("state") == "running" and entry["sitting"] == self.orders.sitting
        if unfinished:
            entry.update(state=state, to=round(clock() - self.orders.zero, 6))
        self.run.update(state=state, reason=reason, stages=self._entries)
        if unfinished:
            self._note_result(number, done=False)

    def _take_back(self) -> None:
        """Have the folder as it was: whoever asks again, and rightly, is to find nothing of this sitting."""
        self._close()
        for path in shards_of(self.run.path):
            if read_about(path)["sitting"] == self.orders.sitting:
                shutil.rmtree(path)
        if self.orders.sitting:
            self.run.update(**{name: self.was.get(name) for name in _CHANGED})
            return
        for left in (self.run.path / "shards", self.run.path / "server.jsonl"):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
        self.run.discard()

    def _close(self) -> None:
        self.measurers.close()


def measure_stage(
    run: Run, number: int, *, limits: Mapping[str, float] | None = None, entry: Mapping[str, Any]
) -> Performance:
    """The figures of a stage of a run, from its folder, with the doubts that its entry there gives."""
    # numpy is loaded only when something has been measured.
    from steelyard.timings.columns import Columns

    performance = measure(Columns.read(run.path, stage=number), limits=limits)
    return replace(performance, doubts=(*performance.doubts, *_doubt_entry(entry)))


def _doubt_entry(entry: Mapping[str, Any]) -> Iterator[str]:
    """What a stage did not ask of what was to be asked."""
    if unsent := entry.get("unsent"):
        yield f"{unsent:,} sessions were due and not begun before the time was over: we were late, or a limit"
    elif entry.get("ended") and (wanted := _tell_wanted(entry)):
        yield f"the workload ended after {entry['reached']:,} sessions, before {wanted}: none is asked twice"
    if skipped := entry.get("skipped"):
        yield f"{skipped:,} rows of the workload were passed over: bad ones, or ones that had no answer"


def _tell_wanted(entry: Mapping[str, Any]) -> str | None:
    """What a stage was to end with and did not, but for a trace, which is as long as it is."""
    requests, duration = entry["requests"], entry["duration"]
    if duration is not None and (entry.get("before") or entry["to"] - entry["from"] >= duration):
        return None
    if requests is not None:
        return f"there were {requests:,}" if entry["reached"] < requests else None
    return f"{duration:g} s were over" if duration is not None and entry["arrival"] != "trace" else None
