"""evaluate(model, task) -> Run: every sample asked, every answer scored and stored.

run = evaluate("embedded", task)
for result in run.about["results"]:
    print(result["metric"], result["value"])
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steelyard.albums import Album
from steelyard.engine import run as run_to_end
from steelyard.environment import describe_environment
from steelyard.errors import UsageError
from steelyard.metrics.base import Metric
from steelyard.metrics.extraction import Extractor
from steelyard.metrics.scoring import Pending, Scorer, settle
from steelyard.metrics.summary import Summary
from steelyard.models.base import Model, clock
from steelyard.models.references import open_model
from steelyard.plugins import reference
from steelyard.sheets import NAME as SHEET
from steelyard.sheets import Sheet
from steelyard.sitting import Progress, Sitting, begin_scores
from steelyard.store import Answered, Run
from steelyard.tasks.base import Task, identify_scoring, tell_apart
from steelyard.types import Record, Sample, Score
from steelyard.ways import PROBES, Way, find_way, known_way, may_be_open

if TYPE_CHECKING:
    from steelyard.models.cache import Cached

__all__ = ["Progress", "evaluate", "rescore"]

_TOGETHER = 64
"""How many stored answers are scored beside each other."""


def evaluate(
    model: Model | Callable[..., Any] | str | Path,
    task: Task,
    *,
    out: str | Path | None = None,
    repeat: int = 1,
    limit: int | None = None,
    seed: int = 0,
    chat: bool | None = None,
    concurrency: int | None = None,
    resume: bool = False,
    retry_failed: bool = False,
    csv: bool = False,
    cache: str | Path | bool = False,
    deadline: float | None = None,
    max_failures: float | None = None,
    watch: Callable[[Progress], None] | None = None,
    about: Mapping[str, Any] | None = None,
) -> Run:
    """Ask `model` every sample of `task`, `repeat` times each, and store the scored answers in a Run.

    With `resume`, `out` is a run to go on with: what it holds is not asked again (`retry_failed`: but for
    what failed), and what shapes the answers must be what it was. `csv` also writes `answers.csv`; answers
    in the file `cache` (True: one for all runs) are not asked for. A run is stopped, to be resumed, after
    `deadline` seconds or when more than `max_failures` (below 1: a share; else the first 100) failed.
    """
    _check(repeat=repeat, max_failures=max_failures, lost=resume and out is None)
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(_opened(model))
        chat = opened.chat if chat is None else chat
        time: Any = {"deadline": deadline, "begun": clock()}
        way, samples = _settle(opened, task, chat=chat, out=out if resume else None, **time)
        sampling: Any = {"repeat": repeat, "limit": limit, "seed": seed, "chat": chat}
        summary = Summary(way.task.metrics, repeat=repeat, extract=way.task.extract)
        cached = stack.enter_context(_cached(way.model, cache, repeat)) if cache else None
        identity = {"model": way.model.identity(), "task": way.task.identity(), "sampling": sampling}
        if resume and out is not None:
            run, answered = _resume(out, identity, summary, without_failed=retry_failed)
        else:
            story = {**_describe(way, identity), **(about or {})}
            run, answered = Run.create(out or _folder(task.name, opened.name), story), Answered()
        stack.callback(run.close)
        sitting = Sitting(
            model=cached or way.model,
            task=way.task,
            samples=samples,
            run=run,
            answered=answered,
            progress=Progress(run, summary, _size(task.data, limit, repeat), answered.count),
            **sampling,
            resumed=resume,
            **time,
            max_failures=max_failures,
            watch=watch,
        )
        sitting.keepers = stack.enter_context(_kept_beside(run, csv=csv))
        sitting.run_to_end(concurrency)
        if cached is not None:
            run.update(cache=cached.note())
    return run


@contextlib.contextmanager
def _opened(model: Any) -> Iterator[Model]:
    """The model, closed in the end if it was opened for this alone."""
    opened = open_model(model)
    try:
        yield opened
    finally:
        if opened is not model:
            opened.close()


def _check(*, repeat: int, max_failures: float | None, lost: bool) -> None:
    if repeat < 1:
        raise UsageError(f"repeat is {repeat}", hint="it must be at least 1")
    if max_failures is not None and not max_failures >= 0:
        raise UsageError(f"max_failures is {max_failures}", hint="it must be at least 0")
    if lost:
        raise UsageError("nothing to resume", hint="name the folder of the run")


def rescore(
    path: str | Path,
    metrics: Sequence[Metric],
    *,
    extract: Extractor | None = None,
) -> Run:
    """Score the stored answers of a run anew, without its model; its former scores are replaced."""
    tell_apart(metrics)
    run = Run.open(path)
    run.lock()
    repeat = run.about.get("identity", {}).get("sampling", {}).get("repeat", 1)
    scorer, summary = Scorer(metrics), Summary(metrics, repeat=repeat, extract=extract)

    def scored(records: Iterator[Record]) -> Iterator[Record]:
        while some := list(islice(records, _TOGETHER)):
            begun = [begin_scores(scorer, extract, one.sample, one.response) for one in some]
            if any(pending for _, pending in begun):
                run_to_end(_settle_all(begun))
            for record, (scores, _) in zip(some, begun, strict=True):
                new = replace(record, scores=scores)
                summary.add(new)
                yield new

    try:
        run.replace_records(scored(iter(run.records())))
        refs = {"metrics": [reference(metric) for metric in metrics], "extract": reference(extract)}
        results = [asdict(result) for result in summary.results()]
        # So that no resumed run mixes the scores of these metrics with those of others.
        was = run.about.get("identity", {})
        identity = {**was, "task": {**was.get("task", {}), **identify_scoring(metrics, extract)}}
        run.update(results=results, rescored=True, identity=identity, **refs)
    finally:
        run.close()
    return run


async def _settle_all(begun: Iterable[tuple[dict[str, Score], Pending]]) -> None:
    """Await the scores of several answers beside each other: programs that are run, judges that are asked."""
    await asyncio.gather(*(settle(scores, pending) for scores, pending in begun))


def _settle(
    model: Model, task: Task, *, chat: bool, out: str | Path | None, **time: Any
) -> tuple[Way, Iterable[Sample]]:
    """How the model is asked, as a run that is gone on with was; and all samples of the task."""
    if out is not None:
        return known_way(model, task, Run.open(out).about, chat=chat), task.data
    if not may_be_open(model, task):
        return Way(model, task), task.data
    # Data may be such as can be read only once.
    samples = iter(task.data)
    first = list(islice(samples, PROBES))
    return find_way(model, task, first, chat=chat, **time), chain(first, samples)


@contextlib.contextmanager
def _cached(model: Model, path: str | Path | bool, repeat: int) -> Iterator[Cached]:
    """The model with a cache before it."""
    # SQLite is loaded only where a cache is wanted.
    from steelyard.models.cache import Cache, Cached, default_path

    cache = Cache(default_path() if isinstance(path, bool) else path)
    try:
        yield Cached(model, cache, repeat=repeat)
    finally:
        cache.close()


def _describe(way: Way, identity: Mapping[str, Any]) -> dict[str, Any]:
    """What a run says of itself when it begins."""
    model, task, load = way.model, way.task, way.model.load_cost
    return {
        "kind": "evaluation",
        "model": model.name,
        "task": task.name,
        "data": getattr(task.data, "name", None),
        "metrics": [reference(metric) for metric in task.metrics],
        "extract": reference(task.extract),
        "by": list(task.by),
        "load": None if load is None else asdict(load),
        "elsewhere": model.elsewhere,
        "environment": describe_environment(),
        "identity": identity,
        **way.about(),
    }


def _resume(
    path: str | Path, identity: Mapping[str, Any], summary: Summary, *, without_failed: bool
) -> tuple[Run, Answered]:
    """A run to go on with, and what it holds already; failed answers are dropped when asked for."""
    run = Run.resume(path, identity)
    try:
        if without_failed:
            run.replace_records(record for record in run.records() if record.response.error is None)
        answered = Answered()
        for record in run.records():
            answered.add(record)
            summary.add(record)
    except BaseException:
        run.close()
        raise
    return run, answered


@contextlib.contextmanager
def _kept_beside(run: Run, *, csv: bool) -> Iterator[list[Callable[[Record], None]]]:
    """What is handed each record once it is stored."""
    path = run.path / SHEET
    with contextlib.ExitStack() as stack:
        keepers: list[Callable[[Record], None]] = [Album(run).add]
        if csv or path.exists():
            keepers.append(stack.enter_context(Sheet(path, run.records())).add)
        yield keepers


def _size(data: Any, limit: int | None, repeat: int) -> int | None:
    size = data.size() if hasattr(data, "size") else len(data) if hasattr(data, "__len__") else None
    if size is None:
        return None
    return (size if limit is None else min(size, limit)) * repeat


def _folder(task: str, model: str) -> Path:
    stamp = datetime.now().strftime("%Y-%m-%dT%H-%M-%S.%f")[:-3]
    return Path("runs") / re.sub(r"[^\w.+-]+", "-", f"{stamp}-{task}-{model}")
