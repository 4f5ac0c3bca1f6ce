"""Which columns of a row hold pictures or sounds: they become the `images` and `audios` in a sample's `meta`.

    {"question": "What is the total?", "image": "scans/7.png"}
    {"question": "Which grew faster?", "image_1": {"bytes": …, "path": None}, "image_2": None}
    {"question": "What is said?", "audio": {"array": […], "sampling_rate": 16000}}

A column that is not named is taken for one of pictures when it has a usual name and the first value
in it looks like a picture, so that a text in a column called `image` stays a text; likewise of sounds. With
`images=none` no column is, nor one of sounds with `audios=none`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from steelyard.data.rows import BadRow
from steelyard.errors import DataError, need
from steelyard.media.images import Image, as_images
from steelyard.media.shapes import (
    is_encoded,
    is_encoded_sound,
    looks_like_picture,
    looks_like_sound,
)
from steelyard.media.sounds import Sound, as_sounds
from steelyard.types import Sample


@dataclass(frozen=True)
class Kind:
    """What columns of one kind are called and look like, and what becomes of what stands in them.

    `usual` are the columns that are looked for, the likeliest first; then those that `numbered` matches,
    together. `parts` are the types of parts of messages, `library` what is needed to look at one.
    """

    field: str
    one: str
    many: str
    usual: Sequence[str]
    numbered: re.Pattern[str]
    parts: Sequence[str]
    looks_like: Callable[..., bool]
    is_encoded: Callable[[Any], bool]
    type: type
    make: Callable[..., Sequence[Any]]
    remote: str
    library: tuple[str, str] | None = None


PICTURES = Kind(
    field="images",
    one="a picture",
    many="pictures",
    usual=(
        "images image pages page img imgs picture pictures photo page_images document_image "
        "image_path image_paths image_file img_path pdf pdf_path image_url image_urls file_name"
    ).split(),
    numbered=re.compile(r"(?:image|img|page|picture)_?(\d+)"),
    parts=("image", "image_url", "input_image"),
    looks_like=looks_like_picture,
    is_encoded=is_encoded,
    type=Image,
    make=as_images,
    remote="--allow-remote-images fetches them, images=none asks without them",
    library=("PIL", "images"),
)

SOUNDS = Kind(
    field="audios",
    one="a sound",
    many="sounds",
    usual=(
        "audios audio sounds sound audio_path audio-path audio_paths audio_file audio_filepath "
        "audio_filename wav wav_path music song track clip speech recording audio_url file file_name "
        "filename path"
    ).split(),
    numbered=re.compile(r"(?:audio|sound|clip)_?(\d+)"),
    parts=("audio",),
    looks_like=looks_like_sound,
    is_encoded=is_encoded_sound,
    type=Sound,
    make=as_sounds,
    remote="download them, or audios=none asks without them",
)

_NONE = ("none",)


class Media:
    """Finds the columns of one kind, and takes what is in them out of rows."""

    def __init__(
        self,
        kind: Kind,
        named: Sequence[str] = (),
        *,
        folder_of: Callable[[str], Path | None],
        remote: bool = False,
    ) -> None:
        self._kind = kind
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
                raise BadRow(
                    f"the column {column!r}", list(row), hint=f"{self._kind.field}=COLUMN names another"
                )
        if self.named:
            self._decide(self.named)
        elif self._are_numbered:
            self._decide(sorted({*self.columns, *self._numbered(row)}, key=_number))
        elif self._looks and not self.columns:
            names = [name for name in self._kind.usual if name in row and name not in taken]
            names += [name for name in self._numbered(row) if name not in taken]
            self._undecided = tuple(names)
        kept = {*self.columns, *self._undecided, *taken}
        self._others = tuple(name for name in row if name not in kept and self._kind.is_encoded(row[name]))
        return bool(self.columns or self._undecided or self._others or not self._looks)

    def take(self, row: dict[str, Any], where: str) -> None:
        """Put what a row has of the kind into its `images` or `audios`, in the place of the columns."""
        if self._undecided:
            self._look(row)
        field = self._kind.field
        if not self._looks and self._kind.looks_like(row.get(field), remote=True):
            # What is called so is taken for the pictures of a sample by whoever asks about it.
            del row[field]
        home = self._folder_of(where)
        for column in self._others:
            if self._kind.is_encoded(row.get(column)):
                made = self._made(row[column], column, home)
                row[column] = tuple(made) if isinstance(row[column], list) else made[0]
        if not self.columns:
            return
        found: list[Any] = []
        for column in self.columns:
            if column in row:
                found += self._made(row.pop(column), column, home)
        row[field] = tuple(found)

    def shows(self, row: Mapping[str, Any]) -> bool:
        """Whether a row has one of the kind."""
        if self._undecided:
            self._look(row)
        return bool(self.columns)

    def adopt(self, sample: Sample, where: str) -> Sample:
        """A Sample as it was given, what looks like the kind in its `images` or `audios` made so."""
        field = self._kind.field
        given = sample.meta.get(field)
        if given is None or not self._kind.looks_like(given, remote=self._remote):
            return sample
        if isinstance(given, tuple) and all(isinstance(item, self._kind.type) for item in given):
            return sample
        made = self._made(given, field, self._folder_of(where))
        return replace(sample, meta={**sample.meta, field: tuple(made)})

    def in_turns(self, turns: Sequence[Any], where: str) -> Sequence[Any]:
        """Turns of a chat in which what stands for one of the kind has become one."""
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
        if not isinstance(part, Mapping) or part.get("type") not in self._kind.parts:
            return part
        # Without anything it stands for the next one of the row.
        if not any(value is not None for name, value in part.items() if name not in ("type", "text")):
            return part
        made = self._made(dict(part), "content", home)[0]
        if isinstance(part.get("image_url"), Mapping):
            # Beside the address stands how closely a service is to look.
            return {**part, "image_url": {**part["image_url"], "url": made}}
        kind = self._kind.parts[0]
        return {"type": kind, kind: made}

    def _look(self, row: Mapping[str, Any]) -> None:
        """Decide about columns of usual names by the first values in them."""
        undecided = []
        for column in self._undecided:
            value = row.get(column)
            if value is None or (isinstance(value, (str, list, tuple)) and not value):
                undecided.append(column)
            elif self._kind.looks_like(value, remote=self._remote):
                numbered = self._numbered(row)
                self._are_numbered = column in numbered
                self._decide(numbered if self._are_numbered else [column])
                return
            elif self._kind.looks_like(value, remote=True):
                # Asked without them, questions about pictures would only seem to be answered badly.
                raise BadRow(
                    f"{self._kind.many} of this machine in {column!r}", value, hint=self._kind.remote
                )
        self._undecided = tuple(undecided)

    def _decide(self, columns: Sequence[str]) -> None:
        if self._kind.library is not None:
            library, extra = self._kind.library
            need(library, extra=extra)
        self.columns, self._undecided = tuple(columns), ()

    def _made(self, value: Any, column: str, home: Path | None) -> Sequence[Any]:
        if isinstance(value, str):
            value = value.strip()
            if value.startswith("["):
                try:
                    value = msgspec.json.decode(value)
                except msgspec.DecodeError as error:
                    raise BadRow(f"{self._kind.many} as a JSON list in {column!r}", value) from error
        if value is None or (isinstance(value, str) and not value):
            return []
        try:
            return self._kind.make(value, home=home, remote=self._remote)
        except DataError as error:
            raise BadRow(f"{self._kind.one} in {column!r}", error.args[0], hint=error.hint) from error

    def _numbered(self, row: Mapping[str, Any]) -> list[str]:
        """The columns image_1, image_2, … in the order of their numbers."""
        names = (name for name in row if isinstance(name, str) and self._kind.numbered.fullmatch(name))
        return sorted(names, key=_number)


def _number(name: str) -> int:
    return int(re.sub(r"\D", "", name))
