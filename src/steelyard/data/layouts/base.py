"""How a known data set lies on disk: `lay_out("mmlu", "data/mmlu")`.

    mmlu/dev/anatomy_dev.csv            worked examples
    mmlu/test/anatomy_test.csv          what is asked, of the subject anatomy

A Layout knows the splits of a set by the names of its files, and makes a Sample of each row. Its data
may be a folder with all of it, one file, a pattern, stdin, a name of the hub, or rows from Python.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec

from steelyard.data.compression import SUFFIXES
from steelyard.data.files import FORMATS, Files, find_files
from steelyard.data.formats import read_json
from steelyard.data.hub import PREFIXES, is_saved
from steelyard.data.references import open_origin
from steelyard.data.rows import BadRow, Origin, Row
from steelyard.errors import DataError
from steelyard.plugins import is_reference, resolve
from steelyard.types import Sample

SPLITS: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
"""The words by which files name the split that they hold."""

_WORD = re.compile(r"[A-Za-z]+|\d+")
# Told beside the rows by those who publish them.
_NOTES = re.compile(r"dataset_infos?\.json|README.*|.*\.meta\.json", re.I)
_SHARD = re.compile(r"(?:\d+|of|data|all|default|part|jsonl?|csv|parquet|\W|_)*", re.I)


class Fields(dict[str, Any]):
    """A row whose columns can be asked for in any case, the first of several names that is there."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        super().__init__(row)
        self._folded = {str(column).casefold(): column for column in row}

    def find(self, *names: str) -> Any:
        """What the first of these columns that holds something holds; None where none does."""
        column = self.column(*names)
        return None if column is None else self[column]

    def column(self, *names: str) -> str | None:
        """The first of these columns that holds something, as the row spells it; None where none does."""
        for name in names:
            column = self._folded.get(name.casefold(), name)
            if (value := self.get(column)) is not None and value != "":
                return column
        return None

    def need(self, *names: str) -> Any:
        """The first of these columns that holds something; a BadRow where none does."""
        value = self.find(*names)
        if value is None:
            raise BadRow(f"a column {' or '.join(names)}", list(self))
        return value

    def text(self, *names: str) -> str:
        """As `need`, of columns that hold texts."""
        value = self.need(*names)
        if not isinstance(value, str):
            raise BadRow(f"a text as {' or '.join(names)}", value)
        return value


@dataclass(frozen=True)
class Place:
    """Where a row stands: its number over all files, the subject its file is about, its number there.

    Paths in the row are relative to `home`; None is the working folder.
    """

    number: int
    subject: str
    within: int
    home: Path | None = None

    def id(self, given: Any = None) -> str:
        """The id of a row; a set of many subjects numbers each from the beginning."""
        if self.subject:
            return f"{self.subject}/{self.within if given is None else given}"
        return str(self.number if given is None else given)


@dataclass(frozen=True)
class Layout:
    """Where the files of a data set lie, and what its rows are.

    `asked` are the splits that are asked where nobody says which, the likeliest first, and `shown`
    those with worked examples. `headless` names the columns of CSV files without a header. Where the
    names of files have one of `words`, only these are of the set; those with one of `others` are what
    its publishers put beside it. With `by_subject` a file holds one subject. `alone` says that each
    JSON file is one row.
    """

    name: str
    make: Callable[[Fields, Place], Sample]
    asked: Sequence[str] = ("test", "val", "dev", "train")
    shown: Sequence[str] = ("train", "dev", "val")
    headless: Sequence[str] = ()
    words: Sequence[str] = ()
    others: Sequence[str] = ()
    by_subject: bool = False
    alone: bool = False

    def open(
        self,
        source: Any,
        *,
        split: str | None = None,
        format: str | None = None,  # noqa: A002
        cells: Mapping[str, Any] | None = None,
        home: Path | None = None,
    ) -> LaidOut:
        """The rows to be asked; paths in them are relative to `home`, else to the file that they stand in."""
        paths = self._paths(source, split) if isinstance(source, (str, Path)) else None
        if paths is not None:
            return LaidOut(self, self._files(paths, source, format, cells or {}), source, home=home)
        if split is None and isinstance(source, str) and source.startswith(PREFIXES):
            split = self.asked[0]
        return LaidOut(self, open_origin(source, split=split, format=format, cells=cells), home=home)

    def open_examples(self, source: str | Path) -> LaidOut | None:
        """The rows that worked examples are taken from, where files beside those asked hold them."""
        path = Path(source).expanduser()
        if path.is_dir():
            # The folder of one split has those of others beside it.
            beside = path.parent if split_of(path.name) else path
            paths = self._of_splits(path, self.shown) or self._of_splits(beside, self.shown)
        else:
            paths = next(filter(None, (_beside(path, split) for split in self.shown)), None)
        return LaidOut(self, self._files(paths, source, None, {})) if paths else None

    def _paths(self, source: str | Path, split: str | None) -> list[Path] | None:
        """The files that a path or a pattern names; None where it is neither."""
        ref, path = str(source), Path(source).expanduser()
        if path.is_dir() and not is_saved(path):
            # Where no file says what it holds, all of them are asked.
            found = self._of_splits(path, (split,) if split else self.asked) or self._data_files(path)
        else:
            other = ref == "-" or ref.startswith((*PREFIXES, "http:", "https:")) or is_saved(path)
            found = [] if other or (is_reference(ref) and not path.exists()) else find_files(ref) or []
        wanted = SPLITS.get(split or "", split)
        if split and found and not any(split_of(str(file)) == wanted for file in found):
            named = sorted({split_of(str(file)) for file in found} - {""})
            raise DataError(f"{ref} has no split {split!r}", hint=f"it has {', '.join(named) or 'none'}")
        return found or None

    def _of_splits(self, folder: Path, splits: Sequence[str]) -> list[Path] | None:
        """The files of the first of these splits that there is."""
        held: dict[str, list[Path]] = {}
        for file in self._data_files(folder):
            held.setdefault(split_of(str(file.relative_to(folder))), []).append(file)
        return next((held[word] for split in splits if (word := SPLITS.get(split, split)) in held), None)

    def _data_files(self, folder: Path) -> list[Path]:
        found = [file for file in find_files(str(folder)) or () if not _NOTES.fullmatch(file.name)]
        words = {file: set(_words(str(file.relative_to(folder)))) for file in found}
        named = [file for file in found if words[file] & set(self.words)] or found
        return _without_copies([file for file in named if not words[file] & set(self.others)] or named)

    def _files(
        self, paths: Sequence[Path], source: str | Path, kind: str | None, cells: Mapping[str, Any]
    ) -> Origin:
        name = Path(source).expanduser().resolve().name.split(".")[0]
        if self.alone and kind is None and all(path.suffix == ".json" for path in paths):
            return Objects(paths, name=name, kind=None, cells=cells)
        if self.headless and all(path.name.endswith(tuple(FORMATS["csv"])) for path in paths):
            cells = {"columns": self.headless, **cells}
        return Files(paths, name=name, kind=kind, cells=cells)


class Objects(Files):
    """JSON files that hold one object each, or an array or an object of such."""

    def rows(self) -> Iterator[Row]:
        """The rows of every file."""
        for path, *_ in self._files:
            try:
                text = path.read_bytes()
            except OSError as error:
                raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
            if text.lstrip().startswith(b"["):
                yield from read_json(BytesIO(text), str(path))
                continue
            try:
                row = msgspec.json.decode(text)
                # Some keep a set as one object, under the number of each row.
                rows = list(row.values()) if isinstance(row, dict) else []
                several = bool(rows) and all(isinstance(one, dict) for one in rows)
                for number, one in enumerate(rows if several else [row]):
                    yield f"{path}, row", number, one
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                yield f"{path}, row", 0, BadRow(f"a JSON object ({error})", text)


class LaidOut(Origin):
    """Rows of a known data set, each made a Sample."""

    def __init__(
        self,
        layout: Layout,
        inner: Origin,
        source: str | Path | None = None,
        *,
        home: Path | None = None,
    ) -> None:
        self._layout, self._inner, self._source, self._home = layout, inner, source, home
        self._by_subject = layout.by_subject and isinstance(inner, Files)
        self.name = inner.name

    def rows(self) -> Iterator[Row]:
        """Every row as a Sample; one that is not what it should be as a BadRow."""
        file, subject, first = "", "", 0
        for number, (where, at, row) in enumerate(self._inner.rows()):
            if where != file:
                file, first = where, number
                subject = subject_of(where, set_name=self._layout.name) if self._by_subject else ""
            try:
                if isinstance(row, BadRow):
                    raise row
                if not isinstance(row, Mapping):
                    raise BadRow("an object with columns", row)
                home = self._home or self._inner.folder(where)
                yield where, at, self._layout.make(Fields(row), Place(number, subject, number - first, home))
            except BadRow as bad:
                yield where, at, bad

    def size(self) -> int | None:
        """How many rows there are, where that is cheap to know."""
        return self._inner.size()

    def folder(self, where: str) -> Path | None:
        """The folder of the file in which a row stands."""
        return self._inner.folder(where)

    def identity(self) -> Mapping[str, Any]:
        """What is in its files, and as what it is read."""
        return {**self._inner.identity(), "layout": self._layout.name}

    def examples(self) -> LaidOut | None:
        """The rows that worked examples are taken from, where there are such files."""
        return None if self._source is None else self._layout.open_examples(self._source)


def lay_out(ref: str, source: Any, **options: Any) -> LaidOut:
    """The rows of a source in the layout of a name: mmlu, gsm8k, humaneval, …"""
    found = resolve("layouts", ref)
    if not isinstance(found, Layout):
        raise DataError(f"{ref} is no layout", hint="it gave a " + type(found).__name__)
    return found.open(source, **options)


def split_of(name: str) -> str:
    """The split that the name of a file or of its folders says; the last word counts."""
    return next((SPLITS[word] for word in reversed(_words(name)) if word in SPLITS), "")


def subject_of(where: str, *, set_name: str = "") -> str:
    """The subject of a file, by its name or, where that only says which split it holds, its folder's."""
    path = Path(where.rpartition(", ")[0])
    for name in (path.name.split(".")[0], path.parent.name):
        words = [word for word in re.split(r"[_\s-]+", name) if word.lower() not in SPLITS]
        if set_name in map(str.lower, words):
            # A file of the whole set; its folder is anyone's.
            return ""
        if words and not _SHARD.fullmatch("_".join(words)):
            return "_".join(words)
    return ""


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def _without_copies(files: Sequence[Path]) -> list[Path]:
    """The files; of those that differ in their format only, the one in the likeliest."""
    order = [end for ends in FORMATS.values() for end in ends]
    kept: dict[Path, tuple[int, str, Path]] = {}
    for file in files:
        packed = next((end for end in SUFFIXES if file.name.endswith(end)), "")
        plain = Path(str(file).removesuffix(packed))
        place = order.index(plain.suffix) if plain.suffix in order else len(order)
        stem = plain.with_suffix("")
        kept[stem] = min(kept.get(stem, (place, packed, file)), (place, packed, file))
    return [file for _, _, file in kept.values()]


def _beside(path: Path, split: str) -> list[Path] | None:
    """The file of another split that is called as this one is but for the name of the split."""
    own = split_of(path.name) or split_of(path.parent.name)
    folder, file = path.parent, path.name
    for was in (word for word, means in SPLITS.items() if means == own):
        for word in (word for word, means in SPLITS.items() if means == split):
            other = folder.with_name(_exchange(folder.name, was, word)) if folder.name else folder
            for found in (folder / _exchange(file, was, word), other / _exchange(file, was, word)):
                if found != path and found.is_file():
                    return [found]
    return None


def _exchange(name: str, was: str, word: str) -> str:
    """A name with one word for another, written as that was."""
    return re.sub(
        rf"(?<![A-Za-z]){was}(?![A-Za-z])",
        lambda found: word.capitalize() if found[0][0].isupper() else word,
        name,
        flags=re.I,
    )
