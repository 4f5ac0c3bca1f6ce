"""Models asked data sets, one pair after the other or several at a time; one that fails stops no other."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import msgspec

from ais_bench.benchmark.configuration.files import find_written
from ais_bench.benchmark.datasets.merging import Batch
from ais_bench.benchmark.models.hanging import hang
from ais_bench.benchmark.outcome.notes import Log
from ais_bench.benchmark.outcome.outputs import Outputs
from ais_bench.benchmark.outcome.predictions import Predictions
from steelyard.cli.progress import ProgressLine
from steelyard.cli.screen import printable
from steelyard.errors import Interrupted, RunMismatch, SteelyardError, UsageError, describe
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
    def title(self) -> str:
        """Both names."""
        return printable(f"{self.abbr}/{self.batch.name}")


@dataclass(frozen=True)
class Ending:
    """How a pair ended; `error` is empty where it came to its end."""

    error: str = ""
    hint: str = ""
    usage: bool = False
    stopped: bool = False


Work = Callable[[Pair], None]


def ask(pair: Pair, outputs: Outputs, *, about: Mapping[str, Any]) -> None:
    """Ask a model all that is not answered yet, and write its predictions."""
    folder, batch = outputs.run(pair.abbr, pair.batch.name), pair.batch
    log = Log(outputs.log(pair.abbr, batch.name))
    goes_on = (folder / "run.json").exists()
    log.note(f"{pair.title}: {'going on' if goes_on else 'begun'}")
    line = ProgressLine(pair.title)

    def place(abbr: str, failed: bool) -> Any:
        return outputs.predictions(pair.abbr, abbr, failed=failed)

    with Predictions(place, [one.abbr for one in batch.sets]) as predictions:

        def watch(progress: Progress) -> None:
            line(progress)
            predictions.follow(progress.run)

        model = _open(pair.model)
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
    if not (folder / "run.json").exists():
        raise UsageError(f"{pair.title} has no answers in {outputs.root}", hint="--mode infer asks for them")
    _check_data(pair, Run.open(folder))
    rescore(folder, pair.batch.task.metrics, extract=pair.batch.task.extract)
    Log(outputs.log(pair.abbr, pair.batch.name)).note(f"{pair.title}: scored")


def work_on(pairs: Sequence[Pair], work: Work, outputs: Outputs, *, workers: int = 1) -> list[Ending]:
    """Do the work on all pairs, `workers` at a time, each in a process of its own where several are."""
    forks = "fork" in multiprocessing.get_all_start_methods()
    if workers == 1 or len(pairs) == 1 or not forks:
        return [_work(pair, work, outputs) for pair in pairs]
    global _shared
    # A process that is forked has the pairs already: classes of configuration files are never sent.
    _shared = (pairs, work, outputs)
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(min(workers, len(pairs)), mp_context=context) as pool:
        try:
            return list(pool.map(_work_on_number, range(len(pairs))))
        except KeyboardInterrupt:
            # The others were interrupted too, and are storing what they have.
            pool.shutdown(cancel_futures=True)
            raise


def end_others() -> None:
    """Tell the processes that this one began to end, which store what they have."""
    for child in multiprocessing.active_children():
        child.terminate()


_shared: tuple[Sequence[Pair], Work, Outputs]


def _work_on_number(number: int) -> Ending:
    pairs, work, outputs = _shared
    try:
        return _work(pairs[number], work, outputs)
    except Interrupted:
        return Ending("stopped", stopped=True)


def _work(pair: Pair, work: Work, outputs: Outputs) -> Ending:
    try:
        work(pair)
    except Interrupted:
        raise
    except Exception as error:  # noqa: BLE001 - told and kept in the log; the other pairs go on
        Log(outputs.log(pair.abbr, pair.batch.name)).note_error(error)
        if isinstance(error, SteelyardError):
            return Ending(str(error.args[0]), error.hint, usage=isinstance(error, UsageError))
        return Ending(describe(error), f"see {outputs.log(pair.abbr, pair.batch.name)}")
    return Ending()


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


def _open(config: Mapping[str, Any]) -> Model:
    if config.get("attr") == "local" and config.get("path") == "":
        raise UsageError(f"the model {config['abbr']} has no path", hint="path=FOLDER behind its name")
    if repr(MASK) in repr(config):
        hint = "name the model again, with its key"
        raise UsageError(f"the key of {config['abbr']} is not stored with its answers", hint=hint)
    kind = config.get("type")
    if isinstance(kind, str) and ".py:" in kind:
        # A class that a configuration file writes itself, by the reference that is stored.
        config = {**config, "type": find_written(kind)}
    return hang(config)
