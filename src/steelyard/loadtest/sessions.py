"""Which session is asked when and where, and what each of its turns asks.

The sessions of a workload have numbers, from the first; those of a stage have places. A stage begins
at the number behind the last one that was asked, and goes on with the first when the workload ends, so
that no stage asks one twice. Each of several processes takes its own by counting: however many there
are, the same sessions are asked at the same moments.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from steelyard.errors import DataError
from steelyard.loadtest.plan import Stage, list_dues
from steelyard.types import Message, Prompt, Request, Response, Sample
from steelyard.workloads.base import Session, Turn, Workload, take_share


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one process has to do in a stage.

    `number` is the stage's (-1: a warm-up), `first` the number of its first session, `places` from and
    to which places it has anything left to ask. Of a stage that is gone on with, `skipped` seconds of its
    schedule are over, None where it goes on with the first that is left; it has `left` seconds.
    """

    stage: Stage
    number: int
    worker: int = 0
    of: int = 1
    first: int = 0
    places: Sequence[tuple[int, int | None]] = ((0, None),)
    skipped: float | None = 0.0
    left: float | None = None

    @property
    def clients(self) -> int | None:
        """How many requests may be in flight here; None if any number may."""
        most = self.stage.concurrency
        return None if most is None else most // self.of + (self.worker < most % self.of)

    @property
    def sessions(self) -> int | None:
        """How many sessions all processes have to ask, if it is known."""
        count = 0
        for start, end in self.places:
            if end is None:
                return None
            count += end - start
        return count

    @property
    def joining(self) -> list[float] | None:
        """When each client of a closed loop begins."""
        pace = self.stage.joining
        if pace is None or self.stage.arrival is not None:
            return None
        # Who had joined when a stage was stopped is there at once when it goes on.
        over = self.skipped or 0.0
        return [max(0.0, (self.worker + n * self.of) / pace - over) for n in range(self.clients or 0)]


class Arrival:
    """A session that is due; `due` is None where it is as soon as somebody is free."""

    __slots__ = ("due", "number", "place", "session")

    def __init__(self, place: int, number: int, session: Session, due: float | None) -> None:
        self.place, self.number, self.session, self.due = place, number, session, due


class Sessions:
    """The sessions of a workload, read on from where the last stage ended."""

    def __init__(self, workload: Workload) -> None:
        self.size: int | None = None
        self._workload = workload
        self._reading: Iterator[Session] = iter(())
        self._every = 0
        self._number = -1
        self._last: Session | None = None
        self._skipped = 0
        self.ended = False
        """Whether the stage that was last begun had all sessions that there are."""

    @property
    def skipped(self) -> int:
        """How many rows of the workload were passed over so far, those of one reading."""
        return max(self._skipped, getattr(self._workload, "skipped", 0))

    def arrivals(self, share: Share) -> Iterator[Arrival]:
        """Those of a process's share in a stage, in the order of their places."""
        self.ended = False
        spans = deque(share.places)
        begin = spans[0][0]
        place = begin + (share.worker - begin) % share.of
        due_at, skipped = self._dues(share, begin, place)
        for number, session in self._read(share.first, place, share.of):
            while spans and (end := spans[0][1]) is not None and place >= end:
                spans.popleft()
            if not spans:
                return
            due = due_at(session)
            if due is not None:
                due -= skipped
                if share.left is not None and due >= share.left:
                    return
            if place >= spans[0][0] and (due is None or due >= 0):
                yield Arrival(place, number, session, due)
            place += share.of
        self.ended = True

    def _dues(self, share: Share, begin: int, place: int) -> tuple[Callable[[Session], float | None], float]:
        """What tells when each session of the share is due, and how much of that is over."""
        stage = share.stage
        if stage.arrival is None:
            return (lambda session: None), 0.0
        if stage.arrival == "trace":
            first, left = (next(take_share(self._workload, share.first + n, 1), None) for n in (0, begin))
            zero = 0.0 if first is None else _recorded(first)
            skipped = share.skipped
            if skipped is None:
                skipped = 0.0 if left is None else (_recorded(left) - zero) / stage.speed
            return (lambda session: (_recorded(session) - zero) / stage.speed), skipped
        dues = islice(list_dues(stage), place, None, share.of)
        skipped = next(islice(list_dues(stage), begin, None)) if share.skipped is None else share.skipped
        return (lambda session: next(dues)), skipped

    def _read(self, first: int, place: int, every: int) -> Iterator[tuple[int, Session]]:
        """The sessions at every so many-th place of a stage, with their numbers."""
        first = first % self.size if self.size else first
        if self.size is None or first + place < self.size:
            number = first + place
            for session in self._from(number, every):
                yield number, session
                number += every
            if self.size is None:
                self.size = self._count(number, every)
                if first >= self.size:
                    # Where to begin was counted before anybody knew where the end is.
                    yield from self._read(first, place, every)
                    return
            place = number - first
        number = first + place - self.size
        for session in self._from(number, every):
            if number >= first:
                return
            yield number, session
            number += every

    def _from(self, number: int, every: int) -> Iterator[Session]:
        """Every so many-th session from a number on; read on where that is where reading stopped."""
        if every != self._every or number not in (self._number, self._number - every):
            self._reading, self._last = take_share(self._workload, number, every), None
            self._number, self._every = number, every
        elif number < self._number and self._last is not None:
            # A stage reads one more than it asks.
            yield self._last
        for session in self._reading:
            self._number, self._last = self._number + every, session
            yield session

    def _count(self, number: int, every: int) -> int:
        """How many sessions there are, where every so many-th ended before this number."""
        known = max(0, number - every + 1)
        size = known + sum(1 for _ in take_share(self._workload, known, 1))
        if size == known:
            # Nothing was there, so it may have ended long before.
            size = sum(1 for _ in take_share(self._workload, 0, 1))
        if not size:
            raise DataError(f"the workload {self._workload.name} is empty")
        # The next reading counts anew.
        self._skipped = self.skipped
        return size


def _recorded(session: Session) -> float:
    """When a session was recorded."""
    if session.at is None:
        hint = "those of a trace have one; give a rate where there is none"
        raise DataError(f"the session {session.id!r} has no time", hint=hint)
    return session.at


@dataclass(slots=True)
class Asking:
    """A turn of a session under way, and what was said before it."""

    arrival: Arrival
    stage: int
    turn: int = 0
    said: list[Message] = field(default_factory=list)

    @property
    def now(self) -> Turn:
        """The turn that is asked."""
        return self.arrival.session.turns[self.turn]

    @property
    def is_last(self) -> bool:
        """Whether no turn follows."""
        return self.turn + 1 >= len(self.arrival.session.turns)

    def request(self, run: str, *, chat: bool) -> Request:
        """What is asked."""
        turn = self.now
        params = turn.params if turn.max_tokens is None else {**turn.params, "max_tokens": turn.max_tokens}
        stage = "w" if self.stage < 0 else self.stage
        request_id = f"{run}-{stage}-{self.arrival.place}-{self.turn}"
        return Request(request_id, self._prompt(turn.prompt, chat=chat), params=params)

    def sample(self, *, kept: Any) -> Sample:
        """What is stored of the question; `kept` is its prompt, where that is."""
        session, turn = self.arrival.session, self.now
        several = len(session.turns) > 1
        meta = {**session.meta, "stage": self.stage, "session": session.id, "turn": self.turn}
        if several:
            meta["turns"] = len(session.turns)
        if turn.tokens_in is not None:
            meta["tokens_in"] = turn.tokens_in
        return Sample(f"{session.id}#{self.turn}" if several else session.id, kept, turn.target, meta=meta)

    def follow(self, request: Request, response: Response) -> Asking | None:
        """The next turn, if there is one: none is asked behind one that failed."""
        if self.is_last or response.error is not None:
            return None
        said = _turns(request.prompt)
        said.append({"role": "assistant", "content": response.text})
        return Asking(self.arrival, self.stage, self.turn + 1, said)

    def _prompt(self, prompt: Prompt, *, chat: bool) -> Prompt:
        """A prompt behind what was said before; one that is more than a text says all by itself."""
        if not self.said or not isinstance(prompt, str):
            return prompt
        if chat:
            return [*self.said, {"role": "user", "content": prompt}]
        return "\n".join([*(str(turn["content"]) for turn in self.said), prompt])


def _turns(prompt: Prompt) -> list[Message]:
    """The turns that a prompt is; none of one in tokens, which nothing can be said behind."""
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    return [] if isinstance(prompt, Mapping) else list(prompt)
