"""What is seen of a load while it goes on: lines redrawn on a terminal, one now and then in a pipe."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from time import perf_counter

from steelyard.cli.progress import bar_of, clock
from steelyard.cli.screen import printable, red, tell, width
from steelyard.loadtest.ticks import Tick
from steelyard.report.spending import seconds
from steelyard.report.tables import columns_of

_QUIET = 10.0
_LATE = 0.05
_BUSY = 0.8


class LiveView:
    """Watches a load; called about twice a second, it writes to stderr."""

    def __init__(self, title: str, stages: Sequence[str] = ()) -> None:
        """`stages` are the names of those that will be, as far as that is known."""
        self._title = title
        self._stages = list(stages)
        self._live = sys.stderr.isatty()
        self._drawn: list[str] = []
        self._told = perf_counter()
        self._latest: Tick | None = None

    def __call__(self, tick: Tick) -> None:
        """Show how it goes."""
        before, self._latest = self._latest, tick
        if before is not None and before.stage != tick.stage:
            self._end_stage(before)
        if self._live:
            self._draw(self._lines(tick))
        elif perf_counter() - self._told >= _QUIET:
            self._told = perf_counter()
            tell(f"{self._title}: {', '.join([_head(tick), *_counts(tick), *_rates(tick), *_times(tick)])}")

    def close(self) -> None:
        """Leave what it ended with."""
        if self._latest is not None:
            self._end_stage(self._latest)
            self._latest = None

    def _end_stage(self, tick: Tick) -> None:
        """One line for what is over; what was drawn of it goes."""
        if self._live:
            self._erase()
            columns = width(sys.stderr) or 80
            tell(_fit(_ended(tick), columns - 1))
        elif not tick.warmup:
            tell(f"{self._title}: {', '.join(_ended(tick))}")
        self._told = perf_counter()

    def _lines(self, tick: Tick) -> list[str]:
        columns = (width(sys.stderr) or 80) - 1
        place = ""
        if tick.stage in self._stages and len(self._stages) > 1:
            place = f" ({self._stages.index(tick.stage) + 1} of {len(self._stages)})"
        head = f"{self._title} · {printable(tick.stage)}{place}"
        share, said = _progress(tick)
        room = min(24, columns - len(said) - 2)
        bar = bar_of(share, room) + "  " if share is not None and room >= 8 else ""
        return [
            _cut(head, columns),
            _cut(bar + said, columns),
            _fit([*_counts(tick), *_rates(tick)], columns),
            _fit(_times(tick), columns),
        ]

    def _draw(self, lines: list[str]) -> None:
        self._erase()
        shown = "\n".join(_coloured(line) for line in lines)
        sys.stderr.write(shown + "\n")
        sys.stderr.flush()
        self._drawn = lines

    def _erase(self) -> None:
        """Take back what was drawn; lines that a narrower terminal has wrapped take several rows."""
        columns = width(sys.stderr) or 80
        rows = sum(max(1, math.ceil(columns_of(line) / columns)) for line in self._drawn)
        if rows:
            sys.stderr.write(f"\033[{rows}F\033[J")
            sys.stderr.flush()
        self._drawn = []


def _head(tick: Tick) -> str:
    return f"{printable(tick.stage)}: {clock(tick.elapsed)}"


def _ended(tick: Tick) -> list[str]:
    """What came of a stage; how long answers took is told by its figures, exactly."""
    return [_head(tick), *_counts(tick)]


def _progress(tick: Tick) -> tuple[float | None, str]:
    """How much of a stage is over, and that in words."""
    if tick.duration:
        share = min(tick.elapsed / tick.duration, 1.0)
        over = " and draining" if tick.elapsed > tick.duration else ""
        return share, f"{clock(tick.elapsed)} of {clock(tick.duration)}{over}"
    if tick.total:
        ended = min(tick.sessions or tick.done + tick.failed + tick.cut, tick.total)
        return ended / tick.total, f"{ended:,}/{tick.total:,} in {clock(tick.elapsed)}"
    return None, clock(tick.elapsed)


def _counts(tick: Tick) -> list[str]:
    """How many were asked and what became of them, first what is bad: the last is what finds no room."""
    parts = [f"{tick.failed:,} failed"] if tick.failed else []
    parts += [f"{tick.cut:,} cut off"] if tick.cut else []
    return [*parts, f"{tick.sent:,} sent", f"{tick.done:,} done", f"{tick.in_flight:,} in flight"]


def _rates(tick: Tick) -> list[str]:
    tokens = [f"{tick.tokens_rate:,.0f} tokens/s"] if tick.tokens_rate else []
    return [f"{tick.rate:,.0f}/s" if tick.rate >= 100 else f"{tick.rate:.3g}/s", *tokens]


def _times(tick: Tick) -> list[str]:
    """Median and p99 of the last seconds, but first whether they are to be believed."""
    late = tick.lag_p99 is not None and tick.ttft_p50 is not None and tick.lag_p99 > _LATE * tick.ttft_p50
    lag = [] if tick.lag_p99 is None else [f"lag p99 {seconds(max(tick.lag_p99, 0.0))}"]
    parts = [f"LATE: {lag.pop()}"] if late else []
    parts += [f"BUSY: {100 * tick.busy:.0f} % of the client"] if tick.busy > _BUSY else []
    parts += [
        f"{name} {seconds(half)} p99 {seconds(most)}"
        for name, half, most in (("TTFT", tick.ttft_p50, tick.ttft_p99), ("ITL", tick.itl_p50, tick.itl_p99))
        if half is not None and most is not None
    ]
    return [*parts, *lag]


def _fit(parts: Sequence[str], columns: int) -> str:
    """As many of the parts as there is room for: half of one would be another."""
    shown = list(parts)
    while columns_of("  ".join(shown)) > columns and len(shown) > 1:
        shown.pop()
    return _cut("  ".join(shown), columns)


def _cut(line: str, columns: int) -> str:
    """A line that takes no more than so many columns of a terminal."""
    while columns_of(line) > columns:
        line = line[:-1]
    return line


def _coloured(line: str) -> str:
    parts = line.split("  ")
    return "  ".join(
        red(part, sys.stderr) if part.endswith(" failed") or part.startswith(("LATE", "BUSY")) else part
        for part in parts
    )
