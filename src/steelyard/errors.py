"""What can go wrong, as one tree.

    SteelyardError
    ├── UsageError            the caller asked for something that cannot be
    │   ├── UnknownName       no model, data, task, metric, … of that name
    │   ├── DataError         a row, a column or a file is not what it should be
    │   ├── MissingExtra      an optional library is not installed
    │   └── RunMismatch       a stored run is not the run that was asked for
    ├── StoreError            a run folder cannot be read or written
    ├── ModelError            a model could not be loaded, or broke its contract
    ├── GivenUp               a deadline is over, or too much has failed; what was answered is stored
    └── Interrupted           stopped by the user; what was answered is stored

A single question that fails is none of these: it is a Response with `error`.
"""

from __future__ import annotations

import difflib
import importlib.util
import traceback
from collections.abc import Iterable


class SteelyardError(Exception):
    """Any error this library raises on purpose: one line, and a hint that mends it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} ({self.hint})" if self.hint else message


class UsageError(SteelyardError):
    """The caller asked for something that cannot be."""

    exit_code = 2


class UnknownName(UsageError):
    """A name that nothing answers to; near names are shown."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, hint: str = "") -> None:
        self.kind, self.name = kind, name
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        if near:
            mend = "did you mean " + " or ".join(near) + "?"
        elif known:
            mend = "known: " + ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
        else:
            mend = ""
        super().__init__(f"there is no {kind} {name!r}", hint="; ".join(filter(None, [mend, hint])))


class DataError(UsageError):
    """A row, a column or a file is not what it should be."""


class MissingExtra(UsageError):
    """An optional library is not installed; says which pip line mends it."""

    def __init__(self, library: str, extra: str) -> None:
        self.library, self.extra = library, extra
        super().__init__(f"{library} is not installed", hint=f"pip install 'steelyard[{extra}]'")


class RunMismatch(UsageError):
    """A stored run is not the run that was asked for; names what differs."""


class StoreError(SteelyardError):
    """A run folder cannot be read or written."""


class ModelError(SteelyardError):
    """A model could not be loaded, or broke its contract."""


class GivenUp(SteelyardError):
    """A deadline is over, or too much has failed; what was answered is stored."""


class Interrupted(SteelyardError):
    """Stopped by the user; what was answered is stored."""

    exit_code = 130


def need(library: str, *, extra: str) -> None:
    """Raise MissingExtra unless `library` can be imported."""
    try:
        found = importlib.util.find_spec(library) is not None
    except (ImportError, ValueError):
        found = False
    if not found:
        raise MissingExtra(library, extra)


def locate(error: BaseException) -> str:
    """Where an error came from: a file and a line."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"see {frames[-1].filename}, line {frames[-1].lineno}" if frames else ""


def describe(error: BaseException) -> str:
    """An error as one line: its type and what it says."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
