"""What is judged alone and in company: units, what a model says of each, and how far that is apart.

A unit is what has a score of its own: a request, one of the two pieces of a pair, or one of several answers
to a question.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from steelyard.errors import SteelyardError
from steelyard.models.base import LocalModel, Model
from steelyard.types import Part, Request, Response

_SECOND = "_b"


@dataclass(frozen=True, slots=True)
class Unit:
    """What has a score of its own; `part` is which side of a pair or which answer of its request it is."""

    place: int
    request: Request
    part: str | int | None = None
    lengths: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What a reader calls it."""
        said = f"question {self.request.id}"
        if isinstance(self.part, int):
            return f"{said}, answer {self.part + 1}"
        return said if self.part is None else f"{said}, side {'b' if self.part else 'a'}"

    @property
    def has_reference(self) -> bool | None:
        """Whether a piece of music has a reference beside it; None of anything else."""
        prompt = self.request.prompt
        if not isinstance(prompt, Mapping) or "audio" not in prompt:
            return None
        return prompt.get("ref_audio") is not None


@dataclass(frozen=True, slots=True)
class Said:
    """What a model says of a unit: numbers by their names, a text, or why it fails."""

    numbers: Mapping[str, float]
    text: str = ""
    error: str | None = None

    def apart(self, other: Said) -> float:
        """How far two are apart, as a share of what is above 1; infinite where no number tells."""
        if self.error is not None or other.error is not None:
            return 0.0 if self.error is not None and other.error is not None else math.inf
        if self.numbers.keys() != other.numbers.keys():
            return math.inf
        if not self.numbers:
            return 0.0 if self.text == other.text else math.inf
        pairs = [(value, other.numbers[name]) for name, value in self.numbers.items()]
        return max(abs(a - b) / max(1.0, abs(a), abs(b)) for a, b in pairs)

    def show(self, other: Said) -> tuple[str, str]:
        """Both as a reader sees them: where they are furthest apart, or what they say."""
        if self.numbers.keys() != other.numbers.keys() or not self.numbers:
            return _shown(self), _shown(other)
        gaps = {name: abs(value - other.numbers[name]) for name, value in self.numbers.items()}
        worst = max(gaps, key=gaps.__getitem__)
        here, there = self.numbers[worst], other.numbers[worst]
        named, digits = f"{worst} " if worst else "", _digits(here, there)
        return f"{named}{here:.{digits}g}", f"{named}{there:.{digits}g}"


def units_of(place: int, request: Request, *, model: Model) -> list[Unit]:
    """The units of a request, each asked about alone."""
    prompt, choices = request.prompt, request.choices
    found = [Unit(place, request)]
    if choices is not None and len(choices) > 1:
        found = [Unit(place, replace(request, choices=[one]), n) for n, one in enumerate(choices)]
    elif isinstance(prompt, Mapping) and prompt.get("audio_b") is not None:
        first = {key: value for key, value in prompt.items() if key != "audio_b"}
        second = {**first, "audio": prompt["audio_b"]}
        found = [
            Unit(place, replace(request, prompt=one), part) for part, one in (("", first), (_SECOND, second))
        ]
    return [replace(unit, lengths=measure(model, unit.request)) for unit in found]


def said_of(unit: Unit, response: Response, *, whole: bool) -> Said:
    """What an answer says of a unit: one to all of its request (`whole`), or to it alone."""
    scores = response.scores
    if whole and isinstance(unit.part, str) and isinstance(response.raw, Mapping):
        # Of a pair, one side may be answered where the other one fails.
        errors = response.raw.get("errors")
        error = errors[bool(unit.part)] if isinstance(errors, (list, tuple)) else response.error
        response = replace(response, error=error)
    if response.error is not None:
        return Said({}, error=response.error)
    if isinstance(scores, Mapping):
        if whole and isinstance(unit.part, str):
            scores = {
                name.removesuffix(_SECOND): value
                for name, value in scores.items()
                if name.endswith(_SECOND) == bool(unit.part)
            }
        return Said(dict(scores))
    if scores is not None:
        listed = [scores[unit.part]] if whole and isinstance(unit.part, int) else scores
        return Said({str(n) if n else "": value for n, value in enumerate(listed)})
    raw = response.raw
    if not response.text and isinstance(raw, (list, tuple)) and all(isinstance(x, float) for x in raw):
        return Said({f"[{n}]": value for n, value in enumerate(raw)})
    return Said({}, response.text)


def measure(model: Model, request: Request) -> dict[str, float]:
    """How long it is, in each way that may matter: as the model counts it, and each of its parts."""
    prompt, answers = request.prompt, request.choices or ()
    found: dict[str, float] = {}
    with contextlib.suppress(Exception):
        found["length"] = float(model.length(request)) if isinstance(model, LocalModel) else 0.0
    if isinstance(prompt, Mapping):
        return {**found, **{str(name): _weigh(value) for name, value in prompt.items()}}
    words = [*_words(prompt), *(word for one in answers for word in one.split())]
    return {**found, "text": float(sum(map(len, words))), "words": float(len(words))}


def _words(prompt: Any) -> Iterator[str]:
    if isinstance(prompt, str):
        yield from prompt.split()
    elif isinstance(prompt, Part):
        yield from _words(prompt.data if prompt.kind == "text" else "")
    else:
        for turn in prompt:
            yield from _words(turn["content"] if isinstance(turn, Mapping) else turn)


def _weigh(value: Any) -> float:
    """How much there is of a part of a prompt: seconds of a sound, else letters or samples."""
    data = value.data if isinstance(value, Part) else value
    if callable(seconds := getattr(data, "seconds", None)):
        with contextlib.suppress(SteelyardError):
            return float(seconds())
    return float(len(data)) if hasattr(data, "__len__") else 0.0


def _shown(said: Said) -> str:
    if said.error is not None:
        return f"fails: {said.error}"
    if not said.numbers:
        return repr(said.text if len(said.text) < 60 else f"{said.text[:57]}...")
    return ", ".join(f"{name} {value:.6g}".strip() for name, value in said.numbers.items())


def _digits(one: float, other: float) -> int:
    """As many digits as show two numbers to differ."""
    return next((n for n in range(4, 17) if f"{one:.{n}g}" != f"{other:.{n}g}"), 17) + 1
