"""What of the results is wanted: `--eval_yaml`.

filter: {split: test}
metrics: {include_lcc: true, include_k_tau: true}
groups: {month: true, modality: true, confidence: true, vocal: true, duration: true}
outputs: {summary: metrics_summary.csv, detail: metrics_detail.csv, json: metrics.json, latex: false}

All of it may be left out; a group or a file that is `false` is left out of the results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from steelyard.errors import UsageError, describe

ALL = "all"
FILES = {
    "summary": "metrics_summary.csv",
    "detail": "metrics_detail.csv",
    "json": "metrics.json",
    "latex": "latex.txt",
}
RESULTS, METADATA = "results.jsonl", "metadata.json"
_TAKEN = (RESULTS, METADATA, "run.json", "records.jsonl")
# By what detail is told, and what of a sample says it.
GROUPS = {
    "month": "month",
    "modality": "given",
    "confidence": "confidence",
    "vocal": "vocal",
    "duration": "duration",
}


@dataclass(frozen=True)
class Settings:
    """Which rows are compared with human judgement, by what, and where it is written."""

    split: str = "test"
    include_lcc: bool = True
    include_k_tau: bool = True
    groups: tuple[str, ...] = tuple(GROUPS)
    outputs: Mapping[str, str] = field(default_factory=lambda: dict(FILES))

    def to_dict(self) -> dict[str, Any]:
        """The settings as the results tell them."""
        return {**asdict(self), "groups": list(self.groups)}


def read_settings(path: Path | None, *, split: str | None = None) -> Settings:
    """The settings in a file, if there is one; a split that is named beside it counts."""
    found = {} if path is None else _read(path)
    where = str(path)
    _know(found, ("filter", "metrics", "groups", "outputs"), where)
    filters = _part(found, "filter", ("split",), where)
    metrics = _part(found, "metrics", ("include_lcc", "include_k_tau"), where)
    groups = _part(found, "groups", tuple(GROUPS), where)
    outputs = _part(found, "outputs", tuple(FILES), where)
    for name, value in [*metrics.items(), *groups.items()]:
        if not isinstance(value, bool):
            raise UsageError(f"{where}: {name} is {value!r}", hint="true or false")
    return Settings(
        split=str(split or filters.get("split") or Settings.split),
        include_lcc=metrics.get("include_lcc", True),
        include_k_tau=metrics.get("include_k_tau", True),
        groups=tuple(name for name in GROUPS if groups.get(name, True)),
        outputs=name_files(outputs, where),
    )


def name_files(given: Mapping[str, Any], where: str) -> dict[str, str]:
    """The files that are wanted, by what they hold; none takes the place of another."""
    named: dict[str, str] = {}
    for kind, usual in FILES.items():
        name = given.get(kind, True)
        if name is False:
            continue
        name = usual if name is True else name
        if not isinstance(name, str) or name in ("", "..") or Path(name).name != name:
            raise UsageError(f"{where}: outputs.{kind} is {name!r}", hint="true, false or the name of a file")
        if name in (*_TAKEN, *named.values()):
            raise UsageError(f"{where}: outputs.{kind} is {name!r}", hint="another file has that name")
        named[kind] = name
    return named


def _part(found: Mapping[str, Any], name: str, known: tuple[str, ...], where: str) -> Mapping[str, Any]:
    part = found.get(name)
    if part is None:
        return {}
    if not isinstance(part, dict):
        raise UsageError(f"{where}: {name} is no mapping", hint=f"it has {', '.join(known)}")
    _know(part, known, f"{where}: {name}")
    return part


def _know(found: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in found:
        if key not in known:
            raise UsageError(f"{where} has no setting {key!r}", hint=f"it has {', '.join(known)}")


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no YAML: {describe(error)}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UsageError(f"{path} is no mapping", hint="filter, metrics, groups, outputs")
    return found
