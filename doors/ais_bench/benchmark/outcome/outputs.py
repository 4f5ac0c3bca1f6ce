"""Where everything of one sitting lies.

outputs/default/20261120_140312/
    configs/20261120_140312_4711.py        what was asked, as a configuration file
    logs/MODEL/DATASET.log
    predictions/MODEL/DATASET.jsonl        and DATASET_failed.jsonl
    results/MODEL/DATASET.json
    performances/MODEL/DATASET.csv         and .json, _details.jsonl, _plot.html
    summary/summary_20261120_140312.txt    and .csv, .md, .html
    runs/MODEL/DATASET/                    the run itself, of which all the others are made
"""

from __future__ import annotations

import os
import re
from itertools import count
from pathlib import Path
from time import strftime

from steelyard.errors import StoreError, UnknownName, UsageError
from steelyard.store import Run

_KINDS = {"load": "a load test", "evaluation": "asked for answers"}
_TIME = re.compile(r"\d{8}_\d{6}(_\d+)?")


class Outputs:
    """The folder of one sitting."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def time(self) -> str:
        """When it began, which is its name."""
        return self.root.name

    def run(self, model: str, name: str) -> Path:
        """The run of a model and a data set."""
        return self.root / "runs" / file_name(model) / file_name(name)

    def holds(self, model: str, name: str, kind: str) -> bool:
        """Whether there is a run of a model and a data set; one of another kind is refused."""
        folder = self.run(model, name)
        if not (folder / "run.json").exists():
            return False
        if (found := Run.open(folder).about.get("kind")) != kind:
            message = f"{model}/{name} was {_KINDS.get(str(found), 'something else')} in this sitting"
            raise UsageError(message, hint=f"name one in which it was {_KINDS[kind]}: --reuse TIME")
        return True

    def predictions(self, model: str, name: str, *, failed: bool = False) -> Path:
        """The answers to a data set, or what became of those that failed."""
        return self._file("predictions", model, name, "_failed.jsonl" if failed else ".jsonl")

    def results(self, model: str, name: str) -> Path:
        """The scores on a data set."""
        return self._file("results", model, name, ".json")

    def performance(self, model: str, name: str, suffix: str) -> Path:
        """What a load test showed, in one of its forms."""
        return self._file("performances", model, name, suffix)

    def log(self, model: str, name: str) -> Path:
        """What happened."""
        return self._file("logs", model, name, ".log")

    def summary(self, suffix: str) -> Path:
        """The table of all results, in one of its forms."""
        return self._within("summary") / f"summary_{self.time}{suffix}"

    def config(self) -> Path:
        """A place for what is asked in this process."""
        folder, stem = self._within("configs"), f"{self.time}_{os.getpid()}"
        names = (f"{stem}_{number}.py" if number else f"{stem}.py" for number in count())
        return next(folder / name for name in names if not (folder / name).exists())

    def configs(self) -> list[Path]:
        """What was asked in it, the last first."""
        return sorted(self.root.glob("configs/*.py"), key=lambda path: path.stat().st_mtime_ns, reverse=True)

    def _file(self, kind: str, model: str, name: str, suffix: str) -> Path:
        return self._within(f"{kind}/{file_name(model)}") / (file_name(name) + suffix)

    def _within(self, folder: str) -> Path:
        path = self.root / folder
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot write to {self.root}: {error.strerror or error}") from error
        return path


def begin(work_dir: Path) -> Outputs:
    """The folder of a sitting that begins."""
    stamp = strftime("%Y%m%d_%H%M%S")
    for number in range(1000):
        path = work_dir / (f"{stamp}_{number}" if number else stamp)
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise StoreError(f"cannot write to {work_dir}: {error.strerror or error}") from error
        return Outputs(path)
    raise StoreError(f"{work_dir} has a thousand sittings of {stamp}")


def find(work_dir: Path, wanted: str | None = None) -> Outputs:
    """The folder of a sitting by its time; where none is named the last one that asked anything."""
    times = sorted(path.name for path in work_dir.glob("*") if path.is_dir() and _TIME.fullmatch(path.name))
    if wanted is None:
        asked = [time for time in times if (work_dir / time / "runs").is_dir()]
        if not asked:
            hint = "--work-dir names the folder, runs begin without --reuse"
            raise UsageError(f"there is nothing to go on with in {work_dir}", hint=hint)
        return Outputs(work_dir / asked[-1])
    if wanted not in times:
        raise UnknownName("sitting", wanted, times, hint=f"they are the folders of {work_dir}")
    return Outputs(work_dir / wanted)


def file_name(name: str) -> str:
    """A name as files can have it."""
    return re.sub(r"[^\w.+-]+|^\.+", "-", name)
