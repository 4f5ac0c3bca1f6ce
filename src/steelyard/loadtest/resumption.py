"""What of a stage is left to ask, when a run is gone on with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from steelyard.loadtest.plan import Stage, list_dues
from steelyard.timings.shards import read_about, shards_of

Spans = Sequence[tuple[int, "int | None"]]


class Left(NamedTuple):
    """The places of sessions that are left, how much of the schedule is over, how many seconds are left.

    `reached` is the place behind the last session that was asked before.
    """

    places: Spans
    skipped: float | None
    seconds: float | None
    reached: int = 0

    @property
    def nothing(self) -> bool:
        """Whether the stage is over."""
        return not self.places or (self.seconds is not None and self.seconds <= 0)


class _Meta(msgspec.Struct):
    stage: int = 0
    turn: int = 0
    turns: int = 1


class _Sample(msgspec.Struct):
    meta: _Meta


class _Response(msgspec.Struct):
    error: str | None = None


class _Line(msgspec.Struct):
    index: int
    sample: _Sample
    response: _Response


class _Note(msgspec.Struct):
    t: float
    stage: int | None = None


def find_left(run: Path, number: int, stage: Stage, entry: Mapping[str, Any]) -> Left:
    """What is left of a stage that a run has begun; `entry` is what the run says of it."""
    done = _find_done(run, number)
    reached = max(done, default=-1) + 1
    if stage.duration is None:
        return Left(_missing(done, stage.requests), None, None, reached)
    elapsed = min(stage.duration, sum(_lasted(run, number, one) for one in [entry, *entry.get("before", [])]))
    left = stage.duration - elapsed
    if stage.arrival is None:
        # Those in flight when it was stopped are not asked again, so that nothing is asked twice as often.
        begin = reached
    elif stage.arrival == "trace":
        begin = 0
    else:
        begin = sum(1 for _ in takewhile(lambda due: due < elapsed, list_dues(stage)))
    over = stage.requests is not None and begin >= stage.requests
    return Left(() if over else ((begin, stage.requests),), elapsed, left, reached)


def _find_done(run: Path, number: int) -> set[int]:
    """The places of the sessions of a stage that have ended: all turns asked, or one failed."""
    decoder, done = msgspec.json.Decoder(_Line), set()
    for line in _lines(run, "records.jsonl"):
        record = decoder.decode(line)
        meta = record.sample.meta
        if meta.stage == number and (meta.turn + 1 >= meta.turns or record.response.error is not None):
            done.add(record.index)
    return done


def _missing(done: set[int], end: int | None) -> Spans:
    spans: list[tuple[int, int | None]] = []
    place = 0
    for one in [*sorted(done), None]:
        stop = end if one is None else one
        if stop is None or stop > place:
            spans.append((place, stop))
        place = place if one is None else one + 1
    return spans


def _lasted(run: Path, number: int, entry: Mapping[str, Any]) -> float:
    """For how many seconds one sitting asked, by what the run says, else by the last thing that it noted."""
    if (to := entry.get("to")) is None:
        decoder = msgspec.json.Decoder(_Note)
        notes = (decoder.decode(line) for line in _lines(run, "client.jsonl", sitting=entry["sitting"]))
        to = max((note.t for note in notes if note.stage == number), default=entry["from"])
    return float(max(0.0, to - entry["from"]))


def _lines(run: Path, name: str, *, sitting: int | None = None) -> Iterator[bytes]:
    for path in shards_of(run):
        if sitting is not None and read_about(path)["sitting"] != sitting:
            continue
        file = path / name
        if not file.exists():
            continue
        with file.open("rb") as lines:
            # What a kill tore is no line.
            yield from (line for line in lines if line.endswith(b"\n"))
