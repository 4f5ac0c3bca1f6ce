"""How the records of shards become columns: typed decoding of the few fields that matter, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from steelyard.errors import StoreError
from steelyard.timings.shards import FORMAT, read_about

STATES = ("ok", "failed", "cut")
TAKEN_BY = ("unknown", "kernel", "reader", "model")
COUNTED_BY = ("unknown", "usage", "tokenizer", "events", "model", "workload")

_CHUNK = 1 << 20
_MOST_ERRORS = 1000
_OTHER_ERRORS = "other errors"
_ERROR_LENGTH = 300


class _Meta(msgspec.Struct):
    stage: int = 0
    turn: int = 0
    check: Any = None
    tokens_in: int | None = None


class _Sample(msgspec.Struct):
    meta: _Meta = msgspec.field(default_factory=_Meta)


class _Timing(msgspec.Struct):
    due: float
    sent: float
    done: float = 0.0
    first_byte: float | None = None
    connecting: float = 0.0
    held: float = 0.0
    taken_by: str | None = None


class _Raw(msgspec.Struct):
    events: int = 0
    cut: Any = None
    counted_by: Any = None


class _Response(msgspec.Struct):
    raw: _Raw = msgspec.field(default_factory=_Raw)
    tokens: tuple[int | None, int | None] | None = None
    timing: _Timing | None = None
    error: str | None = None


class _Row(msgspec.Struct):
    index: int
    sample: _Sample
    response: _Response


class _Named(msgspec.Struct):
    id: str
    meta: dict[str, Any] = msgspec.field(default_factory=dict)


class _NamedRow(msgspec.Struct):
    sample: _Named


class About(msgspec.Struct):
    """Whose a shard is, and when its sitting began."""

    sitting: int
    worker: int
    began: float
    format: int = FORMAT


_NAN = float("nan")
_UNKNOWN = (-1, "unknown")
_NEVER = _Timing(_NAN, _NAN, _NAN, _NAN, 0.0, 0.0)

Arrays = dict[str, NDArray[Any]]


def read_rows(paths: Sequence[Path], *, stage: int | None = None) -> dict[str, Any]:
    """The columns of all shards, but for what only the events themselves say."""
    abouts = [check_about(path) for path in paths]
    began = min(((about.sitting, about.began) for about in abouts), default=(0, 0.0))[1]
    errors: dict[str, int] = {}
    chunks, lost = [_as_arrays([], errors, first_line=0, first_event=0) | _placed(0, About(0, 0, 0.0), 0)], 0
    for number, (path, about) in enumerate(zip(paths, abouts)):
        room = _count_events(path)
        for arrays in _read_chunks(path, errors):
            wanted = arrays["stage"] >= 0 if stage is None else arrays["stage"] == stage
            whole = arrays["start"] + arrays["events"] <= room
            lost += int(np.count_nonzero(wanted & ~whole))
            kept = {name: values[wanted & whole] for name, values in arrays.items()}
            for name in ("due", "sent", "first_byte", "done"):
                kept[name] += about.began - began
            chunks.append(kept | _placed(number, about, len(kept["index"])))
    # Taken out of the chunks, so that there are never two of everything.
    found = {name: np.concatenate([chunk.pop(name) for chunk in chunks]) for name in [*chunks[0]]}
    return {**found, "errors": [*errors], "paths": list(paths), "began": began, "lost": lost}


def read_names(path: Path, lines: NDArray[np.int64]) -> Iterator[tuple[str, str | None]]:
    """The sample and the session of some lines of a shard, which are in ascending order."""
    decoder, wanted, place = msgspec.json.Decoder(_NamedRow), lines.tolist(), 0
    with (path / "records.jsonl").open("rb") as file:
        for number, line in enumerate(file):
            if place == len(wanted):
                return
            if number == wanted[place]:
                place += 1
                sample = decoder.decode(line).sample
                session = sample.meta.get("session")
                yield sample.id, None if session is None else str(session)


def check_about(path: Path) -> About:
    """What a shard says of itself, if it is one that can be read."""
    try:
        about = msgspec.convert(read_about(path), About)
    except (OSError, msgspec.MsgspecError) as error:
        raise StoreError(f"{path / 'shard.json'} cannot be read: {error}") from error
    if about.format > FORMAT:
        raise StoreError(f"{path} was written by a newer version", hint="pip install -U steelyard")
    return about


def _count_events(path: Path) -> int:
    file = path / "events.bin"
    return file.stat().st_size // 4 if file.exists() else 0


def _read_chunks(path: Path, errors: dict[str, int]) -> Iterator[Arrays]:
    """The records of a shard as arrays, about a megabyte of lines at a time; a torn last line is nobody's."""
    file = path / "records.jsonl"
    if not file.exists():
        return
    decoder = msgspec.json.Decoder(_Row)
    lines = events = 0
    rest = b""
    with file.open("rb", buffering=0) as source:
        while data := source.read(_CHUNK):
            whole, newline, rest = (rest + data).rpartition(b"\n")
            if not newline:
                continue
            try:
                rows = decoder.decode_lines(whole)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise _damaged(file, whole, lines, decoder) from error
            yield _as_arrays(rows, errors, first_line=lines, first_event=events)
            lines += len(rows)
            events += sum(row.response.raw.events for row in rows)


def _as_arrays(rows: Sequence[_Row], errors: dict[str, int], *, first_line: int, first_event: int) -> Arrays:
    metas = [row.sample.meta for row in rows]
    answers = [row.response for row in rows]
    timings = [answer.timing or _NEVER for answer in answers]
    tokens = [answer.tokens or (None, None) for answer in answers]
    raws = [answer.raw for answer in answers]
    events = np.array([raw.events for raw in raws], np.int64)
    tellers = [_teller(answer) for answer in answers]
    # Who gave no count said one token an event, if the answer came in events at all.
    out = [
        (told, by) if told is not None else (raw.events, "events") if raw.events else _UNKNOWN
        for (_, told), by, raw in zip(tokens, tellers, raws)
    ]
    # Behind the first turn there is more than what the workload made.
    given = [
        (told, by)
        if told is not None
        else _UNKNOWN
        if meta.turn or meta.tokens_in is None
        else (meta.tokens_in, "workload")
        for (told, _), by, meta in zip(tokens, tellers, metas)
    ]
    state = [2 if raw.cut is True else int(answer.error is not None) for raw, answer in zip(raws, answers)]
    taken = [TAKEN_BY.index(by) if (by := timing.taken_by) in TAKEN_BY else 0 for timing in timings]
    return {
        "index": np.array([row.index for row in rows], np.int64),
        "stage": np.array([meta.stage for meta in metas], np.int32),
        "turn": np.array([meta.turn for meta in metas], np.int32),
        "check": np.array([bool(meta.check) for meta in metas], np.bool_),
        "due": np.array([timing.due for timing in timings], np.float64),
        "sent": np.array([timing.sent for timing in timings], np.float64),
        "first_byte": np.array([_or_nan(timing.first_byte) for timing in timings], np.float64),
        "done": np.array([timing.done for timing in timings], np.float64),
        "connecting": np.array([timing.connecting for timing in timings], np.float64),
        "held": np.array([timing.held for timing in timings], np.float64),
        "first": np.full(len(rows), np.nan),
        "last": np.full(len(rows), np.nan),
        "tokens_in": np.array([count for count, _ in given], np.int64),
        "tokens_out": np.array([count for count, _ in out], np.int64),
        "events": events,
        "state": np.array(state, np.uint8),
        "taken_by": np.array(taken, np.uint8),
        "counted_by": np.array([COUNTED_BY.index(by) for _, by in out], np.uint8),
        "input_counted_by": np.array([COUNTED_BY.index(by) for _, by in given], np.uint8),
        "error": np.array([_error_code(answer.error, errors) for answer in answers], np.int32),
        "start": first_event + np.cumsum(events) - events,
        "line": np.arange(first_line, first_line + len(rows)),
    }


def _placed(shard: int, about: About, count: int) -> Arrays:
    """What is the same for all rows of a shard."""
    return {
        "shard": np.full(count, shard, np.int32),
        "sitting": np.full(count, about.sitting, np.int32),
        "worker": np.full(count, about.worker, np.int32),
    }


def _teller(answer: _Response) -> str:
    """Who counted what an answer says of its tokens."""
    if answer.raw.counted_by in COUNTED_BY:
        return str(answer.raw.counted_by)
    return "model" if answer.timing is not None and answer.timing.taken_by == "model" else "usage"


def _error_code(error: str | None, errors: dict[str, int]) -> int:
    if error is None:
        return -1
    text = error[:_ERROR_LENGTH]
    if text not in errors and len(errors) >= _MOST_ERRORS:
        text = _OTHER_ERRORS
    return errors.setdefault(text, len(errors))


def _or_nan(value: float | None) -> float:
    return _NAN if value is None else value


def _damaged(file: Path, whole: bytes, before: int, decoder: msgspec.json.Decoder[_Row]) -> StoreError:
    for number, line in enumerate(whole.split(b"\n"), before + 1):
        try:
            decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return StoreError(f"{file}, line {number} is damaged: {error}", hint="remove the line")
    return StoreError(f"{file} is damaged")
