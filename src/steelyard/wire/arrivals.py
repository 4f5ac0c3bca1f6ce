"""When bytes arrived, by the kernel's own stamps: taken as they came, not when somebody got to them.

    stamped = ask_for_stamps(sock)                 Linux, TCP
    block, told, _, _ = sock.recvmsg(size, ROOM)
    at = calendar.read(told)                       on our clock; None where there is no stamp to believe

The kernel stamps by the calendar's clock, which may be set while we look at it. How far the two clocks are
apart is therefore looked at again and again; what came around a leap is not believed.
"""

from __future__ import annotations

import re
import socket
import struct
import sys
from contextlib import suppress
from time import perf_counter_ns, time_ns

ROOM = 64
"""The bytes that a stamp needs beside those that were received."""

_OPTION = getattr(socket, "SO_TIMESTAMPNS", 35)
# Elsewhere the option has another number, or its stamps other sizes.
_KNOWN = sys.platform == "linux" and struct.calcsize("l") == 8
_TIMES = struct.Struct("@ll")
_END = re.compile(rb"\r?\n\r?\n(?:\r\n)?")
_SECOND = 1_000_000_000
_LEAP = 10_000
_LOOKS = 9
# Few turns of a loop take as long: what is further ahead of its beginning calls for another look.
_AHEAD = 0.1
_held = -1


def ask_for_stamps(sock: socket.socket) -> bool:
    """Have the kernel stamp what arrives at a socket; whether it does."""
    if not _KNOWN or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, _OPTION, 1)
    except OSError:
        return False
    return True


def begin_stamps() -> None:
    """Have the kernel begin to stamp: it takes a moment from when the first socket wants stamps."""
    global _held
    if _held < 0 and _KNOWN:
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, _OPTION, 1)
            # It stays open as long as this process runs: the kernel stamps while anybody wants it.
            _held = sock.detach()


def find_events(seen: bytes) -> list[int]:
    """Where events end, each with the end of its chunk, before the end of what waits to be read."""
    return [end for found in _END.finditer(seen) if (end := found.end()) < len(seen)]


def find_packages(seen: bytes) -> list[int]:
    """The same of what TLS has packed together."""
    ends, place = [], 0
    while len(seen) >= place + 5:
        place += 5 + int.from_bytes(seen[place + 3 : place + 5], "big")
        if place < len(seen):
            ends.append(place)
    return ends


class Calendar:
    """How the kernel's stamps are read on our clock."""

    def __init__(self) -> None:
        self._apart = 0
        self._seconds = self._nanos = 0
        self._latest = 0.0
        self._sound = True
        self._set()

    def look(self, *, drained: bool) -> float:
        """See whether the calendar's clock was set since the last look; says what time it is on ours.

        After a leap no stamp is believed until all that waited then has been `drained`.
        """
        now = perf_counter_ns()
        leap = time_ns() - now - self._apart
        if not -_LEAP < leap < _LEAP and self._leapt():
            self._sound = False
            self._set()
        elif drained:
            self._sound = True
        at = now * 1e-9
        self._latest = at + _AHEAD
        return at

    def read(self, told: list[tuple[int, int, bytes]], after: float) -> float | None:
        """The stamp of a block that came `after` another; None where there is none that can be believed."""
        if not told or not self._sound:
            return None
        try:
            seconds, nanos = _TIMES.unpack(told[0][2])
        except struct.error:
            return None
        at: float = seconds - self._seconds + (nanos - self._nanos) * 1e-9
        if at > self._latest and (at > self.look(drained=False) or not self._sound):
            return None
        return at if at >= after else None

    def _leapt(self) -> bool:
        # Whoever was kept from running between two looks sees a leap that was none.
        return all(abs(apart - self._apart) > _LEAP for _, apart in self._compare())

    def _compare(self) -> list[tuple[int, int]]:
        """How far apart the clocks are, seen several times, and how much that may be wrong."""
        looks = []
        for _ in range(_LOOKS):
            begun = perf_counter_ns()
            there = time_ns()
            took = perf_counter_ns() - begun
            looks.append((took, there - begun - took // 2))
        return looks

    def _set(self) -> None:
        self._apart = min(self._compare())[1]
        self._seconds, self._nanos = divmod(self._apart, _SECOND)
