"""Configuration files are Python, run as the user's own: `read_file(path)["models"]`.

    from mmengine.config import read_base

    with read_base():
        from .models.mine import models
        from ais_bench.benchmark.configs.datasets.gsm8k.gsm8k_gen import gsm8k_datasets

    datasets = [*gsm8k_datasets]

A relative import is found from where the file lies.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from ais_bench.benchmark.configuration.imports import FILES, know_names
from steelyard.errors import SteelyardError, UnknownName, UsageError, describe
from steelyard.plugins import resolve


def read_file(path: Path) -> dict[str, Any]:
    """The names that a configuration file leaves behind."""
    path = path.resolve()
    if not path.is_file():
        raise UsageError(f"there is no configuration file {str(path)!r}")
    know_names()
    name = f"{_package_of(path.parent)}.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        if isinstance(error, SteelyardError):
            raise
        raise UsageError(f"{path} cannot be loaded: {describe(error)}", hint=_line_of(error)) from error
    return {name: value for name, value in vars(module).items() if not name.startswith("_")}


def find_written(ref: str) -> Any:
    """What a reference names: package.module:name, or file.py:name in a configuration file."""
    place, _, name = ref.rpartition(":")
    if not place.endswith(".py"):
        return resolve("data", ref)
    told = read_file(Path(place))
    if name not in told:
        raise UnknownName(f"name in {place}", name, told)
    return told[name]


def _package_of(folder: Path) -> str:
    """The package that a folder stands for, so that imports from it and from above it are found."""
    name, above = FILES, Path(folder.anchor)
    _add_package(name, above)
    for part in folder.parts[1:]:
        # A dot would be read as a package of its own.
        name, above = f"{name}.{part.replace('.', '_')}", above / part
        _add_package(name, above)
    return name


def _add_package(name: str, folder: Path) -> None:
    if name not in sys.modules:
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package


def _line_of(error: Exception) -> str:
    """Where an error came from, the user's own line rather than one of the machinery that imports."""
    if isinstance(error, SyntaxError):
        return f"see {error.filename}, line {error.lineno}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename]
    return f"see {frames[-1].filename}, line {frames[-1].lineno}" if frames else ""
