"""load(model, workload): what a service does under a given load, as a Run.

stage = Stage(name="20/s", arrival="poisson", rate=20, duration=60)
run = load("http://localhost:8000/v1", workload, stages=[stage])
for result in run.about["results"]:
    print(result["statistics"]["ttft"]["p99"])

The folder of the run holds what each process measured, in shards; `timings` reads them.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from steelyard.environment import describe_environment
from steelyard.errors import UsageError
from steelyard.loadtest.alone import Alone
from steelyard.loadtest.crew import Crew
from steelyard.loadtest.measuring import Judge, Orders
from steelyard.loadtest.plan import check_stage
from steelyard.loadtest.scraping import keep_looking, open_scraper
from steelyard.loadtest.sitting import Sitting, Stages
from steelyard.loadtest.staffing import check_workers
from steelyard.loadtest.ticks import Tick
from steelyard.models.base import Model, clock
from steelyard.models.references import open_model
from steelyard.store import Run
from steelyard.timings.objectives import read_limits, read_objectives
from steelyard.timings.shards import read_about, shards_of
from steelyard.workloads.base import Workload
from steelyard.workloads.references import open_workload

__all__ = ["Tick", "load"]


def load(
    model: Model | Callable[..., Any] | str | Path,
    workload: Any,
    *,
    stages: Stages,
    out: str | Path | None = None,
    resume: bool = False,
    workers: int | str = "auto",
    keep: bool = False,
    seed: int = 0,
    slo: str | None = None,
    goodput: str | None = None,
    scrape: str | Sequence[str] | bool | None = None,
    watch: Callable[[Tick], None] | None = None,
    check: Judge | None = None,
    about: Mapping[str, Any] | None = None,
) -> Run:
    """Ask `model` the sessions of `workload`, stage by stage, and store when everything happened in a Run.

    `stages` may be a function that says the next one from the results so far, None at the end. With
    `resume`, `out` is a run to go on with: stages that are done are not measured again, others go on. A
    service is asked by processes that do nothing else, as many as `workers`; prompts and answers are
    stored only with `keep`. `watch` is told twice a second how it goes.
    """
    limits = _check(stages, workers=workers, slo=slo, goodput=goodput, lost=resume and out is None)
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(_opened(model))
        workload = open_workload(workload, model=opened)
        apart = opened.elsewhere and hasattr(os, "fork")
        if not apart and workers not in ("auto", 1):
            raise UsageError(f"{opened.name} is asked by this process alone", hint="workers=1")
        sampling = {"seed": seed, "keep": keep}
        identity = {"model": opened.identity(), "workload": workload.identity(), "sampling": sampling}
        was = Run.open(out).about if resume and out is not None else {}
        if resume and out is not None:
            run = Run.resume(out, identity)
        else:
            story = {**_describe(opened, workload, identity), "slo": slo, "goodput": goodput, **(about or {})}
            run = Run.create(out or _folder(workload.name, opened.name), story)
        stack.callback(run.close)
        orders, shard = _give_orders(run, opened, workload, keep=keep, judge=check)
        sitting = Sitting(
            run=run,
            orders=orders,
            measurers=Crew(orders, shard) if apart else Alone(orders, shard),
            stages=stages,
            seed=seed,
            workers=workers if apart else 1,
            limits=limits,
            watch=watch,
            scraping=_scraping(opened, run, scrape),
            was=was,
        )
        sitting.run_to_end()
    return run


def _check(
    stages: Stages, *, workers: int | str, slo: str | None, goodput: str | None, lost: bool
) -> Mapping[str, float] | None:
    """The limits of goodput; what cannot be is said before anything is asked."""
    if lost:
        raise UsageError("nothing to resume", hint="name the folder of the run")
    for stage in () if callable(stages) else stages:
        check_stage(stage)
    if not callable(stages) and all(stage.warmup for stage in stages):
        raise UsageError("there is nothing to measure", hint="a stage that is no warm-up")
    check_workers(workers)
    if slo is not None:
        read_objectives(slo)
    return None if goodput is None else read_limits(goodput)


def _give_orders(
    run: Run, model: Model, workload: Workload, *, keep: bool, judge: Judge | None
) -> tuple[Orders, int]:
    """What holds for all who measure in this sitting, and the number of their first shard."""
    shards = list(shards_of(run.path))
    orders = Orders(
        model=model,
        workload=workload,
        run=run.path,
        sitting=max((read_about(path)["sitting"] for path in shards), default=-1) + 1,
        began=time.time(),
        zero=clock(),
        token=os.urandom(3).hex(),
        keep=keep,
        judge=judge,
    )
    return orders, max((int(path.name) for path in shards), default=-1) + 1


def _scraping(
    model: Model, run: Run, scrape: str | Sequence[str] | bool | None
) -> Callable[[], contextlib.AbstractContextManager[Any]]:
    """What looks at the service's own figures while a stage is measured."""
    given = None if isinstance(scrape, bool) else scrape
    if scrape is False or (given is None and not model.elsewhere):
        return contextlib.nullcontext
    scraper = open_scraper(model, run.path / "server.jsonl", given=given)

    @contextlib.contextmanager
    def looking() -> Iterator[None]:
        with keep_looking(scraper):
            yield
        if run.about.get("metrics") != scraper.trouble:
            run.update(metrics=scraper.trouble)

    return looking if scraper.places else contextlib.nullcontext


@contextlib.contextmanager
def _opened(model: Any) -> Iterator[Model]:
    """The model, closed in the end if it was opened for this alone."""
    opened = open_model(model)
    try:
        yield opened
    finally:
        if opened is not model:
            opened.close()


def _describe(model: Model, workload: Workload, identity: Mapping[str, Any]) -> dict[str, Any]:
    """What a run says of itself when it begins."""
    return {
        "kind": "load",
        "model": model.name,
        "workload": workload.name,
        "remarks": [str(remark) for remark in getattr(workload, "remarks", ())],
        "elsewhere": model.elsewhere,
        "environment": describe_environment(),
        "identity": identity,
        "reason": None,
        "warmups": [],
        "stages": [],
        "results": [],
    }


def _folder(workload: str, model: str) -> Path:
    stamp = datetime.now().strftime("%Y-%m-%dT%H-%M-%S.%f")[:-3]
    return Path("runs") / re.sub(r"[^\w.+-]+", "-", f"{stamp}-load-{workload}-{model}")
