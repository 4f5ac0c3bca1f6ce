"""Run a command and measure it: wall, CPU seconds of its whole process tree, peak RSS."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


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


def measure_median(command: Sequence[str | Path], *, times: int = 3, folder: Path | None = None) -> Measured:
    """The median of several runs, figure by figure."""
    runs = [measure(command, folder=folder) for _ in range(times)]
    wall, cpu, rss = (statistics.median(run[field] for run in runs) for field in range(3))
    return Measured(wall, cpu, rss, runs[-1].output)
