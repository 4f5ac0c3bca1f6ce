"""What a sitting leaves behind beside answers: a log of each task, and what was asked as a configuration."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from pprint import pformat
from typing import Any

from ais_bench.benchmark.configuration.imports import FILES
from steelyard.errors import StoreError
from steelyard.masking import MASK, mask_url
from steelyard.models.credentials import is_secret


class Log:
    """Lines with their times, added to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, text: str) -> None:
        """Add a line."""
        stamp = datetime.now().isoformat(sep=" ", timespec="milliseconds")
        try:
            with self._path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{stamp} {text}\n")
        except OSError as error:
            raise StoreError(f"cannot write {self._path}: {error.strerror or error}") from error

    def note_error(self, error: BaseException) -> None:
        """Add an error with where it came from."""
        self.note("".join(traceback.format_exception(type(error), error, error.__traceback__)).rstrip())


def write_config(path: Path, **sections: Any) -> None:
    """Write what is asked as a configuration file that can be run; keys are no part of it."""
    lines = ["# What was asked. Keys and passwords are left out."]
    lines += [f"{name} = {pformat(_plain(value), sort_dicts=False)}" for name, value in sections.items()]
    try:
        path.write_text("\n".join(lines) + "\n", "utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error


def _plain(value: Any) -> Any:
    """A value as a literal; classes and functions as references to where they are written."""
    if isinstance(value, Mapping):
        return {name: MASK if _hides(name, inner) else _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, str):
        return mask_url(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    name = getattr(value, "__qualname__", None)
    return repr(value) if name is None else f"{_module_of(value)}:{name}"


def _hides(name: Any, value: Any) -> bool:
    return isinstance(value, str) and bool(value) and is_secret(str(name))


def _module_of(value: Any) -> str:
    module = str(value.__module__)
    # What a configuration file writes itself is found by that file.
    file = getattr(sys.modules.get(module), "__file__", None)
    return str(file) if module.startswith(FILES) and file else module
