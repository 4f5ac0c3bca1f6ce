"""The answers of a run for a spreadsheet: `answers.csv`, written as they come.

    id;model_answer
    1;Paris
    2;"a text with a ; or a line break"
    3;

A failed answer is an empty one: why it failed stands in the run. The sheet is a copy of what the
records say and never ahead of them, so that it can be made anew from them.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from steelyard.errors import StoreError
from steelyard.types import Record, Response

NAME = "answers.csv"
HEAD = ("id", "model_answer")


class Sheet:
    """A file with a line for each answer; it takes the place of a former one once it has a line for all."""

    def __init__(self, path: str | Path, stored: Iterable[Record] = ()) -> None:
        """Begin the file with the answers that are stored already."""
        self.path = Path(path)
        temporary = self.path.with_name(self.path.name + ".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        except OSError as error:
            raise self._failure(error) from error
        try:
            with open(self._file, "wb", closefd=False) as file:
                file.write(_line(HEAD))
                file.writelines(_line(row_of(record)) for record in stored)
            # Whoever is killed before this has the former sheet; what is added later goes to this file.
            temporary.replace(self.path)
        except BaseException as error:
            os.close(self._file)
            temporary.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise self._failure(error) from error
            raise

    def add(self, record: Record) -> None:
        """Write one answer; it is in the file when this returns."""
        line = _line(row_of(record))
        try:
            while line:
                line = line[os.write(self._file, line) :]
        except OSError as error:
            raise self._failure(error) from error

    def close(self) -> None:
        """End the file."""
        os.close(self._file)

    def __enter__(self) -> Sheet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _failure(self, error: OSError) -> StoreError:
        hint = "the answers are in the run: steelyard report RUN --answers FILE writes them anew"
        return StoreError(f"cannot write {self.path}: {error.strerror or error}", hint=hint)


def row_of(record: Record) -> tuple[str, str]:
    """The id of a request and what was answered; the likeliest choice where choices were compared."""
    response = record.response
    if response.error is not None:
        return record.request.id, ""
    return record.request.id, response.text or _likeliest(record, response)


def _likeliest(record: Record, response: Response) -> str:
    choices, scores = record.request.choices, response.scores
    if choices is None or not isinstance(scores, (list, tuple)) or len(choices) != len(scores):
        return ""
    return choices[max(range(len(choices)), key=scores.__getitem__)].strip()


def _line(cells: tuple[str, str]) -> bytes:
    text = io.StringIO()
    # The ending that the module is told decides which line breaks within a cell it quotes: both must be.
    csv.writer(text, delimiter=";", lineterminator="\r\n").writerow(cells)
    return text.getvalue().removesuffix("\r\n").encode("utf-8", "backslashreplace") + b"\n"
