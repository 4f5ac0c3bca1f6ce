"""`steelyard report`: what stored runs hold, as a table, Markdown, CSV, JSON or a page."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from steelyard.albums import KEPT
from steelyard.cli.figures import save, show_figures
from steelyard.cli.leaderboards import PAGE, check_ending, write_leaderboard
from steelyard.cli.screen import printable, show, show_json, tell, width
from steelyard.cli.series import find_runs
from steelyard.errors import UsageError
from steelyard.report.asking import tell_asking
from steelyard.report.contents import Contents, read_contents
from steelyard.report.doubts import doubt_run
from steelyard.report.load_contents import is_load
from steelyard.report.overview import Overview, template_of
from steelyard.report.prices import read_prices
from steelyard.report.scores import COLUMNS, labels_of, numbers_of, row_of, tabulate, tabulate_by
from steelyard.report.spending import spending_of, tell_cost, tell_times
from steelyard.report.tables import Table, clean
from steelyard.sheets import Sheet
from steelyard.store import Run

_OF_LOADS = ("stage_name", "steady", "rows", "push")
_NAMES = ("task", "data", "prompt", "model")


def run(options: Namespace) -> int:
    """Show the runs; 1 where one of them is not complete."""
    by, html = getattr(options, "by", None), getattr(options, "html", None)
    board: Path | None = getattr(options, "leaderboard", None)
    if board is not None:
        check_ending(board)
    paged = html is not None or (board is not None and board.suffix.lower() == PAGE)
    keep = KEPT if paged else 0
    runs = [Run.open(path) for given in options.runs for path in find_runs(given)]
    if any(is_load(run) for run in runs):
        return _show_loads(runs, options)
    if given := [flag for flag in _OF_LOADS if hasattr(options, flag)]:
        flag = given[0].replace("stage_name", "stage")
        raise UsageError(f"--{flag} is of load runs", hint="steelyard load makes them")
    if hasattr(options, "answers"):
        _write_answers(options.answers, runs)
    found = [read_contents(run, by=by, keep=keep) for run in runs]
    put_prices(found, getattr(options, "prices", None))
    if getattr(options, "json", False):
        show_json({"runs": [as_document(contents) for contents in found]})
    elif getattr(options, "csv", False):
        show(_in_one_table(found).csv())
    else:
        markdown = getattr(options, "md", False)
        parts = [describe_run(contents, markdown=markdown) for contents in found]
        if len(found) > 1:
            parts.append(_draw(Overview(found).spending(), markdown=markdown))
        show("\n\n".join(parts))
    if html is not None:
        write_page(html, found)
    if board is not None:
        write_leaderboard(board, found, field=by[0] if by else None)
    return 0 if all(contents.complete for contents in found) else 1


def _show_loads(runs: Sequence[Run], options: Namespace) -> int:
    """Show load runs, if they are all such."""
    if odd := [run for run in runs if not is_load(run)]:
        hint = "report them one after the other"
        raise UsageError(f"{odd[0].path} is an evaluation, others are load runs", hint=hint)
    for flag in ("by", "prices", "answers", "leaderboard"):
        if hasattr(options, flag):
            raise UsageError(f"--{flag} is of evaluations", hint="report --rows FILE writes requests")
    return show_figures(runs, vars(options))


def describe_run(contents: Contents, *, markdown: bool = False) -> str:
    """One run as text: scores, doubts, failures, extraction, by field, what it spent."""
    item = "- " if markdown else ""
    head = printable(f"{contents.title}  ({contents.run.path})")
    parts = [f"## {head}" if markdown else head, _draw(tabulate(contents.results), markdown=markdown)]
    notes = [f"{item or '! '}{printable(line)}" for line in doubt_run(contents)]
    parts += ["\n".join(notes)] if notes else []
    parts += [_draw(table, markdown=markdown) for _, table in labels_of(contents.results)]
    parts += [_draw(tabulate_by(field, values), markdown=markdown) for field, values in contents.by.items()]
    spent = [*tell_asking(contents), *tell_times(contents), *tell_cost(contents)]
    widest = max((len(name) for name, _ in spent), default=0)
    lines = [f"- {name}: {value}" if markdown else f"{name:<{widest}}  {value}" for name, value in spent]
    parts += ["\n".join(lines)] if lines else []
    return "\n\n".join(parts)


def describe_all(found: Sequence[Contents]) -> str:
    """Several runs as one table of scores and one of costs, and what there is to be said of each."""
    overview = Overview(found)
    tables = [overview.scores(), *map(overview.scores_by, overview.fields()), overview.spending()]
    notes = [f"! {title}: {line}" for title, c in zip(overview.titles(), found) for line in doubt_run(c)]
    prompts = [f"{name}: {clean(template)}" for name, template in overview.prompts()]
    parts = [*(_draw(table) for table in tables), *map("\n".join, filter(None, (prompts, notes)))]
    return printable("\n\n".join(parts))


def as_document(contents: Contents) -> dict[str, Any]:
    """One run for machines."""
    about = contents.run.about
    by = {f: {v: [asdict(r) for r in rs] for v, rs in parts.items()} for f, parts in contents.by.items()}
    return {
        "path": str(contents.run.path),
        "task": about.get("task"),
        "data": about.get("data"),
        "prompt": about.get("prompt"),
        "template": template_of(contents),
        "model": about.get("model"),
        "state": about.get("state"),
        "reason": about.get("reason"),
        "choices": about.get("choices"),
        "cached": contents.known,
        "complete": contents.complete,
        "answers": contents.answers,
        "failed": contents.failed,
        "results": [asdict(result) for result in contents.results],
        "by": by,
        "reasons": dict(contents.reasons.most_common()),
        "metric_errors": dict(contents.metric_errors.most_common()),
        "warnings": doubt_run(contents),
        "spent": asdict(spending_of(contents)),
    }


def put_prices(found: Sequence[Contents], path: Path | None) -> None:
    """Let the tokens of runs cost what a table says, in the place of what they were stored with."""
    if path is None:
        return
    prices = read_prices(path)
    for contents in found:
        model = str(contents.run.about.get("model"))
        contents.price = prices.find(model)
        if contents.price is None:
            tell(f"{path} has no price for {model}")


def write_page(path: Path, found: Sequence[Contents]) -> None:
    """Write the page of these runs."""
    # The template engine is loaded only where a page is wanted.
    from steelyard.report.pages import draw_page

    save(path, draw_page(found))


def _draw(table: Table, *, markdown: bool = False) -> str:
    return table.markdown() if markdown else table.text(width=width(sys.stdout))


def _write_answers(path: Path, runs: Sequence[Run]) -> None:
    if len(runs) > 1:
        raise UsageError("--answers writes those of one run", hint="name one run")
    Sheet(path, runs[0].records()).close()
    tell(f"answers: {path}")


def _in_one_table(found: Sequence[Contents]) -> Table:
    rows = []
    for contents in found:
        about = contents.run.about
        names = [str(contents.run.path), *(str(about.get(key) or "") for key in _NAMES)]
        rows += [[*names, "", "", *row_of(result)] for result in numbers_of(contents.results)]
        for field, parts in contents.by.items():
            for value, results in parts.items():
                rows += [[*names, field, value, *row_of(result)] for result in numbers_of(results)]
    return Table(("run", *_NAMES, "by", "value", *COLUMNS), rows)
