"""Rows that are in this process already: lists and other iterables, generators, functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from steelyard.data.features import undecoded
from steelyard.data.rows import Origin, Row
from steelyard.errors import DataError, SteelyardError, describe, locate
from steelyard.media.images import Image, as_image
from steelyard.media.pixels import hash_array, is_picture, is_pixels
from steelyard.media.sounds import Sound
from steelyard.plugins import source_digest


class Rows(Origin):
    """An iterable of mappings, Samples or texts, read anew each time."""

    def __init__(self, rows: Iterable[Any], *, name: str = "") -> None:
        self._rows = rows
        self.name = name or str(getattr(rows, "name", None) or type(rows).__name__)

    def rows(self) -> Iterator[Row]:
        """Every row; a text is the input of its row."""
        where = f"{self.name}, row"
        for number, row in enumerate(_read(undecoded(self._rows), self.name)):
            yield where, number, _own(row)

    def size(self) -> int | None:
        """How many there are, if they have a length."""
        if hasattr(self._rows, "size") and callable(self._rows.size):
            size: int | None = self._rows.size()
            return size
        return len(self._rows) if isinstance(self._rows, Sized) else None

    def identity(self) -> Mapping[str, Any]:
        """A digest of the rows, where there is an end of them that is known."""
        if hasattr(self._rows, "identity"):
            known: Mapping[str, Any] = self._rows.identity()
            return known
        if isinstance(self._rows, Sized):
            return {"rows": self.name, "content": content(undecoded(self._rows))}
        return {"stream": self.name, "source": source_digest(self._rows)}


class Stream(Origin):
    """A generator or another iterator, which is read once."""

    def __init__(self, rows: Iterator[Any]) -> None:
        self._rows: Iterator[Any] | None = rows
        self.name = str(getattr(rows, "__name__", None) or type(rows).__name__)

    def rows(self) -> Iterator[Row]:
        """Every row, the first time."""
        if self._rows is None:
            hint = "give the function that makes it, or a list"
            raise DataError(f"the {self.name} can be read only once", hint=hint)
        rows, self._rows = self._rows, None
        where = f"{self.name}, row"
        for number, row in enumerate(_read(rows, self.name)):
            yield where, number, _own(row)

    def identity(self) -> Mapping[str, Any]:
        """That it is a stream: nothing more can be known without reading it."""
        return {"stream": self.name}


class Function(Origin):
    """What a function or class gives, called anew each time."""

    def __init__(self, make: Callable[[], Any], open_result: Callable[[Any], Origin]) -> None:
        self._make = make
        self._open = open_result
        self._opened: Origin | None = None
        self.name = str(getattr(make, "__name__", type(make).__name__))

    def rows(self) -> Iterator[Row]:
        """The rows of what it gives this time."""
        try:
            made = self._make()
        except SteelyardError:
            raise
        except Exception as error:
            raise DataError(f"{self.name} gives no data: {describe(error)}", hint=locate(error)) from error
        self._opened = self._open(made)
        return self._opened.rows()

    def folder(self, where: str) -> Path | None:
        """The folder of the file in which a row stands, where it gave files."""
        return None if self._opened is None else self._opened.folder(where)

    def identity(self) -> Mapping[str, Any]:
        """Its name and a digest of the file it is written in."""
        return {"function": self.name, "source": source_digest(self._make)}


def content(rows: Iterable[Any]) -> str:
    """A digest of what the rows hold."""
    digest = blake2b(digest_size=12)
    encode = msgspec.json.Encoder(enc_hook=_stand_in, order="deterministic").encode
    for row in rows:
        digest.update(encode(row))
        digest.update(b"\n")
    return digest.hexdigest()


def _read(rows: Iterable[Any], name: str) -> Iterator[Any]:
    """The rows of someone else's iterable; where it breaks, that is said."""
    number = 0
    try:
        for number, row in enumerate(rows, 1):  # noqa: B007 - told where it breaks
            yield row
    except SteelyardError:
        raise
    except Exception as error:
        message = f"{name} broke after {number} rows: {describe(error)}"
        raise DataError(message, hint=locate(error)) from error


def _own(row: Any) -> Any:
    """A row that is ours to change: a mapping is copied, a text becomes its row's input."""
    if isinstance(row, str):
        return {"input": row}
    return dict(row) if isinstance(row, Mapping) else row


def _stand_in(value: Any) -> Any:
    if isinstance(value, Image) or is_picture(value):
        # Not what is in it: each sample's record says so, and all of them would be read here.
        return as_image(value).name
    if isinstance(value, Sound):
        return value.name
    if is_pixels(value):
        return hash_array(value)
    for name in ("tolist", "isoformat", "tobytes"):
        if hasattr(value, name):
            return getattr(value, name)()
    return type(value).__name__
