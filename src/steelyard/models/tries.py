"""What went wrong with one try, and what that means for the next."""

from __future__ import annotations

import random
import ssl
from email.utils import parsedate_to_datetime
from enum import Enum
from time import time

from steelyard.errors import DataError
from steelyard.models.batches import clock
from steelyard.models.limits import Budget, Health
from steelyard.wire.base import CutShort
from steelyard.wire.connection import SlowAnswer
from steelyard.wire.origin import NoAddress, RefusedByProxy
from steelyard.wire.packing import RefusedAnswer
from steelyard.wire.reading import Answer

_LONGEST_WAIT = 600.0
_LONGEST_OWN_WAIT = 30.0
_LONGEST_ABSENCE_WAIT = 10.0
_MOST_REFUSALS = 8


class Fault(Enum):
    """What kind of failure a try ended in."""

    FINAL = "another try would end as this one did"
    PASSING = "another try may go well"
    BROKEN = "the connection broke"
    SLOW = "the service took too long"
    BUSY = "the service has too much to do"
    AWAY = "the service cannot be reached"


def find_fault(error: Exception) -> Fault:
    """What kind of failure an error is."""
    if isinstance(error, CutShort):
        return Fault.BROKEN
    if isinstance(error, (DataError, RefusedAnswer, ssl.SSLCertVerificationError)):
        return Fault.FINAL
    if isinstance(error, SlowAnswer):
        return Fault.AWAY if error.connecting else Fault.SLOW
    if isinstance(error, (ConnectionRefusedError, FileNotFoundError, NoAddress, RefusedByProxy)):
        return Fault.AWAY
    # A connection that broke is one of the service; what else goes wrong in opening one is its absence.
    return Fault.BROKEN if isinstance(error, (ConnectionError, ssl.SSLError)) else Fault.AWAY


class Tries:
    """The tries of one question; `wait` says after each that failed how long until the next."""

    __slots__ = (
        "_absences", "_backoff", "_budget", "_counted", "_health", "_refusals", "_refused_since", "_retries",
        "_waits", "failure", "made",
    )  # fmt: skip

    def __init__(self, retries: int, backoff: float, health: Health, budget: Budget) -> None:
        self._retries, self._backoff = retries, backoff
        self._health, self._budget = health, budget
        self.made = 0
        self.failure = ""
        self._counted = self._waits = self._refusals = self._absences = 0
        self._refused_since = 0.0

    def wait(self, fault: Fault, failure: str, asked: float | None) -> float | None:
        """How many seconds to wait for the next try, of which the service asks for some; None: no more."""
        self.failure = failure
        if asked is not None and asked > _LONGEST_WAIT:
            self.failure += f" (it asks to wait {asked:.0f} s)"
            return None
        if fault is Fault.BUSY:
            return self._wait_for_the_busy(asked)
        if fault is Fault.AWAY and self._health.answered and self._health.patience:
            return self._wait_for_the_absent()
        if fault is Fault.FINAL:
            self._end()
            return None
        return self._count(fault, asked)

    def _wait_for_the_busy(self, asked: float | None) -> float | None:
        """Not counted as a try, as long as the service answers anybody."""
        now, patience = clock(), self._health.patience
        self._refusals += 1
        self._refused_since = self._refused_since or now
        since = self._health.ill()
        if since > patience:
            self._health.give_up(self.failure)
            self._end(f"answered nobody for {since:.0f} s")
            return None
        if self._refusals >= _MOST_REFUSALS and now - self._refused_since > patience:
            self._end(f"refused for {now - self._refused_since:.0f} s")
            return None
        # The pause it asks for is kept at the gate, by all.
        return 0.0 if asked else self._grow(self._refusals - 1, _LONGEST_OWN_WAIT)

    def _wait_for_the_absent(self) -> float | None:
        since = self._health.ill()
        self._absences += 1
        if since > self._health.patience:
            self._health.give_up(self.failure)
            self._end(f"gone for {since:.0f} s")
            return None
        return self._grow(self._absences - 1, _LONGEST_ABSENCE_WAIT)

    def _count(self, fault: Fault, asked: float | None) -> float | None:
        self._counted += 1
        if self._counted > self._retries:
            if fault is Fault.AWAY and not self._health.answered:
                self._health.give_up(self.failure)
            if fault is Fault.SLOW:
                self._health.stall(self.failure)
            self._end()
            return None
        if not self._budget.take():
            self._end(f"no further try: all {self._budget.spent} that this run may have are spent")
            return None
        if fault is Fault.BROKEN and self._counted == 1:
            # Most often it was this one connection.
            return asked or 0.0
        self._waits += 1
        return max(self._grow(self._waits - 1), asked or 0.0)

    def _end(self, more: str = "") -> None:
        tries = f"after {self.made} tries" if self.made > 1 else ""
        if said := "; ".join(filter(None, [tries, more])):
            self.failure += f" ({said})"

    def _grow(self, power: int, most: float = _LONGEST_WAIT) -> float:
        return min(most, self._backoff * 2.0 ** min(power, 20)) * random.uniform(0.75, 1.25)


def read_retry_after(answer: Answer) -> float | None:
    """How many seconds a service asks to be left alone: a number, or a date."""
    said = answer.headers.get("retry-after-ms", "").strip()
    if said.isdecimal():
        return float(said) / 1000
    said = answer.headers.get("retry-after", "").strip()
    if not said:
        return None
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time())
    except (TypeError, ValueError):
        return None
