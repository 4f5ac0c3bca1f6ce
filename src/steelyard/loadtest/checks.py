"""check_answers(model, workload, task): a load, and whether answers get worse under it, as a Run.

run = check_answers("http://localhost:8000/v1", workload, task, stages=stages, out="runs/checked")
for level in run.about["answers"]["levels"]:
    print(level["name"], level["verdict"])

The samples of the task are asked one by one while nothing else is asked, twice, so that it is known how sure
the service is of itself; then again and again among the sessions of the load, at each level of it. What was
answered at idle is a run of its own beside: `runs/checked-idle`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from steelyard.errors import ModelError
from steelyard.loadtest.answers import Asked, judge_answers, read_answers, share_differing
from steelyard.loadtest.plan import Stage
from steelyard.loadtest.probes import Probed, Probes, keep_answer
from steelyard.loadtest.running import load
from steelyard.models.base import Model
from steelyard.models.references import open_model
from steelyard.store import Run
from steelyard.tasks.base import Task
from steelyard.workloads.references import open_workload

BAD = ("worse", "mixed up")
"""The verdicts that say that a service is not well under load."""


def check_answers(
    model: Model | Callable[..., Any] | str | Path,
    workload: Any,
    task: Task,
    *,
    out: str | Path,
    limit: int = 100,
    share: float = 0.1,
    resume: bool = False,
    measure: Callable[..., Run] = load,
    **given: Any,
) -> Run:
    """Measure a load with the first `limit` samples of `task` among it, and judge what they were answered.

    A `share` of the sessions are probes. `measure` (`load`, `find_limit`) measures, and takes the rest.
    """
    path = Path(out)
    beside = path.with_name(f"{path.name}-idle")
    with _opened(model) as opened:
        probes = Probes(task, chat=opened.chat, limit=limit)
        probed = Probed(open_workload(workload, model=opened), probes, share=share)
        idle = _ask_idle(opened, probes, beside, resume=resume and beside.exists(), watch=given.get("watch"))
        again = resume and path.exists()
        run = measure(opened, probed, out=path, resume=again, check=keep_answer, **given)
    levels = {stage: asked for stage, asked in sorted(read_answers(run.path).items()) if stage >= 0}
    names = {number: stage["name"] for number, stage in enumerate(run.about["stages"])}
    verdicts = judge_answers(probes, idle, levels, names)
    at_idle = {
        "run": str(beside),
        "failed": sum(asked.failed for asked in idle),
        "differing": share_differing(idle[0].texts, idle[1].texts),
    }
    told = {"task": task.name, "samples": len(probes.samples), "share": share, "idle": at_idle}
    run.update(answers={**told, "levels": [verdict.to_dict() for verdict in verdicts]})
    return run


def is_bad(answers: dict[str, Any]) -> bool:
    """Whether what a run says of its answers is that they get worse under load."""
    return any(level["verdict"] in BAD for level in answers["levels"])


def _ask_idle(model: Model, probes: Probes, path: Path, *, resume: bool, watch: Any) -> Sequence[Asked]:
    """The answers of a service that has nothing else to do, to each sample twice."""
    count = len(probes.samples)
    stages = [Stage(name=name, requests=count, concurrency=1) for name in ("idle", "idle, again")]
    if not resume or Run.open(path).about["state"] != "done":
        load(
            model,
            probes,
            stages=stages,
            out=path,
            resume=resume,
            check=keep_answer,
            scrape=False,
            watch=watch,
        )
    found = read_answers(path)
    idle = [found.get(number, Asked()) for number in range(len(stages))]
    if not all(asked.texts for asked in idle):
        raise ModelError(f"{model.name} answered nothing while it was idle", hint=f"steelyard report {path}")
    return idle


@contextlib.contextmanager
def _opened(model: Any) -> Iterator[Model]:
    """The model, closed in the end if it was opened for this alone."""
    opened = open_model(model)
    try:
        yield opened
    finally:
        if opened is not model:
            opened.close()
