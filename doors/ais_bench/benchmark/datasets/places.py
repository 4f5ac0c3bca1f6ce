"""Where the data of known sets lie: beside the project, in the folder of a variable, with the package."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import ais_bench
from steelyard.errors import UsageError

CACHE = "AIS_BENCH_DATASETS_CACHE"
_HOME = Path("ais_bench/datasets")


def find_data(path: str | Path, files: str = "") -> Path:
    """The file or folder that a path names; an error says where it may be put."""
    for place in _places(Path(path).expanduser()):
        if place.exists():
            return place
    name = Path(path)
    folder = name if name.is_absolute() or name.parts[:2] == _HOME.parts else _HOME / name
    what = f"put {files} into {folder}" if files else f"put them at {folder}"
    message = f"the data of {name.name} are not there"
    raise UsageError(message, hint=f"{what}, or below the folder that {CACHE} names")


def _places(path: Path) -> Iterator[Path]:
    inside = Path(*path.parts[2:]) if path.parts[:2] == _HOME.parts else path
    if cache := os.environ.get(CACHE):
        yield from (Path(cache) / path, Path(cache) / inside, Path(cache) / _HOME / inside)
    yield _HOME / inside
    yield from (Path(home) / "datasets" / inside for home in ais_bench.__path__)
    yield path
