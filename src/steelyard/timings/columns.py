"""The requests of a load run as columns: a row a request, an array a property.

    columns = Columns.read("runs/load", stage=0)
    columns.done - columns.sent                  how long each took, in seconds
    for gaps in columns.gaps(): …                every gap between token events, block by block

Columns are a few bytes a request. The token events, which may be a thousand times as many, stay on disk;
they are read in blocks of a bounded size as often as they are asked for. They are read and not mapped,
since pages of a mapped file count as memory of the process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from steelyard.timings.counting import Counts
from steelyard.timings.rows import COUNTED_BY, STATES, TAKEN_BY, read_names, read_rows
from steelyard.timings.shards import shards_of

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Small = NDArray[np.int32]
Flags = NDArray[np.bool_]

BLOCK = 1 << 21
"""How many token events are read at a time."""

MICRO = 1e-6


class Block(NamedTuple):
    """Token events of several requests: of each the gap from sending to its first, then the others."""

    rows: Integers
    values: NDArray[np.uint32]
    starts: Integers
    """Where in `values` the first event of each row is."""


@dataclass(eq=False)
class Columns:
    """The requests of a run, a stage or a part of it, in the order in which each process stored them.

    Times are seconds after the first sitting began; NaN where something did not happen. Token counts are
    -1 where nobody knows them.
    """

    index: Integers
    stage: Small
    turn: Small
    sitting: Small
    worker: Small
    check: Flags
    due: Floats
    sent: Floats
    first_byte: Floats
    done: Floats
    connecting: Floats
    held: Floats
    first: Floats
    last: Floats
    tokens_in: Integers
    tokens_out: Integers
    events: Integers
    state: NDArray[np.uint8]
    taken_by: NDArray[np.uint8]
    counted_by: NDArray[np.uint8]
    """Who counted the tokens of an answer; `input_counted_by` those of its prompt."""
    input_counted_by: NDArray[np.uint8]
    error: NDArray[np.int32]
    """Which of `errors` it is; -1 is none."""
    shard: Small
    start: Integers
    """Where in the file of its shard the events of a request begin, in events."""
    line: Integers
    """Which line of its shard it is."""
    errors: Sequence[str]
    paths: Sequence[Path]
    began: float = 0.0
    """When the first sitting began, in seconds of 1970."""
    about: Mapping[str, Any] | None = None
    """What `run.json` says."""
    lost: int = 0
    """How many requests were left out because their events are missing."""
    repeated: int = 0
    """How many were left out because a later sitting asked their sessions from the first turn again."""

    @classmethod
    def read(cls, run: str | Path, stage: int | None = None) -> Columns:
        """The requests of a stage of a run; without one of all stages but warm-ups, which are stage -1."""
        path = Path(run)
        found = read_rows([*shards_of(path)], stage=stage)
        columns = cls(**found, about=_read_about(path))
        return columns._without_repeated()._with_times_of_events()

    def __len__(self) -> int:
        return len(self.index)

    @property
    def ok(self) -> Flags:
        """Which requests were answered."""
        return self._in_state("ok")

    @property
    def failed(self) -> Flags:
        """Which requests ended with an error."""
        return self._in_state("failed")

    @property
    def cut(self) -> Flags:
        """Which requests were cut off at the end of their stage."""
        return self._in_state("cut")

    @property
    def lag(self) -> Floats:
        """How late we were in sending, but for what a limit or a connection cost."""
        return self.sent - self.due - self.held - self.connecting

    @cached_property
    def spans(self) -> list[tuple[float, float]]:
        """For each sitting, and stage, when its first request was sent and when its last answer ended."""
        there = np.isfinite(self.sent)
        pairs = np.unique(np.stack([self.sitting[there], self.stage[there]]), axis=1).T
        found = []
        for sitting, stage in pairs.tolist():
            of_it = there & (self.sitting == sitting) & (self.stage == stage)
            found.append((float(self.sent[of_it].min()), float(np.nanmax(self.done[of_it]))))
        return sorted(found)

    @property
    def duration(self) -> float:
        """From the first sending to the last answer's end, added up over sittings and stages."""
        return sum(end - begin for begin, end in self.spans)

    @cached_property
    def answered(self) -> Columns:
        """The requests that were answered."""
        return self.select(self.ok)

    @cached_property
    def gap_counts(self) -> Counts:
        """How often each gap between token events came, in microseconds."""
        counts = Counts()
        for gaps in self.gaps():
            counts.add(gaps)
        return counts

    def select(self, rows: Flags | Integers) -> Columns:
        """Some of the requests; themselves where that is all of them."""
        if rows.dtype == np.bool_ and rows.all():
            return self
        arrays: dict[str, Any] = {
            each.name: value[rows]
            for each in fields(self)
            if isinstance(value := getattr(self, each.name), np.ndarray)
        }
        return replace(self, **arrays)

    def of_stage(self, stage: int) -> Columns:
        """The requests of one stage."""
        return self.select(self.stage == stage)

    def of_turn(self, turn: int) -> Columns:
        """The requests that were one turn of their sessions, the first being 0."""
        return self.select(self.turn == turn)

    def taken_counts(self) -> dict[str, int]:
        """Of how many answers who took the times: the kernel, our reader, the model itself."""
        return _count(self.taken_by[self.ok], TAKEN_BY)

    def counted_counts(self) -> dict[str, int]:
        """Of how many answers who counted the tokens."""
        return _count(self.counted_by[self.ok], COUNTED_BY)

    def input_counted_counts(self) -> dict[str, int]:
        """Of how many answers who counted the tokens of the prompt."""
        return _count(self.input_counted_by[self.ok], COUNTED_BY)

    def error_counts(self) -> dict[str, int]:
        """How often each error came, the most frequent first."""
        codes, counts = np.unique(self.error[self.error >= 0], return_counts=True)
        found = sorted(zip(codes.tolist(), counts.tolist()), key=lambda pair: -pair[1])
        return {self.errors[code]: count for code, count in found}

    def names(self) -> Iterator[tuple[str, str | None]]:
        """The sample and the session of each row, read from the shards as they are wanted."""
        for shard in np.unique(self.shard).tolist():
            yield from read_names(self.paths[shard], self.line[self.shard == shard])

    def blocks(self, size: int = BLOCK) -> Iterator[Block]:
        """The token events of the requests, about `size` of them at a time."""
        rows = np.flatnonzero(self.events > 0)
        for shard in np.unique(self.shard[rows]).tolist():
            own = rows[self.shard[rows] == shard]
            own = own[np.argsort(self.start[own], kind="stable")]
            with (self.paths[shard] / "events.bin").open("rb", buffering=0) as file:
                for part in _parts(self.start[own], self.events[own], size):
                    yield _read_block(file, own[part], self.start[own[part]], self.events[own[part]])

    def gaps(self, size: int = BLOCK) -> Iterator[NDArray[np.uint32]]:
        """The gaps between token events in microseconds, pooled over the requests, block by block."""
        for block in self.blocks(size):
            kept = np.ones(len(block.values), np.bool_)
            kept[block.starts] = False
            yield block.values[kept]

    def _in_state(self, name: str) -> Flags:
        found: Flags = self.state == STATES.index(name)
        return found

    def _without_repeated(self) -> Columns:
        """What is left without the turns of sessions that were stopped, and later asked from the first."""
        if not self.sitting.any():
            return self
        keys = np.stack([self.stage, self.index, self.check])
        _, sessions = np.unique(keys, axis=1, return_inverse=True)
        sessions = sessions.reshape(-1)
        latest = np.zeros(int(sessions.max()) + 1, np.int32)
        np.maximum.at(latest, sessions, self.sitting)
        kept = self.sitting == latest[sessions]
        return replace(self.select(kept), repeated=int(np.count_nonzero(~kept)))

    def _with_times_of_events(self) -> Columns:
        for block in self.blocks():
            sent = self.sent[block.rows]
            self.first[block.rows] = sent + block.values[block.starts] * MICRO
            totals = np.add.reduceat(block.values, block.starts, dtype=np.int64)
            self.last[block.rows] = last = sent + totals * MICRO
            # What came with the end would have come after it, for events are stored in whole microseconds.
            self.done[block.rows] = np.maximum(self.done[block.rows], last)
        return self


def _parts(starts: Integers, events: Integers, size: int) -> Iterator[slice]:
    """Runs of requests whose events lie within `size` of each other in the file, holes included."""
    ends, place = starts + events, 0
    while place < len(starts):
        after = max(int(np.searchsorted(ends, starts[place] + size, side="right")), place + 1)
        yield slice(place, after)
        place = after


def _read_block(file: Any, rows: Integers, starts: Integers, events: Integers) -> Block:
    begin, end = int(starts[0]), int(starts[-1] + events[-1])
    values = np.empty(end - begin, np.uint32)
    view, read = values.data.cast("B"), 0
    file.seek(begin * 4)
    while read < len(view):
        got = file.readinto(view[read:])
        if not got:
            raise EOFError(f"{file.name} is shorter than it was")
        read += got
    places = starts - begin
    if int(events.sum()) < len(values):
        edges = np.zeros(len(values) + 1, np.int8)
        edges[places] += 1
        edges[places + events] -= 1
        values = values[np.cumsum(edges[:-1], dtype=np.int8).view(np.bool_)]
        places = np.concatenate(([0], np.cumsum(events)[:-1]))
    return Block(rows, values, places)


def _count(codes: NDArray[np.uint8], names: Sequence[str]) -> dict[str, int]:
    counts = np.bincount(codes, minlength=len(names))
    return {name: int(count) for name, count in zip(names, counts) if count}


def _read_about(path: Path) -> Mapping[str, Any] | None:
    try:
        about = msgspec.json.decode((path / "run.json").read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return None
    return about
