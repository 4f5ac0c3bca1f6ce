"""The pictures of a run, found again and drawn small; of what was sent, not of what lies there meanwhile."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from steelyard.albums import FOLDER, stem_of
from steelyard.errors import MissingExtra, SteelyardError
from steelyard.media.images import Image
from steelyard.store import Run

_SIDE = 256
_MOST_BYTES = 6_000_000
_LARGEST_FILE = 256 * 2**20


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


class Gallery:
    """Finds the pictures that the records of a run name."""

    def __init__(self, run: Run) -> None:
        self._run = run.path
        self._folders = list(dict.fromkeys(_folders(run)))

    def find(self, stored: Any) -> Picture:
        """What a record says of a picture as the picture; one that is not what it was is not given."""
        if not isinstance(stored, Mapping):
            return Picture("picture", note="of which no name is stored")
        name, digest = str(stored.get("image") or ""), stored.get("digest")
        if not name:
            return self._kept(stored)
        if not isinstance(digest, str):
            return Picture(name, note="not stored" if "://" in name else "could not be read")
        path, page = _split(name)
        there = [file for folder in self._folders if _is_small(file := folder / path)]
        for file in there:
            image = Image(file, page=page)
            if image.reference().get("digest") == digest:
                return Picture(name, image)
        return Picture(name, note="changed since" if there else "gone")

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
        self._numbers: dict[str, int | None] = {}
        self._styles: list[str] = []
        self._left = _MOST_BYTES
        self._can = find_spec("PIL") is not None
        self.left_out = 0

    def draw(self, picture: Picture, stored: Any) -> Thumbnail | None:
        """A picture drawn small; None where it cannot be, or the page would grow too large."""
        if picture.image is None or not self._can:
            return None
        key = repr((stored.get("digest"), stored.get("image"), stored.get("page")))
        if key not in self._numbers:
            self._numbers[key] = self._add(picture.image)
        number = self._numbers[key]
        return None if number is None else Thumbnail(number, str(picture))

    def style(self) -> str:
        """The rules that hold the pictures: digits and base64, nothing from outside."""
        return "\n".join(self._styles)

    def _add(self, image: Image) -> int | None:
        if self._left <= 0:
            self.left_out += 1
            return None
        try:
            small = image.open()
        except SteelyardError:
            return None
        small.thumbnail((_SIDE, _SIDE))
        buffer = io.BytesIO()
        # Drawn anew, so that nothing of the file itself comes into the page.
        small.save(buffer, "JPEG", quality=75)
        encoded = base64.b64encode(buffer.getvalue()).decode()
        if len(encoded) > self._left:
            self._left = 0
            self.left_out += 1
            return None
        self._left -= len(encoded)
        number, (width, height) = len(self._styles), small.size
        rule = f"--w:{width}px;--r:{width}/{height};background-image:url(data:image/jpeg;base64,{encoded})"
        self._styles.append(f".p{number}{{{rule}}}")
        return number


def _folders(run: Run) -> Iterator[Path]:
    """Where a path that is stored may start: the folder that was named, that of the data, this one."""
    options = run.about.get("identity", {}).get("task", {}).get("data")
    data: Mapping[str, Any] = options if isinstance(options, Mapping) else {}
    root = (data.get("options") or {}).get("image_root")
    if isinstance(root, str):
        yield Path(root).expanduser()
    files = data.get("files")
    for file in files if isinstance(files, Sequence) else ():
        if isinstance(file, Sequence) and file and isinstance(file[0], str):
            yield Path(file[0]).expanduser().parent
    yield Path()


def _split(name: str) -> tuple[str, int | None]:
    path, mark, page = name.rpartition("#page=")
    return (path, int(page)) if mark and page.isdecimal() else (name, None)


def _is_small(path: Path) -> bool:
    """Whether there is a file that can be read whole in no time."""
    try:
        return path.is_file() and path.stat().st_size <= _LARGEST_FILE
    except (OSError, ValueError):
        return False
