"""How many processes measure."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from workload_maker import Numbered

from steelyard import Stage
from steelyard.errors import UsageError
from steelyard.loadtest import staffing
from steelyard.loadtest.staffing import check_workers, count_workers
from steelyard.loadtest.vitals import Busyness, Loop


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(staffing, "_files", lambda: 20_000)


def count(before: Any = (), workers: int | str = "auto", max_tokens: int = 100, **stage: Any) -> int:
    workload = Numbered(max_tokens=max_tokens)
    return count_workers(workers, workload, Stage(name="x", **stage), before)


def test_one_process_is_enough_for_most_loads() -> None:
    assert count(concurrency=64, requests=1000) == 1
    assert count(arrival="poisson", rate=100, duration=5) == 1
    assert count(arrival="trace") == 1


def test_more_are_there_for_what_one_cannot_bear() -> None:
    assert count(arrival="poisson", rate=1000, duration=5) == 4
    assert count(arrival="poisson", rate=1000, max_tokens=10_000, duration=5) == 7
    assert count(concurrency=15_000) == 1
    assert count(concurrency=15_001) == 2
    assert count(arrival="at_once", requests=40_000) == 3
    # What the files of a process do not suffice for needs another, whatever the cores.
    assert count(arrival="at_once", requests=1_000_000) == 51


def test_what_the_stages_before_have_shown_counts() -> None:
    busy, idle = {"workers": 2, "busy": 0.9}, {"workers": 2, "busy": 0.4}
    assert count([busy], concurrency=64) == 4
    assert count([busy, idle], concurrency=64) == 2
    assert count([{"workers": 7, "busy": 1.0}], concurrency=64) == 7
    assert count([{"state": "running"}], concurrency=64) == 1


def test_whoever_says_how_many_gets_them_but_none_without_work() -> None:
    assert count(workers=3, concurrency=64) == 3
    assert count(workers=12, concurrency=64) == 12
    assert count(workers=3, concurrency=2) == 2
    assert count(workers=3, arrival="at_once", requests=1) == 1
    for odd in (0, -1, "many"):
        with pytest.raises(UsageError, match="workers is"):
            check_workers(odd)


def test_more_connections_than_files_are_refused_before_any_is_asked(tmp_path: Path) -> None:
    load = (
        f"{sys.executable} -W ignore -m steelyard load --model http://127.0.0.1:9/v1 model=m --requests 500"
    )
    script = f"ulimit -n 200; {load} --concurrency 500 --workers 1 --warmup 0 --quiet --out run"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "500 connections need 564 open files, and the system allows 200" in done.stderr


def test_a_moment_says_nothing_of_how_busy_a_loop_is() -> None:
    loop = Loop()
    try:
        busyness = Busyness(loop)
        loop.run_until_complete(asyncio.sleep(0.2))
        idle = busyness.take()
        assert idle < 0.9
        # Looked at again right away, the loop has done nothing but that.
        assert busyness.take() == idle
        until = time.perf_counter() + 0.15
        while time.perf_counter() < until:
            pass
        assert busyness.take() > 0.9
    finally:
        loop.close()
