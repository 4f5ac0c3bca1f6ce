"""What shapes one answer: the parameters that every local text model understands, checked.

read_params({"max_tokens": 32, "temperature": 0.7, "seed": 1, "stop": "\\n"})
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from steelyard.errors import UnknownName, UsageError


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the tokens of one answer are chosen; `others` are parameters of one kind of model alone."""

    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    others: Mapping[str, Any] = field(default_factory=dict)

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is always taken."""
        return self.temperature == 0.0


_LIMITS: dict[str, tuple[type, float, float]] = {
    "max_tokens": (int, 1, float("inf")),
    "temperature": (float, 0, float("inf")),
    "top_p": (float, 0, 1),
    "top_k": (int, 0, float("inf")),
    "min_p": (float, 0, 1),
    "repetition_penalty": (float, 1e-6, float("inf")),
    "seed": (int, 0, 2**63 - 1),
}


def read_params(params: Mapping[str, Any], *, others: frozenset[str] = frozenset()) -> Sampling:
    """The parameters of a request, checked; `others` are names that the model knows besides ours."""
    known: dict[str, Any] = {}
    passed: dict[str, Any] = {}
    for name, value in params.items():
        if name == "stop":
            known[name] = _stops(value)
        elif value is None:
            continue
        elif name in _LIMITS:
            known[name] = _number(name, value)
        elif name in others:
            passed[name] = value
        else:
            raise UnknownName("generation parameter", name, [*_LIMITS, "stop", *others])
    return Sampling(**known, others=passed)


def cut(text: str, stops: tuple[str, ...]) -> str:
    """The text up to where the first of the stop texts begins."""
    ends = [place for place in (text.find(stop) for stop in stops) if place >= 0]
    return text[: min(ends)] if ends else text


def _number(name: str, value: Any) -> float | int:
    kind, least, most = _LIMITS[name]
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # Compared first: infinity and nan have no whole part.
    if not is_number or not least <= value <= most or value == float("inf") or value != kind(value):
        what = "a whole number" if kind is int else "a number"
        limits = f"from {least:g}" + (f" to {most:g}" if most < 2**53 else "")
        raise UsageError(f"{name}={value!r} is not {what} {limits}")
    number: float | int = kind(value)
    return number


def _stops(value: Any) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value or ()
    if not isinstance(stops, (list, tuple)) or not all(isinstance(stop, str) and stop for stop in stops):
        raise UsageError(f"stop={value!r} is not a text or a list of texts")
    return tuple(stops)
