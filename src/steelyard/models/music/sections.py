"""Configuration files, read key by key: what is of the wrong kind is named with its file and its key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from reprlib import repr as shorten
from typing import Any

import yaml

from steelyard.errors import ModelError, describe


class Section:
    """A mapping of a file, and where in the file it stands."""

    def __init__(self, told: Mapping[str, Any], *, file: Path, place: str = "") -> None:
        self.told, self.file, self.place = told, file, place

    def section(self, key: str, *, required: bool = False) -> Section:
        """A mapping inside; an empty one where there is none."""
        value = self.told.get(key)
        if value is None and not required:
            value = {}
        if not isinstance(value, Mapping):
            raise self.error(key, value, "a mapping")
        return Section(value, file=self.file, place=f"{self.place}{key}.")

    def whole(self, key: str, default: int | None = None, *, least: int = 1) -> int:
        """A whole number, of `least` or more."""
        value = self._get(key, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.error(key, value, f"a whole number of {least} or more")
        return value

    def number(self, key: str, default: float | None = None, *, positive: bool = False) -> float:
        """A number, if it has to be a `positive` one."""
        value = self._get(key, default)
        if isinstance(value, str):
            # YAML takes 1e-5 for a text.
            try:
                value = float(value)
            except ValueError:
                raise self.error(key, value, "a number") from None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
            raise self.error(key, value, "a number")
        if positive and value <= 0:
            raise self.error(key, value, "a number of more than 0")
        return value

    def text(self, key: str, default: str | None = None, *, among: tuple[str, ...] = ()) -> str:
        """A text, `among` some."""
        value = self._get(key, default)
        if not isinstance(value, str) or (among and value not in among):
            raise self.error(key, value, " or ".join(map(str, among)) or "a text")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Whether something is so."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, value, "true or false")
        return value

    def error(self, key: str, value: Any, wanted: str) -> ModelError:
        """What is said of a value that is none of those wanted."""
        # Never shown whole: a few lines of YAML may stand for a value of any size.
        shown = "is missing" if value is None else f"is {shorten(value):.80}"
        return ModelError(f"{self.place}{key} of {self.file} {shown}", hint=f"{wanted} belongs there")

    def _get(self, key: str, default: Any) -> Any:
        value = self.told.get(key)
        return default if value is None else value


def read_file(file: Path) -> Section:
    """A YAML or JSON file that is one mapping."""
    try:
        text = file.read_text(encoding="utf-8")
        told = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ModelError(f"{file} cannot be read: {describe(error)}") from error
    if not isinstance(told, Mapping):
        raise ModelError(f"{file} is no mapping of keys to values")
    return Section(told, file=file)
