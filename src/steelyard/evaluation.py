"""evaluate(model, task) -> Run: every sample asked, every answer scored and stored.

run = evaluate("embedded", task)
for result in run.about["results"]:
    print(result["metric"], result["value"])
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shlex
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from steelyard.albums import Album
from steelyard.engine import execute
from steelyard.engine import run as run_to_end
from steelyard.environment import describe_environment
from steelyard.errors import DataError, Interrupted, StoreError, UsageError, describe
from steelyard.meter import Meter
from steelyard.metrics.base import Metric
from steelyard.metrics.extraction import Extractor
from steelyard.metrics.scoring import Pending, Scorer, settle
from steelyard.metrics.summary import Summary
from steelyard.models.base import Model
from steelyard.models.references import open_model
from steelyard.plugins import reference
from steelyard.sheets import NAME as SHEET
from steelyard.sheets import Sheet
from steelyard.store import Answered, Run
from steelyard.tasks.base import Task, identify_scoring, take_out, tell_apart
from steelyard.tasks.prompts import with_images
from steelyard.types import Record, Request, Response, Sample, Score


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
    watch: Callable[[Progress], None] | None = None,
    about: Mapping[str, Any] | None = None,
) -> Run:
    """Ask `model` every sample of `task`, `repeat` times each, and store the scored answers in a Run.

    With `resume`, `out` is a run to go on with: what is stored is not asked again, and a model,
    prompt, data or sampling that changed is refused. `retry_failed` asks its failed answers anew.
    `csv` also writes each answer to `answers.csv` in the run's folder as it comes.
    """
    if repeat < 1:
        raise UsageError(f"repeat is {repeat}", hint="it must be at least 1")
    opened = open_model(model)
    chat = opened.chat if chat is None else chat
    sampling = {"repeat": repeat, "limit": limit, "seed": seed, "chat": chat}
    identity = {"model": opened.identity(), "task": task.identity(), "sampling": sampling}
    summary = Summary(task.metrics, repeat=repeat, extract=task.extract)
    if resume:
        if out is None:
            raise UsageError("nothing to resume", hint="name the folder of the run")
        run, answered = _resume(out, identity, summary, without_failed=retry_failed)
    else:
        path = out or Path("runs") / _folder(task.name, opened.name)
        run = Run.create(path, {**_describe(opened, task), "identity": identity, **(about or {})})
        answered = Answered()
    evaluation = _Evaluation(
        task=task,
        run=run,
        answered=answered,
        progress=Progress(run, summary, _size(task.data, limit, repeat), answered.count),
        watch=watch,
        chat=chat,
        repeat=repeat,
        limit=limit,
        seed=seed,
    )
    try:
        with _kept_beside(run, csv=csv) as evaluation.keepers:
            _run_to_end(evaluation, opened, concurrency)
    finally:
        run.close()
        if opened is not model:
            opened.close()
    return run


class Progress:
    """How far an evaluation is."""

    def __init__(self, run: Run, summary: Summary, total: int | None, done: int) -> None:
        self.run = run
        self.summary = summary
        self.total = total
        self.done = done
        self.resumed = done


@dataclass
class _Evaluation:
    """The questions of one evaluation, and what happens with their answers."""

    task: Task
    run: Run
    answered: Answered
    progress: Progress
    watch: Callable[[Progress], None] | None
    chat: bool
    repeat: int
    limit: int | None
    seed: int
    keepers: Sequence[Callable[[Record], None]] = ()

    def __post_init__(self) -> None:
        self.scorer = Scorer(self.task.metrics)

    def questions(self) -> Iterator[tuple[tuple[int, Sample], Request]]:
        """The requests that are not answered yet, each with its index and sample."""
        seen = 0
        samples: Iterable[Sample] = self.task.data
        for place, given in enumerate(islice(samples, self.limit)):
            seen += 1
            # A task of one's own may ask about anything that is a picture.
            sample, asked = with_images(given, self.task.request(given, chat=self.chat))
            for turn in range(self.repeat):
                index = place * self.repeat + turn
                request = self._numbered(asked, turn, index)
                if not self.answered.has(index, sample, request):
                    yield (index, sample), request
        if not seen:
            raise DataError(f"the data of the task {self.task.name} is empty")

    def keep(self, item: tuple[int, Sample], request: Request, response: Response) -> Awaitable[None] | None:
        """Score an answer and store it."""
        index, sample = item
        scores, pending = _begin_scores(self.scorer, self.task.extract, sample, response)
        record = Record(index, sample, request, response, scores)
        if pending:
            return self._keep_later(record, scores, pending)
        self._store(record)
        return None

    async def _keep_later(self, record: Record, scores: dict[str, Score], pending: Pending) -> None:
        # The record holds these very scores, so that it is whole once they are.
        await settle(scores, pending)
        self._store(record)

    def _store(self, record: Record) -> None:
        try:
            self.run.add(record)
        except DataError as error:
            # One odd answer is a failed answer, not the end of the run; an odd sample is refused again.
            text = str(record.response.text).encode(errors="backslashreplace").decode()
            failed = Response(text, error=f"the answer cannot be stored: {error.__cause__}")
            record = replace(record, response=failed, scores=self.scorer.begin(record.sample, failed)[0])
            self.run.add(record)
        for keep in self.keepers:
            keep(record)
        self.progress.done += 1
        self.progress.summary.add(record)
        if self.watch is not None:
            self.watch(self.progress)

    def _numbered(self, request: Request, turn: int, index: int) -> Request:
        if self.repeat == 1 and not request.params.get("temperature"):
            return request
        request_id = request.id if self.repeat == 1 else f"{request.id}#{turn}"
        # Each question has a seed of its own, so that a run can be repeated and resumed.
        return replace(request, id=request_id, params={"seed": self.seed + index, **request.params})


def _run_to_end(evaluation: _Evaluation, model: Model, concurrency: int | None) -> None:
    run, progress, meter = evaluation.run, evaluation.progress, Meter()

    def costs() -> list[dict[str, Any]]:
        """Those of all sittings, this one's with how many answers it covers."""
        sitting = {**asdict(meter.cost), "answers": progress.done - progress.resumed}
        return [*run.about.get("cost", []), sitting]

    try:
        with meter:
            run_to_end(execute(model, evaluation.questions(), evaluation.keep, concurrency=concurrency))
    except (KeyboardInterrupt, asyncio.CancelledError) as error:
        run.update(state="interrupted", cost=costs())
        hint = f"go on with: steelyard eval --resume {shlex.quote(str(run.path))}"
        raise Interrupted(f"stopped; {progress.done} answers are stored", hint=hint) from error
    except Exception as error:
        # A full disk may be what stopped it, and then nothing can be noted either.
        with contextlib.suppress(StoreError):
            run.update(state="stopped", reason=describe(error), cost=costs())
        raise
    finally:
        run.close()
    results = [asdict(result) for result in progress.summary.results()]
    # Once more, because what matters is loaded only now.
    environment = describe_environment()
    run.update(state="done", answers=progress.done, results=results, cost=costs(), environment=environment)


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

    def scored(record: Record) -> Record:
        scores, pending = _begin_scores(scorer, extract, record.sample, record.response)
        if pending:
            run_to_end(settle(scores, pending))
        new = replace(record, scores=scores)
        summary.add(new)
        return new

    try:
        run.replace_records(scored(record) for record in run.records())
        refs = {"metrics": [reference(metric) for metric in metrics], "extract": reference(extract)}
        results = [asdict(result) for result in summary.results()]
        # So that no resumed run mixes the scores of these metrics with those of others.
        was = run.about.get("identity", {})
        identity = {**was, "task": {**was.get("task", {}), **identify_scoring(metrics, extract)}}
        run.update(results=results, rescored=True, identity=identity, **refs)
    finally:
        run.close()
    return run


def _begin_scores(
    scorer: Scorer, extract: Extractor | None, sample: Sample, response: Response
) -> tuple[dict[str, Score], Pending]:
    """The scores of an answer at once, with the rule by which it was taken out, and those to await."""
    try:
        seen, rule = take_out(extract, sample, response)
    except Exception as error:  # noqa: BLE001 - as a metric's own failure, it costs no answer
        return scorer.fail(error), []
    scores, pending = scorer.begin(sample, seen)
    if rule is not None:
        scores["extraction"] = rule
    return scores, pending


def _describe(model: Model, task: Task) -> dict[str, Any]:
    """What a run says of itself beside its identity."""
    load = model.load_cost
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


def _folder(task: str, model: str) -> str:
    stamp = datetime.now().strftime("%Y-%m-%dT%H-%M-%S.%f")[:-3]
    return re.sub(r"[^\w.+-]+", "-", f"{stamp}-{task}-{model}")
