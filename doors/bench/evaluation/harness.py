"""EvaluationHarness: models weighed by task files, with a cache and a report.

harness = EvaluationHarness("tasks", "results", "cache")
report = harness.evaluate("triage", ["qa-1"], module_path="bench.examples.mypkg.mylocal")
report.task_scores["qa-1"]["accuracy"], report.overall_scores
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from hashlib import blake2b
from pathlib import Path
from statistics import fmean
from typing import Any

from bench.evaluation.interface import Hung
from bench.evaluation.model_runner import ModelRunner
from bench.evaluation.wording import Item
from steelyard.errors import UsageError
from steelyard.evaluation import evaluate
from steelyard.models.base import Model
from steelyard.tasks.base import Task
from steelyard.tasks.files import FileTask, read_task
from steelyard.types import Request, Response
from steelyard.wire.plain import to_response


@dataclass
class BenchmarkReport:
    """The scores of one model. Of a task, `results` tells errors, counts and failures beside each score."""

    model_id: str
    timestamp: str
    overall_scores: dict[str, float | None] = field(default_factory=dict)
    task_scores: dict[str, dict[str, float | None]] = field(default_factory=dict)
    results: dict[str, list[Item]] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> Item:
        """The report as plain JSON."""
        return asdict(self)

    def add(self, task_id: str, found: Mapping[str, Any]) -> None:
        """Take in what was found for a task; overall a metric is its mean over the tasks that have it."""
        self.results[task_id], self.runs[task_id] = found["results"], found["run"]
        self.task_scores[task_id] = {result["metric"]: result["value"] for result in found["results"]}
        for metric in self.task_scores[task_id]:
            values = [scores.get(metric) for scores in self.task_scores.values()]
            known = [value for value in values if value is not None]
            self.overall_scores[metric] = fmean(known) if known else None


class EvaluationHarness:
    """Task files in one folder, results in another, and a cache of what was weighed already."""

    def __init__(
        self,
        tasks_dir: str | Path = "tasks",
        results_dir: str | Path = "results",
        cache_dir: str | Path | None = None,
    ) -> None:
        self.tasks_dir, self.results_dir = Path(tasks_dir), Path(results_dir)
        self.cache_dir = None if cache_dir is None else Path(cache_dir)
        self.model_runner: ModelRunner[Any, Any, Any] = ModelRunner()

    def list_available_tasks(self) -> list[str]:
        """The ids of the tasks in the folder."""
        return sorted(self._read_tasks())

    def evaluate(
        self,
        model_id: str,
        task_ids: Sequence[str],
        model_type: str = "local",
        batch_size: int = 8,
        use_cache: bool = True,
        **model_kwargs: Any,
    ) -> BenchmarkReport:
        """Weigh a model by tasks. One that is loaded already is used as it is, any other for this once."""
        tasks = self._choose(task_ids)
        stays = self.model_runner.is_loaded(model_id)
        if not stays or model_kwargs:
            self.model_runner.load_model(model_id, model_type, **model_kwargs)
        now = datetime.now(timezone.utc)
        report = BenchmarkReport(model_id, now.isoformat(timespec="seconds"))
        try:
            model = _Answering(self.model_runner.hung(model_id), model_id, batch_size)
            for task_id, task in tasks.items():
                folder = re.sub(r"[^\w.+-]+", "-", f"{now:%Y-%m-%dT%H-%M-%S.%f}-{task_id}-{model_id}")
                report.add(task_id, self._weigh(model, task, self.results_dir / folder, use_cache=use_cache))
        finally:
            if not stays:
                self.model_runner.unload_model(model_id)
        return report

    def _weigh(self, model: _Answering, task: FileTask, out: Path, *, use_cache: bool) -> Item:
        cached = self._find_cached(model, task) if use_cache else None
        if cached is not None and cached.is_file():
            found: Item = json.loads(cached.read_text())
            return found
        items = [replace(sample, input=_item(task, sample)) for sample in task.data]
        asked = Task(
            name=task.name, data=items, metrics=task.metrics, extract=task.extract, params=task.params
        )
        run = evaluate(model, asked, out=out, chat=False)
        found = {"results": run.about["results"], "run": str(run.path)}
        if cached is not None and not any(result["failed"] for result in found["results"]):
            # What failed may be answered the next time.
            cached.parent.mkdir(parents=True, exist_ok=True)
            cached.write_text(json.dumps(found))
        return found

    def _find_cached(self, model: _Answering, task: FileTask) -> Path | None:
        """Where the results of this very model on this very task are kept, if they may be."""
        known = model.hung.identity()
        if self.cache_dir is None or known is None:
            return None
        text = json.dumps([known, task.identity()], sort_keys=True, default=str)
        return self.cache_dir / f"{blake2b(text.encode(), digest_size=16).hexdigest()}.json"

    def _choose(self, task_ids: Sequence[str]) -> dict[str, FileTask]:
        known = self._read_tasks()
        chosen = {}
        for task_id in [task_ids] if isinstance(task_ids, str) else task_ids:
            if task_id not in known:
                raise ValueError(
                    f"Task {task_id} not found in {self.tasks_dir}: there are {', '.join(sorted(known))}"
                )
            chosen[task_id] = known[task_id]
        return chosen

    def _read_tasks(self) -> dict[str, FileTask]:
        tasks: dict[str, FileTask] = {}
        for path in sorted([*self.tasks_dir.rglob("*.yaml"), *self.tasks_dir.rglob("*.yml")]):
            try:
                task = read_task(path)
            except UsageError as error:
                raise ValueError(str(error)) from error
            if task.name in tasks:
                raise ValueError(f"Two files in {self.tasks_dir} have the task_id {task.name}.")
            tasks[task.name] = task
        return tasks


class _Answering(Model):
    """A loaded model that is asked with dictionaries and gives the answers that run_model gives."""

    def __init__(self, hung: Hung, name: str, batch_size: int) -> None:
        self.hung = hung
        self.concurrency = hung.take(batch_size)
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def identity(self) -> Mapping[str, Any]:
        return self.hung.identity() or self.hung.model.identity()

    async def ask(self, request: Request) -> Response:
        item: Any = request.prompt
        asked = replace(request, prompt=self.hung.prompt(item), params=self.hung.params(request.params))
        response = await self.hung.model.ask(asked)
        answer = to_response(self.hung.answer(item, response))
        return replace(answer, timing=response.timing, tokens=response.tokens)


def _item(task: FileTask, sample: Any) -> Item:
    """A sample's input; in the words of the task where it has words of its own."""
    if task.template == "{input}" and not task.system:
        return dict(sample.input)
    return {"text": task.prompt(sample, chat=False)}
