"""What a command asks, and in which sitting: a new one, or one that it goes on with."""

from __future__ import annotations

import shlex
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from ais_bench.benchmark.cli.arguments import LATEST
from ais_bench.benchmark.cli.choosing import Choice, choose, names_anything
from ais_bench.benchmark.outcome.notes import write_config
from ais_bench.benchmark.outcome.outputs import Outputs, find
from steelyard.errors import Interrupted


def plan(options: Namespace, *, goes_on: bool) -> tuple[Choice, Outputs | None]:
    """What is asked, and the sitting to go on with; where nothing is named, what was asked in it."""
    wanted = None if options.reuse == LATEST else options.reuse
    if not goes_on:
        return choose(options), None
    if names_anything(options):
        choice = choose(options)
        return choice, find(choice.work_dir, wanted)
    outputs = find(options.work_dir or Choice([], []).work_dir, wanted)
    return choose(options, stored=next(iter(outputs.configs()), None)), outputs


def keep_config(outputs: Outputs, choice: Choice) -> Path:
    """Keep what is asked as a configuration file."""
    more = {"num_prompts": choice.num_prompts, "merge_ds": choice.merge, "pressure_time": choice.pressure}
    parts = {"models": choice.models, "datasets": choice.datasets, "summarizer": choice.summarizer, **more}
    path = outputs.config()
    write_config(path, **parts)
    return path


def stopped(error: BaseException, command: Sequence[str], outputs: Outputs) -> Interrupted:
    """An interrupt that says how to go on."""
    again = shlex.join([*_without_reuse(command), "--reuse", outputs.time])
    told = str(error.args[0]) if error.args else "stopped"
    return Interrupted(told, hint=f"go on with: {again}")


def _without_reuse(command: Sequence[str]) -> list[str]:
    """A command line without what it goes on with."""
    kept, skip = [], False
    for word in command:
        if word in ("-r", "--reuse"):
            skip = True
        elif not (skip and word[:1].isdigit()):
            kept.append(word)
            skip = False
    return kept
