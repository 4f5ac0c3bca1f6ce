"""The line that says how far an evaluation is: redrawn on a terminal, a line now and then in a pipe."""

from __future__ import annotations

import sys
from time import perf_counter

from steelyard.cli.screen import can_show, red, tell, width
from steelyard.evaluation import Progress

_REDRAW = 0.1
_QUIET = 10.0
_LEAST = 1.0


class ProgressLine:
    """Watches an evaluation; called after every answer, it writes to stderr when there is cause to."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._live = sys.stderr.isatty()
        self._start = self._last = perf_counter()
        self._step = 0
        self._drawn = False
        self._latest: Progress | None = None
        if self._live:
            self._draw(f"{title}: asking …")

    def __call__(self, progress: Progress) -> None:
        """Take note of one more answer."""
        now = perf_counter()
        waited = now - self._last
        self._latest = progress
        if waited < (_REDRAW if self._live else _LEAST):
            return
        step = 0 if progress.total is None else progress.done * 10 // max(progress.total, 1)
        if self._live or waited >= _QUIET or step > self._step:
            self._last, self._step = now, step
            self._write(progress)

    def close(self) -> None:
        """Write where it ended."""
        if self._latest is not None:
            self._write(self._latest)
        if self._live and self._drawn:
            sys.stderr.write("\n")
            sys.stderr.flush()

    def _write(self, progress: Progress) -> None:
        elapsed = perf_counter() - self._start
        if not self._live:
            tell(f"{self._title}: " + ", ".join(_parts(progress, elapsed)))
            return
        columns = (width(sys.stderr) or 80) - 1
        shown = _parts(progress, elapsed)
        # A figure that does not fit is left out: half of one would be another.
        while len("  ".join(shown)) > columns and len(shown) > 1:
            shown.pop()
        parts = "  ".join(shown)
        room = columns - len(self._title) - len(parts) - 4
        bar = (
            ""
            if progress.total is None or room < 8
            else bar_of(progress.done / progress.total, min(room, 24))
        )
        title = self._title if room >= 0 else ""
        self._draw("  ".join(filter(None, [title, bar, parts]))[:columns], failed=progress.summary.failed)

    def _draw(self, line: str, *, failed: int = 0) -> None:
        mark = f"{failed} failed"
        coloured = line.replace(mark, red(mark, sys.stderr)) if failed else line
        sys.stderr.write(f"\r\033[K{coloured}")
        sys.stderr.flush()
        self._drawn = True


def _parts(progress: Progress, elapsed: float) -> list[str]:
    """The figures of a progress line, the most important first."""
    done, total = progress.done, progress.total
    rate = (done - progress.resumed) / elapsed if elapsed > 0 else 0.0
    parts = [f"{done:,}" if total is None else f"{done:,}/{total:,}"]
    if total is not None:
        parts.append(f"{100 * done // max(total, 1)} %")
    parts.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s")
    if total is not None and rate > 0 and done < total:
        parts.append(f"{clock((total - done) / rate)} left")
    if progress.summary.failed:
        parts.append(f"{progress.summary.failed:,} failed")
    parts += [f"{name} {value:.3f}" for name, value in progress.summary.running()[:1]]
    return parts


def bar_of(share: float, size: int) -> str:
    """A bar of so many columns, filled by a share."""
    full, empty = ("█", "░") if can_show("█░", sys.stderr) else ("#", "-")
    filled = round(min(share, 1.0) * size)
    return full * filled + empty * (size - filled)


def clock(seconds: float) -> str:
    """A time as a clock shows it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
