"""Where a reference becomes a Task: `open_task(ref, data=…, metrics=…, …)`.

    arithmetic, choice, …       a built-in name, or one that a package registers
    ./task.yaml                 a task file
    ./file.py:capitals          a Task, or a function that makes one
    None                        a task made of what is given: data, a template, metrics

What is given beside the reference takes the place of what the task says itself.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from steelyard.builtin import BUILTINS
from steelyard.data.fewshot import examples, first_of_each
from steelyard.data.source import Data
from steelyard.errors import SteelyardError, UsageError, describe, locate
from steelyard.metrics.base import Metric
from steelyard.metrics.extraction import extractor
from steelyard.plugins import call_with, resolve
from steelyard.tasks.base import Task
from steelyard.tasks.files import read_task

_DEMO = {"arithmetic": "demo/arithmetic", "choice": "demo/choice", "questions": "demo/sentences"}
_DEMO_SHOTS = {"arithmetic": "demo/train", "gsm8k": "demo/train"}
_STRANGE = re.compile(r"unexpected keyword argument '(\w+)'")
_ROLES = ("input", "target", "choices", "id", "group", "images", "audios", "layout")


def open_task(
    ref: str | Path | None = None,
    *,
    data: Any = None,
    data_options: Mapping[str, Any] | None = None,
    metrics: Sequence[Metric | str | tuple[str, Mapping[str, Any]]] = (),
    extract: str | None = None,
    shots: int = 0,
    shot_data: Any = None,
    seed: int = 0,
    params: Mapping[str, Any] | None = None,
    **options: Any,
) -> Task:
    """The task that `ref` names, with the given parts in the place of its own."""
    name = "" if ref is None else str(ref)
    if metrics:
        options["metrics"] = tuple(open_metric(metric) for metric in metrics)
    if extract is not None:
        options["extract"] = None if extract == "none" else extractor(extract)
    samples = _samples(name, data, data_options or {})
    task = _made(name, samples, options)
    if samples is None and data_options:
        # The task brings its own data: rows are chosen among these.
        task = replace(task, data=_open_data(task.data, data_options))
    if params:
        task = replace(task, params={**task.params, **params})
    if shots:
        pool = _pool(name, shot_data, task)
        if task.shots_by:
            chosen = first_of_each(pool, shots, column=task.shots_by)
        else:
            chosen = examples(pool, shots, seed=seed)
        task = replace(task, shots=tuple(chosen))
    return task


def open_metric(given: Metric | str | tuple[str, Mapping[str, Any]]) -> Metric:
    """The metric that a name stands for; a name with options is of what makes one, as a judge."""
    name, options = given if isinstance(given, tuple) else (given, {})
    if not isinstance(name, str):
        return name
    found = resolve("metrics", name)
    if options or _makes_metrics(found):
        if "model" not in options and _makes_metrics(found):
            raise UsageError(f"the metric {name} asks a model", hint=f"{name} model=REF")
        found = call_with(f"the metric {name}", found, options)
    return found  # type: ignore[no-any-return]


def _makes_metrics(found: Any) -> bool:
    return inspect.isfunction(found) and next(iter(inspect.signature(found).parameters), "") == "model"


def _samples(name: str, data: Any, options: Mapping[str, Any]) -> Any:
    source = _DEMO.get(name) if data is None else data
    if source is None:
        return None
    if isinstance(source, Data):
        if options:
            raise UsageError("options of the data were given beside data that is open already")
        return source
    if name in BUILTINS["layouts"] and not any(options.get(role) for role in _ROLES):
        # Nobody says which column is what: the files are those of the set that the task is called after.
        options = {**options, "layout": name}
    return _open_data(source, options)


def _open_data(source: Any, options: Mapping[str, Any]) -> Data:
    data: Data = call_with("the data", Data, options, source)
    return data


def _made(name: str, data: Any, options: dict[str, Any]) -> Task:
    if not name:
        if data is None:
            raise UsageError("there is nothing to ask", hint="name a task or data")
        if not options.get("metrics"):
            raise UsageError("no metric is named", hint="metric=exact; steelyard list metrics shows them")
        return Task(name=str(getattr(data, "name", "task")), data=data, **options)
    is_file = name.endswith((".yaml", ".yml"))
    found = read_task(Path(name)) if is_file else resolve("tasks", name)
    if not isinstance(found, Task):
        found = _call(name, found, {**({} if data is None else {"data": data}), **options})
    elif data is not None or options:
        found = replace(found, **({} if data is None else {"data": data}), **options)
    if not isinstance(found, Task):
        raise UsageError(f"{name} gave a {type(found).__name__}, not a Task")
    return found


def _call(name: str, make: Any, options: Mapping[str, Any]) -> Any:
    parameters = inspect.signature(make).parameters
    if (
        "data" in parameters
        and "data" not in options
        and parameters["data"].default is inspect.Parameter.empty
    ):
        raise UsageError(f"the task {name} needs data", hint="--data FILE, or data=FILE")
    try:
        return call_with(f"the task {name}", make, options)
    except SteelyardError:
        raise
    except Exception as error:
        # What a task hands on to Task is known only there.
        strange = _STRANGE.search(str(error)) if isinstance(error, TypeError) else None
        if strange and strange[1] in options:
            hint = "options of its data go with --data, or into data_options"
            raise UsageError(f"the task {name} has no option {strange[1]!r}", hint=hint) from error
        message = f"the task {name} cannot be made: {describe(error)}"
        raise UsageError(message, hint=locate(error)) from error


def _pool(name: str, shot_data: Any, task: Task) -> Data:
    """Where worked examples come from: named, known to lie beside the data, or ours."""
    layout = name if name in BUILTINS["layouts"] else None
    if shot_data is not None:
        if isinstance(shot_data, Data):
            return shot_data
        opened = Data(shot_data, layout=layout)
        # Of a folder with all splits of a set, the one that worked examples come from.
        return (opened.examples() if layout and Path(str(shot_data)).is_dir() else None) or opened
    found = task.data.examples() if isinstance(task.data, Data) else None
    if found is None and name in _DEMO_SHOTS:
        found = Data(_DEMO_SHOTS[name], layout=layout)
    if found is None:
        hint = "shot_data= names them; they must not be the questions themselves"
        raise UsageError(f"the task {task.name} has no worked examples to choose from", hint=hint)
    return found
