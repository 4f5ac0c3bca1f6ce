"""One connection to a service: a question goes out, its answer is read as the bytes come.

Connections outlive the event loop they were opened in: whoever asks from plain code has a new loop
with every call, and would connect anew each time. While one waits, nothing is awaited for single
blocks: the loop calls back, the Reading takes the bytes, and who waits wakes when all are there.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from time import perf_counter as clock
from typing import NamedTuple

from steelyard.wire.arrivals import ROOM, ask_for_stamps, find_events, find_packages
from steelyard.wire.poll import Poll
from steelyard.wire.reading import Answer, BrokenAnswer, Reading

__all__ = ["Answer", "BrokenAnswer", "Connection", "ConnectionLost", "SlowAnswer", "TimeLimits", "Watch"]

_BLOCK = 1 << 16
_NEVER = float("inf")
# What comes faster, in seconds an event, is not worth a read for each.
_TORRENT = 1e-4
# The head of an answer, who speaks, and the first token.
_FIRST = 3
# How many bytes are looked at for events that wait: some tens of them, or the first ones.
_LOOK, _GLANCE = 1 << 13, 1 << 11
# Of a connection without TLS, which never looks into it.
_NOTHING = ssl.MemoryBIO()


class ConnectionLost(ConnectionError):
    """The connection ended before the first byte of an answer."""


class SlowAnswer(TimeoutError):
    """A service took too long; says over what, and whether it was being connected to."""

    def __init__(self, message: str, *, connecting: bool = False) -> None:
        super().__init__(message)
        self.connecting = connecting


class TimeLimits(NamedTuple):
    """The most seconds of each phase: until connected, until the first byte, between bytes, in all."""

    connect: float | None = 30.0
    first_byte: float | None = None
    idle: float | None = None
    total: float | None = 600.0


class Watch:
    """Gives up whatever waits too long on one loop; one timer serves all its connections."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.poll = Poll(loop)
        self.waiting: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._at = _NEVER

    def hasten(self, due: float) -> None:
        """See to it that somebody looks by then."""
        if due >= self._at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._at = due
        self._timer = self.loop.call_later(max(0.0, due - clock()), self._look)

    def _look(self) -> None:
        self._timer, self._at, next_due = None, _NEVER, _NEVER
        now = clock()
        for connection in list(self.waiting):
            due = connection.due()
            if due <= now:
                connection.give_up()
            else:
                next_due = min(next_due, due)
        if next_due < _NEVER:
            self.hasten(next_due)


class Connection:
    """One socket, with TLS on it or not."""

    __slots__ = (
        "_began", "_calendar", "_failure", "_file", "_incoming", "_last", "_leave", "_limits", "_live",
        "_outgoing", "_reading", "_receive", "_shaking", "_stamped", "_tls", "_unsent", "_waiter", "_watch",
        "_woken", "loop", "lost", "sock",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, watch: Watch, leave: Callable[[], None]) -> None:
        """`leave` is called once, when it is closed."""
        self.sock, self._leave = sock, leave
        self.lost = False
        self._unsent = memoryview(b"")
        self._tls: ssl.SSLObject | None = None
        self._incoming = self._outgoing = _NOTHING
        self._stamped = ask_for_stamps(sock)
        self._receive, self._file = sock.recvmsg, sock.fileno()
        self._reading: Reading | None = None
        self._live = False
        self._shaking = False
        self._waiter: asyncio.Future[None] | None = None
        self._woken = False
        self._failure: Exception | None = None
        self._limits = TimeLimits()
        self._began = self._last = 0.0
        self._attach(watch)

    def _attach(self, watch: Watch) -> None:
        self._watch, self.loop, self._calendar = watch, watch.loop, watch.poll.calendar
        watch.poll.add(self._file, self._read)

    def move(self, watch: Watch) -> bool:
        """Go on in another loop, when the one before is closed; whether the other side still listens."""
        if not self.lost:
            try:
                seen = self.sock.recv(1, socket.MSG_PEEK)
                # TLS may have left a session ticket; on a plain connection nothing may come unasked.
                self.lost = not seen or self._tls is None
            except BlockingIOError:
                pass
            except OSError:
                self.lost = True
        if self.lost:
            self.close()
        else:
            self._watch.poll.remove(self._file)
            self._attach(watch)
        return not self.lost

    def close(self) -> None:
        """Hang up, from whichever thread."""
        self.lost = True
        self._watch.waiting.discard(self)
        if self.loop.is_closed() or self.sock.fileno() < 0:
            self._hang_up()
        elif self.loop.is_running() and asyncio._get_running_loop() is not self.loop:
            # It may close at this very moment.
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._hang_up)
                return
            self.sock.close()
        else:
            self._hang_up()

    def _hang_up(self) -> None:
        # A loop must not go on watching a number that another socket may have soon.
        if self.sock.fileno() >= 0:
            self._watch.poll.remove(self._file)
            if self._unsent and not self.loop.is_closed():
                self.loop.remove_writer(self.sock)
            self._leave()
        self.sock.close()

    async def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Shake hands."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._shaking = True
        try:
            while not self.lost:
                try:
                    tls.do_handshake()
                except ssl.SSLWantReadError:
                    self._send(self._outgoing.read())
                    await self.progress()
                else:
                    return
            raise ConnectionLost("the connection was lost before it was secure")
        finally:
            # Where hands were not shaken, the other side is told why before we hang up.
            self._send(self._outgoing.read())
            self._shaking = False

    def ask(self, message: bytes, reading: Reading, limits: TimeLimits, *, live: bool = False) -> None:
        """Send a question; `reading` takes its answer. With `live` whoever waits wakes with every piece."""
        self._reading, self._live, self._limits = reading, live, limits
        self._woken, self._failure = False, None
        self._began = self._last = clock()
        self._watch.waiting.add(self)
        due = self.due()
        if due < _NEVER:
            self._watch.hasten(due)
        if self._tls is not None:
            try:
                self._tls.write(message)
            except ssl.SSLError as error:
                # It has said farewell before.
                raise ConnectionLost("the connection was closed before an answer came") from error
            message = self._outgoing.read()
        reading.taken_by = "kernel" if self._stamped else "reader"
        reading.sent = self._last = clock()
        self._send(message)

    def finish(self) -> bool:
        """The answer has been read; whether another question may be asked."""
        reading, self._reading = self._reading, None
        self._watch.waiting.discard(self)
        reusable = reading is not None and reading.keeps and reading.whole
        return reusable and not self.lost and not self._unsent and not (reading and reading.excess)

    def due(self) -> float:
        """When the patience with this connection ends."""
        limits, reading = self._limits, self._reading
        pause = limits.idle if reading is not None and reading.begun else limits.first_byte
        due = _NEVER if limits.total is None else self._began + limits.total
        return due if pause is None else min(due, self._last + pause)

    def give_up(self) -> None:
        """The patience has ended: whoever waits is told in which phase."""
        limits, reading, now = self._limits, self._reading, clock()
        begun = reading is not None and reading.begun
        if limits.total is not None and now >= self._began + limits.total:
            whole = "no whole answer" if begun else "no answer"
            self._fail(SlowAnswer(f"{whole} within {limits.total:g} s"))
        elif begun:
            self._fail(SlowAnswer(f"nothing more of the answer for {limits.idle:g} s"))
        else:
            self._fail(SlowAnswer(f"no first byte of an answer within {limits.first_byte:g} s"))

    async def progress(self) -> None:
        """Wait until the answer is whole, or, where it is read live, until there is more of it."""
        if not self._woken:
            self._waiter = self.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._woken = False
        if self._failure is not None:
            raise self._failure

    def _wake(self) -> None:
        self._woken = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self.close()
        self._wake()

    def _send(self, data: bytes) -> None:
        if not data:
            return
        sent = 0
        if not self._unsent:
            try:
                sent = self.sock.send(data)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                # There may be an answer all the same, or else the end that reading will come to.
                return
            if sent == len(data):
                return
            self.loop.add_writer(self.sock, self._writable)
        self._unsent = memoryview(bytes(self._unsent) + data[sent:])

    def _writable(self) -> None:
        try:
            self._unsent = self._unsent[self.sock.send(self._unsent) :]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._unsent = self._unsent[:0]
        # While something goes out nobody can expect an answer.
        self._last = clock()
        if not self._unsent:
            self.loop.remove_writer(self.sock)

    def _read(self, careful: bool, hurried: bool) -> float:
        """Take what has come, event by event where it is worth it; says when the first of it was in."""
        reading = self._reading
        try:
            if careful and self._stamped and reading is not None and reading.is_timed(hurried):
                seen, told, _, _ = self._receive(_GLANCE if hurried else _LOOK, ROOM, socket.MSG_PEEK)
                last = self._calendar.read(told, self._last)
                ends = find_packages(seen) if self._tls is not None else find_events(seen)
                if last is not None and ends:
                    return self._read_singly(ends[:_FIRST] if hurried else ends, last)
            block, told, _, _ = self._receive(_BLOCK, ROOM)
        except (BlockingIOError, InterruptedError):
            return clock()
        except OSError as error:
            self._end(error)
            return clock()
        return self._accept(block, told)

    def _read_singly(self, ends: list[int], last: float) -> float:
        """Take each event with its own stamp: a read over several has that of the `last`."""
        first, begin = 0.0, 0
        for end in ends:
            at = self._accept(*self._receive(end - begin, ROOM)[:2])
            first, begin = first or at, end
            if self.lost:
                return first
            if last - at < _TORRENT * len(ends):
                break
        self._accept(*self._receive(_BLOCK, ROOM)[:2])
        return first

    def _accept(self, block: bytes, told: list[tuple[int, int, bytes]]) -> float:
        at = self._calendar.read(told, self._last)
        if at is None:
            at = clock()
            # That a connection ended has no stamp, and needs none.
            if block and self._reading is not None:
                self._reading.taken_by = "reader"
        if self._tls is not None:
            self._decrypt(block, at)
        elif block:
            self._take(block, at)
        else:
            self._end(None)
        return at

    def _decrypt(self, block: bytes, at: float) -> None:
        tls = self._tls
        if tls is None:
            return
        if block:
            self._incoming.write(block)
        else:
            self._incoming.write_eof()
        if self._shaking:
            self._wake()
            return
        try:
            while data := tls.read(_BLOCK):
                self._take(data, at)
        except ssl.SSLWantReadError:
            self._send(self._outgoing.read())
            return
        except ssl.SSLEOFError:
            pass
        except ssl.SSLError as error:
            self._end(error)
            return
        # Closed, perhaps without a farewell: whether that came too early is seen by the lengths.
        self._end(None)

    def _take(self, block: bytes, at: float) -> None:
        reading = self._reading
        if reading is None:
            # Nothing may come unasked.
            self.close()
            return
        begun, self._last = reading.begun, at
        try:
            reading.feed(block, at)
        except Exception as error:  # noqa: BLE001 - whoever waits is told, whatever it is
            self._fail(error)
            return
        if not begun and self._limits.idle is not None:
            self._watch.hasten(self.due())
        if reading.whole or self._live:
            self._watch.poll.wake(self._wake)

    def _end(self, error: OSError | None) -> None:
        reading = self._reading
        self.close()
        if reading is None or reading.whole:
            self._wake()
        elif not reading.begun:
            said = "closed before an answer came" if error is None else f"lost: {error.strerror or error}"
            self._fail(ConnectionLost(f"the connection was {said}"))
        elif error is not None:
            self._fail(BrokenAnswer(f"the connection was lost within an answer: {error.strerror or error}"))
        else:
            try:
                # All of it was in with the last block, however long after that the connection ended.
                reading.end(self._last)
            except BrokenAnswer as broken:
                self._fail(broken)
            else:
                self._wake()
