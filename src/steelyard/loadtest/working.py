"""A process that measures: it is told what to ask, says how it goes, and ends when nobody talks to it.

prepare {share}     -> ready                     connections are open
go {start}          -> tick …, ended {…}   or broken {error}
stop                                             ask no more, now
(the line is cut)                                store what there is, and end
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
from collections.abc import Coroutine
from typing import Any, NoReturn

import msgspec

from steelyard import errors
from steelyard.errors import SteelyardError, describe
from steelyard.loadtest.measuring import Measuring, Orders
from steelyard.loadtest.sessions import Share
from steelyard.loadtest.vitals import Busyness, Loop

Message = dict[str, Any]

_PAUSE = 0.5
_BLOCK = 1 << 16
_MOST_WAITING = 1 << 18
# A load makes much and drops it soon: looking for circles in it costs more than they do.
_COLLECT_AFTER = (50_000, 20, 50)


class Line:
    """One end of the line between a process that measures and the one that watches it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._heard = self._unsaid = b""
        sock.setblocking(False)

    def say(self, **message: Any) -> None:
        """Say something that has to be heard."""
        self._unsaid += msgspec.json.encode(message) + b"\n"
        self.sock.setblocking(True)
        try:
            self.sock.sendall(self._unsaid)
            self._unsaid = b""
        finally:
            self.sock.setblocking(False)

    def mention(self, **message: Any) -> None:
        """Say something without ever waiting; it is lost where the other end is long deaf."""
        if len(self._unsaid) < _MOST_WAITING:
            self._unsaid += msgspec.json.encode(message) + b"\n"
        with contextlib.suppress(BlockingIOError):
            self._unsaid = self._unsaid[self.sock.send(self._unsaid) :]

    def hear(self) -> list[Message]:
        """What was said meanwhile; EOFError when the other end is gone."""
        try:
            block = self.sock.recv(_BLOCK)
        except BlockingIOError:
            return []
        except ConnectionError as error:
            raise EOFError from error
        if not block:
            raise EOFError
        *whole, self._heard = (self._heard + block).split(b"\n")
        return [msgspec.json.decode(line) for line in whole]

    def close(self) -> None:
        """Hang up."""
        self.sock.close()


def work(orders: Orders, worker: int, shard: int, line: Line) -> NoReturn:
    """Be a process that measures, from the moment it was forked to its end."""
    code = 1
    try:
        # Ctrl-C reaches every process of a terminal; what it means for a load, one of them decides.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        gc.freeze()
        gc.set_threshold(*_COLLECT_AFTER)
        loop = Loop()
        asyncio.set_event_loop(loop)
        loop.run_until_complete(_Worker(orders, worker, shard, line, loop).work())
        code = 0
    except BaseException as error:  # noqa: BLE001 - told to whoever watches; nothing else can be done
        with contextlib.suppress(OSError):
            line.say(broken=tell_error(error))
    finally:
        # Whatever the process that was forked wanted to do at its end is not ours to do.
        os._exit(code)


class _Worker:
    """What a process that measures does with what it is told."""

    def __init__(self, orders: Orders, worker: int, shard: int, line: Line, loop: Loop) -> None:
        self._line, self._loop = line, loop
        self._told: asyncio.Queue[Message | None] = asyncio.Queue()
        self._running: asyncio.Task[None] | None = None
        self._measuring = Measuring(orders, worker, shard, failed=lambda error: line.mention(doubt=error))
        loop.add_reader(line.sock, self._hear)
        loop.add_signal_handler(signal.SIGTERM, self._end)

    async def work(self) -> None:
        share: Share | None = None
        try:
            while (message := await self._told.get()) is not None:
                if (given := message.get("prepare")) is not None:
                    share = msgspec.convert(given, Share)
                    await self._attempt(self._measuring.prepare(share))
                    self._line.say(ready=True)
                elif share is not None and "go" in message:
                    self._line.say(ended=await self._run(share, message["go"]))
        finally:
            self._measuring.close()

    async def _run(self, share: Share, start: float) -> Message:
        """Measure a share to its end, or until told to stop; how far that came, and how busy it was."""
        lately, whole = Busyness(self._loop), Busyness(self._loop)

        def tell() -> None:
            timers[0] = self._loop.call_later(_PAUSE, tell)
            self._line.mention(tick={**self._measuring.tally.say(), "busy": lately.take()})

        timers = [self._loop.call_later(_PAUSE, tell)]
        try:
            await self._attempt(self._measuring.run(share, start))
            came = {
                name: getattr(self._measuring, name) for name in ("reached", "unsent", "skipped", "ended")
            }
            return {**came, "busy": whole.take()}
        finally:
            timers[0].cancel()
            with contextlib.suppress(OSError):
                self._line.mention(tick={**self._measuring.tally.say(), "busy": lately.take()})

    async def _attempt(self, doing: Coroutine[Any, Any, None]) -> None:
        """Do something to its end, or until told to stop."""
        self._running = asyncio.ensure_future(doing)
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
        finally:
            self._running = None

    def _hear(self) -> None:
        try:
            messages = self._line.hear()
        except EOFError:
            self._end()
            return
        for message in messages:
            if "stop" in message:
                self._stop()
            else:
                self._told.put_nowait(message)

    def _stop(self) -> None:
        if self._running is not None:
            self._running.cancel()

    def _end(self) -> None:
        self._loop.remove_reader(self._line.sock)
        self._stop()
        self._told.put_nowait(None)


def tell_error(error: BaseException) -> Message:
    """An error as it is told to another process."""
    if isinstance(error, SteelyardError):
        message = str(error.args[0]) if error.args else str(error)
        return {"type": type(error).__name__, "message": message, "hint": error.hint}
    return {"type": None, "message": describe(error), "hint": ""}


def read_error(told: Message) -> Exception:
    """The error that another process told of."""
    for kind in (errors.DataError, errors.UsageError, errors.StoreError, errors.ModelError):
        if told["type"] == kind.__name__:
            return kind(told["message"], hint=told["hint"])
    if told["type"] is not None:
        return SteelyardError(told["message"], hint=told["hint"])
    return RuntimeError(told["message"])
