"""What every origin of data gives: numbered rows, of which some may be bad."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from steelyard.errors import DataError

Row = tuple[str, int, Any]
"""Where a row stands ("file.jsonl, line", 3) and what it is: a mapping, a Sample or a BadRow."""


class BadRow(Exception):
    """A row that cannot be used: what was expected, and what stands there."""

    def __init__(self, expected: str, seen: Any, *, hint: str = "") -> None:
        super().__init__(f"expected {expected}, saw {excerpt(seen)}")
        self.hint = hint

    def at(self, where: str) -> DataError:
        """This row as an error that says where it stands."""
        way_on = "on_bad_row=skip goes on without such rows"
        return DataError(f"{where}: {self}", hint=self.hint or way_on)


class Origin(ABC):
    """Somewhere rows come from. Those that can be read once only raise a DataError the second time."""

    name: str

    @abstractmethod
    def rows(self) -> Iterator[Row]:
        """Every row, one by one; a bad one is given as a BadRow, so that reading can go on after it."""

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """What makes these rows these rows."""

    def folder(self, where: str) -> Path | None:
        """The folder that paths in a row which stands there are relative to; None for the working one."""
        return None

    def size(self) -> int | None:
        """How many rows there are, where that is cheap to know."""
        return None


def excerpt(value: Any) -> str:
    """The beginning of a value, on one line and safe to show."""
    if isinstance(value, bytes):
        value = value[:400].decode("utf-8", "backslashreplace")
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(text[:400].split())
    text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return f"'{text}'" if len(text) <= 80 else f"'{text[:79]}…'"
