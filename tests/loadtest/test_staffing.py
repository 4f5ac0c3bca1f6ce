"""How many processes measure."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from typing import Any

import pytest
from workload_maker import Numbered

from steelyard import Stage
from steelyard.errors import UsageError
from steelyard.loadtest import staffing
from steelyard.loadtest.staffing import check_workers, count_workers
from steelyard.loadtest.vitals import Busyness, Loop, raise_file_limit


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


def test_a_process_may_open_all_files_that_it_is_allowed_to() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
        raise_file_limit(300)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
        with pytest.raises(UsageError, match="connections at once are more than a process may open"):
            raise_file_limit(before[1] + 1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


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
