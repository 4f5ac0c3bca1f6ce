"""A load that is measured in this process: of models that compute here, or where no other can be had."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from steelyard.errors import SteelyardError
from steelyard.loadtest.measuring import LEAD, Measuring, Orders, Outcome, Refused
from steelyard.loadtest.sessions import Share
from steelyard.loadtest.ticks import Pulse, Watch, pulse_of
from steelyard.loadtest.vitals import Busyness, Loop
from steelyard.models.base import clock

T = TypeVar("T")

_PAUSE = 0.5


class Alone:
    """One process that measures and is watched by itself."""

    def __init__(self, orders: Orders, shard: int) -> None:
        self._orders, self._shard = orders, shard
        self._loop = Loop()
        self._measuring: Measuring | None = None
        self._doubting: asyncio.Task[SteelyardError | None] | None = None

    def hire(self, workers: int) -> None:
        """There is one."""

    def run(self, share: Share, *, workers: int, watch: Watch | None) -> Outcome:
        """Measure a stage to its end."""
        return self._finish(self._run(share, watch))

    def close(self) -> None:
        """Store what is not stored, and end the loop."""
        if self._loop.is_closed():
            return
        try:
            if self._measuring is not None:
                self._measuring.close()
        finally:
            self._finish(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _run(self, share: Share, watch: Watch | None) -> Outcome:
        if self._measuring is None:
            self._measuring = Measuring(self._orders, 0, self._shard, failed=self._doubt)
        measuring, zero = self._measuring, self._orders.zero
        await measuring.prepare(share)
        began, pulse = clock() + LEAD, pulse_of(share, workers=1)
        lately, whole = Busyness(self._loop), Busyness(self._loop)
        running = asyncio.ensure_future(measuring.run(share, began))
        try:
            while not running.done():
                waiting = {running} if self._doubting is None else {running, self._doubting}
                await asyncio.wait(waiting, timeout=_PAUSE, return_when=asyncio.FIRST_COMPLETED)
                if self._doubting is not None and self._doubting.done():
                    why, self._doubting = self._doubting.result(), None
                    if why is not None and not measuring.tally.done:
                        raise Refused(why)
                if watch is not None:
                    self._tell(pulse, watch, measuring.tally.say(), clock() - began, lately.take())
            await running
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await running
        return Outcome(
            begin=began - zero,
            end=clock() - zero,
            reached=measuring.reached,
            unsent=measuring.unsent,
            skipped=measuring.skipped,
            ended=measuring.ended,
            busy=whole.take(),
        )

    def _tell(self, pulse: Pulse, watch: Watch, said: dict[str, Any], elapsed: float, busy: float) -> None:
        pulse.hear(0, {**said, "busy": busy}, elapsed)
        watch(pulse.tick(time.time(), elapsed))

    def _doubt(self, error: str) -> None:
        self._doubting = asyncio.ensure_future(self._orders.model.doubt(error))

    def _finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Run async code on our loop to its end; a Ctrl-C lets it tidy up before it is raised."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._complete(work)
        # Inside a notebook or another async program: on a thread of its own.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(self._complete, work).result()

    def _complete(self, work: Coroutine[Any, Any, T]) -> T:
        task = self._loop.create_task(work)
        try:
            return self._loop.run_until_complete(task)
        except KeyboardInterrupt:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                self._loop.run_until_complete(task)
            raise
