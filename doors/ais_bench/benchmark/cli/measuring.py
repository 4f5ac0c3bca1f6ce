"""One load test: a model asked a workload under the traffic that its configuration says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ais_bench.benchmark.cli.asking import class_of, open_configured
from ais_bench.benchmark.models.api_models.base_api import BaseAPIModel
from ais_bench.benchmark.models.api_models.hung import check_streams
from ais_bench.benchmark.models.counting import Counted, OwnCounts
from ais_bench.benchmark.models.hanging import check_values
from ais_bench.benchmark.models.local_models.hung import BatchedModel
from ais_bench.benchmark.outcome.notes import Log
from ais_bench.benchmark.outcome.outputs import Outputs
from ais_bench.benchmark.performance.made import Made
from ais_bench.benchmark.performance.questions import Endless
from ais_bench.benchmark.performance.traffic import Wishes, is_ramp, stages_of
from steelyard.cli.live import LiveView
from steelyard.cli.screen import printable, tell
from steelyard.loadtest.running import load
from steelyard.models.base import Model
from steelyard.report.tables import Cell, Table
from steelyard.workloads.base import Workload
from steelyard.workloads.tokens import open_tokenizer


@dataclass(frozen=True)
class Trial:
    """One model and what one load test asks it."""

    model: Mapping[str, Any]
    load: Made

    @property
    def abbr(self) -> str:
        """What results call the model."""
        return str(self.model["abbr"])

    @property
    def name(self) -> str:
        """What results call the workload."""
        return self.load.name

    @property
    def title(self) -> str:
        """Both names."""
        return printable(f"{self.abbr}/{self.name}")


def check_trial(trial: Trial, wishes: Wishes) -> None:
    """Refuse what cannot be measured, before anything is asked."""
    cls = class_of(trial.model)
    check_values({**trial.model, "type": cls})
    if issubclass(cls, BaseAPIModel):
        check_streams(cls)
    stages_of(trial.model, wishes, questions=1, recorded=trial.load.recorded)


def measure_trial(trial: Trial, *, outputs: Outputs, wishes: Wishes, about: Mapping[str, Any]) -> None:
    """Ask all that was not asked yet, at the moments that the traffic says."""
    folder, log = outputs.run(trial.abbr, trial.name), Log(outputs.log(trial.abbr, trial.name))
    goes_on = outputs.holds(trial.abbr, trial.name, "load")
    log.note(f"{trial.title}: {'going on' if goes_on else 'begun'}")
    model = open_streamed(trial.model)
    try:
        workload = trial.load.open(model)
        for remark in getattr(workload, "remarks", ()):
            # The engine's option is the model's path here.
            told = f"{trial.title}: {remark.replace('tokenizer=FOLDER', 'path=FOLDER of the model')}"
            log.note(told)
            tell(printable(told))
        questions = _count(workload, trial, wishes)
        stages = stages_of(trial.model, wishes, questions=questions, recorded=trial.load.recorded)
        asked = Endless(workload) if wishes.pressure is not None else workload
        line = LiveView(trial.title, [stage.name for stage in stages])
        try:
            run = load(model, asked, stages=stages, out=folder, resume=goes_on, watch=line, about=about)
        finally:
            line.close()
    finally:
        model.close()
    log.note(f"{trial.title}: {run.about['state']}")


def open_streamed(config: Mapping[str, Any]) -> Model:
    """The model of an entry, its answers in a stream, its tokens counted by the tokenizer that it names."""
    if not issubclass(class_of(config), BaseAPIModel):
        local = open_configured(config)
        counts = OwnCounts.of(local.made) if isinstance(local, BatchedModel) else None
        return local if counts is None else Counted(local, counts)
    # Before it is made: some ask at another address for streams.
    model = open_configured({**config, "stream": True})
    path = config.get("path")
    return Counted(model, open_tokenizer(Path(path) if Path(path).exists() else path)) if path else model


def preview(trials: Sequence[Trial], wishes: Wishes) -> str:
    """What would be asked, and by which traffic."""
    rows: list[list[Cell]] = []
    for trial in trials:
        one = stages_of(trial.model, wishes, questions=None, recorded=trial.load.recorded)[-1]
        numbers = [None if number is None else f"{number:g}" for number in (one.rate, one.duration)]
        kind = [trial.abbr, class_of(trial.model).__name__, trial.name, one.arrival or "clients"]
        rows.append([*kind, one.concurrency, *numbers])
    return Table(("model", "type", "dataset", "arrival", "in flight", "rate", "seconds"), rows).text()


def _count(workload: Workload, trial: Trial, wishes: Wishes) -> int | None:
    """How many sessions there are, as far as anybody needs to know."""
    size = getattr(workload, "size", None)
    known: int | None = size() if callable(size) else None
    if known is None and wishes.pressure is None and is_ramp(trial.model):
        # A ramp ends with the last question.
        return sum(1 for _ in workload)
    return known
