"""Files of rows: one, many by a pattern, a whole folder, or what comes in through stdin."""

from __future__ import annotations

import glob
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, NamedTuple

from steelyard.data.compression import SUFFIXES, decompress
from steelyard.data.formats import read_delimited, read_json, read_jsonl
from steelyard.data.rows import Origin, Row
from steelyard.data.tables import parquet_size, read_arrow, read_parquet
from steelyard.errors import DataError, UnknownName, UsageError

FORMATS: Mapping[str, Sequence[str]] = {
    "jsonl": (".jsonl", ".ndjson", ".jsonlines"),
    "json": (".json",),
    "csv": (".csv",),
    "tsv": (".tsv", ".tab"),
    "parquet": (".parquet", ".pq"),
    "arrow": (".arrow", ".feather", ".ipc"),
}
"""Every format with the suffixes that mean it; each may be followed by .gz, .bz2, .xz or .zst."""

_READERS: Mapping[str, Callable[..., Iterator[Row]]] = {
    "jsonl": read_jsonl,
    "json": read_json,
    "parquet": read_parquet,
    "arrow": read_arrow,
}
_DELIMITERS = {"csv": None, "tsv": "\t"}
_SEEKING = ("parquet", "arrow")


class Files(Origin):
    """Files that are read one after the other."""

    def __init__(
        self, paths: Sequence[Path], *, name: str, kind: str | None, cells: Mapping[str, Any]
    ) -> None:
        self.name = name
        self._cells = cells
        self._files = [(path, *_shape(path.name, kind)) for path in paths]
        kinds = {kind for _, kind, _ in self._files}
        if len(kinds) > 1:
            listed = " and ".join(sorted(kinds))
            raise DataError(
                f"{name} has files of several formats: {listed}", hint="name a pattern, '*.jsonl'"
            )
        _check_cells(cells, *kinds)
        for path in paths:
            if not path.is_file():
                raise _no_file(path)

    def rows(self) -> Iterator[Row]:
        """The rows of every file."""
        for path, kind, compression in self._files:
            try:
                with path.open("rb") as file:
                    yield from _read(file, str(path), kind, compression, self._cells)
            except OSError as error:
                raise DataError(f"{path} cannot be read: {error.strerror or error}") from error

    def size(self) -> int | None:
        """How many rows there are, of Parquet files and of JSON lines that are not compressed."""
        total = 0
        for path, kind, compression in self._files:
            if compression or kind not in ("jsonl", "parquet"):
                return None
            size = parquet_size(str(path)) if kind == "parquet" else fingerprint(path).lines
            if size is None:
                return None
            total += size
        return total

    def folder(self, where: str) -> Path:
        """The folder of the file in which a row stands."""
        return Path(where.rpartition(", ")[0]).parent

    def identity(self) -> Mapping[str, Any]:
        """The files' names, without their folders, and digests of what is in them."""
        return {"files": [[path.name, fingerprint(path).digest] for path, _, _ in self._files]}


class Stdin(Origin):
    """What is piped in, which is read once."""

    name = "stdin"

    def __init__(self, *, kind: str | None, cells: Mapping[str, Any]) -> None:
        self._shape = _shape("", kind or "jsonl")
        _check_cells(cells, self._shape[0])
        self._cells = cells
        self._spent = False

    def rows(self) -> Iterator[Row]:
        """Every row, the first time."""
        if self._spent:
            raise DataError("stdin can be read only once", hint="write it into a file")
        self._spent = True
        try:
            yield from _read(sys.stdin.buffer, self.name, *self._shape, self._cells)
        except OSError as error:
            raise DataError(f"stdin cannot be read: {error.strerror or error}") from error

    def identity(self) -> Mapping[str, Any]:
        """That it is a stream."""
        return {"stream": self.name}


class Fingerprint(NamedTuple):
    """What is in a file: a digest, and how many lines if it is text without blank ones."""

    digest: str
    lines: int | None


_fingerprints: dict[tuple[str, int, int], Fingerprint] = {}


def fingerprint(path: Path) -> Fingerprint:
    """The fingerprint of a file, taken once as long as the file does not change."""
    try:
        stat = path.stat()
        key = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
        if key not in _fingerprints:
            with path.open("rb") as file:
                _fingerprints[key] = _take_fingerprint(file)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    return _fingerprints[key]


def find_files(pattern: str, *, split: str | None = None) -> list[Path] | None:
    """The files of a path, a folder or a pattern, sorted; None if it looks like none of these."""
    path = Path(pattern).expanduser()
    if path.is_file():
        found = [path]
    elif path.is_dir():
        found = [file for file in sorted(path.rglob("*")) if _is_data(file, path)]
        if not found:
            raise DataError(f"the folder {path} holds no data", hint="files of " + ", ".join(FORMATS))
    elif glob.has_magic(pattern):
        # Not Path.glob, which knows no absolute patterns.
        names = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207
        found = [file for file in map(Path, names) if file.is_file()]
        if not found:
            raise DataError(f"no file matches {pattern!r}")
    elif any(pattern.endswith(end) for end in _suffixes()) or pattern.startswith((".", "/", "~")):
        raise _no_file(path)
    else:
        return None
    return found if split is None else _of_split(found, split, folder=path if path.is_dir() else None)


def is_data_file(name: str) -> bool:
    """Whether a text is the path of a file in a known format."""
    try:
        return name.endswith(_suffixes()) and Path(name).expanduser().is_file()
    except OSError:
        # Too long for a path.
        return False


def _no_file(path: Path) -> DataError:
    """The error that a file is not there, with the names that are near."""
    folder = path.parent
    names = [file.name for file in folder.iterdir()] if folder.is_dir() else []
    near = get_close_matches(path.name, names, n=3, cutoff=0.6)
    if near:
        hint = f"did you mean {' or '.join(str(folder / name) for name in near)}?"
    else:
        hint = "" if folder.is_dir() else f"there is no folder {folder} either"
    return DataError(f"there is no file {path}", hint=hint)


def _of_split(files: Sequence[Path], split: str, *, folder: Path | None) -> list[Path]:
    """The files that have the split as a word in their name, or in their path from the folder on."""
    names = {file: str(file.relative_to(folder)) if folder else file.name for file in files}
    found = [file for file, name in names.items() if split in re.split(r"[\W_]+", name)]
    if not found:
        hint = f"there are: {', '.join(list(names.values())[:10])}"
        raise DataError(f"no file of the split {split!r}", hint=hint)
    return found


def _shape(name: str, kind: str | None) -> tuple[str, str]:
    """The format and the compression that a file's name says, or that are given as jsonl or jsonl.gz."""
    given = name if kind is None else f".{kind}"
    compression = next((end for end in SUFFIXES if given.endswith(end)), "")
    stem = given.removesuffix(compression)
    if kind is not None:
        if not compression:
            compression = next((end for end in SUFFIXES if name.endswith(end)), "")
        if stem[1:] in FORMATS:
            return stem[1:], compression
        raise UnknownName("format", kind, FORMATS)
    for known, ends in FORMATS.items():
        if stem.lower().endswith(tuple(ends)):
            return known, compression
    raise DataError(f"the format of {name!r} cannot be told by its name", hint=f"format={', '.join(FORMATS)}")


def _check_cells(cells: Mapping[str, Any], kind: str) -> None:
    if cells and kind not in _DELIMITERS:
        raise UsageError(f"{' and '.join(cells)}: only csv and tsv have such cells, this is {kind}")


def _suffixes() -> tuple[str, ...]:
    plain = [end for ends in FORMATS.values() for end in ends]
    return tuple(end + compression for end in plain for compression in ("", *SUFFIXES))


def _is_data(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return not hidden and file.name.endswith(_suffixes()) and file.is_file()


def _read(file: IO[bytes], name: str, kind: str, compression: str, cells: Mapping[str, Any]) -> Iterator[Row]:
    source: IO[bytes] = decompress(file, compression) if compression else file
    if kind in ("csv", "tsv"):
        yield from read_delimited(source, name, **{"delimiter": _DELIMITERS[kind], **cells})
    elif kind in _SEEKING and not source.seekable():
        # On disk, because these formats are read from their end, and memory may be too small.
        with tempfile.TemporaryFile() as whole:
            shutil.copyfileobj(source, whole)
            whole.seek(0)
            yield from _READERS[kind](whole, name)
    else:
        yield from _READERS[kind](source, name)


def _take_fingerprint(file: IO[bytes]) -> Fingerprint:
    digest = blake2b(digest_size=12)
    newlines, blank, end = 0, False, b"\n"
    while block := file.read(1 << 20):
        digest.update(block)
        newlines += block.count(b"\n")
        seam = end + block
        blank = blank or b"\n\n" in seam or b"\n\r\n" in seam
        end = seam[-2:]
    lines = newlines + (not end.endswith(b"\n"))
    return Fingerprint(digest.hexdigest(), None if blank else lines)
