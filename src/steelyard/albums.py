"""Pictures that lie in no file, kept in the folder of the run so that its page can show them.

    runs/…/images/3f2a….jpg         what the bytes were, under the digest that the records name

Only those of the first records are kept, as many as a page shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from steelyard.errors import DataError, StoreError
from steelyard.media.images import Image
from steelyard.media.kinds import describe_bytes
from steelyard.types import Prompt, Record

FOLDER = "images"
KEPT = 500
"""Of how many records pictures are kept and shown."""
_MOST_BYTES = 200 * 2**20
_SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "GIF": ".gif", "WebP": ".webp", "TIFF": ".tiff", "a PDF": ".pdf"}


class Album:
    """The folder of pictures of a run; it is made when the first one is kept."""

    def __init__(self, run: Path) -> None:
        self._folder = run / FOLDER
        self._kept = {path.stem for path in self._folder.glob("*.*")}
        self._left = _MOST_BYTES

    def add(self, record: Record) -> None:
        """Keep the pictures of one record that can be had nowhere else."""
        if record.index >= KEPT or isinstance(record.request.prompt, str):
            return
        for image in pictures_of(record.request.prompt):
            if isinstance(image, Image):
                stem = stem_of(image.reference())
                if stem is not None and stem not in self._kept:
                    self._kept.add(stem)
                    self._keep(image, stem)

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


def stem_of(reference: Mapping[str, Any]) -> str | None:
    """What a picture is called in the folder; None for one that lies in a file or at an address."""
    digest = reference.get("digest")
    if "image" in reference or not isinstance(digest, str) or not digest.isalnum():
        return None
    page = reference.get("page")
    return digest if page is None else f"{digest}-{int(page)}"
