"""The processes that measure a load, seen from the one that watches them.

They are forked from this one, which has no part in the asking: what it does, showing how it goes and
looking at the service's own figures among it, is in no time that is measured.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from steelyard.engine import run as run_to_end
from steelyard.errors import SteelyardError
from steelyard.loadtest.measuring import LEAD, Orders, Outcome, Refused
from steelyard.loadtest.sessions import Share
from steelyard.loadtest.ticks import Pulse, Watch, pulse_of
from steelyard.loadtest.working import Line, Message, read_error, work
from steelyard.models.base import clock

_PAUSE = 0.5
_PATIENCE = 10.0
"""For how many seconds a process may store what it has before it is killed."""


class _Hand:
    """One process that measures."""

    def __init__(self, number: int, pid: int, line: Line) -> None:
        self.number, self.pid, self.line = number, pid, line
        self.ready = self.ended = False
        self.told: Message = {}
        self.lost: str | None = None

    def end(self) -> str | None:
        """Have it store what it has and end; how it died, if that was not well."""
        self.line.close()
        until = clock() + _PATIENCE
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return _describe_end(status)
            if clock() > until:
                os.kill(self.pid, signal.SIGKILL)
                until = float("inf")
            time.sleep(0.002)


class Crew:
    """The processes of one sitting."""

    def __init__(self, orders: Orders, shard: int) -> None:
        """`shard` is the number of the first shard that they may write."""
        self._orders, self._shard = orders, shard
        self._hands: list[_Hand] = []
        self._trusted = False
        self._refusal: SteelyardError | None = None

    def run(self, share: Share, *, workers: int, watch: Watch | None) -> Outcome:
        """Have so many processes measure a stage to its end."""
        self.hire(workers)
        team = self._hands[:workers]
        try:
            return self._run(share, team, watch)
        except BaseException:
            self._stop(team)
            raise

    def close(self) -> None:
        """Have all store what is not stored, and end."""
        hands, self._hands = self._hands, []
        # All at once, for each may have much to store.
        for hand in hands:
            hand.line.close()
        for hand in hands:
            if hand.lost is None:
                hand.end()

    def hire(self, workers: int) -> None:
        """Have at least so many processes."""
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        while len(self._hands) < workers:
            ours, theirs = map(Line, socket.socketpair())
            with warnings.catch_warnings():
                # It goes its own way at once, whatever threads there are here.
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
            if not pid:
                for line in (ours, *(hand.line for hand in self._hands)):
                    line.close()
                work(self._orders, len(self._hands), self._shard + len(self._hands), theirs)
            theirs.close()
            self._hands.append(_Hand(len(self._hands), pid, ours))

    def _run(self, share: Share, team: Sequence[_Hand], watch: Watch | None) -> Outcome:
        for hand in team:
            hand.ready = hand.ended = False
            hand.told = {}
            told = replace(share, worker=hand.number, of=len(team))
            _tell(hand, prepare=msgspec.to_builtins(told))
        pulse = pulse_of(share, workers=len(team))
        begin = clock()
        while not all(hand.ready or hand.lost for hand in team):
            self._attend(team, pulse, begin, _PAUSE)
        begin = clock() + LEAD
        for hand in team:
            _tell(hand, go=begin)
        shown, stopped = begin, False
        while not all(hand.ended or hand.lost for hand in team):
            self._attend(team, pulse, begin, max(0.0, shown + _PAUSE - clock()))
            if not stopped and any(hand.lost for hand in team):
                stopped = True
                _tell_all(team, stop=True)
            if clock() < shown + _PAUSE:
                continue
            shown = clock()
            if watch is not None:
                watch(pulse.tick(time.time(), shown - begin))
        if watch is not None:
            watch(pulse.tick(time.time(), clock() - begin))
        return Outcome(
            begin=begin - self._orders.zero,
            end=clock() - self._orders.zero,
            reached=max(hand.told.get("reached", 0) for hand in team),
            unsent=sum(hand.told.get("unsent", 0) for hand in team),
            # Each of them reads all rows, and asks those of its share.
            skipped=max(hand.told.get("skipped", 0) for hand in team),
            ended=any(hand.told.get("ended") for hand in team),
            busy=max(hand.told.get("busy", 0.0) for hand in team),
            workers=len(team),
            lost=next((hand.lost for hand in team if hand.lost), None),
        )

    def _attend(self, team: Sequence[_Hand], pulse: Pulse, begin: float, seconds: float) -> None:
        """Hear what anybody says within some seconds."""
        poll = select.poll()
        by_file = {hand.line.sock.fileno(): hand for hand in team if not hand.lost}
        for file in by_file:
            poll.register(file, select.POLLIN)
        for file, _ in poll.poll(seconds * 1000):
            hand = by_file[file]
            try:
                messages = hand.line.hear()
            except EOFError:
                hand.lost = f"a process that measured is gone: {hand.end() or 'it ended by itself'}"
                continue
            for message in messages:
                self._take(hand, message, pulse, clock() - begin)

    def _take(self, hand: _Hand, message: Message, pulse: Pulse, elapsed: float) -> None:
        if (tick := message.get("tick")) is not None:
            self._trusted = self._trusted or tick["done"] > 0
            if self._refusal is not None and not tick["done"]:
                raise Refused(self._refusal)
            # It was away, and is back.
            self._refusal = None
            pulse.hear(hand.number, tick, elapsed)
        elif "ready" in message:
            hand.ready = True
        elif (told := message.get("ended")) is not None:
            hand.ended, hand.told = True, told
        elif (error := message.get("doubt")) is not None and not self._trusted:
            # Asked here and not where it failed, for there it would be part of the load.
            self._trusted = True
            self._refusal = run_to_end(self._orders.model.doubt(error))
        elif (told := message.get("broken")) is not None:
            hand.lost = told["message"]
            hand.end()
            raise read_error(told)

    def _stop(self, team: Sequence[_Hand]) -> None:
        """Have nobody ask any more, and hear how far they came."""
        _tell_all(team, stop=True)


def _tell(hand: _Hand, **message: Any) -> None:
    if hand.lost is None:
        try:
            hand.line.say(**message)
        except OSError:
            # Its end is noticed where it is listened to.
            return


def _tell_all(team: Sequence[_Hand], **message: Any) -> None:
    for hand in team:
        if not hand.ended:
            _tell(hand, **message)


def _describe_end(status: int) -> str | None:
    if os.WIFSIGNALED(status):
        return f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    code = os.waitstatus_to_exitcode(status)
    return f"it ended with code {code}" if code else None
