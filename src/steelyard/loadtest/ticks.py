"""How a load goes on while it goes on: what each process counts, and what they make together.

A Tally counts in the process that measures; what it says a few times a second is a small mapping, which
Pulse adds up over the processes and the last seconds into the Tick that somebody watches. What it shows of
the gaps between tokens is taken from a few of them: the exact figures are those of the finished run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import exp, log
from typing import Any

from steelyard.loadtest.sessions import Share
from steelyard.types import Response

_LOOKED_AT = 8
"""How many gaps of an answer are looked at while the load goes on."""
_FINENESS = 50.0
_LEAST = 1e-6
_LAST_SECONDS = 3.0

Spread = dict[int, int]
"""How many values fell into each of many narrow bins, a fiftieth of their size each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """How a stage goes at one moment.

    `t` is in seconds of 1970, `elapsed` since the stage began. `sent`, `done` (answered), `failed` and
    `cut` count requests of the stage; rates, percentiles and `busy` are of the last seconds, in seconds
    and each second. `total` is how many sessions the stage has, `duration` how long it asks.
    """

    t: float
    stage: str
    elapsed: float
    warmup: bool = False
    sent: int = 0
    done: int = 0
    failed: int = 0
    cut: int = 0
    in_flight: int = 0
    rate: float = 0.0
    tokens_rate: float = 0.0
    ttft_p50: float | None = None
    ttft_p99: float | None = None
    itl_p50: float | None = None
    itl_p99: float | None = None
    lag_p99: float | None = None
    busy: float = 0.0
    workers: int = 1
    sessions: int = 0
    total: int | None = None
    duration: float | None = None


Watch = Callable[[Tick], None]
_COUNTED = ("sent", "done", "failed", "cut", "sessions")


class Tally:
    """What one process counts of a stage."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Count from nothing, for a new stage."""
        self.sent = self.done = self.failed = self.cut = self.tokens = self.sessions = 0
        self.worst = 0.0
        self._ttft: Spread = {}
        self._itl: Spread = {}
        self._lag: Spread = {}

    @property
    def in_flight(self) -> int:
        """How many are asked and not answered."""
        return self.sent - self.done - self.failed - self.cut

    def add(self, response: Response, *, cut: bool) -> None:
        """Count an answer."""
        timing = response.timing
        if timing is not None:
            lag = timing.lag
            self.worst = max(self.worst, lag)
            _put(self._lag, lag)
        if cut:
            self.cut += 1
            return
        if response.error is not None:
            self.failed += 1
            return
        self.done += 1
        chunks = () if timing is None else timing.chunks
        said = None if response.tokens is None else response.tokens.output
        self.tokens += len(chunks) if said is None else said
        if timing is not None and chunks:
            _put(self._ttft, chunks[0] - timing.sent)
            step = max(1, (len(chunks) - 1) // _LOOKED_AT)
            for place in range(1, len(chunks), step):
                _put(self._itl, chunks[place] - chunks[place - 1])

    def take_worst(self) -> float:
        """The worst lag since it was last taken."""
        worst, self.worst = self.worst, 0.0
        return worst

    def say(self) -> dict[str, Any]:
        """What was counted so far; the spreads are those since it was last said."""
        said = {
            "sent": self.sent,
            "done": self.done,
            "failed": self.failed,
            "cut": self.cut,
            "tokens": self.tokens,
            "sessions": self.sessions,
            "ttft": self._ttft,
            "itl": self._itl,
            "lag": self._lag,
        }
        self._ttft, self._itl, self._lag = {}, {}, {}
        return said


class Pulse:
    """What several processes say of a stage, as one Tick."""

    def __init__(self, *, workers: int, **fixed: Any) -> None:
        """`fixed` are those fields of a Tick that stay the same."""
        self._fixed = {**fixed, "workers": workers}
        self._latest: list[Mapping[str, Any]] = [{}] * workers
        self._recent: deque[tuple[float, int, int, Mapping[str, Any]]] = deque()

    def hear(self, worker: int, said: Mapping[str, Any], elapsed: float) -> None:
        """Take what a process says at some second of the stage."""
        self._latest[worker] = said
        self._recent.append((elapsed, self._sum("done") + self._sum("failed"), self._sum("tokens"), said))
        while self._recent[0][0] < elapsed - _LAST_SECONDS:
            self._recent.popleft()

    def tick(self, t: float, elapsed: float) -> Tick:
        """How the stage goes."""
        counts: dict[str, Any] = {name: self._sum(name) for name in _COUNTED}
        rate = tokens_rate = 0.0
        if self._recent:
            then, ended, tokens, _ = self._recent[0] if len(self._recent) > 1 else (0.0, 0, 0, {})
            seconds = max(self._recent[-1][0] - then, 0.1)
            rate = (self._recent[-1][1] - ended) / seconds
            tokens_rate = (self._recent[-1][2] - tokens) / seconds
        spreads = {
            name: _merge(one[3].get(name, {}) for one in self._recent) for name in ("ttft", "itl", "lag")
        }
        return Tick(
            t=t,
            elapsed=elapsed,
            **self._fixed,
            **counts,
            in_flight=counts["sent"] - counts["done"] - counts["failed"] - counts["cut"],
            rate=rate,
            tokens_rate=tokens_rate,
            ttft_p50=_percentile(spreads["ttft"], 0.5),
            ttft_p99=_percentile(spreads["ttft"], 0.99),
            itl_p50=_percentile(spreads["itl"], 0.5),
            itl_p99=_percentile(spreads["itl"], 0.99),
            lag_p99=_percentile(spreads["lag"], 0.99),
            busy=max((one.get("busy", 0.0) for one in self._latest), default=0.0),
        )

    def _sum(self, name: str) -> int:
        return sum(one.get(name, 0) for one in self._latest)


def pulse_of(share: Share, *, workers: int) -> Pulse:
    """The pulse of a stage of which this is the share of any of its processes."""
    stage, left = share.stage, share.sessions
    return Pulse(workers=workers, stage=stage.name, warmup=stage.warmup, total=left, duration=share.left)


def _put(spread: Spread, value: float) -> None:
    place = int(log(value) * _FINENESS) if value > _LEAST else -700
    spread[place] = spread.get(place, 0) + 1


def _merge(spreads: Iterable[Mapping[Any, int]]) -> Spread:
    merged: Spread = {}
    for spread in spreads:
        for place, count in spread.items():
            # The names of a mapping in JSON are texts.
            merged[int(place)] = merged.get(int(place), 0) + count
    return merged


def _percentile(spread: Spread, share: float) -> float | None:
    wanted = share * sum(spread.values())
    for place in sorted(spread):
        wanted -= spread[place]
        if wanted <= 0:
            return exp((place + 0.5) / _FINENESS) if place > -700 else 0.0
    return None
