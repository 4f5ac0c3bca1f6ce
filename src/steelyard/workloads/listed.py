"""Sessions that are in this process already, or that a function gives: prompts, turns, sessions.

Listed(["Hello", Turn("Tell me a story.", max_tokens=200), Session("a", [Turn("Hi"), Turn("And?")])])
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from steelyard.data.memory import content
from steelyard.errors import DataError
from steelyard.plugins import reference, source_digest
from steelyard.types import Request, Sample
from steelyard.workloads.base import Planned, Session, Turn


class Listed(Planned[Any]):
    """What a list or another iterable holds; one that can be read once only is read once."""

    def __init__(self, given: Iterable[Any], *, name: str = "") -> None:
        try:
            iter(given)
        except TypeError as error:
            hint = "a name, a file, a task, or a list of sessions, turns or prompts"
            raise DataError(f"a {type(given).__name__} is no workload", hint=hint) from error
        self._given = given
        self.name = name or type(given).__name__

    def identity(self) -> Mapping[str, Any]:
        """What it holds, where that can be known without reading it up."""
        known: dict[str, Any] = {"workload": self.name}
        if isinstance(self._given, (list, tuple)):
            known["content"] = content([{"session": repr(one)} for one in self._given])
        return known

    def size(self) -> int | None:
        """How many sessions there are, if that is known."""
        return len(self._given) if isinstance(self._given, (list, tuple)) else None

    def plans(self) -> Iterator[Any]:
        """What it holds."""
        return iter(self._given)

    def session(self, number: int, plan: Any) -> Session:
        """One of them as a session."""
        return as_session(plan, number)


class Made(Listed):
    """What a function gives, called anew for every reading."""

    def __init__(
        self,
        make: Callable[..., Iterable[Any]],
        options: Mapping[str, Any],
        given: Iterable[Any],
        *,
        name: str,
    ) -> None:
        super().__init__(given, name=name)
        self._make, self._options, self._first = make, dict(options), True

    def identity(self) -> Mapping[str, Any]:
        """The function, its source and its options."""
        told = {option: repr(given) for option, given in self._options.items() if option != "model"}
        return {
            "workload": self.name,
            "made by": reference(self._make),
            "source": source_digest(self._make),
            "options": told,
        }

    def size(self) -> int | None:
        """Unknown: it may give others each time."""
        return None

    def plans(self) -> Iterator[Any]:
        """What it gives now."""
        given = self._given if self._first else self._make(**self._options)
        self._first = False
        return iter(given)


def as_session(given: Any, number: int) -> Session:
    """A session of whatever may stand for one."""
    if isinstance(given, Session):
        return given
    if isinstance(given, Turn):
        return Session(str(number), [given])
    if isinstance(given, Request):
        params = dict(given.params)
        return Session(given.id, [Turn(given.prompt, params.pop("max_tokens", None), params=params)])
    if isinstance(given, Sample):
        return Session(given.id, [Turn(given.input, target=given.target)])
    if isinstance(given, (str, Mapping)):
        return Session(str(number), [Turn(given)])
    if isinstance(given, Sequence) and given and all(isinstance(one, Turn) for one in given):
        return Session(str(number), list(given))
    if (
        isinstance(given, Sequence)
        and given
        and all(isinstance(one, Mapping) and "role" in one for one in given)
    ):
        return Session(str(number), [Turn(list(given))])
    hint = "a Session, a Turn, a list of Turns, a Request, or a prompt"
    raise DataError(f"number {number} is a {type(given).__name__}, no session", hint=hint)
