"""The rows of a configured data set: read by its class, each with its right answer, as far as asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from ais_bench.benchmark.configuration.files import find_written
from ais_bench.benchmark.datasets.readers import BaseDataset, columns_of, gold_of
from ais_bench.benchmark.datasets.scoring import Postprocessed
from steelyard.data.source import Data
from steelyard.errors import DataError, SteelyardError, UsageError, describe, locate
from steelyard.metrics.extraction import LETTERS
from steelyard.types import Sample

_SETTINGS = ("abbr", "type", "reader_cfg", "infer_cfg", "eval_cfg", "mode")
_RANGE = re.compile(r"\[\s*(\d*)\s*:\s*(\d*)\s*\]")


class Golden:
    """The samples of a data set with what a configuration calls their right answer as target."""

    def __init__(
        self,
        data: Any,
        reader: Mapping[str, Any],
        *,
        clean: Postprocessed | None = None,
        labels: Sequence[str] = (),
    ) -> None:
        self._data, self._clean, self._labels = data, clean, labels
        self._column = reader.get("output_column")
        self._start, self._end = _range_of(reader.get("test_range"))
        self.name = getattr(data, "name", "data")

    def __iter__(self) -> Iterator[Sample]:
        """Read the samples."""
        for sample in islice(self._data, self._start, self._end):
            gold = gold_of(sample)
            if gold is None and self._column:
                gold = columns_of(sample).get(self._column)
            if self._clean is not None and gold is not None:
                gold = self._clean(str(gold), sample).value
            # Options stay where there are any: a template may show them.
            choices = sample.choices or self._labels or None
            count = len(self._labels)
            if choices and count and str(gold) in LETTERS[:count]:
                # What has no label is not asked, unless it is the answer: that row is told as an error.
                choices = choices[:count]
            yield replace(sample, target=gold, choices=choices)

    def size(self) -> int | None:
        """How many there are, where that is known."""
        size = self._data.size() if hasattr(self._data, "size") else None
        return None if size is None else len(range(*slice(self._start, self._end).indices(size)))

    def identity(self) -> Mapping[str, Any]:
        """All that makes it what it is."""
        own = self._data.identity() if hasattr(self._data, "identity") else type(self._data).__name__
        clean = None if self._clean is None else self._clean.identity
        return {"data": own, "gold": self._column, "clean": clean, "range": [self._start, self._end]}


def read_rows(entry: Mapping[str, Any], reader: Mapping[str, Any]) -> tuple[Any, Any]:
    """The samples that are asked, and those that examples are taken from."""
    cls = entry.get("type")
    if isinstance(cls, str):
        cls = find_written(cls if ":" in cls else "ais_bench.benchmark.datasets:" + cls.rpartition(".")[2])
    load = getattr(cls, "load", None)
    if load is None or load is BaseDataset.load:
        raise UsageError(f"the data set {entry['abbr']} has no type with load(path)")
    options = {name: value for name, value in entry.items() if name not in _SETTINGS}
    try:
        found = load(**options)
    except SteelyardError:
        raise
    except Exception as error:
        message = f"the data set {entry['abbr']} cannot be loaded: {describe(error)}"
        raise UsageError(message, hint=locate(error)) from error
    if not isinstance(found, Mapping):
        return _samples(found, reader), None
    wanted = reader.get("test_split", "test")
    asked = found.get(wanted, next(iter(found.values())) if len(found) == 1 else None)
    if asked is None:
        raise DataError(
            f"the data set {entry['abbr']} has no split {wanted!r}", hint=f"it has {', '.join(found)}"
        )
    shown = next((found[s] for s in (reader.get("train_split"), "train", "dev") if s in found), None)
    return _samples(asked, reader), None if shown is None else _samples(shown, reader)


def name_of(kind: Any) -> str:
    """What a configuration calls a class that it names, or the class itself."""
    return re.split(r"[.:]", kind)[-1] if isinstance(kind, str) else str(getattr(kind, "__name__", kind))


def _samples(rows: Any, reader: Mapping[str, Any]) -> Any:
    if isinstance(rows, Data) or hasattr(rows, "identity"):
        return rows
    columns = reader.get("input_columns") or []
    first = columns if isinstance(columns, str) else next(iter(columns), None)
    output = reader.get("output_column")
    return Data(rows, input=first, target=output or None)


def _range_of(text: Any) -> tuple[int, int | None]:
    if not text:
        return 0, None
    found = _RANGE.fullmatch(str(text))
    if found is None:
        raise UsageError(f"test_range is {text!r}", hint="as in '[0:100]'")
    return int(found[1] or 0), int(found[2]) if found[2] else None
