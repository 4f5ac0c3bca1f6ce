"""What `--mode perf` and `--mode perf_viz` do: ask under load, or only show again what was measured."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from itertools import product

from ais_bench.benchmark.cli.choosing import Choice
from ais_bench.benchmark.cli.measuring import Trial, check_trial, measure_trial, preview
from ais_bench.benchmark.cli.planning import keep_config, plan, stopped
from ais_bench.benchmark.cli.working import Ending, exit_code, tell_ending, work_on
from ais_bench.benchmark.outcome.outputs import Outputs, begin
from ais_bench.benchmark.performance.loads import gather_loads
from ais_bench.benchmark.performance.showing import Shown, read_summarizer, show_run, write_summary
from ais_bench.benchmark.performance.traffic import Wishes
from steelyard.cli.interruption import stopped_like_an_interrupt
from steelyard.cli.pairs import masked
from steelyard.cli.screen import printable, show, tell
from steelyard.errors import Interrupted, UsageError


def perform(options: Namespace, words: Sequence[str]) -> int:
    """Do what a command line says; 1 where a request failed or a load test did not come to its end."""
    asks = options.mode == "perf"
    choice, outputs = plan(options, goes_on=options.reuse is not None or not asks)
    loads = gather_loads(choice.datasets, limit=choice.num_prompts, merge=choice.merge)
    trials = [Trial(model, load) for model, load in product(choice.models, loads)]
    wishes, wanted = _read_wishes(options, choice), read_summarizer(choice.summarizer)
    for trial in trials:
        check_trial(trial, wishes)
    if options.dry_run:
        show(preview(trials, wishes))
        return 0
    if outputs is None:
        outputs = begin(choice.work_dir)
    endings = [Ending()] * len(trials)
    if asks:
        endings = _measure(trials, outputs, choice, wishes, words)
    shown: list[Shown] = []
    codes: list[int] = []
    for trial, ending in zip(trials, endings):
        if ending.error:
            codes.append(tell_ending(trial.title, ending))
            continue
        shown.append(show_run(trial.abbr, trial.name, outputs, wanted))
        codes += [] if shown[-1].complete else [1]
    if shown:
        show(printable(write_summary(shown, outputs)))
    tell(f"kept in {outputs.root}")
    return exit_code(codes, len(trials))


def _read_wishes(options: Namespace, choice: Choice) -> Wishes:
    if options.num_warmups < 0:
        raise UsageError(f"--num-warmups is {options.num_warmups}", hint="at least 0")
    if choice.pressure is None:
        return Wishes(warmups=options.num_warmups)
    if not (isinstance(choice.pressure, int) and choice.pressure >= 1):
        raise UsageError(f"--pressure-time is {choice.pressure!r}", hint="at least 1 second")
    return Wishes(warmups=options.num_warmups, pressure=float(choice.pressure))


def _measure(
    trials: Sequence[Trial], outputs: Outputs, choice: Choice, wishes: Wishes, words: Sequence[str]
) -> list[Ending]:
    """Measure one after the other: two loads at a time would disturb each other."""
    command = ["ais_bench", *map(masked, words)]
    kept = keep_config(outputs, choice)
    if choice.workers > 1 and len(trials) > 1:
        tell("load tests go one after the other, so that none disturbs another")
    work = partial(measure_trial, outputs=outputs, wishes=wishes, about={"command": command})
    try:
        with stopped_like_an_interrupt():
            endings = work_on(trials, work, outputs)
    except (Interrupted, KeyboardInterrupt) as error:
        raise stopped(error, command, outputs) from error
    if all(ending.usage for ending in endings):
        kept.unlink(missing_ok=True)
    return endings
