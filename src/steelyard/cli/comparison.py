"""`steelyard compare`: which run is better, by how much, and whether it is noise."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator

from steelyard.cli.reports import save
from steelyard.cli.screen import printable, show, show_json, width
from steelyard.report.comparison import Pairing, as_document, compare_runs
from steelyard.report.contents import title_of
from steelyard.report.tables import Table
from steelyard.report.verdicts import COLUMNS, doubt_pairing, row_of, tell_verdicts
from steelyard.store import Run

_CHANGES = 6


def run(options: Namespace) -> int:
    """Compare and show."""
    base, *others = (Run.open(path) for path in (options.base, *options.others))
    named = getattr(options, "flips", 10)
    found = compare_runs(base, others, metrics=getattr(options, "metric", []), named=named)
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
