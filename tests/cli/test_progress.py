"""The line that says how far an evaluation is."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from steelyard.cli.progress import ProgressLine
from steelyard.evaluation import Progress
from steelyard.metrics.summary import Summary
from steelyard.metrics.text import exact
from steelyard.store import Run
from steelyard.types import Record, Request, Response, Sample


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [8, 20, 30, 36, 40, 80])
def test_no_figure_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    summary = Summary([exact])
    for n in range(8):
        record = Record(n, Sample("s", "x"), Request("s", "x"), Response("x"), {"exact": n != 3})
        summary.add(record)
    line = ProgressLine("words · echo")
    progress = Progress(Run(tmp_path, {}), summary, 8, 8)
    line(progress)
    line.close()
    last = terminal.getvalue().rpartition("\r\033[K")[2].rstrip("\n")
    assert len(last) < columns
    assert "8/8" in last
    assert ("exact 0.875" in last) == ("exact" in last)
