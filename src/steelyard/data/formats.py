"""Text formats, row by row: JSON lines, an array of JSON objects, and columns with delimiters.

    {"question": "2 + 2 =", "answer": "4"}        jsonl
    [{"question": "2 + 2 =", "answer": "4"}]      json
    question,answer                               csv, tsv
    2 + 2 =,4

Lines end where a newline byte stands and nowhere else: a U+2028 inside a JSON string is text.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import IO, Any

import msgspec

from steelyard.data.arrays import split_array
from steelyard.data.rows import BadRow, Row, excerpt
from steelyard.errors import DataError

# A cell longer than this is a quote that was never closed.
_CELL_LIMIT = 1 << 28
_QUOTING: Any = {True: csv.QUOTE_MINIMAL, False: csv.QUOTE_NONE}
_BOM = b"\xef\xbb\xbf"
_OBJECT = "a JSON object"
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read_jsonl(file: IO[bytes], name: str) -> Iterator[Row]:
    """One JSON object a line; blank lines are passed over."""
    where = f"{name}, line"
    decode = msgspec.json.Decoder().decode
    for number, line in enumerate(file, 1):
        try:
            row = decode(line)
        except _UNREADABLE as error:
            text = line.removeprefix(_BOM) if number == 1 else line
            if not text.strip():
                continue
            row = _bad_json(line, error) if text is line else _decode(text)
        yield where, number, row


def read_json(file: IO[bytes], name: str) -> Iterator[Row]:
    """An array of JSON objects, which become objects one by one."""
    where = f"{name}, row"
    try:
        for number, text in enumerate(split_array(file)):
            yield where, number, _decode(text)
    except ValueError as error:
        hint = "one object a line is read with format=jsonl"
        raise DataError(f"{name} is not an array of JSON objects: {error}", hint=hint) from error


def read_delimited(
    file: IO[bytes],
    name: str,
    *,
    delimiter: str | None = None,
    quotes: bool = True,
    columns: Sequence[str] = (),
) -> Iterator[Row]:
    """Columns with a delimiter, under a header that names them; cells may be quoted.

    `columns` are the names of those of a file without a header.
    """
    # The csv module knows only one limit for the whole process.
    csv.field_size_limit(max(csv.field_size_limit(), _CELL_LIMIT))
    undecodable: list[str] = []
    lines = _text_lines(file, undecodable)
    try:
        reader = csv.reader(lines, delimiter=delimiter or ",", quoting=_QUOTING[quotes], strict=True)
    except TypeError as error:
        raise DataError(f"{delimiter!r} cannot be a delimiter", hint="one character") from error
    header = _header(reader, name, guess=delimiter is None) if not columns else list(columns)
    if undecodable:
        raise BadRow("a header in UTF-8", undecodable.pop()).at(f"{name}, line 1")
    where, width = f"{name}, line", len(header)
    while True:
        number = reader.line_num + 1
        row: Any
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield where, number, BadRow(f"{width} cells", str(error), hint=_mend(error))
            continue
        if undecodable:
            row = BadRow("UTF-8", undecodable.pop())
            undecodable.clear()
        elif len(cells) == width:
            row = dict(zip(header, cells))
            # What has no header where others of its kind have none may have one all the same.
            if columns and number == 1 and [cell.strip().casefold() for cell in cells] == header:
                continue
        elif not cells:
            continue
        else:
            row = BadRow(f"{width} cells", f"{len(cells)} cells: {','.join(cells)}")
        yield where, number, row


def _header(reader: Any, name: str, *, guess: bool) -> list[str]:
    try:
        cells: list[str] = next(filter(None, reader), [])
    except csv.Error as error:
        raise DataError(f"{name}: the header cannot be read: {error}", hint=_mend(error)) from error
    header = [cell.strip() for cell in cells]
    twice = {column for column in header if header.count(column) > 1}
    if twice:
        raise DataError(f"{name} has several columns named {', '.join(map(repr, sorted(twice)))}")
    for other in ";\t":
        if guess and len(header) == 1 and other in header[0]:
            hint = f"delimiter={other!r}"
            raise DataError(f"{name} has only one column, {excerpt(header[0])}", hint=hint)
    return header


def _mend(error: csv.Error) -> str:
    if "new-line character" in str(error):
        return "rows end with a newline; a carriage return inside a cell is quoted"
    return "cells with quotes in them are quoted themselves, or none is: quotes=false"


def _text_lines(file: IO[bytes], undecodable: list[str]) -> Iterator[str]:
    """Lines as text; those that are not UTF-8 are noted in `undecodable`."""
    for number, line in enumerate(file, 1):
        text = line.removeprefix(_BOM) if number == 1 else line
        try:
            yield text.decode()
        except UnicodeDecodeError:
            undecodable.append(text[:400].decode("utf-8", "backslashreplace"))
            yield text.decode("utf-8", "backslashreplace")


def _decode(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except _UNREADABLE as error:
        return _bad_json(text, error)


def _bad_json(text: bytes, error: Exception) -> BadRow:
    hint = ""
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        hint = "this looks like UTF-16: save it as UTF-8"
    elif b"\\ud" in text.lower():
        hint = "half of a surrogate pair is no text"
    elif b"NaN" in text or b"Infinity" in text:
        hint = "JSON has no NaN or Infinity: write null"
    expected = f"{_OBJECT} in UTF-8" if isinstance(error, UnicodeDecodeError) else f"{_OBJECT} ({error})"
    return BadRow(expected, text, hint=hint)
