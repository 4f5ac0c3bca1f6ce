"""The process that runs programs, one after the other, each in a fork of its own behind the walls.

It holds nothing but Python: no environment, no folder of anybody, none of our code's objects. The child
itself reads its program and tests, so that no other program's are in its memory.

    in      a head of fixed size (seconds, bytes of memory, bytes of output, bytes that follow), and
            for the child alone a token and {"source": …, "tests": …, "entry": …}
    out     a line of JSON: first what walls there are, then how each program ended
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import Any

from steelyard.sandbox.outcomes import (
    CRASH,
    EXIT,
    FORBIDDEN,
    HEAD,
    MEMORY,
    OUTPUT,
    PATIENCE,
    TIME_OUT,
    TOKEN_BYTES,
)
from steelyard.sandbox.trials import stages_of, try_out
from steelyard.sandbox.walls import WORKPLACE, NoWalls, Walls, raise_outer

_IN, _OUT = 0, 1
_SHOWN = 4000
_REPORT_BYTES = 16 << 10
_READ_ALL = b"\n"
_USUAL = (
    "typing collections itertools functools re math heapq bisect string random statistics copy operator"
    " fractions decimal datetime hashlib dataclasses"
)


def serve(folders: list[str]) -> None:
    """Raise the walls and run programs until nobody wants any."""
    os.environ.clear()
    sys.argv[:] = sys.orig_argv[:] = [""]
    for name in _USUAL.split():
        # What most programs use is loaded once.
        __import__(name)
    sys.path[:] = [*(path for path in sys.path if path), *folders]
    try:
        walls = raise_outer(folders)
    except (NoWalls, OSError) as error:
        _say({"missing": str(error)})
        return
    home = WORKPLACE if walls.namespaces else "/"
    os.environ.update(HOME=home, TMPDIR=home, LANG="C.UTF-8")
    for name in [name for name in sys.modules if name.partition(".")[0] == "steelyard"]:
        del sys.modules[name]
    _say(walls.about())
    # Objects that are never looked through again stay in memory that all programs share.
    gc.collect()
    gc.freeze()
    while head := _read(HEAD.size):
        _say(_run_one(walls, *HEAD.unpack(head)))


def _run_one(walls: Walls, seconds: float, memory_bytes: int, output_bytes: int, size: int) -> dict[str, Any]:
    """One program, from its fork to its end."""
    told, tell = os.pipe()
    shown, show = os.pipe()
    parent, begun = os.getpid(), time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            os.close(told)
            os.close(shown)
            _become(walls, seconds, memory_bytes, size, parent=parent, tell=tell, show=show)
        finally:
            os._exit(1)
    os.close(tell)
    os.close(show)
    watched = _Watched(child, told, shown, seconds, output_bytes)
    ended = watched.watch()
    _, status, used = os.wait4(child, 0)
    os.close(told)
    os.close(shown)
    report = bytes(watched.report)
    if not report.startswith(_READ_ALL):
        # What was meant for it still stands in the pipe.
        _say({"broken": report.decode(errors="replace") or _status(status)})
        os._exit(1)
    return {
        "ended": ended or _status(status),
        "report": report[1:].hex(),
        "output": bytes(watched.output[:_SHOWN]).decode(errors="replace"),
        "cpu": used.ru_utime + used.ru_stime,
        "wall": time.monotonic() - begun,
    }


def _become(
    walls: Walls, seconds: float, memory_bytes: int, size: int, *, parent: int, tell: int, show: int
) -> None:
    """Be the program: take in what it is, shut the walls, run."""
    token, given = _read(TOKEN_BYTES), json.loads(_read(size))
    os.dup2(show, 1)
    os.dup2(show, 2)
    quiet, end = os.pipe()
    os.close(end)
    os.dup2(quiet, 0)
    os.set_inheritable(tell, False)
    os.setsid()
    try:
        walls.raise_inner(memory_bytes=memory_bytes, seconds=seconds, parent=parent)
        # Others than those that were open on something else.
        sys.stdout, sys.stderr = (
            open(number, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
            for number in (1, 2)
        )
    except BaseException as error:
        os.write(tell, f"{type(error).__name__}: {error}".encode())
        raise
    os.close(show)
    os.close(quiet)
    os.write(tell, _READ_ALL)
    stages = stages_of(**given, token=token, told=tell)
    del given, token
    try_out(stages, tell)


class _Watched:
    """A program while it runs: what it writes, and whether it must be ended."""

    def __init__(self, child: int, told: int, shown: int, seconds: float, output_bytes: int) -> None:
        self.child = child
        self.told, self.shown = told, shown
        self.seconds, self.output_bytes = seconds, output_bytes
        self.report, self.output, self.written = bytearray(), bytearray(), 0
        # The clock of another process's CPU time, as its number makes it.
        self.clock = (~child << 3) | 2

    def watch(self) -> str:
        """Wait until the program ends by itself ("") or is ended (why)."""
        over = time.monotonic() + PATIENCE * self.seconds
        poll, process = select.poll(), os.pidfd_open(self.child)
        for opened in (process, self.told, self.shown):
            poll.register(opened, select.POLLIN)
        # Nothing is read here, but that the other side is gone is seen.
        poll.register(_IN, 0)
        try:
            while True:
                left = min(over - time.monotonic(), self.seconds - self._used())
                if left <= 0:
                    return self._end(TIME_OUT)
                for opened, event in poll.poll(max(1, int(1000 * left))):
                    if opened == _IN and event & (select.POLLHUP | select.POLLERR):
                        self._end("")
                        os._exit(1)
                    if opened in (self.told, self.shown) and not self._take(opened):
                        poll.unregister(opened)
                    if self.written > self.output_bytes or len(self.report) > _REPORT_BYTES:
                        return self._end(OUTPUT)
                    if opened == process:
                        self._take_rest()
                        return ""
        finally:
            os.close(process)

    def _used(self) -> float:
        try:
            return time.clock_gettime(self.clock)
        except OSError:
            return 0.0

    def _take(self, opened: int) -> int:
        """Read what there is; only the head of what is shown is kept."""
        data = os.read(opened, 65536)
        if opened == self.told:
            self.report += data
        else:
            self.written += len(data)
            self.output += data[: max(0, _SHOWN - len(self.output))]
        return len(data)

    def _take_rest(self) -> None:
        for opened in (self.told, self.shown):
            os.set_blocking(opened, False)
            with suppress(BlockingIOError):
                while len(self.report) <= _REPORT_BYTES and self._take(opened):
                    pass

    def _end(self, why: str) -> str:
        os.kill(self.child, signal.SIGKILL)
        return why


def _status(status: int) -> str:
    """How a process ended by itself, as a kind of outcome."""
    if not os.WIFSIGNALED(status):
        return EXIT
    number = os.WTERMSIG(status)
    named = {signal.SIGKILL: MEMORY, signal.SIGXCPU: TIME_OUT, signal.SIGSYS: FORBIDDEN}
    return named.get(signal.Signals(number), CRASH)


def _read(size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        data = os.read(_IN, size - len(found))
        if not data:
            break
        found += data
    return bytes(found) if len(found) == size else b""


def _say(told: dict[str, Any]) -> None:
    text = json.dumps(told).encode() + b"\n"
    while text:
        text = text[os.write(_OUT, text) :]
