"""What a load test showed, on screen and in files, made of its run alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ais_bench.benchmark.datasets.rows import name_of
from ais_bench.benchmark.outcome.outputs import Outputs
from ais_bench.benchmark.outcome.performance_tables import (
    COLUMNS,
    Stages,
    tabulate_metrics,
    tabulate_parameters,
    tabulate_turns,
)
from ais_bench.benchmark.outcome.performances import told, write_performance
from ais_bench.benchmark.performance.traffic import TOTAL
from steelyard.errors import UnknownName, UsageError
from steelyard.report.load_contents import LoadContents, read_load
from steelyard.report.load_page import draw_load_page
from steelyard.report.load_tables import tell_server
from steelyard.report.tables import Table
from steelyard.store import Run
from steelyard.timings.clients import Client
from steelyard.timings.columns import Columns
from steelyard.timings.doubts import find_doubts
from steelyard.timings.objectives import read_limits
from steelyard.timings.performance import measure
from steelyard.timings.steady import find_steady

STABLE = "stable"
"""What the stage of the steady state is called in tables."""

_SHOWN = 3
"""How many reasons for failures are shown."""
_KEYS = ("attr", "type", "calculator", "stage", "stats_list", "goodput")


@dataclass(frozen=True)
class Wanted:
    """What a summarizer wants to see: which stage, which statistics, and what makes a request a good one."""

    stage: str = TOTAL
    columns: Sequence[str] = COLUMNS
    goodput: str = ""


@dataclass(frozen=True)
class Shown:
    """What one load test came to, by stage, and what there is to be said of it."""

    model: str
    name: str
    stages: Stages
    complete: bool
    tables: Sequence[Table]
    notes: Sequence[str] = ()


def read_summarizer(given: Mapping[str, Any]) -> Wanted:
    """What a summarizer wants, whose calculator may be a class that says it by its name."""
    for key in given:
        if key not in _KEYS:
            raise UnknownName("field of the summarizer of a load test", str(key), _KEYS)
    calculator = given.get("calculator") or {}
    stable = "stable" in name_of(calculator.get("type", "")).lower() or given.get("stage") == STABLE
    named = given.get("stats_list") or calculator.get("stats_list") or COLUMNS
    known = {column.lower(): column for column in COLUMNS}
    for column in named:
        if str(column).lower() not in known:
            raise UnknownName("statistic in stats_list", str(column), COLUMNS)
    chosen = [known[str(column).lower()] for column in named if str(column).upper() != "N"]
    return Wanted(STABLE if stable else TOTAL, chosen, str(given.get("goodput") or ""))


def show_run(model: str, name: str, outputs: Outputs, wanted: Wanted) -> Shown:
    """What the run of a load test shows; its files are written on the way."""
    folder = outputs.run(model, name)
    if not outputs.holds(model, name, "load"):
        hint = "--mode perf measures it"
        raise UsageError(f"{model}/{name} was not measured in {outputs.root}", hint=hint)
    contents = read_load(Run.open(folder))
    stage = next((one for one in contents.stages if one.name == TOTAL), None)
    if stage is None:
        raise UsageError(
            f"nothing was measured of {model}/{name} yet", hint="--mode perf --reuse goes on with it"
        )
    columns = Columns.read(folder, stage=stage.number)
    limits = read_limits(wanted.goodput) if wanted.goodput else None
    total = stage.performance if limits is None else measure(columns, limits=limits)
    total = replace(total, doubts=find_doubts(total, columns, Client.read(folder, stage=stage.number)))
    stages, notes = {TOTAL: total}, []
    if wanted.stage == STABLE:
        steady = find_steady(columns)
        if steady.window is None:
            notes.append(f"there is no steady state ({steady.why}): these are the numbers of the whole")
        else:
            stable = measure(columns, window=steady.window, limits=limits)
            stages = {STABLE: replace(stable, doubts=total.doubts)}

    def place(suffix: str) -> Path:
        return outputs.performance(model, name, suffix)

    write_performance(place, stages, columns, name=name, statistics=wanted.columns)
    with told(place("_plot.html")) as path:
        path.write_text(draw_load_page([contents]), "utf-8", errors="backslashreplace")
    tables = [tabulate_parameters(stages, wanted.columns), tabulate_metrics(stages)]
    tables += filter(None, [tabulate_turns(stages), _tabulate_server(stage.server)])
    complete = contents.state == "done" and not (total.failed or total.cut)
    return Shown(model, name, stages, complete, tables, [*notes, *_explain(contents)])


def write_summary(shown: Sequence[Shown], outputs: Outputs) -> str:
    """The tables of all load tests, kept in every form; the text of them."""
    forms = {
        ".txt": "\n\n".join(_written(one, "text") for one in shown),
        ".md": "\n\n".join(_written(one, "markdown") for one in shown),
        ".csv": _beside_each_other(shown).csv(),
    }
    for suffix, text in forms.items():
        with told(outputs.summary(suffix)) as path:
            path.write_text(text + "\n", "utf-8", errors="backslashreplace")
    return forms[".txt"]


def _written(one: Shown, form: str) -> str:
    head = f"{one.model}/{one.name}"
    parts = [f"## {head}" if form == "markdown" else head, *(getattr(table, form)() for table in one.tables)]
    return "\n\n".join([*parts, *(f"! {note}" for note in one.notes)])


def _beside_each_other(shown: Sequence[Shown]) -> Table:
    """The first table of all load tests as one, with whose it is."""
    columns = ("Model", "Dataset", *shown[0].tables[0].columns)
    return Table(columns, [[one.model, one.name, *row] for one in shown for row in one.tables[0].rows])


def _tabulate_server(server: Mapping[str, Any]) -> Table | None:
    """What the service says of itself, where it does."""
    rows = list(tell_server(server))
    return Table(("The service", "Value"), rows) if rows else None


def _explain(contents: LoadContents) -> Iterator[str]:
    """Why a run is not whole, and what became of what was not answered."""
    if contents.state != "done":
        reason = contents.run.about.get("reason")
        yield f"this load test is {contents.state}{f': {reason}' if reason else ''}"
    for stage in contents.stages:
        one = stage.performance
        if missing := one.failed + one.cut:
            yield f"{missing:,} of {one.total:,} requests failed or were cut off"
        reasons = sorted(one.errors.items(), key=lambda pair: -pair[1])
        for error, count in reasons[:_SHOWN]:
            yield f"{count:,} × {error}"
        if others := sum(count for _, count in reasons[_SHOWN:]):
            yield f"{others:,} for other reasons"
