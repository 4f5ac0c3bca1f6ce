"""The rows of a benchmark as a task, and the run in which a model is asked them."""

from __future__ import annotations

import math
import shlex
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from music_reward.benchmark.settings import ALL
from steelyard.cli.progress import ProgressLine
from steelyard.cli.screen import printable, tell
from steelyard.data.layouts.base import Layout
from steelyard.data.layouts.music import make_music
from steelyard.data.source import Data
from steelyard.errors import DataError, Interrupted
from steelyard.evaluation import evaluate
from steelyard.models.base import Model
from steelyard.parity.independence import check_independence
from steelyard.store import Run
from steelyard.tasks.base import Task
from steelyard.tasks.references import open_task
from steelyard.types import Sample

_LAYOUT = Layout("music", make_music)


@dataclass(frozen=True)
class Rows:
    """The samples that are asked, all of them read."""

    name: str
    samples: Sequence[Sample]
    origin: Mapping[str, Any]

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    def __len__(self) -> int:
        return len(self.samples)

    def identity(self) -> Mapping[str, Any]:
        """What makes these rows these rows."""
        return self.origin


def read_task(options: Namespace, *, split: str) -> Task:
    """The rows that are wanted; whatever is wrong with one of them is told before a model is opened."""
    path: Path = options.dataset_jsonl
    if not path.is_file():
        raise DataError(f"there is no file {path}", hint="--dataset_jsonl names the rows")
    root = path.parent if options.dataset_root is None else options.dataset_root
    if not root.is_dir():
        raise DataError(f"there is no folder {root}", hint="--dataset_root is where paths in rows begin")
    try:
        data = Data(_LAYOUT.open(path, format="jsonl", home=root))
        task = open_task(
            "preference", data=data, split=None if split == ALL else split, subset=options.subset
        )
        rows = Rows(path.name, list(task.data), task.identity()["data"])
    except DataError as error:
        hint = "" if "on_bad_row" in error.hint else error.hint
        raise DataError(str(error.args[0]), hint=hint) from error
    return replace(task, data=rows)


def ask(model: Model, task: Task, *, folder: Path, options: Namespace) -> Run:
    """Ask a model all that is not answered yet; the run lies in the folder."""
    goes_on = options.resume and (folder / "run.json").exists()
    line = ProgressLine(printable(f"{model.name} · {options.dataset_jsonl.name}"))
    try:
        return evaluate(
            model,
            task,
            out=folder,
            resume=goes_on,
            retry_failed=goes_on,
            max_failures=0 if options.on_error == "stop" else math.inf,
            watch=line,
        )
    except Interrupted as error:
        raise Interrupted(str(error.args[0]), hint=f"go on with: {way_on(folder)}") from error
    finally:
        line.close()


def examine(model: Model, task: Task, *, count: int) -> Mapping[str, Any]:
    """Whether scores depend on what else is scored, seen on the first rows; told, and for the run to keep."""
    requests = [task.request(sample, chat=False) for sample in islice(task.data, count)]
    found = check_independence(model, requests)
    mark = "" if found.holds else "warning: "
    for said in found.tell():
        tell(printable(f"{mark}independence: {said}"))
    return found.as_document()


def way_on(folder: Path) -> str:
    """How to go on with a run, without what a command may hold that is nobody's business."""
    return f"the same command with --resume --output_dir {shlex.quote(str(folder))}"
