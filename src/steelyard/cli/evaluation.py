"""`steelyard eval`: every model asked every task, one table."""

from __future__ import annotations

import re
import shlex
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from steelyard.cli.pairs import masked, read_pairs
from steelyard.cli.progress import ProgressLine
from steelyard.cli.reports import as_document, describe_run, write_page
from steelyard.cli.screen import printable, show, show_json, tell, width
from steelyard.data.source import Data
from steelyard.errors import Interrupted, UsageError
from steelyard.evaluation import evaluate
from steelyard.models.base import Model
from steelyard.models.references import open_model
from steelyard.report.contents import Contents, read_contents, stored_results
from steelyard.report.doubts import doubt_run
from steelyard.report.scores import COLUMNS, numbers_of, row_of
from steelyard.report.tables import Table
from steelyard.store import Run
from steelyard.tasks.base import Task
from steelyard.tasks.references import open_task

# What a run is not: where it goes, how it is shown, how fast it goes.
_NOT_STORED = ("verb", "home", "debug", "out", "resume", "retry_failed", "by", "html", "json", "quiet")
_REFERENCES = ("model", "task", "data", "shot_data", "param", "metric")
_CHAT = {"auto": None, "yes": True, "no": False}
_KEPT = 500


def run(options: Namespace) -> int:
    """Evaluate, show the results, and return 1 unless all was answered and scored."""
    now = vars(options)
    asked = {name: value for name, value in now.items() if name not in _NOT_STORED}
    resume: Path | None = now.get("resume")
    if resume is None and now.get("retry_failed"):
        raise UsageError("--retry-failed goes with --resume", hint="name the run: --resume DIR")
    if resume is not None and "out" in now:
        raise UsageError("--out and --resume name two folders", hint="a resumed run stays where it is")
    if resume is not None and (resume / "run.json").exists():
        asked = {**_stored_options(resume), **asked}
    elif resume is not None and not asked:
        raise UsageError(f"{resume} is not a run", hint="it has no run.json")
    if not asked.get("model"):
        raise UsageError("no model is named", hint="--model embedded; steelyard list models shows them")
    keep = _KEPT if "html" in now else 0
    runs = _Evaluations(asked, now).run_all()
    found = [_contents(run, now.get("by", []), keep) for run in runs]
    if now.get("json"):
        show_json({"runs": [as_document(contents) for contents in found]})
    elif len(found) == 1:
        show(describe_run(found[0]))
    else:
        show(_describe_all(found))
    if "html" in now:
        write_page(now["html"], found)
    return 0 if all(contents.complete for contents in found) else 1


class _Evaluations:
    """Every pair of a model and a task that was named."""

    def __init__(self, asked: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        self.asked = asked
        self.now = now
        self.models: list[list[str]] = asked["model"]
        self.tasks: list[list[str]] = asked.get("task") or [[]]
        self.several = len(self.models) * len(self.tasks) > 1
        self.folders: set[Path] = set()
        self.home: Path | None = now.get("resume") or now.get("out")
        if self.several and asked.get("data", [""])[0] == "-":
            raise UsageError("stdin can be read only once", hint="name one model and one task, or a file")
        if self.several and self.home is None:
            self.home = Path("runs") / datetime.now().strftime("%Y-%m-%dT%H-%M-%S")

    def run_all(self) -> list[Run]:
        """Run one after the other; each model is opened once."""
        runs = []
        for named in self.models:
            model = open_model(named[0], **read_pairs(named[1:]))
            try:
                runs += [self._run_one(named, model, task) for task in self.tasks]
            finally:
                model.close()
        return runs

    def _run_one(self, named: list[str], model: Model, asked_task: list[str]) -> Run:
        asked = {**self.asked, "model": [named], **({"task": [asked_task]} if asked_task else {})}
        task = make_task(asked_task, asked)
        folder = self._folder(task, model)
        progress = None if self.now.get("quiet") else ProgressLine(printable(f"{task.name} · {model.name}"))
        try:
            run = evaluate(
                model,
                task,
                out=folder,
                repeat=asked.get("repeat", 1),
                seed=asked.get("seed", 0),
                chat=_CHAT[asked.get("chat", "auto")],
                concurrency=asked.get("concurrency"),
                resume="resume" in self.now and (not self.several or (folder / "run.json").exists()),
                retry_failed=self.now.get("retry_failed", False),
                watch=progress,
                about={"options": _mask(asked), "command": ["steelyard", "eval", *write_flags(asked)]},
            )
        except Interrupted as error:
            if not self.several:
                raise
            command = shlex.join(["steelyard", "eval", *write_flags(self.asked), "--resume", str(self.home)])
            raise Interrupted(str(error.args[0]), hint=f"go on with: {command}") from error
        finally:
            if progress is not None:
                progress.close()
        if isinstance(task.data, Data) and task.data.skipped:
            run.update(skipped_rows=task.data.skipped, bad_rows=task.data.bad_rows)
        tell(f"stored in {run.path}")
        return run

    def _folder(self, task: Task, model: Model) -> Any:
        if not self.several or self.home is None:
            return self.home
        name = re.sub(r"[^\w.+-]+", "-", f"{task.name}-{model.name}")
        free = (self.home / (name if n == 1 else f"{name}-{n}") for n in range(1, 1 + len(self.folders) + 1))
        folder = next(path for path in free if path not in self.folders)
        self.folders.add(folder)
        return folder


def make_task(named: Sequence[str], asked: Mapping[str, Any]) -> Task:
    """The task that flags describe."""
    options = {**read_pairs(named[1:]), **_given(asked, template="prompt", system="system")}
    source, *columns = asked.get("data") or [options.pop("data", None)]
    rows = _given(asked, limit="limit", offset="offset", sample="sample", on_bad_row="on_bad_row")
    if "sample" in rows:
        rows["seed"] = asked.get("seed", 0)
    answers = _given(asked, max_tokens="max_tokens", temperature="temperature", top_p="top_p", stop="stop")
    wanted = _given(asked, extract="extract", shots="shots", shot_data="shot_data")
    metrics = [(ref, read_pairs(given)) for ref, *given in asked.get("metric", [])]
    return open_task(
        named[0] if named else None,
        data=source,
        data_options={**read_pairs(columns), **rows},
        params={**read_pairs(asked.get("param", [])), **answers},
        metrics=metrics,
        seed=asked.get("seed", 0),
        **{**options, **wanted},
    )


def write_flags(asked: Mapping[str, Any]) -> Iterator[str]:
    """The flags that say what is asked, without what is secret."""
    for name, value in _mask(asked).items():
        flag = "--" + name.replace("_", "-")
        if name in ("model", "task", "metric"):
            for words in value:
                yield from (flag, *words)
        elif name in ("data", "param"):
            yield from (flag, *value)
        else:
            for one in value if isinstance(value, list) else [value]:
                yield from (flag, str(one))


def _given(asked: Mapping[str, Any], **names: str) -> dict[str, Any]:
    """What was given of some flags, under other names."""
    return {name: asked[flag] for name, flag in names.items() if flag in asked}


def _mask(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The options as they may be stored: references and their options without what is secret."""

    def mask(value: Any) -> Any:
        return [mask(part) for part in value] if isinstance(value, list) else masked(value)

    return {name: mask(value) if name in _REFERENCES else value for name, value in asked.items()}


def _stored_options(path: Path) -> dict[str, Any]:
    stored = Run.open(path).about.get("options")
    if not isinstance(stored, dict):
        hint = "repeat all that it was begun with"
        raise UsageError(f"{path} was not begun by this command", hint=hint)
    return stored


def _contents(run: Run, by: Sequence[str], keep: int) -> Contents:
    """What is shown of a run; its records are read again only where its results do not tell all."""
    results = stored_results(run)
    if by or keep or not results or any(result.failed or result.undefined for result in results):
        return read_contents(run, by=by, keep=keep)
    return Contents(run, results, answers=run.about["answers"])


def _describe_all(found: Sequence[Contents]) -> str:
    """Several runs as one table, and after it what there is to be said of each."""
    rows = [
        [str(c.run.about["task"]), str(c.run.about["model"]), *row_of(result)]
        for c in found
        for result in numbers_of(c.results)
    ]
    parts = [Table(("task", "model", *COLUMNS), rows).text(width=width(sys.stdout))]
    notes = [f"! {c.title}: {line}" for c in found for line in doubt_run(c)]
    return printable("\n\n".join([*parts, *(["\n".join(notes)] if notes else [])]))
