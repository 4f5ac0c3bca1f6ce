"""Which columns of a row hold pictures: they become the Images in a sample's `meta["images"]`.

    {"question": "What is the total?", "image": "scans/7.png"}
    {"question": "Which grew faster?", "image_1": {"bytes": …, "path": None}, "image_2": None}

A column that is not named is taken for one of pictures when it has a usual name and the first value
in it looks like a picture, so that a text in a column called `image` stays a text. With `images=none`
no column is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from steelyard.data.rows import BadRow
from steelyard.errors import DataError, need
from steelyard.media.images import Image, as_images
from steelyard.media.shapes import is_encoded, looks_like_picture
from steelyard.types import Sample

USUAL = (
    "images image pages page img imgs picture pictures photo page_images document_image "
    "image_path image_paths image_file img_path pdf pdf_path image_url image_urls file_name"
).split()
"""The columns that are looked for, the likeliest first; then image_1, image_2, … together."""

_NUMBERED = re.compile(r"(?:image|img|page|picture)_?(\d+)")
_PARTS = ("image", "image_url", "input_image")
_NONE = ("none",)


class Pictures:
    """Finds the columns of pictures, and takes them out of rows."""

    def __init__(
        self, named: Sequence[str], *, folder_of: Callable[[str], Path | None], remote: bool
    ) -> None:
        self._looks = tuple(named) != _NONE
        self.named = tuple(named) if self._looks else ()
        self.columns: tuple[str, ...] = ()
        self._folder_of, self._remote = folder_of, remote
        self._undecided: tuple[str, ...] = ()
        self._others: tuple[str, ...] = ()
        self._are_numbered = False

    def settle(self, row: Mapping[str, Any], taken: Sequence[str | None]) -> bool:
        """Find the columns by the shape of a row; whether rows of it may hold pictures."""
        for column in self.named:
            if column not in row:
                raise BadRow(f"the column {column!r}", list(row), hint="images=COLUMN names another")
        if self.named:
            self._decide(self.named)
        elif self._are_numbered:
            self._decide(sorted({*self.columns, *_numbered(row)}, key=_number))
        elif self._looks and not self.columns:
            names = [name for name in USUAL if name in row and name not in taken]
            names += [name for name in _numbered(row) if name not in taken]
            self._undecided = tuple(names)
        kept = {*self.columns, *self._undecided, *taken}
        self._others = tuple(name for name in row if name not in kept and is_encoded(row[name]))
        return bool(self.columns or self._undecided or self._others or not self._looks)

    def take(self, row: dict[str, Any], where: str) -> None:
        """Put the pictures of a row into its `images`, in the place of their columns."""
        if self._undecided:
            self._look(row)
        if not self._looks and looks_like_picture(row.get("images"), remote=True):
            # What is called so is taken for the pictures of a sample by whoever asks about it.
            del row["images"]
        home = self._folder_of(where)
        for column in self._others:
            if is_encoded(row.get(column)):
                images = self._images(row[column], column, home)
                row[column] = tuple(images) if isinstance(row[column], list) else images[0]
        if not self.columns:
            return
        found: list[Image] = []
        for column in self.columns:
            if column in row:
                found += self._images(row.pop(column), column, home)
        row["images"] = tuple(found)

    def shows(self, row: Mapping[str, Any]) -> bool:
        """Whether a row has a picture."""
        if self._undecided:
            self._look(row)
        return bool(self.columns)

    def adopt(self, sample: Sample, where: str) -> Sample:
        """A Sample as it was given, what looks like pictures in its `images` made Images."""
        given = sample.meta.get("images")
        if given is None or not looks_like_picture(given, remote=self._remote):
            return sample
        if isinstance(given, tuple) and all(isinstance(item, Image) for item in given):
            return sample
        images = self._images(given, "images", self._folder_of(where))
        return replace(sample, meta={**sample.meta, "images": tuple(images)})

    def in_turns(self, turns: Sequence[Any], where: str) -> Sequence[Any]:
        """Turns of a chat in which what stands for a picture has become one."""
        if not any(isinstance(turn, Mapping) and type(turn.get("content")) is list for turn in turns):
            return turns
        home = self._folder_of(where)
        return [
            {**turn, "content": [self._part(part, home) for part in turn["content"]]}
            if isinstance(turn, Mapping) and type(turn.get("content")) is list
            else turn
            for turn in turns
        ]

    def _part(self, part: Any, home: Path | None) -> Any:
        if not isinstance(part, Mapping) or part.get("type") not in _PARTS:
            return part
        # Without anything it stands for the next picture of the row.
        if not any(value is not None for name, value in part.items() if name not in ("type", "text")):
            return part
        image = self._images(dict(part), "content", home)[0]
        if isinstance(part.get("image_url"), Mapping):
            # Beside the address stands how closely a service is to look.
            return {**part, "image_url": {**part["image_url"], "url": image}}
        return {"type": "image", "image": image}

    def _look(self, row: Mapping[str, Any]) -> None:
        """Decide about columns of usual names by the first values in them."""
        undecided = []
        for column in self._undecided:
            value = row.get(column)
            if value is None or (isinstance(value, (str, list, tuple)) and not value):
                undecided.append(column)
            elif looks_like_picture(value, remote=self._remote):
                numbered = _numbered(row)
                self._are_numbered = column in numbered
                self._decide(numbered if self._are_numbered else [column])
                return
            elif looks_like_picture(value, remote=True):
                # Asked without them, questions about pictures would only seem to be answered badly.
                hint = "--allow-remote-images fetches them, images=none asks without them"
                raise BadRow(f"pictures of this machine in {column!r}", value, hint=hint)
        self._undecided = tuple(undecided)

    def _decide(self, columns: Sequence[str]) -> None:
        need("PIL", extra="images")
        self.columns, self._undecided = tuple(columns), ()

    def _images(self, value: Any, column: str, home: Path | None) -> list[Image]:
        if isinstance(value, str):
            value = value.strip()
            if value.startswith("["):
                try:
                    value = msgspec.json.decode(value)
                except msgspec.DecodeError as error:
                    raise BadRow(f"pictures as a JSON list in {column!r}", value) from error
        if value is None or (isinstance(value, str) and not value):
            return []
        try:
            return as_images(value, home=home, remote=self._remote)
        except DataError as error:
            raise BadRow(f"a picture in {column!r}", error.args[0], hint=error.hint) from error


def _numbered(row: Mapping[str, Any]) -> list[str]:
    """The columns image_1, image_2, … in the order of their numbers."""
    return sorted((name for name in row if isinstance(name, str) and _NUMBERED.fullmatch(name)), key=_number)


def _number(name: str) -> int:
    return int(re.sub(r"\D", "", name))
