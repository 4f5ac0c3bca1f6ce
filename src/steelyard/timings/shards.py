"""A shard is what one process measured in one sitting: a folder that only it writes to.

    RUN/shards/0/
        shard.json      {"format": 1, "sitting": 0, "worker": 0, "began": 1774000000.123}
        records.jsonl   a Record a line, in the order of their ends, its Timing without chunks
        events.bin      for each record its token events, four bytes each: microseconds, from sending to
                        the first, then from each to the next
        client.jsonl    how the process itself fared, a line a second

All times are seconds after `began`, which is the sitting's own zero and the same for all its workers. A
record's events are written before its line, which says how many they are: what a kill leaves behind the
last whole line belongs to nobody.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from operator import sub
from pathlib import Path
from typing import Any

import msgspec

from steelyard.errors import StoreError
from steelyard.types import Record, Response, Timing

FORMAT = 1
EVENTS = "events"
"""Under this name `response.raw` of a stored record says how many token events it has."""

_LONGEST = 2**32 - 1
_MICRO = 1_000_000


class Shard:
    """A shard that is written; `Shards` of a run are read by Columns."""

    def __init__(self, path: Path, *, sitting: int, worker: int, began: float, zero: float) -> None:
        """`began` is the sitting's zero by the calendar, in seconds of 1970; `zero` the same by our clock."""
        self.path, self._zero = path, zero
        try:
            path.mkdir(parents=True)
            about = {"format": FORMAT, "sitting": sitting, "worker": worker, "began": began}
            # By renaming, so that there is no shard that does not say whose it is.
            (path / "shard.json.new").write_bytes(msgspec.json.encode(about))
            (path / "shard.json.new").replace(path / "shard.json")
            self._records = (path / "records.jsonl").open("ab", buffering=0)
            self._events = (path / "events.bin").open("ab", buffering=0)
            self._client = (path / "client.jsonl").open("ab", buffering=0)
        except OSError as error:
            raise _cannot("write to", path, error) from error
        self._encode = msgspec.json.Encoder().encode

    def add(self, record: Record) -> None:
        """Store an answer with its times."""
        self.add_all([record])

    def add_all(self, records: Sequence[Record]) -> None:
        """Store several answers with their times, by one write each to the two files."""
        events, lines = array("I"), []
        for record in records:
            gaps = gaps_of(record)
            events.extend(gaps)
            lines.append(self._encode(self._stored(record, len(gaps))))
        lines.append(b"")
        try:
            if events:
                _write(self._events.fileno(), events.tobytes())
            _write(self._records.fileno(), b"\n".join(lines))
        except OSError as error:
            raise _cannot("write to", self.path, error) from error

    def note(self, **said: Any) -> None:
        """Add a line on how the process fares."""
        _write(self._client.fileno(), self._encode(said) + b"\n")

    def close(self) -> None:
        """Write no more."""
        for file in (self._records, self._events, self._client):
            file.close()

    def _stored(self, record: Record, events: int) -> Record:
        # Made anew and not by replace(), which takes three times as long, for every answer of a load.
        given, timing = record.response, record.response.timing
        told: dict[str, Any] = {**given.raw} if isinstance(given.raw, Mapping) else {}
        told[EVENTS] = events
        if timing is not None:
            zero, first = self._zero, timing.first_byte
            timing = Timing(
                due=round(timing.due - zero, 7),
                sent=round(timing.sent - zero, 7),
                done=round(timing.done - zero, 7),
                first_byte=None if first is None else round(first - zero, 7),
                connecting=round(timing.connecting, 7),
                held=round(timing.held, 7),
                taken_by=timing.taken_by,
            )
        response = Response(given.text, given.scores, given.tokens, timing, given.error, told, given.cost)
        return Record(record.index, record.sample, record.request, response, record.scores)


def read_about(path: Path) -> dict[str, Any]:
    """What a shard says of itself: its sitting, its worker, when that began."""
    return msgspec.json.decode((path / "shard.json").read_bytes(), type=dict[str, Any])


def gaps_of(record: Record) -> array[int]:
    """The token events of an answer as they are stored."""
    timing = record.response.timing
    if timing is None or not timing.chunks:
        return array("I")
    # Rounded before they are subtracted, so that the last is where it was.
    places = [round(timing.sent * _MICRO), *[round(at * _MICRO) for at in timing.chunks]]
    gaps = list(map(sub, places[1:], places))
    if min(gaps) < 0 or max(gaps) > _LONGEST:
        gaps = [min(max(gap, 0), _LONGEST) for gap in gaps]
    return array("I", gaps)


def shards_of(run: Path) -> Iterator[Path]:
    """The folders of the shards of a run, in the order of their sittings and workers."""
    folder = run / "shards"
    if folder.is_dir():
        yield from sorted((p for p in folder.iterdir() if (p / "shard.json").exists()), key=_number)


def _number(path: Path) -> tuple[int, str]:
    return (int(path.name) if path.name.isdecimal() else -1, path.name)


def _write(file: int, data: bytes) -> None:
    written = 0
    while written < len(data):
        written += os.write(file, data[written:])


def _cannot(verb: str, path: Path, error: OSError) -> StoreError:
    hint = "make room: what was measured before is kept"
    return StoreError(f"cannot {verb} {path}: {error.strerror or error}", hint=hint)
