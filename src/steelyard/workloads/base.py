"""What a workload is: anything that gives Sessions, the same ones each time.

    class Greetings:
        name = "greetings"

        def identity(self):
            return {"workload": self.name}

        def __iter__(self):
            for n in count():
                yield Session(str(n), [Turn("Good morning!", max_tokens=16)])

An endless workload ends with the load; one that ends, ends the stage: none of its sessions is asked twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

from steelyard.errors import DataError, SteelyardError, describe, locate
from steelyard.types import Prompt

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Turn:
    """One question of a session.

    Behind the first turn of a session a text is what the user says next: the turns before it, with
    the model's own answers, stand before it. `think` is how many seconds the user takes before asking.
    `params` go with the request, beside `max_tokens`; `target` is what a right answer says, if known.
    """

    prompt: Prompt
    max_tokens: int | None = None
    think: float = 0.0
    params: Mapping[str, Any] = field(default_factory=dict)
    target: Any = None
    tokens_in: int | None = None
    """How many tokens the prompt was made to have, where it was."""


@dataclass(frozen=True, slots=True)
class Session:
    """What one user asks, turn by turn; `at` is the second in which the first is due, if recorded."""

    id: str
    turns: Sequence[Turn]
    at: float | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)


class Workload(Protocol):
    """Sessions, and what they are called; two of equal identity give equal ones.

    It may have `remarks`, texts that whoever opened it should be told, and `skipped`: how many rows of
    its source were passed over since it was last read from the beginning.
    """

    name: str

    def identity(self) -> Mapping[str, Any]:
        """All that shapes the sessions."""
        ...

    def __iter__(self) -> Iterator[Session]:
        """The sessions, from the first."""
        ...


class Planned(ABC, Generic[P]):
    """A workload whose sessions are made of plans: cheap to pass over, made where they are wanted."""

    name: str
    remarks: Sequence[str] = ()

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """All that shapes the sessions."""

    @abstractmethod
    def plans(self) -> Iterator[P]:
        """What each session is made of."""

    @abstractmethod
    def session(self, number: int, plan: P) -> Session:
        """The session of this number, counted from 0."""

    def __iter__(self) -> Iterator[Session]:
        """The sessions, from the first."""
        return self.share(0, 1)

    def share(self, first: int, every: int) -> Iterator[Session]:
        """Every so many-th session, beginning with the one of the number `first`."""
        for number, plan in islice(enumerate(self.plans()), first, None, every):
            yield self.session(number, plan)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def take_share(workload: Workload, first: int, every: int) -> Iterator[Session]:
    """Every so many-th session of any workload; those between cost little where it knows how to skip.

    What is wrong in its code is told as an error of the workload.
    """
    share = getattr(workload, "share", None)
    sessions: Iterator[Session] = (
        islice(workload, first, None, every) if share is None else share(first, every)
    )
    try:
        yield from sessions
    except SteelyardError:
        raise
    except Exception as error:
        message = f"the workload {workload.name} broke: {describe(error)}"
        raise DataError(message, hint=locate(error)) from error
