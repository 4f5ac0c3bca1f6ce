"""Run a command and measure it: wall, CPU seconds of its whole process tree, peak RSS."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

import psutil


class Measured(NamedTuple):
    """What one run of a command cost."""

    wall: float
    cpu: float
    rss_mb: float
    output: str


def measure(command: Sequence[str | Path], *, folder: Path | None = None, fails: bool = False) -> Measured:
    """Run a command to its end; `fails` allows an exit code other than 0."""
    begun = time.monotonic()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(
        [str(part) for part in command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        text=True,
    ) as process:
        output = process.stdout.read() if process.stdout else ""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode and not fails:
        sys.exit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{output[-3000:]}")
    cpu = used.ru_utime + used.ru_stime
    return Measured(time.monotonic() - begun, cpu, used.ru_maxrss / 1024, output)


def measure_tree(command: Sequence[str | Path], *, folder: Path | None = None) -> Measured:
    """As `measure`, where a command has processes of its own: the memory is what all held together."""
    stop, most = Event(), [0.0]
    others = {process.pid for process in psutil.Process().children(recursive=True)}

    def look() -> None:
        while not stop.wait(0.2):
            most[0] = max(most[0], _memory_of_children(others))

    watcher = Thread(target=look)
    watcher.start()
    try:
        found = measure(command, folder=folder)
    finally:
        stop.set()
        watcher.join()
    return found._replace(rss_mb=max(found.rss_mb, most[0]))


def _memory_of_children(others: Collection[int]) -> float:
    """What the processes begun here hold, but for others, in MB; what several hold is shared out."""
    held = 0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            held += 0 if process.pid in others else process.memory_full_info().pss
    return held / 2**20


def measure_median(command: Sequence[str | Path], *, times: int = 3, folder: Path | None = None) -> Measured:
    """The median of several runs, figure by figure."""
    runs = [measure(command, folder=folder) for _ in range(times)]
    wall, cpu, rss = (statistics.median(run[field] for run in runs) for field in range(3))
    return Measured(wall, cpu, rss, runs[-1].output)
