"""The figures of load runs, as they are shown: tables, Markdown, CSV, JSON, a page, rows, gauges."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from steelyard.cli.screen import printable, show, show_json, tell, width
from steelyard.errors import StoreError, UsageError
from steelyard.report.load_contents import LoadContents, StageContents, read_load
from steelyard.report.load_tables import (
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
from steelyard.report.tables import Table
from steelyard.store import Run

_MOST_WHOLE = 3
"""Up to how many stages each is shown whole."""


def show_figures(runs: Sequence[Run], now: Mapping[str, Any]) -> int:
    """Show load runs as the flags want it; 1 where one did not end well."""
    found = [read_load(run) for run in runs]
    chosen: dict[str, Any] = {"stage": now.get("stage_name"), "steady": now.get("steady", False)}
    if now.get("json"):
        show_json({"runs": [_as_document(contents) for contents in found]})
    elif now.get("csv") is True:
        show(_in_one_table(found, **chosen).csv())
        # A table that a program reads has no room for why it may be wrong.
        for contents in found:
            for doubt in doubt_load(contents):
                tell(printable(f"! {contents.run.path}: {doubt}"))
    else:
        markdown = now.get("md", False)
        show("\n\n".join(describe_load(one, markdown=markdown, **chosen) for one in found))
    _write_all(found, now)
    return 0 if all(judge_load(contents) for contents in found) else 1


def describe_load(
    contents: LoadContents, *, markdown: bool = False, stage: str | None = None, steady: bool = False
) -> str:
    """One run as text: what is to be doubted first, then its figures, of its steady state where wanted."""
    head = printable(f"{contents.title}  ({contents.run.path})")
    item = "- " if markdown else ""
    parts = [f"## {head}" if markdown else head]
    notes = [f"{item or '! '}{printable(line)}" for line in doubt_load(contents)]
    parts += ["\n".join(notes)] if notes else []
    chosen = _choose(contents, stage)
    if len(chosen) > 1:
        parts.append(_draw(tabulate_stages(contents), markdown=markdown))
    if len(chosen) <= _MOST_WHOLE:
        for one in chosen:
            shown, said = _keep_steady(contents, one) if steady else (one, "")
            doubts = [doubt for doubt in shown.performance.doubts if doubt not in one.performance.doubts]
            remarks = [f"{item}steady state: {said}"] if said else []
            remarks += [f"{item or '! '}{printable(doubt)}" for doubt in doubts]
            parts += _describe_stage(shown, remarks, markdown=markdown, named=len(chosen) > 1)
    told = [(one.name, one.server) for one in chosen if one.server]
    if told and len(chosen) <= _MOST_WHOLE:
        parts.append(_draw(tabulate_server(told), markdown=markdown))
    if contents.answers:
        words = (f"{item}{printable(line)}" for line in tell_answers(contents.answers))
        parts += [_draw(tabulate_answers(contents.answers), markdown=markdown), "\n".join(words)]
    outcome = [f"{item}{printable(line)}" for line in tell_outcome(contents)]
    parts += ["\n".join(outcome)] if outcome else []
    if len(chosen) > _MOST_WHOLE:
        parts.append("steelyard report RUN --stage NAME shows all of one stage, --html FILE of each")
    return "\n\n".join(parts)


def _keep_steady(contents: LoadContents, stage: StageContents) -> tuple[StageContents, str]:
    # What looks for it comes with numpy.
    from steelyard.report.load_steady import keep_steady

    return keep_steady(contents, stage)


def _describe_stage(
    stage: StageContents, remarks: Sequence[str], *, markdown: bool, named: bool
) -> Iterator[str]:
    name = printable(stage.name)
    if named:
        yield f"### {name}" if markdown else name
    if remarks:
        yield "\n".join(remarks)
    yield _draw(tabulate_measures(stage.performance), markdown=markdown)
    totals = list(tell_totals(stage.performance))
    widest = max(len(name) for name, _ in totals)
    yield "\n".join(f"- {name}: {said}" if markdown else f"{name:<{widest}}  {said}" for name, said in totals)
    if stage.performance.turns:
        yield _draw(tabulate_turns(stage.performance), markdown=markdown)


def _choose(contents: LoadContents, stage: str | None) -> list[StageContents]:
    return contents.stages if stage is None else [_find_stage(contents, stage)]


def _find_stage(contents: LoadContents, name: str) -> StageContents:
    for stage in contents.stages:
        if name in (stage.name, str(stage.number + 1)):
            return stage
    known = ", ".join(stage.name for stage in contents.stages)
    raise UsageError(f"{contents.run.path} has no stage {name!r}", hint=f"it has {known}")


def _write_all(found: Sequence[LoadContents], now: Mapping[str, Any]) -> None:
    """Write what goes to files and elsewhere."""
    rows = [now[name] for name in ("csv", "parquet", "rows") if isinstance(now.get(name), Path)]
    if (rows or "push" in now) and len(found) > 1:
        raise UsageError("rows and gauges are those of one run", hint="name one run")
    for path in rows:
        # What reads single requests comes with numpy.
        from steelyard.report.load_exports import write_parquet, write_rows

        parquet = path == now.get("parquet") or path.suffix == ".parquet"
        (write_parquet if parquet else write_rows)(path, found[0])
        tell(f"rows: {path}")
    if "html" in now:
        # And the template engine is loaded only where a page is wanted.
        from steelyard.report.load_page import draw_load_page

        save(now["html"], draw_load_page(found))
    if "push" in now:
        from steelyard.report.load_gauges import push_gauges, write_gauges

        push_gauges(now["push"], write_gauges(found[0]))


def save(path: Path, page: str, *, what: str = "page") -> None:
    """Put a page, or what else it is, into a file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
    tell(f"{what}: {path}")


def _as_document(contents: LoadContents) -> dict[str, Any]:
    # What describes a run for machines stands with what writes its rows, and so with numpy.
    from steelyard.report.load_exports import as_load_document

    return {
        **as_load_document(contents),
        "warnings": list(doubt_load(contents)),
        "good": judge_load(contents),
    }


def _in_one_table(found: Sequence[LoadContents], *, stage: str | None, steady: bool) -> Table:
    rows, columns = [], None
    for contents in found:
        for one in _choose(contents, stage):
            shown, said = _keep_steady(contents, one) if steady else (one, "")
            if said:
                tell(printable(f"{contents.run.path}: {one.name}: {said}"))
            table = tabulate_measures(shown.performance)
            columns = ("run", "stage", "measure", *table.columns[1:])
            rows += [[str(contents.run.path), one.name, *row] for row in table.rows]
    return Table(columns or ("run", "stage", "measure"), rows)


def _draw(table: Table, *, markdown: bool) -> str:
    return table.markdown() if markdown else table.text(width=width(sys.stdout))
