"""`steelyard report --leaderboard FILE`: the models of several runs as a table, by the ending of the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from steelyard.cli.figures import save
from steelyard.errors import UsageError
from steelyard.report.contents import Contents
from steelyard.report.leaderboard_forms import FORMS

PAGE = ".html"


def check_ending(path: Path) -> None:
    """Refuse a file whose ending says nothing, before anything is read."""
    if path.suffix.lower() not in (*FORMS, PAGE):
        known = ", ".join((*FORMS, PAGE))
        raise UsageError(f"what leaderboard is {path}?", hint=f"its name ends in one of {known}")


def write_leaderboard(path: Path, found: Sequence[Contents], *, field: str | None) -> None:
    """Rank the runs and write the table; a page shows the records that were kept too."""
    # What compares answers comes with numpy, and the template engine is loaded only for a page.
    from steelyard.report.rankings import field_of, rank_runs

    board = rank_runs(found, field=field or field_of(found))
    ending = path.suffix.lower()
    if ending == PAGE:
        from steelyard.report.leaderboard_page import draw_leaderboard

        save(path, draw_leaderboard(board, found))
    else:
        save(path, FORMS[ending](board), what="leaderboard")
