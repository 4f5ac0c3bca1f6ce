"""`steelyard load`: how a model performs under a load, in tables, on a page, as rows."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

from steelyard.cli.figures import show_figures
from steelyard.cli.live import LiveView
from steelyard.cli.pairs import masked, read_pairs
from steelyard.cli.screen import printable, tell
from steelyard.cli.series import read_template, write_flags
from steelyard.cli.stages import ARRIVING, read_search, read_stages
from steelyard.errors import DataError, Interrupted, UsageError, need
from steelyard.loadtest.checks import check_answers
from steelyard.loadtest.limit import find_limit
from steelyard.loadtest.running import load
from steelyard.models.base import Model
from steelyard.models.references import open_model
from steelyard.store import Run
from steelyard.tasks.references import open_task
from steelyard.timings.objectives import read_limits, read_objectives
from steelyard.workloads.base import Workload, take_share
from steelyard.workloads.references import open_workload

# What a run is not: where it goes, how it is shown, who measures it.
_NOT_STORED = ("verb", "home", "debug", "out", "resume", "html", "json", "csv", "parquet", "push", "quiet",
               "steady", "workers", "scrape")  # fmt: skip
_ASKED_BY_TASK = ("task", "data", "prompt")
_NAMED = ("model", "workload", "data", "task", "check_answers")


def run(options: Namespace) -> int:
    """Measure, show what came out, and return 1 where requests failed or an objective was missed."""
    now = vars(options)
    asked = _read_asked(now)
    _check(asked, now)
    with ExitStack() as stack:
        ref, *words = asked["model"]
        model = open_model(ref, **read_pairs(words))
        stack.callback(model.close)
        workload = _open_workload(asked, model)
        for remark in (*model.remarks, *getattr(workload, "remarks", ())):
            tell(printable(remark))
        path = now.get("resume") or now.get("out") or _folder(workload.name, model.name)
        try:
            stored = _measure(asked, now, model, workload, path=path)
        except (Interrupted, DataError):
            # What was measured before a row that cannot be read is worth as much.
            if (path / "run.json").exists():
                show_figures([Run.open(path)], now)
            raise
    return show_figures([stored], now)


def _measure(
    asked: Mapping[str, Any], now: Mapping[str, Any], model: Model, workload: Workload, *, path: Path
) -> Run:
    stages = read_stages(asked, traced=_brings_times(asked, workload))
    names = [stage.name for stage in stages if not stage.warmup]
    view = None if now.get("quiet") else LiveView(printable(f"{workload.name} · {model.name}"), names)
    given: dict[str, Any] = {
        "out": path,
        "resume": "resume" in now,
        "workers": now.get("workers", "auto"),
        "keep": asked.get("keep_answers", False),
        "seed": asked.get("seed", 0),
        "slo": asked.get("slo"),
        "goodput": asked.get("goodput"),
        "scrape": False if now.get("scrape") == "off" else now.get("scrape"),
        "watch": view,
        "about": describe_asked(asked),
    }
    *warmups, stage = stages
    if "search" in asked:
        what, low, high = read_search(asked["search"])
        sure = {name: asked[name] for name in ("confidence", "tolerance") if name in asked}
        given.update(stage=stage, warmups=warmups, what=what, low=low, high=high, **sure)
    else:
        given["stages"] = stages
    measure = find_limit if "search" in asked else load
    try:
        if "check_answers" not in asked:
            return measure(model, workload, **given)
        ref, *words = asked["check_answers"]
        options = read_pairs(words)
        probes = {name: options.pop(name) for name in ("limit", "share") if name in options}
        return check_answers(model, workload, open_task(ref, **options), measure=measure, **probes, **given)
    finally:
        if view is not None:
            view.close()


def _read_asked(now: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that say what is asked: of a run that is gone on with, those that it was begun with too."""
    asked = {name: value for name, value in now.items() if name not in _NOT_STORED}
    resume: Path | None = now.get("resume")
    if resume is not None and "out" in now:
        raise UsageError("--out and --resume name two folders", hint="a resumed run stays where it is")
    if resume is not None:
        stored = Run.open(resume).about
        if stored.get("kind") != "load":
            raise UsageError(f"{resume} is no load run", hint="steelyard eval --resume goes on with others")
        if not isinstance(stored.get("options"), dict):
            hint = "go on with it from where it was begun"
            raise UsageError(f"{resume} was not begun by this command", hint=hint)
        asked = {**stored["options"], **asked}
    if "model" not in asked:
        raise UsageError("no model is named", hint="--model http://localhost:8000/v1")
    return asked


def _check(asked: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise for what cannot be before anything is asked."""
    if "slo" in asked:
        read_objectives(asked["slo"])
    elif "search" in asked:
        raise UsageError("a search is for what keeps objectives", hint="--slo ttft_p99=500ms,error=0.1%")
    for name in ("confidence", "tolerance"):
        if name in asked and "search" not in asked:
            raise UsageError(f"--{name} goes with --search", hint="--search rate")
    if "goodput" in asked:
        read_limits(asked["goodput"])
    if "workload" in asked and (given := [name for name in _ASKED_BY_TASK if name in asked]):
        hint = "--workload names a file as well"
        raise UsageError(f"--workload and --{given[0]} both say what is asked", hint=hint)
    if "prompt" in asked and not ("data" in asked or "task" in asked):
        raise UsageError("--prompt asks the rows of --data", hint="name some")
    # The workload may yet bring times, but what the flags say must be possible before anything is asked.
    read_stages(asked)
    for name in ("html", "csv", "parquet"):
        if name in now and now[name].is_dir():
            raise UsageError(f"--{name} {now[name]} is a folder", hint="name a file")
    if "parquet" in now:
        need("pyarrow", extra="arrow")


def _open_workload(asked: Mapping[str, Any], model: Model) -> Workload:
    """What is asked: a workload, or what a task asks of some data."""
    named = {name: asked[name] for name in ("workload", "task", "data") if name in asked}
    ref, given = next(((name, read_pairs(words)) for name, *words in named.values()), (None, {}))
    if "task" in named and "data" in named:
        # The columns of the data are the data's to know.
        given.update(data=named["data"][0], data_options=read_pairs(named["data"][1:]))
    elif "data" in named:
        ref, given = "custom", {"data": ref, **given}
    if "prompt" in asked:
        given["template"] = read_template(asked["prompt"])
    given.setdefault("seed", asked.get("seed", 0))
    if "max_tokens" in asked:
        given["output"] = asked["max_tokens"]
    if "param" in asked:
        given["params"] = {**given.get("params", {}), **read_pairs(asked["param"])}
    return open_workload(ref, model=model, **given)


def _brings_times(asked: Mapping[str, Any], workload: Workload) -> bool:
    """Whether nothing says how requests arrive, and the workload does."""
    if any(name in asked for name in (*ARRIVING, "stage", "sweep", "search")) or "-" in asked.get(
        "workload", ()
    ):
        return False
    first = next(take_share(workload, 0, 1), None)
    return first is not None and first.at is not None


def describe_asked(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The flags of a load as they are stored with its run, without what is secret."""
    shown = {
        name: [masked(word) for word in value] if name in (*_NAMED, "param") else value
        for name, value in asked.items()
    }
    return {"options": shown, "command": ["steelyard", "load", *_write_flags(shown)]}


def _write_flags(shown: Mapping[str, Any]) -> Sequence[str]:
    named = [
        word for name in _NAMED if name in shown for word in (f"--{name.replace('_', '-')}", *shown[name])
    ]
    stages = [word for words in shown.get("stage", ()) for word in ("--stage", *words)]
    plain = {name: value for name, value in shown.items() if name not in (*_NAMED, "stage")}
    return [*named, *stages, *write_flags(plain)]


def _folder(workload: str, model: str) -> Path:
    stamp = datetime.now().strftime("%Y-%m-%dT%H-%M-%S.%f")[:-3]
    return Path("runs") / re.sub(r"[^\w.+-]+", "-", f"{stamp}-load-{workload}-{model}")
