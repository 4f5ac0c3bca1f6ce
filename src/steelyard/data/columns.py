"""Which column of a row is what: rows become Samples.

A role that is not named takes the first of its columns below that the first good row has.
Every column but the id stays in `meta`, so that a template can name it; those that hold pictures or sounds
become its `images` and `audios`, as `media` says. Without an id column a sample's id is the number of its
row in the source, counted from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from steelyard.data.media import PICTURES, SOUNDS, Media
from steelyard.data.rows import BadRow
from steelyard.types import Sample

USUAL: Mapping[str, str] = {
    "input": "input question prompt text instruction document query sentence problem messages",
    "target": "target answer completion output label response reference expected summary answers",
    "choices": "choices options",
    "id": "id",
}
"""The columns that are looked for, the likeliest first."""


class Columns:
    """Makes Samples of rows."""

    def __init__(
        self,
        named: Mapping[str, str | Sequence[str] | None],
        *,
        folder_of: Callable[[str], Path | None] = lambda where: None,
        roots: Mapping[str, Path | None] = MappingProxyType({}),
        remote: bool = False,
    ) -> None:
        self._media = []
        for kind in (PICTURES, SOUNDS):
            columns, root = named.get(kind.field) or (), roots.get(kind.field)
            columns = [columns] if isinstance(columns, str) else columns
            home_of = folder_of if root is None else _always(root)
            self._media.append(Media(kind, columns, folder_of=home_of, remote=remote))
        self._found_media: list[Media] = []
        named = {role: column for role, column in named.items() if role not in ("images", "audios")}
        self._found = False
        self._named = {role: column for role, column in named.items() if isinstance(column, str)}
        options = named.get("choices") or ()
        self._options = () if isinstance(options, str) else tuple(options)
        self._input: str | None = None
        self._target: str | None = None
        self._choices: str | None = None
        self._id: str | None = None
        self._group: str | None = None
        self._columns: frozenset[str] = frozenset()

    def sample(self, row: Any, place: int, where: str = "") -> Sample:
        """The Sample that a row is which stands there; raises a BadRow."""
        if type(row) is not dict:
            if isinstance(row, Sample):
                pictures, sounds = self._media
                return sounds.adopt(pictures.adopt(row, where), where)
            row = _mapping(row)
        if row.keys() != self._columns:
            self._settle(row)
        for media in self._found_media:
            media.take(row, where)
        asked = "" if self._input is None else row[self._input]
        if type(asked) is list:
            # In its column too: nobody stores the pictures and sounds that are written out there.
            for media in self._media:
                asked = row[self._input] = media.in_turns(asked, where)
        if type(asked) is not str and (asked is None or isinstance(asked, (int, float))):
            raise BadRow(f"a text, messages or a mapping as {self._input!r}", asked)
        target = None if self._target is None else row[self._target]
        choices = None
        if self._choices is not None:
            choices, target = _choices(row[self._choices], target)
        elif self._options:
            choices = [str(row[column]) for column in self._options]
        if self._group is not None:
            row["group"] = row[self._group]
        name = place if self._id is None else row.pop(self._id)
        if name is None:
            raise BadRow(f"an id as {self._id!r}", None)
        return Sample(str(name), asked, target, choices, row)

    def _settle(self, row: Mapping[str, Any]) -> None:
        """Find the columns by the first row; see that rows of another shape have them too."""
        if not self._found:
            self._find(row)
        else:
            for column in (self._input, self._target, self._choices, self._id, self._group, *self._options):
                if column is not None and column not in row:
                    raise BadRow(f"the column {column!r}", list(row))
            for role, column in (("target", self._target), ("choices", self._choices), ("id", self._id)):
                late = None if column or (role == "choices" and self._options) else self._usual(role, row)
                if late is not None:
                    hint = f"the first row has no such column; {role}=COLUMN names one that all have"
                    raise BadRow(f"no column {late!r}", list(row), hint=hint)
            self._settle_media(row)
        self._columns = frozenset(row)

    def _find(self, row: Mapping[str, Any]) -> None:
        for role, columns in (
            *((role, [name]) for role, name in self._named.items()),
            ("choices", self._options),
        ):
            for column in columns:
                if column not in row:
                    raise BadRow(f"the column {column!r}", list(row), hint=f"{role}=COLUMN names another")
        self._input = self._usual("input", row)
        self._target, self._id = self._usual("target", row), self._usual("id", row)
        self._choices = None if self._options else self._usual("choices", row)
        self._group = self._named.get("group")
        self._settle_media(row)
        # A picture or a sound may be all that is asked about: the template says what.
        if self._input is None and not any(media.shows(row) for media in self._media):
            usual = ", ".join(USUAL["input"].split())
            hint = f"input=COLUMN names it, else it is {usual}"
            raise BadRow("a column for the input", list(row), hint=hint)
        self._found = True

    def _settle_media(self, row: Mapping[str, Any]) -> None:
        self._found_media = [media for media in self._media if media.settle(row, self._taken())]

    def _taken(self) -> Sequence[str | None]:
        """The columns that have a role."""
        return self._input, self._target, self._choices, self._id, self._group, *self._options

    def _usual(self, role: str, row: Mapping[str, Any]) -> str | None:
        """The column that was named for a role, else the likeliest that no other role was given."""
        if role in self._named:
            return self._named[role]
        media = (name for media in self._media for name in media.named)
        taken = (*self._named.values(), *self._options, *media)
        return next((name for name in USUAL[role].split() if name in row and name not in taken), None)


def _always(root: Path) -> Callable[[str], Path | None]:
    return lambda where: root


def _mapping(row: Any) -> dict[str, Any]:
    if isinstance(row, BadRow):
        raise row
    if isinstance(row, Mapping):
        return dict(row)
    raise BadRow("an object with columns", row)


def _choices(value: Any, target: Any) -> tuple[Sequence[str], Any]:
    """Options as a list of texts, from any of the forms in which data sets hold them."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError as error:
            raise BadRow("options as a JSON list", value) from error
    if isinstance(value, Mapping):
        if "text" in value and "label" in value:
            # The labels may be 1, 2, 3: the place is what cannot be misread.
            labels = list(value["label"])
            target = labels.index(target) if target in labels else target
            value = value["text"]
        else:
            value = list(value.values())
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise BadRow("a list of options", value)
    options = list(value)
    if not options:
        raise BadRow("at least one option", value)
    return [option if type(option) is str else str(option) for option in options], target
