"""Classes that people add to this package, in folders of their own that extend it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

_PACKAGE = __package__ or ""
_OURS = Path(__file__).resolve().parent


def is_ours(cls: type) -> bool:
    """Whether a class comes along."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return file is not None and Path(file).resolve().is_relative_to(_OURS)


def find_own(name: str, folders: Iterable[str]) -> Any:
    """What a file in one of these folders defines by this name; None where none does.

    Files are read for it, and only the one that has it is run.
    """
    for folder in map(Path, folders):
        if folder.resolve() == _OURS:
            continue
        for file in sorted(folder.glob("*.py")) + sorted(folder.glob("*/*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            package = ".".join([_PACKAGE, *parts[:-1]])
            for module in _homes(name, file, package=package):
                return getattr(import_module(module), name)
    return None


def _homes(name: str, file: Path, *, package: str) -> Iterator[str]:
    """The modules that have the name, as far as a file says: itself, or one that it imports it from."""
    text = file.read_text(encoding="utf-8", errors="replace")
    if name not in text:
        return
    is_package = file.name == "__init__.py"
    for node in ast.parse(text, str(file)).body:
        if isinstance(node, ast.ClassDef) and node.name == name and not is_package:
            yield f"{package}.{file.stem}"
        # One's own __init__.py is not run: the package has one already.
        if is_package and isinstance(node, ast.ImportFrom) and any(a.name == name for a in node.names):
            module = "." * node.level + (node.module or "")
            yield resolve_name(module, package) if node.level else module
