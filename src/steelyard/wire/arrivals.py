"""When bytes arrived, by the kernel's own stamps: taken as they came, not when somebody got to them.

    stamped = ask_for_stamps(sock)                 Linux, TCP
    block, told, _, _ = sock.recvmsg(size, ROOM)
    at = calendar.read(told)                       on our clock; None where there is no stamp to believe

The kernel stamps by the calendar's clock, which may be set while we look at it. How far the two clocks are
apart is therefore looked at again and again; what came around a leap is not believed.
"""

from __future__ import annotations

import socket
import struct
import sys
from time import perf_counter_ns, time_ns

ROOM = 64
"""The bytes that a stamp needs beside those that were received."""

_OPTION = getattr(socket, "SO_TIMESTAMPNS", 35)
# Elsewhere the option has another number, or its stamps other sizes.
_KNOWN = sys.platform == "linux" and struct.calcsize("l") == 8
_TIMES = struct.Struct("@ll")
_SECOND = 1_000_000_000
_LEAP = 10_000
_LOOKS = 9
# No turn of a loop takes as long: what is further ahead of its beginning was stamped by another clock.
_AHEAD = 0.25


def ask_for_stamps(sock: socket.socket) -> bool:
    """Have the kernel stamp what arrives at a socket; whether it does."""
    if not _KNOWN or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, _OPTION, 1)
    except OSError:
        return False
    return True


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
        begun = perf_counter_ns()
        apart = time_ns() - begun
        took = perf_counter_ns() - begun
        # Whoever was kept from running between the two looks cannot tell.
        if abs(apart - self._apart) > _LEAP + took:
            self._sound = False
            self._set()
        elif drained:
            self._sound = True
        now = begun / _SECOND
        self._latest = now + _AHEAD
        return now

    def read(self, told: list[tuple[int, int, bytes]], after: float) -> float | None:
        """The stamp of a block that came `after` another; None where there is none that can be believed."""
        if not told or not self._sound:
            return None
        try:
            seconds, nanos = _TIMES.unpack(told[0][2])
        except struct.error:
            return None
        at: float = seconds - self._seconds + (nanos - self._nanos) * 1e-9
        return at if after <= at <= self._latest else None

    def _set(self) -> None:
        looks = []
        for _ in range(_LOOKS):
            begun = perf_counter_ns()
            there = time_ns()
            took = perf_counter_ns() - begun
            looks.append((took, there - begun - took // 2))
        self._apart = min(looks)[1]
        self._seconds, self._nanos = divmod(self._apart, _SECOND)
