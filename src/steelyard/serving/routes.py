"""Which wire answers where: paths to protocols.

open_wires(["openai", "tgi"])     {"openai": OpenAI(), "tgi": TGI()}
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from steelyard.errors import UsageError
from steelyard.plugins import resolve
from steelyard.wire.base import Wire

WIRES = ("openai", "tgi", "triton", "mindie", "plain")
"""What is served where nothing else is said."""

# What people call one protocol and is several here.
_FAMILIES = {"triton": ("triton", "kserve")}
_PLACE = re.compile(r"\{(\w+)\}")


class Route(NamedTuple):
    """A path that is answered: by which wire, under which name, and the model that it names."""

    name: str
    wire: Wire
    pattern: str
    model: str | None = None


class Routes:
    """The paths of several wires; where two want the same one, the first has it."""

    def __init__(self, wires: Mapping[str, Wire]) -> None:
        self.wires = wires
        self._plain: dict[str, Route] = {}
        self._open: list[tuple[re.Pattern[str], Route]] = []
        for name, wire in wires.items():
            if not wire.routes:
                raise UsageError(
                    f"the wire {name} says nowhere that it can be served", hint="it has no routes"
                )
            for pattern in wire.routes:
                route = Route(name, wire, pattern)
                if "{" in pattern:
                    self._open.append((_compile(pattern), route))
                else:
                    self._plain.setdefault(pattern, route)
        # The longer of two says more.
        self._open.sort(key=lambda entry: -len(entry[1].pattern))

    def find(self, path: str) -> Route | None:
        """Who answers what is posted to a path."""
        found = self._plain.get(path)
        if found is not None:
            return found
        for pattern, route in self._open:
            if match := pattern.fullmatch(path):
                return route._replace(model=match.groupdict().get("model"))
        return None

    def describe(self, path: str, models: Sequence[str]) -> Any:
        """What a GET of a path says, by the first wire that knows it; None where none does."""
        told = (wire.describe(path, models) for wire in self.wires.values())
        return next((one for one in told if one is not None), None)

    def nearest(self, path: str) -> Wire:
        """The wire whose errors whoever asks for a path would understand best."""
        begin = _first_part(path)
        near = (
            wire
            for wire in self.wires.values()
            if any(_first_part(pattern) == begin for pattern in wire.routes)
        )
        return next(near, next(iter(self.wires.values())))


def open_wires(named: Iterable[str | Wire]) -> dict[str, Wire]:
    """The wires of these names, or that are given."""
    wires: dict[str, Wire] = {}
    for one in named:
        if isinstance(one, Wire):
            wires[type(one).__name__.lower()] = one
        for name in _FAMILIES.get(one, (one,)) if isinstance(one, str) else ():
            wires[name] = resolve("wires", name)()
    if not wires:
        raise UsageError("no wire is named", hint=", ".join(WIRES))
    return wires


def _compile(pattern: str) -> re.Pattern[str]:
    """A pattern of paths; names of models may have slashes."""
    parts = _PLACE.split(pattern)
    return re.compile(
        "".join(
            re.escape(part)
            if place % 2 == 0
            else f"(?P<{part}>.+)"
            if part == "model"
            else f"(?P<{part}>[^/]+)"
            for place, part in enumerate(parts)
        )
    )


def _first_part(path: str) -> str:
    """A path up to its second slash; there are also calls of * and of host:port, which have none."""
    return "/".join(path.split("/", 2)[:2])
