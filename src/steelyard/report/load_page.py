"""The page of load runs: what was measured, and how far it is to be believed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from steelyard.report.documents import fill_document
from steelyard.report.load_charts import (
    Part,
    draw_client,
    draw_curves,
    draw_over_time,
    draw_percentiles,
    draw_requests,
    draw_server,
    draw_spreads,
    list_shares,
    stretch,
)
from steelyard.report.load_comparison import LoadPairing, tabulate_changes
from steelyard.report.load_contents import LoadContents, StageContents, workload_of
from steelyard.report.load_steady import keep_steady
from steelyard.report.load_tables import (
    rate,
    tabulate_measures,
    tabulate_server,
    tabulate_turns,
    tell_totals,
)
from steelyard.report.load_words import (
    doubt_load,
    judge_load,
    tabulate_answers,
    tabulate_stages,
    tell_answers,
    tell_outcome,
)
from steelyard.report.spending import seconds, size
from steelyard.report.tables import Table
from steelyard.timings.clients import Client
from steelyard.timings.performance import Performance
from steelyard.timings.statistics import Statistics

_MOST_LINES = 12


def draw_load_page(found: Sequence[LoadContents]) -> str:
    """The page of one or several load runs."""
    return fill_document(
        "load_page.html",
        styles=["page.css", "charts.css"],
        scripts=["charts.js"],
        title=" | ".join(contents.title for contents in found),
        runs=[_view(contents) for contents in found],
        pairings=[],
    )


def draw_load_comparison(found: Sequence[LoadPairing]) -> str:
    """The page of one or several comparisons of load runs."""
    return fill_document(
        "load_page.html",
        styles=["page.css", "charts.css"],
        scripts=["charts.js"],
        title="comparison",
        runs=[],
        pairings=[_pairing(pairing) for pairing in found],
    )


def _pairing(pairing: LoadPairing) -> dict[str, Any]:
    sides = ((pairing.base, pairing.before), (pairing.other, pairing.after))
    parts = [
        Part(name, c.columns.of_stage(stage.number)) for name, (c, stage) in zip(("base", "other"), sides)
    ]
    return {
        "title": pairing.name,
        "base": f"{pairing.base.title} · {pairing.base.run.path}",
        "other": f"{pairing.other.title} · {pairing.other.run.path}",
        "remarks": list(pairing.remarks),
        "changes": _grid(tabulate_changes(pairing)),
        "percentiles": list(draw_percentiles(parts)),
        "spreads": list(draw_spreads(parts)),
    }


def _view(contents: LoadContents) -> dict[str, Any]:
    about, stages = contents.run.about, contents.stages
    state = "spoiled by the client" if contents.spoiled else contents.state
    several = len(stages) > 1
    columns = contents.columns
    end = float(max((p.done.max() for p in [columns] if len(columns)), default=1.0))
    starts = [(contents.start_of(stage), stage.level) for stage in stages]
    marks = [(at, level) for at, level in starts if at is not None] if several else []
    parts = [Part(stage.name, columns.of_stage(stage.number)) for stage in stages][:_MOST_LINES]
    levels = [(stage.level, stage.performance) for stage in stages]
    return {
        "workload": workload_of(contents.run),
        "model": about.get("model", "a model"),
        "path": str(contents.run.path),
        "created": str(about.get("created", ""))[:16].replace("T", " "),
        "verdict": f"{contents.requests:,} requests, {state}",
        "tone": "good" if judge_load(contents) and not contents.spoiled else "bad",
        "notes": list(doubt_load(contents)),
        "verdicts": [
            {"text": str(one), "tone": "good" if one.kept else "bad"}
            for stage in (() if several else stages)
            for one in contents.verdicts(stage)
        ],
        "tiles": [] if several or not stages else list(_tiles(stages[0])),
        "levels": _grid(tabulate_stages(contents)) if several else None,
        "found": list(tell_outcome(contents)) if several else [],
        "curves": list(draw_curves(levels)) if several else [],
        "over_time": list(draw_over_time(stretch(columns), marks)) if len(columns) else [],
        "requests": list(draw_requests(columns, marks)),
        "percentiles": list(draw_percentiles(parts)),
        "spreads": list(draw_spreads(parts)),
        "stages": [_stage(contents, stage, named=several) for stage in stages],
        "checks": _grid(tabulate_answers(contents.answers)) if contents.answers else None,
        "check_words": list(tell_answers(contents.answers)) if contents.answers else [],
        "reasons": list_shares(contents.reasons),
        "server": _server(stages),
        "server_charts": list(draw_server(contents.looks, contents.began, end=end, marks=marks)),
        "client_charts": list(draw_client(Client.read(contents.run.path), marks)),
        "environment": list(_environment(about.get("environment", {}))),
        "command": _command(about),
        "identity": json.dumps(about.get("identity", {}), indent=2, ensure_ascii=False),
    }


def _tiles(stage: StageContents) -> Iterator[dict[str, str]]:
    one = stage.performance
    if one.request_rate is not None:
        yield {"name": "requests a second", "value": rate(one.request_rate), "unit": "", "tone": ""}
    if one.output_rate:
        yield {"name": "output tokens a second", "value": rate(one.output_rate), "unit": "", "tone": ""}
    for label, name in (("TTFT", "ttft"), ("ITL", "itl"), ("E2EL", "e2el")):
        spread = one.statistics.get(name, Statistics())
        if spread.median is not None and spread.p99 is not None:
            value, _, unit = seconds(spread.median).partition(" ")
            said = f"{label}, p99 {seconds(spread.p99)}"
            yield {"name": said, "value": value, "unit": unit, "tone": ""}
    if one.concurrency_mean is not None:
        said = f"in flight, {one.concurrency_max:,} at most"
        yield {"name": said, "value": f"{one.concurrency_mean:,.1f}", "unit": "", "tone": ""}
    bad = one.failed + one.cut
    yield {"name": f"of {one.total:,} failed", "value": f"{bad:,}", "unit": "", "tone": "bad" if bad else ""}


def _stage(contents: LoadContents, stage: StageContents, *, named: bool) -> dict[str, Any]:
    one = stage.performance
    return {
        "name": stage.name if named else f"What was measured: {stage.name}",
        "measures": _grid(tabulate_measures(one)),
        "totals": [*tell_totals(one), ("steady state", keep_steady(contents, stage)[1])],
        "turns": _grid(tabulate_turns(one)) if one.turns else None,
        "summary": " · ".join(_sum_up(one)),
    }


def _sum_up(one: Performance) -> Iterator[str]:
    yield f"{one.total:,} requests"
    if one.failed + one.cut:
        yield f"{one.failed + one.cut:,} failed"
    for label, name in (("TTFT", "ttft"), ("ITL", "itl")):
        spread = one.statistics.get(name, Statistics())
        if spread.median is not None and spread.p99 is not None:
            yield f"{label} {seconds(spread.median)}, p99 {seconds(spread.p99)}"


def _server(stages: Sequence[StageContents]) -> dict[str, Any] | None:
    told = [(stage.name, stage.server) for stage in stages]
    return _grid(tabulate_server(told)) if any(said for _, said in told) else None


def _grid(table: Table) -> dict[str, Any]:
    head, *rows = table.shown()
    return {"head": head, "rows": rows, "texts": table.texts()}


def _environment(environment: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in environment.items():
        if name == "memory_bytes":
            yield "memory", size(value) if value else "unknown"
        elif value:
            plain = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
            yield name, ", ".join(map(str, plain)) if isinstance(plain, list) else str(plain)


def _command(about: Mapping[str, Any]) -> str:
    flags = about.get("command")
    return shlex.join(map(str, flags)) if isinstance(flags, list) else ""
