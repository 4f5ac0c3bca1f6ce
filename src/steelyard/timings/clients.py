"""How the processes that measured fared themselves, as they noted it each second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from steelyard.timings.rows import check_about
from steelyard.timings.shards import shards_of

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class _Note(msgspec.Struct):
    t: float
    stage: int | None = None
    in_flight: int = 0
    sent: int = 0
    done: int = 0
    failed: int = 0
    lag: float = 0.0
    busy: float = 0.0
    cpu: float = 0.0
    rss: int | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """The notes of all processes, a row a note; `t` is in seconds after the first sitting began.

    `busy` is the share of the time before the note that the process's loop was at work, `lag` the worst in
    it, `cpu` the seconds of CPU that the process has used.
    """

    t: Floats
    sitting: Integers
    worker: Integers
    stage: Integers
    in_flight: Integers
    sent: Integers
    done: Integers
    failed: Integers
    lag: Floats
    busy: Floats
    cpu: Floats
    rss: Integers

    @classmethod
    def read(cls, run: str | Path, stage: int | None = None) -> Client:
        """The notes of a run, or of one stage of it."""
        return cls.of_shards([*shards_of(Path(run))], stage=stage)

    @classmethod
    def of_shards(cls, paths: Sequence[Path], *, stage: int | None = None) -> Client:
        """The notes in some shards of a run."""
        abouts = [check_about(path) for path in paths]
        began = min(((about.sitting, about.began) for about in abouts), default=(0, 0.0))[1]
        rows = [
            (about, note)
            for path, about in zip(paths, abouts)
            for note in _read_notes(path / "client.jsonl")
            if stage is None or note.stage == stage
        ]
        notes = [note for _, note in rows]
        return cls(
            t=np.array([about.began - began + note.t for about, note in rows], np.float64),
            sitting=np.array([about.sitting for about, _ in rows], np.int64),
            worker=np.array([about.worker for about, _ in rows], np.int64),
            stage=np.array([-1 if note.stage is None else note.stage for note in notes], np.int64),
            in_flight=np.array([note.in_flight for note in notes], np.int64),
            sent=np.array([note.sent for note in notes], np.int64),
            done=np.array([note.done for note in notes], np.int64),
            failed=np.array([note.failed for note in notes], np.int64),
            lag=np.array([note.lag for note in notes], np.float64),
            busy=np.array([note.busy for note in notes], np.float64),
            cpu=np.array([note.cpu for note in notes], np.float64),
            rss=np.array([note.rss or 0 for note in notes], np.int64),
        )

    @property
    def left_in_flight(self) -> int:
        """How many requests were in flight when the last note of a stage was taken, in any sitting."""
        order = np.lexsort((self.t, self.stage, self.worker, self.sitting))
        whose = np.stack([self.sitting, self.worker, self.stage])[:, order]
        is_last = np.append((np.diff(whose) != 0).any(axis=0), True)[: len(order)]
        return int(self.in_flight[order][is_last].sum())

    def __len__(self) -> int:
        return len(self.t)


def _read_notes(file: Path) -> list[_Note]:
    """The whole lines of a file of notes; what is no note is passed over."""
    decoder, notes = msgspec.json.Decoder(_Note), []
    lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
    for line in lines:
        try:
            notes.append(decoder.decode(line))
        except msgspec.DecodeError:
            continue
    return notes
