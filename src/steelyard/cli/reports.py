"""`steelyard report`: what stored runs hold, as a table, Markdown, CSV, JSON or a page."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from steelyard.cli.screen import printable, show, show_json, tell, width
from steelyard.errors import StoreError
from steelyard.report.contents import Contents, read_contents
from steelyard.report.doubts import doubt_run
from steelyard.report.scores import COLUMNS, labels_of, numbers_of, row_of, tabulate, tabulate_by
from steelyard.report.tables import Table
from steelyard.store import Run

_KEPT = 500


def run(options: Namespace) -> int:
    """Show the runs; 1 where one of them is not complete."""
    by, html = getattr(options, "by", []), getattr(options, "html", None)
    keep = _KEPT if html is not None else 0
    found = [read_contents(Run.open(path), by=by, keep=keep) for path in options.runs]
    if getattr(options, "json", False):
        show_json({"runs": [as_document(contents) for contents in found]})
    elif getattr(options, "csv", False):
        show(_in_one_table(found).csv())
    else:
        show("\n\n".join(describe_run(c, markdown=getattr(options, "md", False)) for c in found))
    if html is not None:
        write_page(html, found)
    return 0 if all(contents.complete for contents in found) else 1


def describe_run(contents: Contents, *, markdown: bool = False) -> str:
    """One run as text: scores, doubts, failures, extraction, by field."""
    columns = width(sys.stdout)

    def drawn(table: Table) -> str:
        return table.markdown() if markdown else table.text(width=columns)

    head = f"{contents.title}  ({contents.run.path})"
    parts = [f"## {printable(head)}" if markdown else printable(head), drawn(tabulate(contents.results))]
    notes = [f"{'- ' if markdown else '! '}{printable(line)}" for line in doubt_run(contents)]
    parts += ["\n".join(notes)] if notes else []
    parts += [drawn(table) for _, table in labels_of(contents.results)]
    parts += [drawn(tabulate_by(field, values)) for field, values in contents.by.items()]
    return "\n\n".join(parts)


def as_document(contents: Contents) -> dict[str, Any]:
    """One run for machines."""
    about = contents.run.about
    by = {f: {v: [asdict(r) for r in rs] for v, rs in parts.items()} for f, parts in contents.by.items()}
    return {
        "path": str(contents.run.path),
        "task": about.get("task"),
        "model": about.get("model"),
        "state": about.get("state"),
        "complete": contents.complete,
        "answers": contents.answers,
        "failed": contents.failed,
        "results": [asdict(result) for result in contents.results],
        "by": by,
        "reasons": dict(contents.reasons.most_common()),
        "metric_errors": dict(contents.metric_errors.most_common()),
        "warnings": doubt_run(contents),
    }


def write_page(path: Path, found: Sequence[Contents]) -> None:
    """Write the page of these runs."""
    # The template engine is loaded only where a page is wanted.
    from steelyard.report.pages import draw_page

    save(path, draw_page(found))


def save(path: Path, page: str) -> None:
    """Put a page into a file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
    tell(f"page: {path}")


def _in_one_table(found: Sequence[Contents]) -> Table:
    rows = []
    for contents in found:
        about = contents.run.about
        names = [str(contents.run.path), str(about.get("task")), str(about.get("model"))]
        rows += [[*names, "", "", *row_of(result)] for result in numbers_of(contents.results)]
        for field, parts in contents.by.items():
            for value, results in parts.items():
                rows += [[*names, field, value, *row_of(result)] for result in numbers_of(results)]
    return Table(("run", "task", "model", "by", "value", *COLUMNS), rows)
