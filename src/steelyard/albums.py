"""What a page needs to show the pictures of a run: those that lie in no file, and where the others lie.

    runs/…/images/3f2a….jpg         what the bytes were, under the digest that the records name
    run.json: "image_folders"       what the paths in the records are relative to

Only those of the first records are kept, as many as a page shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from steelyard.errors import DataError, StoreError
from steelyard.media.images import Image, as_image
from steelyard.media.kinds import describe_bytes
from steelyard.media.pixels import is_picture
from steelyard.store import Run
from steelyard.types import Prompt, Record

FOLDER = "images"
KEPT = 500
"""Of how many records pictures are kept and shown."""
_MOST_BYTES = 200 * 2**20
_SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "GIF": ".gif", "WebP": ".webp", "TIFF": ".tiff", "a PDF": ".pdf"}


class Album:
    """The pictures of a run; their folder is made when the first one is kept."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._folder = run.path / FOLDER
        self._kept = {path.stem for path in self._folder.glob("*.*")}
        self._left = _MOST_BYTES
        self._homes: list[str] = list(run.about.get("image_folders", []))

    def add(self, record: Record) -> None:
        """Keep the pictures of one record that can be had nowhere else."""
        if record.index >= KEPT or isinstance(record.request.prompt, str):
            return
        for given in pictures_of(record.request.prompt):
            if isinstance(given, Image) or is_picture(given):
                image = as_image(given)
                stem = stem_of(image.reference())
                if image.path is not None:
                    self._note(image, image.path)
                elif stem is not None and stem not in self._kept:
                    self._kept.add(stem)
                    self._keep(image, stem)

    def _note(self, image: Image, path: Path) -> None:
        """Note the folder that the name of a picture is relative to."""
        named = Path(split_page(image.name)[0])
        home = path.parents[len(named.parts) - 1] if len(named.parts) <= len(path.parents) else path
        if home / named == path and not named.is_absolute() and str(home) not in self._homes:
            self._homes.append(str(home))
            self._run.update(image_folders=self._homes)

    def _keep(self, image: Image, stem: str) -> None:
        try:
            content = image.read()
        except DataError:
            # The answer to it says what is wrong with it.
            return
        self._left -= len(content)
        if self._left < 0:
            return
        path = self._folder / (stem + _SUFFIXES.get(describe_bytes(content[:64]), ".image"))
        temporary = path.with_suffix(".new")
        try:
            self._folder.mkdir(exist_ok=True)
            temporary.write_bytes(content)
            temporary.replace(path)
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror or error}", hint="make room") from error


def pictures_of(prompt: Prompt) -> Iterator[Any]:
    """The pictures of a prompt in their order: Images, or what is stored of them."""
    if isinstance(prompt, (str, Mapping)):
        return
    for turn in prompt:
        content = turn.get("content") if isinstance(turn, Mapping) else None
        for part in content if isinstance(content, (list, tuple)) else ():
            if getattr(part, "kind", None) == "image":
                yield part.data
            elif isinstance(part, Mapping) and "image" in (part.get("kind"), part.get("type")):
                yield part.get("data", part.get("image"))


def split_page(name: str) -> tuple[str, int | None]:
    """The path in the name of a picture, and which page of a document it is."""
    path, mark, page = name.rpartition("#page=")
    return (path, int(page)) if mark and page.isdecimal() else (name, None)


def stem_of(reference: Mapping[str, Any]) -> str | None:
    """What a picture is called in the folder; None for one that lies in a file or at an address."""
    digest = reference.get("digest")
    if "image" in reference or not isinstance(digest, str) or not digest.isalnum():
        return None
    page = reference.get("page")
    return digest if page is None else f"{digest}-{int(page)}"
