"""`steelyard compare`: which run is better, by how much, and whether it is noise."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from typing import Any

from steelyard.cli.figures import save
from steelyard.cli.screen import printable, show, show_json, tell, width
from steelyard.errors import UsageError
from steelyard.report.comparison import Pairing, as_document, compare_runs
from steelyard.report.contents import title_of
from steelyard.report.load_comparison import (
    LoadPairing,
    as_comparison_document,
    compare_loads,
    tabulate_all,
    tabulate_changes,
)
from steelyard.report.load_contents import is_load, read_load
from steelyard.report.tables import Table
from steelyard.report.verdicts import COLUMNS, doubt_pairing, row_of, tell_verdicts
from steelyard.store import Run

_CHANGES = 6


def run(options: Namespace) -> int:
    """Compare and show."""
    base, *others = (Run.open(path) for path in (options.base, *options.others))
    if any(is_load(run) for run in (base, *others)):
        return _compare_loads(base, others, options)
    named = getattr(options, "flips", 10)
    chosen: Any = {"metrics": getattr(options, "metric", []), "by": getattr(options, "by", [])}
    found = compare_runs(base, others, **chosen, named=named)
    if getattr(options, "json", False):
        show_json({"comparisons": [as_document(pairing) for pairing in found]})
    elif getattr(options, "csv", False):
        rows = [[str(pairing.other.path), *row_of(one)] for pairing in found for one in pairing.measured]
        show(Table(("run", *COLUMNS), rows).csv())
    else:
        markdown = getattr(options, "md", False)
        show("\n\n".join("\n".join(_describe(pairing, markdown=markdown)) for pairing in found))
    if hasattr(options, "html"):
        # The template engine is loaded only where a page is wanted.
        from steelyard.report.pages import draw_comparison

        save(options.html, draw_comparison(found))
    return 0


def _compare_loads(base: Run, others: Sequence[Run], options: Namespace) -> int:
    """Compare load runs, if they are all such."""
    if odd := [run for run in (base, *others) if not is_load(run)]:
        raise UsageError(
            f"{odd[0].path} is an evaluation, others are load runs", hint="compare like with like"
        )
    for flag in ("metric", "flips", "by"):
        if hasattr(options, flag):
            hint = "of load runs all that was measured is compared"
            raise UsageError(f"--{flag} is of evaluations", hint=hint)
    first = read_load(base)
    found = [pairing for run in others for pairing in compare_loads(first, read_load(run))]
    if getattr(options, "json", False):
        show_json({"comparisons": [as_comparison_document(pairing) for pairing in found]})
    elif getattr(options, "csv", False):
        show(tabulate_all(found).csv())
        for remark in dict.fromkeys(remark for pairing in found for remark in pairing.remarks):
            tell(printable(f"! {remark}"))
    else:
        markdown = getattr(options, "md", False)
        show("\n\n".join("\n".join(_describe_loads(pairing, markdown=markdown)) for pairing in found))
    if hasattr(options, "html"):
        # The template engine and numpy are loaded only where a page is wanted.
        from steelyard.report.load_page import draw_load_comparison

        save(options.html, draw_load_comparison(found))
    return 0


def _describe_loads(pairing: LoadPairing, *, markdown: bool) -> Iterator[str]:
    item = "- " if markdown else ""
    for name, contents in (("base ", pairing.base), ("other", pairing.other)):
        yield printable(f"{item}{name}  {contents.title}  ({contents.run.path})")
    yield printable(f"{item}stage  {pairing.name}") + "\n"
    table = tabulate_changes(pairing)
    yield (table.markdown() if markdown else table.text(width=width(sys.stdout))) + "\n"
    for remark in pairing.remarks:
        yield printable(f"{item or '! '}{remark}")


def _describe(pairing: Pairing, *, markdown: bool) -> Iterator[str]:
    item = "- " if markdown else ""
    for name, run in (("base ", pairing.base), ("other", pairing.other)):
        yield printable(f"{item}{name}  {title_of(run)}  ({run.path})")
    yield f"{item}{pairing.common:,} answers paired\n"
    table = Table(COLUMNS, [row_of(measured) for measured in pairing.measured])
    yield (table.markdown() if markdown else table.text(width=width(sys.stdout))) + "\n"
    # A line that belongs to the one above is indented, in Markdown as a list within a list.
    for line in tell_verdicts(pairing):
        text = line.lstrip()
        yield printable(" " * (len(line) - len(text)) + item + text)
    for doubt in doubt_pairing(pairing):
        yield printable(f"{item or '! '}{doubt}")
    if pairing.changed:
        more = len(pairing.changed) - _CHANGES
        shown = [*pairing.changed[:_CHANGES], *([f"and {more} more"] if more > 0 else [])]
        yield printable(f"{item}what differs: {'; '.join(shown)}")
