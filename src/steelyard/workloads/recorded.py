"""Requests of one's own, a row each, with what each of them asks for.

    {"prompt": "Hello", "max_tokens": 16}
    {"messages": [{"role": "user", "content": "Hello"}], "output_length": 40, "params": {"temperature": 0}}
    {"turns": ["Write a poem.", "Shorter."], "think": 2.5, "timestamp": 1.25}

Columns are found as everywhere: prompt, question, input, messages, …, or those that are named. How
long an answer may be stands in max_tokens, output_tokens, output_length or the like, `params` go with
the request, `think` is how long the user takes before each later turn, and `timestamp` (or `at`) the
second in which the request is due.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from steelyard.data.columns import USUAL
from steelyard.data.layouts.base import Fields
from steelyard.data.references import open_origin
from steelyard.data.rows import BadRow, Origin, Row
from steelyard.data.source import Data
from steelyard.plugins import call_with
from steelyard.tasks.prompts import compose, compose_turns
from steelyard.types import Prompt, Sample
from steelyard.workloads.base import Planned, Session, Turn
from steelyard.workloads.lengths import read_lengths
from steelyard.workloads.sources import draw

OUTPUT = (
    "max_tokens",
    "output_tokens",
    "output_length",
    "output_len",
    "max_completion_tokens",
    "max_new_tokens",
)
TIMES = ("timestamp", "at")
_CELLS = ("delimiter", "quotes")
_PLAN = "what is asked"


class Recorded(Planned[Sample]):
    """The requests that the rows of a source are; `output` says how long answers may be where no row does.

    The other options are those of data: input=COLUMN, limit, sample, on_bad_row=skip, …
    """

    def __init__(
        self, data: Any, *, output: Any = None, template: str = "{input}", seed: int = 0, **options: Any
    ) -> None:
        if not isinstance(data, Data):
            files = {name: options.pop(name) for name in ("format", "split") if name in options}
            cells = {name: options.pop(name) for name in _CELLS if options.get(name) is not None}
            origin = data if isinstance(data, Origin) else open_origin(data, cells=cells, **files)
            data = call_with("the data", Data, {"seed": seed, **options}, _Read(origin))
        self.data: Data = data
        self.name = self.data.name
        self._template, self._seed = template, seed
        self._output = None if output is None else read_lengths(output, name="output")

    def identity(self) -> Mapping[str, Any]:
        """The data, and how it is asked."""
        return {
            "workload": self.name,
            "data": self.data.identity(),
            "template": self._template,
            "output": None if self._output is None else self._output.identity(),
            "seed": self._seed,
        }

    def size(self) -> int | None:
        """How many requests there are, where that is cheap to know."""
        return self.data.size()

    @property
    def skipped(self) -> int:
        """How many rows were passed over."""
        return self.data.skipped

    def plans(self) -> Iterator[Sample]:
        """The samples."""
        return iter(self.data)

    def session(self, number: int, plan: Sample) -> Session:
        """The request of a row; of several turns where it has them."""
        asked: Mapping[str, Any] = plan.meta.get(_PLAN, {})
        most = asked.get("most")
        if most is None and self._output is not None:
            most = int(self._output.draw(draw(self._seed, "output", number)))
        params, think = asked.get("params", {}), asked.get("think", 0.0)
        prompts: list[Any] = asked.get("turns") or [self._prompt(plan)]
        turns = [
            Turn(prompt, most, think if place else 0.0, params, plan.target if len(prompts) == 1 else None)
            for place, prompt in enumerate(prompts)
        ]
        return Session(plan.id, turns, asked.get("at"))

    def _prompt(self, sample: Sample) -> Prompt:
        if self._template == "{input}" and not isinstance(sample.input, str):
            turns = isinstance(sample.input, (list, tuple))
            return compose_turns(sample.input, sample) if turns else sample.input
        content = compose(self._template, sample)
        return content if isinstance(content, str) else [{"role": "user", "content": content}]


class _Read(Origin):
    """Rows of another origin, with what they ask for read; one that cannot be is a bad row."""

    def __init__(self, inner: Origin) -> None:
        self._inner, self.name = inner, inner.name

    def rows(self) -> Iterator[Row]:
        for where, number, row in self._inner.rows():
            if not isinstance(row, Mapping):
                yield where, number, row
                continue
            try:
                yield where, number, read_row(row)
            except BadRow as bad:
                yield where, number, bad

    def size(self) -> int | None:
        return self._inner.size()

    def folder(self, where: str) -> Path | None:
        return self._inner.folder(where)

    def identity(self) -> Mapping[str, Any]:
        return self._inner.identity()


def read_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with what it asks for beside its prompt read."""
    fields = Fields(row)
    asked: dict[str, Any] = {}
    if (most := fields.column(*OUTPUT)) is not None:
        asked["most"] = read_count(fields[most], most, least=1)
    if (params := fields.column("params", "parameters", "sampling_params")) is not None:
        asked["params"] = _read_object(fields[params], params)
    if (think := fields.column("think", "think_time", "delay")) is not None:
        asked["think"] = read_seconds(fields[think], think)
    if (at := fields.column(*TIMES)) is not None:
        asked["at"] = read_seconds(fields[at], at)
    turns = fields.find("turns")
    if isinstance(turns, list):
        if not turns or not all(isinstance(turn, str) and turn for turn in turns):
            raise BadRow("a list of texts as turns", turns)
        asked["turns"] = turns
        if not any(column in row for column in USUAL["input"].split()):
            row = {"input": turns[0], **row}
    return {**row, _PLAN: asked} if asked else dict(row)


def read_count(value: Any, what: str, *, least: int) -> int:
    """A whole number in a row, written as one or as a text."""
    try:
        number = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError):
        number = math.nan
    if not number >= least or number != int(number):
        raise BadRow(f"a whole number of at least {least} as {what}", value)
    return int(number)


def read_seconds(value: Any, what: str) -> float:
    """A time in a row, in seconds."""
    try:
        number = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise BadRow(f"seconds as {what}", value)
    return number


def _read_object(value: Any, what: str) -> Mapping[str, Any]:
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError as error:
            raise BadRow(f"a JSON object as {what}", value) from error
    if not isinstance(value, Mapping):
        raise BadRow(f"an object as {what}", value)
    return value
