"""A model asked a data set, and the answers scored anew: one piece of work each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ais_bench.benchmark.configuration.files import find_written
from ais_bench.benchmark.datasets.merging import Batch
from ais_bench.benchmark.models.hanging import find_class, hang
from ais_bench.benchmark.outcome.notes import Log
from ais_bench.benchmark.outcome.outputs import Outputs
from ais_bench.benchmark.outcome.predictions import Predictions
from steelyard.cli.progress import ProgressLine
from steelyard.cli.screen import printable
from steelyard.errors import RunMismatch, UsageError
from steelyard.evaluation import Progress, evaluate, rescore
from steelyard.masking import MASK
from steelyard.models.base import Model
from steelyard.store import Run, differences


@dataclass(frozen=True)
class Pair:
    """One model and what one evaluation asks it."""

    model: Mapping[str, Any]
    batch: Batch

    @property
    def abbr(self) -> str:
        """What results call the model."""
        return str(self.model["abbr"])

    @property
    def name(self) -> str:
        """What results call what it is asked."""
        return self.batch.name

    @property
    def title(self) -> str:
        """Both names."""
        return printable(f"{self.abbr}/{self.name}")


def ask(pair: Pair, outputs: Outputs, *, about: Mapping[str, Any]) -> None:
    """Ask a model all that is not answered yet, and write its predictions."""
    folder, batch = outputs.run(pair.abbr, pair.batch.name), pair.batch
    log = Log(outputs.log(pair.abbr, batch.name))
    goes_on = outputs.holds(pair.abbr, pair.name, "evaluation")
    log.note(f"{pair.title}: {'going on' if goes_on else 'begun'}")
    line = ProgressLine(pair.title)

    def place(abbr: str, failed: bool) -> Any:
        return outputs.predictions(pair.abbr, abbr, failed=failed)

    with Predictions(place, [one.abbr for one in batch.sets]) as predictions:

        def watch(progress: Progress) -> None:
            line(progress)
            predictions.follow(progress.run)

        model = open_configured(pair.model)
        try:
            run = evaluate(
                model,
                batch.task,
                out=folder,
                chat=batch.chat,
                resume=goes_on,
                retry_failed=goes_on,
                watch=watch,
                about=about,
            )
        finally:
            line.close()
            model.close()
            if (folder / "run.json").exists():
                predictions.catch_up(Run.open(folder))
    log.note(f"{pair.title}: {run.about['state']}, {run.about.get('answers', 0)} answers")


def score(pair: Pair, outputs: Outputs) -> None:
    """Score the stored answers of a pair anew."""
    folder = outputs.run(pair.abbr, pair.batch.name)
    if not outputs.holds(pair.abbr, pair.name, "evaluation"):
        raise UsageError(f"{pair.title} has no answers in {outputs.root}", hint="--mode infer asks for them")
    _check_data(pair, Run.open(folder))
    rescore(folder, pair.batch.task.metrics, extract=pair.batch.task.extract)
    Log(outputs.log(pair.abbr, pair.batch.name)).note(f"{pair.title}: scored")


def _check_data(pair: Pair, run: Run) -> None:
    """Refuse to show the answers to other questions as answers to these."""
    stored = run.about.get("identity", {}).get("task", {})
    asked = msgspec.to_builtins(pair.batch.task.identity(), enc_hook=str)
    if changed := differences(_data_of(stored), _data_of(asked)):
        message = f"{pair.title} was asked of other data: {'; '.join(changed)}"
        raise RunMismatch(message, hint="name what was asked, or ask anew")


def _data_of(identity: Mapping[str, Any]) -> Mapping[str, Any]:
    parts = identity.get("parts") or {"data": identity}
    return {name: part.get("data") for name, part in parts.items()}


def open_configured(config: Mapping[str, Any]) -> Model:
    """The model of an entry, by the reference that is stored of it where it is one."""
    if config.get("attr") == "local" and config.get("path") == "":
        raise UsageError(f"the model {config['abbr']} has no path", hint="path=FOLDER behind its name")
    if repr(MASK) in repr(config):
        hint = "name the model again, with its key"
        raise UsageError(f"the key of {config['abbr']} is not stored with its answers", hint=hint)
    return hang({**config, "type": class_of(config)})


def class_of(config: Mapping[str, Any]) -> Any:
    """The class of the model of an entry."""
    kind = config.get("type")
    if isinstance(kind, str) and ".py:" in kind:
        # One that a configuration file writes itself, by the reference that is stored.
        kind = find_written(kind)
    return find_class(kind)
