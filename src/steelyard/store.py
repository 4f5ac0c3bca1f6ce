"""A Run is a folder: `run.json` says what it is, `records.jsonl` holds a line for each answer.

    runs/2026-11-20T14-03-12-arithmetic/
        run.json        {"format": 1, "state": "done", "identity": {"model": …, "task": …}, …}
        records.jsonl   {"index": 0, "sample": {…}, "request": {…}, "response": {…}, "scores": {…}}

A line is written whole or taken back, so a run that was killed lacks answers but has no wrong
ones; `run.json` is replaced by renaming. One process at a time writes to a run.
"""

from __future__ import annotations

import contextlib
import errno
import os
from array import array
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from steelyard.errors import DataError, RunMismatch, StoreError, UsageError
from steelyard.media.images import Image, as_image
from steelyard.media.pixels import is_picture
from steelyard.media.sounds import Sound
from steelyard.types import Record, Request, Sample

try:
    import fcntl
except ImportError:  # pragma: no cover - there are no advisory locks on this platform
    fcntl = None  # type: ignore[assignment]

FORMAT = 1
_ABSENT = 0


def _plain(value: Any) -> Any:
    """What JSON does not know, as something it does."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Image) or is_picture(value):
        return as_image(value).reference()
    if isinstance(value, Sound):
        return value.reference()
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "model_dump"):
        return value.model_dump()
    raise TypeError(f"a {type(value).__name__} cannot be stored as JSON")


_encoder = msgspec.json.Encoder(enc_hook=_plain)
_decoder = msgspec.json.Decoder(Record)


class Run:
    """A stored run. `Run.create` and `Run.resume` give one that can be added to, `Run.open` one to read."""

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self.path = path
        self.about = about
        self._file: int | None = None
        self._size = 0

    @classmethod
    def create(cls, path: str | Path, about: Mapping[str, Any]) -> Run:
        """Begin a run in a new or empty folder."""
        path = Path(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                hint = "resume it, or choose another folder"
                raise UsageError(f"the folder {path} is not empty", hint=hint)
            created = datetime.now(timezone.utc).isoformat(timespec="seconds")
            run = cls(path, {"format": FORMAT, "state": "running", "created": created, **about})
            run._save()
            run._begin()
        except OSError as error:
            raise _cannot("write to", path, error) from error
        return run

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """A stored run, to read."""
        path = Path(path)
        file = path / "run.json"
        try:
            about = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
        except FileNotFoundError as error:
            raise UsageError(f"{path} is not a run", hint="it has no run.json") from error
        except OSError as error:
            raise _cannot("read", file, error) from error
        except msgspec.DecodeError as error:
            raise StoreError(f"{file} is damaged: {error}") from error
        if about.get("format", 0) > FORMAT:
            raise StoreError(f"{path} was written by a newer version", hint="pip install -U steelyard")
        return cls(path, about)

    @classmethod
    def resume(cls, path: str | Path, identity: Mapping[str, Any]) -> Run:
        """A stored run to go on with; refused unless it has the same identity."""
        run = cls.open(path)
        was, now = run.about.get("identity", {}), msgspec.json.decode(_encode(identity))
        if changed := differences(was, now):
            hint = "ask for what it was, or start a new run"
            raise RunMismatch(f"{path} is a run of something else: {'; '.join(changed)}", hint=hint)
        run.lock()
        try:
            run._drop_torn_line()
            run.update(state="running")
        except BaseException:
            run.close()
            raise
        return run

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.path.name

    @property
    def log(self) -> Path:
        """The file with a line for each answer."""
        return self.path / "records.jsonl"

    @property
    def is_abandoned(self) -> bool:
        """Whether it was killed: it says that it is running, and nobody writes to it."""
        if self.about.get("state") != "running" or self._file is not None:
            return False
        try:
            file = os.open(self.log, os.O_RDONLY)
        except OSError:
            return True
        try:
            return _lock(file)
        finally:
            os.close(file)

    def lock(self) -> None:
        """Let nobody else write to the run until it is closed."""
        try:
            self._begin()
        except OSError as error:
            raise _cannot("write to", self.path, error) from error

    def add(self, record: Record) -> None:
        """Store one record: the whole line, or an error and nothing."""
        if self._file is None:
            raise UsageError(f"the run {self.path} is open for reading only")
        line = _line(record)
        written = 0
        try:
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            hint = "nothing before it is lost: make room and resume"
            raise StoreError(f"cannot write to {self.log}: {error.strerror}", hint=hint) from error
        self._size += written

    def records(self) -> Iterator[Record]:
        """The stored records, one by one, in the order they were answered; those of a load shard by shard."""
        for log in self.logs():
            try:
                with log.open("rb") as lines:
                    for number, line in enumerate(lines, 1):
                        if not line.endswith(b"\n"):
                            break  # torn by a kill in the middle of writing
                        yield self._decode(line, number, log)
            except FileNotFoundError:
                continue

    def logs(self) -> list[Path]:
        """The files with a line for each answer: one, or in a load one of each process that measured."""
        shards = [path for path in self.path.glob("shards/*/records.jsonl") if path.parent.name.isdecimal()]
        return [self.log, *sorted(shards, key=lambda path: int(path.parent.name))]

    def update(self, **about: Any) -> None:
        """Change what `run.json` says."""
        self.about.update(about)
        self._save()

    def replace_records(self, records: Iterator[Record]) -> None:
        """Put other records in the place of the stored ones, all or none."""
        temporary = self.path / "records.jsonl.new"
        try:
            with temporary.open("wb") as file:
                for record in records:
                    file.write(_line(record))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.log)
            if self._file is not None:
                old = self._file
                # The new file is locked before the old one is let go.
                self._begin()
                os.close(old)
        except OSError as error:
            raise _cannot("write to", self.path, error) from error
        finally:
            temporary.unlink(missing_ok=True)

    def discard(self) -> None:
        """Take a run back that holds no answer, and its folder if nothing else is in it."""
        self.close()
        with contextlib.suppress(OSError):
            self.log.unlink()
            (self.path / "run.json").unlink()
            self.path.rmdir()

    def close(self) -> None:
        """Let another process write to the run."""
        if self._file is not None:
            os.fsync(self._file)
            os.close(self._file)
            self._file = None

    def _begin(self) -> None:
        file = os.open(self.log, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        # What was locked is the log no more if another process put a new one in its place meanwhile.
        if not _lock(file) or self.log.stat().st_ino != os.fstat(file).st_ino:
            os.close(file)
            raise StoreError(f"another process is writing to {self.path}", hint="wait until it has ended")
        self._file, self._size = file, os.fstat(file).st_size

    def _drop_torn_line(self) -> None:
        if self._file is None:
            return
        end = self._size
        while end > 0:
            start = max(0, end - 65536)
            newline = os.pread(self._file, end - start, start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < self._size:
            os.ftruncate(self._file, end)
            self._size = end

    def _decode(self, line: bytes, number: int, log: Path) -> Record:
        try:
            return _decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            hint = "remove the line and resume: only that answer is asked again"
            raise StoreError(f"{log}, line {number} is damaged: {error}", hint=hint) from error

    def _save(self) -> None:
        text = msgspec.json.format(_encode(self.about), indent=2)
        temporary = self.path / "run.json.new"
        try:
            with temporary.open("wb") as file:
                file.write(text + b"\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path / "run.json")
        except OSError as error:
            raise _cannot("write to", self.path, error) from error


class Answered:
    """The questions of a run, eight bytes each, so that a million of them are small."""

    def __init__(self) -> None:
        self._digests = array("Q")
        self.count = 0

    def add(self, record: Record) -> None:
        """Note a record; a second one of the same index is an error."""
        missing = record.index + 1 - len(self._digests)
        if missing > 0:
            self._digests.extend([_ABSENT] * missing)
        if self._digests[record.index] != _ABSENT:
            raise StoreError(f"the answer with index {record.index} is stored twice")
        self._digests[record.index] = digest(record.sample, record.request)
        self.count += 1

    def has(self, index: int, sample: Sample, request: Request) -> bool:
        """Whether this question is answered; a different one in its place is an error."""
        if index >= len(self._digests) or self._digests[index] == _ABSENT:
            return False
        if self._digests[index] != digest(sample, request):
            message = f"sample {sample.id!r} or its prompt is not what it was when this run began"
            raise RunMismatch(message, hint="start a new run for the changed data or prompt")
        return True


def digest(sample: Sample, request: Request) -> int:
    """Eight bytes that stand for a question; never the mark of an absent one."""
    text = _encoder.encode((sample, request))
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big") or 1


def differences(was: Any, now: Any, *, at: str = "") -> list[str]:
    """Where two nested mappings differ, each as 'model.dtype was float32, is bfloat16'."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        keys = list(dict.fromkeys([*was, *now]))
        return [
            text
            for key in keys
            for text in differences(was.get(key), now.get(key), at=f"{at}.{key}" if at else str(key))
        ]
    return [] if was == now else [f"{at} was {_short(was)}, is {_short(now)}"]


def _encode(about: Mapping[str, Any]) -> bytes:
    try:
        return _encoder.encode(about)
    except (TypeError, msgspec.EncodeError, UnicodeError) as error:
        hint = "texts in UTF-8, numbers, lists and mappings can be"
        raise UsageError(f"what this run is cannot be stored: {error}", hint=hint) from error


def _line(record: Record) -> bytes:
    """A record as it is stored; one that could not be read back is an error."""
    try:
        line = _encoder.encode(record)
        _decoder.decode(line)
    except (TypeError, msgspec.MsgspecError, UnicodeError) as error:
        raise DataError(f"sample {record.sample.id!r} cannot be stored: {error}") from error
    return line + b"\n"


def _lock(file: int) -> bool:
    """Lock a file for this process; whether that could be done."""
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _cannot(verb: str, path: Path, error: OSError) -> StoreError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    hint = "make room" if full else "is it yours to write?" if verb == "write to" else ""
    return StoreError(f"cannot {verb} {path}: {error.strerror or error}", hint=hint)
