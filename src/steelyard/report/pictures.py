"""The pictures of a run, found again and drawn small; of what was sent, not of what lies there meanwhile."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice, repeat
from pathlib import Path
from typing import Any, NamedTuple

from steelyard.albums import FOLDER, pictures_of, split_page, stem_of
from steelyard.errors import MissingExtra, SteelyardError
from steelyard.media.images import Image
from steelyard.store import Run
from steelyard.types import Record

_SIDE = 256
_LONGEST_NAME = 200
_MOST_BYTES = 6_000_000
_LARGEST_FILE = 256 * 2**20
# Decoding lets other threads run; each may hold a large picture.
_THREADS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True)
class Picture:
    """What became of a picture that a record names: where it is, or why it is not shown."""

    name: str
    image: Image | None = None
    note: str = ""

    def __str__(self) -> str:
        """Its name, its size, and what is wrong with it."""
        size, note = "", self.note
        if self.image is not None:
            try:
                size = " {}×{}".format(*self.image.size())
            except MissingExtra:
                size = ""
            except SteelyardError as error:
                note = str(error.args[0]).removeprefix(self.image.name).strip()
        return f"{self.name}{size}" + (f", {note}" if note else "")


class Finder:
    """Finds the pictures that the records of a run name."""

    def __init__(self, run: Run) -> None:
        self._run = run.path
        self._found: dict[tuple[str, ...], Picture] = {}
        self._folders = [Path(str(home)) for home in run.about.get("image_folders", [])] or [Path()]

    def find(self, stored: Any) -> Picture:
        """What a record says of a picture as the picture; one that is not what it was is not given."""
        if not isinstance(stored, Mapping):
            return Picture(
                stored[:_LONGEST_NAME] if isinstance(stored, str) else "picture", note="not stored"
            )
        key = key_of(stored)
        if key not in self._found:
            self._found[key] = self._find(stored)
        return self._found[key]

    def _find(self, stored: Mapping[str, Any]) -> Picture:
        name, digest = str(stored.get("image") or ""), stored.get("digest")
        if not name:
            return self._kept(stored)
        if not isinstance(digest, str):
            return Picture(name, note="not stored" if "://" in name else "could not be read")
        path, page = split_page(name)
        there = [file for folder in self._folders if _is_small(file := folder / path)]
        for file in there:
            image = Image(file, page=page)
            if image.reference().get("digest") == digest:
                return Picture(name, image)
        return Picture(name, note="changed since" if there else "not found")

    def _kept(self, stored: Mapping[str, Any]) -> Picture:
        stem = stem_of(stored)
        name = "picture" if stem is None else f"picture {stem[:8]}"
        kept = [] if stem is None else sorted((self._run / FOLDER).glob(f"{stem}.*"))
        if not kept or not _is_small(kept[0]):
            return Picture(name, note="not stored")
        return Picture(name, Image(kept[0], page=stored.get("page") if kept[0].suffix == ".pdf" else None))


@dataclass(frozen=True)
class Thumbnail:
    """A small picture: the number of its style, and what it is called."""

    number: int
    label: str


class Thumbnails:
    """The small pictures of one page, each in it once, however many samples show it."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, ...], int | None] = {}
        self._styles: list[str] = []
        self._left = _MOST_BYTES
        self._can = find_spec("PIL") is not None
        self.left_out = 0

    def add(self, finder: Finder, records: Iterable[Record]) -> None:
        """Draw the pictures of some records, several at a time; those that came before stay in the page."""
        if not self._can:
            return
        waiting: dict[tuple[str, ...], Image] = {}
        for record in records:
            for stored in pictures_of(record.request.prompt):
                image = finder.find(stored).image
                if image is not None and key_of(stored) not in self._numbers:
                    waiting[key_of(stored)] = image
        keys = iter(waiting)
        with ThreadPoolExecutor(_THREADS) as pool:
            # Piece by piece: once the page is full the rest need not be drawn.
            while some := list(islice(keys, 4 * _THREADS)):
                drawn = pool.map(_draw, (waiting[key] for key in some)) if self._left > 0 else repeat(None)
                for key, small in zip(some, drawn):
                    self._numbers[key] = self._number(small)

    def of(self, finder: Finder, record: Record) -> list[Thumbnail]:
        """The pictures of a record as far as they are in the page."""
        found = []
        for stored in pictures_of(record.request.prompt):
            picture = finder.find(stored)
            number = None if picture.image is None else self._numbers.get(key_of(stored))
            if number is not None:
                found.append(Thumbnail(number, str(picture)))
        return found

    def style(self) -> str:
        """The rules that hold the pictures: digits and base64, nothing from outside."""
        return "\n".join(self._styles)

    def _number(self, small: _Small | None) -> int | None:
        """The number of a small picture, as it comes into the page; None for one that does not."""
        if small is not None and len(small.encoded) > self._left:
            self._left = 0
        if self._left <= 0:
            self.left_out += 1
            return None
        if small is None:
            return None
        self._left -= len(small.encoded)
        background = f"url(data:image/jpeg;base64,{small.encoded})"
        number = len(self._styles)
        size = f"--w:{small.width}px;--h:{small.height}px"
        self._styles.append(f".p{number}{{{size};background-image:{background}}}")
        return number


class _Small(NamedTuple):
    width: int
    height: int
    encoded: str


def _draw(image: Image) -> _Small | None:
    """A picture drawn anew, so that nothing of its file comes into the page."""
    try:
        small = image.open()
    except SteelyardError:
        return None
    small.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=75)
    return _Small(*small.size, base64.b64encode(buffer.getvalue()).decode())


def key_of(stored: Mapping[str, Any]) -> tuple[str, ...]:
    """What tells a stored picture from all others."""
    return tuple(str(stored.get(name)) for name in ("image", "page", "digest"))


def _is_small(path: Path) -> bool:
    """Whether there is a file that can be read whole in no time."""
    try:
        return path.is_file() and path.stat().st_size <= _LARGEST_FILE
    except (OSError, ValueError):
        return False
