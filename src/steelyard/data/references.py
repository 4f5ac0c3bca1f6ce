"""Where a reference becomes rows: `open_origin(source)`.

    data.jsonl, data.csv.gz, …     a file: JSONL, JSON, CSV, TSV, Parquet, Arrow, also compressed
    'data/*.parquet', data/        many files, in the order of their names
    -                              stdin
    demo/arithmetic                a built-in name, or one that a package registers
    hub:NAME, hf://datasets/NAME   a data set of the Hugging Face hub
    ./file.py:animals, pkg.mod:f   a function that gives any of these, or rows; or the rows

or the thing itself: a Path or a list of them, a list of mappings, Samples or texts, a frame, a
generator, a function.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from steelyard.builtin import BUILTINS
from steelyard.data.files import Files, Stdin, find_files, is_data_file
from steelyard.data.hub import PREFIXES, Hub, choose_split, is_saved
from steelyard.data.memory import Function, Rows, Stream
from steelyard.data.rows import Origin
from steelyard.data.tables import Frame, is_frame
from steelyard.errors import DataError, UsageError
from steelyard.plugins import is_reference, resolve


def open_origin(
    source: Any,
    *,
    split: str | None = None,
    format: str | None = None,  # noqa: A002
    cells: Mapping[str, Any] | None = None,
) -> Origin:
    """The rows that `source` names, or that it is.

    `split` chooses among the parts of a hub data set, the files of a folder or the items of a
    mapping; `format` is the format of files whose names do not say it; `cells` holds the
    delimiter and the quoting of CSV and TSV.
    """
    options: dict[str, Any] = {"split": split, "format": format, "cells": cells or {}}
    if isinstance(source, (str, Path)):
        return _open_name(str(source), **options)
    if _are_paths(source):
        _refuse("a list of files", split=split)
        paths = [Path(path).expanduser() for path in source]
        return Files(paths, name=_stem(paths[0]), kind=format, cells=cells or {})
    if isinstance(source, Mapping):
        if any(isinstance(part, str) for part in source.values()):
            raise DataError("a mapping is one row and not a list of them", hint="[row]")
        return open_origin(choose_split(source, split, name="the mapping"), format=format, cells=cells)
    if inspect.isclass(source) or (callable(source) and not hasattr(source, "__iter__")):
        return Function(source, lambda made: open_origin(made, **options))
    _refuse(f"a {type(source).__name__}", split=split, format=format, **(cells or {}))
    return _open_rows(source)


def _open_rows(source: Any) -> Origin:
    if is_frame(source):
        return Frame(source)
    if isinstance(source, Iterator):
        return Stream(source)
    try:
        iter(source)
    except TypeError as error:
        hint = "a file, a name, a frame, a function or a list of rows"
        raise DataError(f"a {type(source).__name__} is no data", hint=hint) from error
    return Rows(source)


def _open_name(ref: str, *, split: str | None, format: str | None, cells: Mapping[str, Any]) -> Origin:  # noqa: A002
    if ref == "-":
        _refuse("stdin", split=split)
        return Stdin(kind=format, cells=cells)
    if ref in BUILTINS["data"]:
        origin = open_origin(resolve("data", ref), split=split, format=format, cells=cells)
        origin.name = ref
        return origin
    if ref.startswith(PREFIXES) or is_saved(Path(ref)):
        _refuse("a hub data set", format=format, **cells)
        return Hub(ref, split=split)
    if ref.startswith(("http://", "https://")):
        raise DataError(
            f"{ref} is not read over the network", hint="download it, or pipe it in: curl URL | … -"
        )
    named = is_reference(ref) and not Path(ref).exists()
    paths = None if named else find_files(ref, split=split)
    if paths is None:
        return open_origin(resolve("data", ref), split=split, format=format, cells=cells)
    return Files(paths, name=_stem(Path(ref)), kind=format, cells=cells)


def _refuse(what: str, **options: Any) -> None:
    """Raise for options that were given but mean nothing here."""
    for option, given in options.items():
        if given is not None:
            raise UsageError(f"{option}={given!r} means nothing for {what}")


def _are_paths(source: Any) -> bool:
    """Whether this is a list of files; texts count as such only if every one names a data file."""
    if not isinstance(source, (list, tuple)) or not source:
        return False
    return all(isinstance(item, Path) or (isinstance(item, str) and is_data_file(item)) for item in source)


def _stem(path: Path) -> str:
    """What a file or a pattern is called without its suffixes."""
    return path.name.split(".")[0] or path.resolve().name
