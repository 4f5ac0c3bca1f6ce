"""Recorded loads: when each request came, how long it was and how long its answer.

    {"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47, 2353]}      mooncake

    Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type                             burstgpt
    5.0,ChatGPT,472,18,490,Conversation log

    TIMESTAMP,ContextTokens,GeneratedTokens                                             the same, from Azure
    2023-11-16 18:15:46.6805900,374,44

A trace holds no texts: its prompts are made, of the recorded length. Where two share the hashes of blocks
(512 tokens each), they share these blocks, token for token. Rows are read one by one, however long the
file is; what stands in one that is not as it should be is told with its line.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from steelyard.data.references import open_origin
from steelyard.data.rows import BadRow, Origin
from steelyard.errors import DataError, UsageError
from steelyard.models.base import Model
from steelyard.plugins import call_with
from steelyard.workloads.base import Planned, Session, Turn
from steelyard.workloads.lengths import read_lengths
from steelyard.workloads.recorded import read_count
from steelyard.workloads.sources import COUNT, draw, open_source

_TIME = ("timestamp", "time", "arrivaltime", "arrivedat", "arrival", "starttime")
_INPUT = (
    "inputlength",
    "requesttokens",
    "contexttokens",
    "inputtokens",
    "prompttokens",
    "promptlen",
    "inputlen",
)
_OUTPUT = (
    "outputlength",
    "responsetokens",
    "generatedtokens",
    "outputtokens",
    "completiontokens",
    "outputlen",
)
_TEXT, _HASHES = ("inputtext", "prompt"), ("hashids", "blockhashids", "hashes")
_UNITS = {"ms": 1e-3, "s": 1.0}
_KEPT_BLOCKS = 2048


class Arrival(NamedTuple):
    """A row of a trace, read."""

    at: float
    length: int
    output: int
    text: str
    hashes: Sequence[Any]


class Trace(Planned[Arrival]):
    """Requests at recorded times, in the `unit` of the file (ms or s), with blocks of `block` tokens.

    Requests that got no answer are passed over. `output` are other lengths of answers than those
    recorded. With template="count" the lengths are those of prompts in the model's chat template.
    """

    def __init__(
        self,
        data: Any,
        *,
        unit: str = "ms",
        block: int = 512,
        output: Any = None,
        template: str = "apart",
        tokenizer: Any = None,
        model: Model | None = None,
        limit: int | None = None,
        offset: int = 0,
        on_bad_row: str = "stop",
        seed: int = 0,
        **files: Any,
    ) -> None:
        if unit not in _UNITS:
            raise UsageError(f"unit={unit}", hint=" or ".join(_UNITS))
        if block < 1 or offset < 0 or (limit is not None and limit < 1):
            raise UsageError("block and limit are at least 1, offset at least 0")
        if on_bad_row not in ("stop", "skip"):
            raise UsageError(f"on_bad_row is {on_bad_row!r}", hint="stop or skip")
        cells = {name: files.pop(name) for name in ("delimiter", "quotes") if files.get(name) is not None}
        self._origin: Origin = data if isinstance(data, Origin) else open_origin(data, cells=cells, **files)
        self.name = self._origin.name
        self._unit, self._block, self._seed = unit, block, seed
        self._limit, self._offset, self._skip = limit, offset, on_bad_row == "skip"
        self._output = None if output is None else read_lengths(output, name="output")
        self._source = open_source(tokenizer, model=model, template=template)
        self._template, self.remarks = template, self._source.remarks
        self._around = (self._source.around or 0) if template == COUNT else 0
        self._bytes = lru_cache(maxsize=_KEPT_BLOCKS)(self._draw_block)
        self.skipped = 0

    def identity(self) -> Mapping[str, Any]:
        """The file, and what its rows are made into."""
        return {
            "workload": self.name,
            "data": self._origin.identity(),
            "unit": self._unit,
            "block": self._block,
            "output": None if self._output is None else self._output.identity(),
            "tokenizer": self._source.identity(),
            "template": self._template,
            "rows": [self._offset, self._limit],
            "seed": self._seed,
        }

    def size(self) -> int | None:
        """How many rows there are, where that is cheap to know."""
        size = self._origin.size()
        return size if size is None or self._limit is None else min(size, self._limit)

    def plans(self) -> Iterator[Arrival]:
        """The rows, read and in their order."""
        self.skipped, given, last, columns = 0, 0, -math.inf, _Columns(_UNITS[self._unit])
        for place, (where, number, row) in enumerate(self._origin.rows()):
            if place < self._offset:
                continue
            try:
                arrival = columns.read(row)
                if arrival.at < last:
                    message = f"a time not before the one in front of it, {last:g} s"
                    raise BadRow(message, f"{arrival.at:g} s", hint="sort the trace by its times")
            except BadRow as bad:
                if not self._skip:
                    raise bad.at(f"{where} {number}") from bad
                self.skipped += 1
                continue
            if not arrival.output:
                self.skipped += 1
                continue
            last = arrival.at
            yield arrival
            given += 1
            if given == self._limit:
                return
        if not given:
            raise DataError(
                f"{self.name} has no request", hint="it must have at least one row that was answered"
            )

    def session(self, number: int, plan: Arrival) -> Session:
        """A request of the recorded length, at its time."""
        output = plan.output
        if self._output is not None:
            output = int(self._output.draw(draw(self._seed, "output", number)))
        if plan.text:
            return Session(str(number), [Turn(plan.text, output)], plan.at)
        chosen = self._choose(number, max(plan.length - self._around, 1), plan.hashes)
        writer = self._source.writer
        told = len(chosen) + self._around if writer.exact else None
        return Session(str(number), [Turn(writer.spell(chosen), output, tokens_in=told)], plan.at)

    def _choose(self, number: int, length: int, hashes: Sequence[Any]) -> bytes:
        """The words of a prompt: those of its blocks, then some of its own."""
        needed = -(-length // self._block)
        chosen = b"".join(self._bytes(one) for one in hashes[:needed])[:length]
        rest = length - len(chosen)
        return chosen + draw(self._seed, "own", number).randbytes(rest) if rest else chosen

    def _draw_block(self, name: Any) -> bytes:
        return draw(self._seed, "block", name).randbytes(self._block)


class _Columns:
    """Finds the columns of a trace by their names, whatever their case and spaces, and reads rows."""

    def __init__(self, unit: float) -> None:
        self._unit = unit
        self._known: frozenset[Any] = frozenset()
        self._names: dict[str, str] = {}

    def read(self, row: Any) -> Arrival:
        """A row; a BadRow where it is not what it should be."""
        if isinstance(row, BadRow):
            raise row
        if not isinstance(row, Mapping):
            raise BadRow("an object with columns", row)
        if row.keys() != self._known:
            self._names = {"".join(filter(str.isalnum, str(name).casefold())): name for name in row}
            self._known = frozenset(row)
        text = self._find(row, _TEXT)
        if text is not None and not isinstance(text, str):
            raise BadRow("a text as input_text", text)
        length = 0 if text else read_count(self._need(row, _INPUT, "input_length"), "input length", least=1)
        output = read_count(self._need(row, _OUTPUT, "output_length"), "output length", least=0)
        hashes = self._find(row, _HASHES)
        if hashes is not None and (
            not isinstance(hashes, list) or not all(isinstance(one, (int, str)) for one in hashes)
        ):
            raise BadRow("a list of numbers as hash_ids", hashes)
        at = self._read_time(self._need(row, _TIME, "timestamp"))
        return Arrival(at, length, output, text or "", hashes or ())

    def _find(self, row: Mapping[str, Any], names: Sequence[str]) -> Any:
        value = next((row[self._names[name]] for name in names if name in self._names), None)
        return None if value == "" else value

    def _need(self, row: Mapping[str, Any], names: Sequence[str], usual: str) -> Any:
        value = self._find(row, names)
        if value is None:
            raise BadRow(f"a column {usual}", list(row))
        return value

    def _read_time(self, value: Any) -> float:
        try:
            number = float("nan" if isinstance(value, bool) else value) * self._unit
        except (TypeError, ValueError):
            number = _read_moment(value)
        if not math.isfinite(number):
            raise BadRow("a number or a moment as timestamp", value)
        return number


def _read_moment(value: Any) -> float:
    """The seconds of a written date and time."""
    text = str(value).strip().replace("Z", "+00:00")
    whole, point, rest = text.partition(".")
    digits = "".join(char for char in rest[:9] if char.isdigit())
    # Python reads six digits of a second, some traces have seven.
    text = f"{whole}.{digits[:6]:0<6}{rest[len(digits) :]}" if point else text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return math.nan
    return moment.timestamp() if moment.tzinfo else (moment - datetime(1970, 1, 1)).total_seconds()


def make_mooncake(
    data: Any, *, unit: str = "ms", output: Any = None, model: Model | None = None, **options: Any
) -> Trace:
    """A trace in the layout of Mooncake's."""
    given = {"unit": unit, "output": output, "model": model, **options}
    made: Trace = call_with("the trace", Trace, given, data)
    return made


def make_burstgpt(
    data: Any, *, unit: str = "s", output: Any = None, model: Model | None = None, **options: Any
) -> Trace:
    """A trace in the layout of BurstGPT's, or of Azure's."""
    return make_mooncake(data, unit=unit, output=output, model=model, **options)
