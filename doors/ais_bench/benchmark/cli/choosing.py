"""From flags and configuration files to what is to be asked: `choose(options)` gives a Choice."""

from __future__ import annotations

import re
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ais_bench.benchmark.configuration.files import read_file
from ais_bench.benchmark.configuration.names import Names, entries_of, override
from ais_bench.benchmark.datasets.custom import custom_entry
from ais_bench.benchmark.models.hanging import check_fields
from ais_bench.benchmark.outcome.outputs import file_name
from steelyard.cli.pairs import read_pairs
from steelyard.errors import UsageError

_PAIR = re.compile(r"[A-Za-z_][\w.-]*=")
_OUTPUTS = "outputs/default"


@dataclass
class Choice:
    """Models, data sets, and how their results are put together."""

    models: list[dict[str, Any]]
    datasets: list[dict[str, Any]]
    summarizer: Mapping[str, Any] = field(default_factory=dict)
    work_dir: Path = Path(_OUTPUTS)
    workers: int = 1
    num_prompts: int | None = None
    merge: bool = False
    pressure: int | None = None
    """For how many seconds clients ask again and again in a load test, if they do."""


def choose(options: Namespace, *, stored: Path | None = None) -> Choice:
    """What flags and a configuration file name; flags come first. `stored` stands in where nothing does."""
    names = Names(options.config_dir)
    path = options.config if names_anything(options) else stored
    told = {} if path is None else read_file(_find_config(path, options.config_dir))
    place = str(path)
    models = _named(names, "models", options.models) or _told(told, "models", place)
    datasets = _named(names, "datasets", options.datasets)
    if options.custom_dataset_path is not None:
        kind = options.custom_dataset_data_type
        meta = options.custom_dataset_meta_path
        datasets.append(custom_entry(options.custom_dataset_path, meta=meta, kind=kind))
    elif options.custom_dataset_meta_path or options.custom_dataset_data_type:
        hint = "--custom-dataset-path FILE"
        raise UsageError("there are settings of a custom data set, but no data set", hint=hint)
    datasets = datasets or _told(told, "datasets", place)
    for kind, entries in (("models", models), ("datasets", datasets)):
        if not entries:
            hint = f"--{kind} NAME, or a configuration file with {kind} = [dict(…)]"
            raise UsageError(f"no {kind} are named", hint=hint)
        _tell_apart(kind, entries)
    summarizer = told.get("summarizer") or {}
    if options.summarizer is not None:
        summarizer = names.find("summarizers", options.summarizer).summarizer()
    work_dir = options.work_dir or Path(told.get("work_dir") or _OUTPUTS)
    workers = options.max_num_workers or _workers_of(told)
    return Choice(
        models,
        datasets,
        summarizer,
        work_dir,
        workers,
        num_prompts=options.num_prompts or told.get("num_prompts"),
        merge=options.merge_ds or bool(told.get("merge_ds")),
        pressure=options.pressure_time if options.pressure else told.get("pressure_time"),
    )


def names_anything(options: Namespace) -> bool:
    """Whether a command line names a model, a data set or a file of them."""
    given = (options.config, options.models, options.datasets, options.custom_dataset_path)
    return any(map(bool, given))


def search(options: Namespace) -> list[tuple[str, str, str]]:
    """What the names that were given match: kind, name and place; every name where none was given."""
    names = Names(options.config_dir)
    found = []
    given = {"models": options.models, "datasets": options.datasets}
    given["summarizers"] = [options.summarizer] if options.summarizer else []
    for kind, words in given.items():
        patterns = [word for word in words if not _PAIR.match(word)]
        if not any(given.values()):
            patterns = ["*"]
        matched = {one.name: one for pattern in patterns for one in names.match(kind, pattern)}
        found += [(kind, one.name, one.place) for one in matched.values()]
    if not found:
        raise UsageError("no name matches", hint="ais_bench --search lists all")
    return found


def _named(names: Names, kind: str, words: Sequence[str]) -> list[dict[str, Any]]:
    """The entries of the names on a command line, each with the fields that stand behind it."""
    groups: list[tuple[str, list[str]]] = []
    for word in words:
        if not _PAIR.match(word):
            groups.append((word, []))
        elif groups:
            groups[-1][1].append(word)
        else:
            raise UsageError(f"{word} stands before any name", hint=f"--{kind} NAME {word}")
    entries = []
    for name, pairs in groups:
        fields = read_pairs(pairs)
        for entry in names.find(kind, name).entries():
            if fields and kind == "models":
                check_fields(entry, [field.partition(".")[0] for field in fields])
            entries.append(override(entry, fields))
    return entries


def _told(told: Mapping[str, Any], kind: str, place: str) -> list[dict[str, Any]]:
    has = any(name == kind or name.endswith(f"_{kind}") for name in told)
    return entries_of(told, kind, place) if has else []


def _find_config(path: Path, config_dir: Path | None) -> Path:
    """A configuration file, by its path or by its name in the folder of configurations."""
    places = [path, *([config_dir / path] if config_dir else [])]
    files = [place.with_suffix(".py") if not place.suffix else place for place in places]
    return next((file for file in files if file.is_file()), files[0])


def _tell_apart(kind: str, entries: Sequence[Mapping[str, Any]]) -> None:
    """Refuse two entries of one name: their results would lie in the same files."""
    for name, count in Counter(file_name(str(entry["abbr"])) for entry in entries).items():
        if count > 1:
            raise UsageError(f"{count} {kind} have the abbr {name!r}", hint="give one another: abbr=NAME")


def _workers_of(told: Mapping[str, Any]) -> int:
    """How many tasks a configuration file wants at a time."""
    infer = told.get("infer")
    runner = infer.get("runner") if isinstance(infer, Mapping) else None
    workers = runner.get("max_num_workers") if isinstance(runner, Mapping) else None
    return workers if isinstance(workers, int) and workers > 0 else 1
