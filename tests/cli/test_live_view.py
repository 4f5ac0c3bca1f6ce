"""What a terminal of any width sees of a load: whole figures, and above all the bad ones."""

from __future__ import annotations

import io
import re
import sys

import pytest

from steelyard.cli.live import LiveView
from steelyard.loadtest.ticks import Tick
from steelyard.report.tables import columns_of


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


BAD = Tick(
    t=0.0, stage="30/s poisson", elapsed=4.0, sent=12_345, done=12_000, failed=17, cut=3, in_flight=325,
    rate=30.0, tokens_rate=480.0, ttft_p50=0.04, ttft_p99=0.08, itl_p50=0.005, itl_p99=0.01, lag_p99=0.02,
    busy=0.95, duration=60.0,
)  # fmt: skip


@pytest.mark.parametrize("columns", [34, 40, 50, 80, 200])
def test_what_is_bad_is_seen_at_any_width(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    view = LiveView("合成的负载测试 · 一个名字很长的模型", ["30/s poisson"])
    view(BAD)
    lines = terminal.getvalue().rstrip("\n").split("\n")
    assert len(lines) == 4 and all(columns_of(line) < columns for line in lines)
    assert "17 failed" in lines[2] and lines[3].startswith("LATE: lag p99 20 ms")
    # What there is no room for is left out whole.
    known = ["17 failed", "3 cut off", "12,345 sent", "12,000 done", "325 in flight", "30/s", "480 tokens/s"]
    assert lines[2].split("  ") == known[: len(lines[2].split("  "))]
    view.close()
    *_, last = re.split(r"\x1b\[\d+F\x1b\[J", terminal.getvalue())
    assert "17 failed" in last and columns_of(last.rstrip("\n")) < columns


def test_a_client_that_keeps_up_is_not_called_late(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    LiveView("synthetic")(Tick(t=0.0, stage="s", elapsed=1.0, ttft_p50=0.1, ttft_p99=0.2, lag_p99=0.001))
    assert "TTFT 100 ms p99 200 ms  lag p99 1 ms" in terminal.getvalue()
    assert "LATE" not in terminal.getvalue() and "BUSY" not in terminal.getvalue()
