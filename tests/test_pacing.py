"""Moments: never early, in their order, on every platform's timers."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from steelyard import pacing
from steelyard.models.base import clock
from steelyard.pacing import Lead, Timer, set_due, wait_for_due

Run = Callable[[Callable[[Timer], Coroutine[Any, Any, None]]], None]


@pytest.fixture(params=["kernel", "loop"])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs what needs a timer, with the kernel's and with the loop's."""
    if request.param == "loop":
        monkeypatch.setattr(pacing, "_library", None)

    def go(use: Callable[[Timer], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            timer = Timer()
            assert (timer._file is not None) == (request.param == "kernel" and sys.platform == "linux")
            try:
                await asyncio.wait_for(use(timer), 20)
            finally:
                timer.close()

        asyncio.run(main())

    return go


def test_moments_come_in_their_order_and_never_early(run: Run) -> None:
    async def use(timer: Timer) -> None:
        start = clock()
        wanted = [start + random.Random(3).uniform(0.001, 0.1) for _ in range(50)]
        called: list[tuple[float, float]] = []
        done = asyncio.Event()

        def call(when: float) -> None:
            called.append((when, clock()))
            if len(called) == len(wanted):
                done.set()

        for when in wanted:
            timer.call_at(when, partial(call, when))
        await done.wait()
        assert [when for when, _ in called] == sorted(wanted)
        assert all(now >= when for when, now in called)

    run(use)


def test_an_earlier_moment_overtakes_a_later_one(run: Run) -> None:
    async def use(timer: Timer) -> None:
        late = asyncio.create_task(timer.reach(clock() + 3600))
        await asyncio.sleep(0)
        await timer.reach(clock() + 0.01)
        assert not late.done()
        late.cancel()

    run(use)


def test_what_has_passed_comes_at_once(run: Run) -> None:
    reached: list[float] = []

    async def use(timer: Timer) -> None:
        for moment in (clock() - 5, 0.0, -1.0):
            await asyncio.wait_for(timer.reach(moment), 10)
            reached.append(moment)

    run(use)
    assert len(reached) == 3


def test_nobody_minds_who_no_longer_waits(run: Run) -> None:
    async def use(timer: Timer) -> None:
        soon = clock() + 0.01
        gone = asyncio.create_task(timer.reach(soon))
        await asyncio.sleep(0)
        gone.cancel()
        await timer.reach(soon)
        assert gone.cancelled() and clock() >= soon

    run(use)


def test_a_callback_may_ask_for_the_next_moment(run: Run) -> None:
    async def use(timer: Timer) -> None:
        calls: list[float] = []
        done = asyncio.Event()

        def again() -> None:
            calls.append(clock())
            if len(calls) < 20:
                timer.call_at(calls[0] + len(calls) * 0.001, again)
            else:
                done.set()

        timer.call_at(clock(), again)
        await done.wait()
        assert calls[-1] - calls[0] >= 0.019

    run(use)


def test_a_lead_is_learned_from_what_was_late_and_waits_for_no_more_than_a_share() -> None:
    lead, first = Lead(known=True), Lead(known=True).seconds
    for _ in range(100):
        lead.learn(0.0)
    assert 0 < lead.seconds < first
    for _ in range(1000):
        lead.learn(0.01)
    assert first < lead.seconds <= 0.001
    for number in range(1, 500):
        lead.see(number * 1e-4)
    lead.learn(0.01)
    # A fifth of a ten-thousandth of a second.
    assert lead.seconds == pytest.approx(2e-5, rel=0.01)
    unknown = Lead(known=False)
    unknown.learn(1.0)
    assert unknown.seconds == 0


def test_who_is_ready_a_little_early_waits_for_the_moment_and_nobody_waits_long() -> None:
    due = clock() + 0.0005
    set_due(due)
    wait_for_due()
    assert clock() >= due
    set_due(clock() + 3600)
    wait_for_due()
    set_due(0.0)
    wait_for_due()
