"""What a name on the command line stands for: a file of the user's first, then what comes along.

NAME.py in CONFIG_DIR/models             then in its folders, however deep
NAME.py in ais_bench/benchmark/configs/models, beside the project or wherever the package lies
a preset
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import ais_bench.benchmark
from ais_bench.benchmark.configuration.files import read_file
from ais_bench.benchmark.configuration.presets import PRESETS, WORDS, copy_preset
from steelyard.errors import UnknownName, UsageError


@dataclass(frozen=True)
class Found:
    """What a name stands for: a file, or where there is none a preset."""

    kind: str
    name: str
    path: Path | None = None

    @property
    def place(self) -> str:
        """Where it lies."""
        return "packaged" if self.path is None else str(self.path)

    def entries(self) -> list[dict[str, Any]]:
        """The models or data sets that it names, each a mapping of its own."""
        if self.path is None:
            return [copy_preset(self.kind, self.name)]
        return entries_of(read_file(self.path), self.kind, self.place)

    def summarizer(self) -> Mapping[str, Any]:
        """The summarizer that it names."""
        if self.path is None:
            return copy_preset(self.kind, self.name)
        made = read_file(self.path).get("summarizer")
        if not isinstance(made, Mapping):
            raise UsageError(f"{self.path} names no summarizer", hint="summarizer = dict(…)")
        return made


class Names:
    """All names that can be given, looked for in these folders of configurations."""

    def __init__(self, config_dir: Path | None = None) -> None:
        if config_dir is not None and not config_dir.is_dir():
            raise UsageError(f"there is no folder {str(config_dir)!r}", hint="--config-dir names one")
        ours = [Path(place) / "configs" for place in ais_bench.benchmark.__path__]
        # What lies beside the project comes before what lies beside the package.
        self._folders = [*filter(None, [config_dir]), *reversed(ours)]

    def find(self, kind: str, name: str) -> Found:
        """What a name stands for; a file may be named by its path too."""
        if name.endswith(".py") and Path(name).is_file():
            return Found(kind, Path(name).stem, Path(name))
        for found in self.all(kind):
            if found.name == name:
                return found
        known = [found.name for found in self.all(kind)]
        flag = "summarizer" if kind == "summarizers" else kind
        raise UnknownName(WORDS[kind], name, known, hint=f"ais_bench --{flag} '*' --search lists all")

    def match(self, kind: str, pattern: str) -> list[Found]:
        """All that a name with * and ? in it may stand for, and every one that it is a part of."""
        found = {one.name: one for one in reversed(list(self.all(kind)))}
        given = [one for name, one in found.items() if fnmatchcase(name, pattern) or pattern in name]
        return sorted(given, key=lambda one: one.name)

    def all(self, kind: str) -> Iterator[Found]:
        """Every name, those that come first first."""
        for folder in self._folders:
            files = sorted((folder / kind).rglob("*.py"), key=lambda path: (len(path.parts), path))
            for path in files:
                if path.stem != "__init__":
                    yield Found(kind, path.stem, path)
        for name in PRESETS[kind]:
            yield Found(kind, name)


def entries_of(told: Mapping[str, Any], kind: str, place: str) -> list[dict[str, Any]]:
    """The list of models or data sets that a file leaves behind, under its name or under several."""
    lists = [told[kind]] if kind in told else [told[name] for name in told if name.endswith(f"_{kind}")]
    if not lists:
        raise UsageError(f"{place} names no {kind}", hint=f"{kind} = [dict(…)]")
    entries = [entry for given in lists for entry in _list(given, kind, place)]
    if not entries:
        raise UsageError(f"the {kind} of {place} are none", hint=f"{kind} = [dict(…)]")
    for entry in entries:
        if not isinstance(entry, Mapping):
            raise UsageError(f"{kind} of {place} are to be mappings", hint=f"{kind} = [dict(abbr=…, …)]")
        if "abbr" not in entry:
            raise UsageError(f"one of the {kind} of {place} has no abbr", hint="abbr is what results call it")
    return [dict(entry) for entry in entries]


def override(entry: dict[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """An entry with other fields; a name with dots goes into its mappings."""
    for name, value in fields.items():
        *outer, last = name.split(".")
        inside = entry
        for part in outer:
            inner = inside.get(part)
            if inner is not None and not isinstance(inner, Mapping):
                raise UsageError(f"{name} goes into {part}, which is {inner!r}")
            inside[part] = inside = dict(inner or {})
        inside[last] = value
    return entry


def _list(given: Any, kind: str, place: str) -> Sequence[Any]:
    if not isinstance(given, (list, tuple)):
        raise UsageError(f"{kind} of {place} is no list", hint=f"{kind} = [dict(…)]")
    return given
