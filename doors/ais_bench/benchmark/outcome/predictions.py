"""Answers as lines of their own: written while they come, made again from the run where it goes on.

{"data_abbr": "gsm8k", "id": 0, "success": true, "origin_prompt": "…", "prediction": "…", …}
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, BinaryIO

import msgspec

from ais_bench.benchmark.datasets.merging import FIELD
from ais_bench.benchmark.datasets.readers import gold_of, said_of
from ais_bench.benchmark.models.turns import to_prompt
from steelyard.errors import StoreError
from steelyard.store import Run
from steelyard.types import Record

_PAUSE = 0.25
_SPACE = uuid.UUID("3f0c9a0e-6f5b-5d8e-9a55-0c6a7f1b2d11")
_record = msgspec.json.Decoder(Record)
_encode = msgspec.json.Encoder(enc_hook=str).encode

Place = Callable[[str, bool], Path]
"""The file of a data set's answers, or of those that failed."""


class Predictions:
    """Follows the records of a run, and writes what they are as predictions.

    The run alone counts: whoever is killed between the two files begins these anew.
    """

    def __init__(self, place: Place, abbrs: Sequence[str]) -> None:
        self._place, self._abbrs = place, abbrs
        self._files: dict[tuple[str, bool], BinaryIO] = {}
        self._open = ExitStack()
        self._end = 0
        self._last = 0.0

    def __enter__(self) -> Predictions:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def follow(self, run: Run) -> None:
        """Write what has come, now and then."""
        now = perf_counter()
        if now - self._last >= _PAUSE:
            self._last = now
            self.catch_up(run)

    def catch_up(self, run: Run) -> None:
        """Write all that has come."""
        try:
            if not self._end:
                # What is there is of another sitting, and of what failed then nothing may be left.
                for abbr in self._abbrs:
                    self._place(abbr, True).unlink(missing_ok=True)
            with run.log.open("rb") as log:
                log.seek(self._end)
                for line in log:
                    if not line.endswith(b"\n"):
                        break
                    self._end += len(line)
                    self._write(_record.decode(line), run)
            for file in self._files.values():
                file.flush()
        except OSError as error:
            raise StoreError(f"cannot write predictions: {error.strerror or error}") from error

    def _write(self, record: Record, run: Run) -> None:
        abbr = str(record.sample.meta[FIELD]) if len(self._abbrs) > 1 else self._abbrs[0]
        failed = record.response.error is not None
        if (abbr, failed) not in self._files:
            self._files[abbr, failed] = self._open.enter_context(self._place(abbr, failed).open("wb"))
        self._files[abbr, failed].write(_encode(prediction_of(record, abbr, run.name)) + b"\n")


def prediction_of(record: Record, abbr: str, run: str) -> dict[str, Any]:
    """A record as a prediction."""
    response = record.response
    raw = response.raw if isinstance(response.raw, Mapping) else {}
    line: dict[str, Any] = {
        "data_abbr": abbr,
        "id": record.index,
        "success": response.error is None,
        "uuid": str(raw.get("uuid") or uuid.uuid5(_SPACE, f"{run}/{record.sample.id}/{record.index}")),
        "origin_prompt": to_prompt(record.request.prompt),
        "prediction": said_of(record),
        "gold": gold_of(record.sample),
    }
    if record.request.choices is not None:
        line |= {"choices": record.request.choices, "scores": response.scores}
    if response.error is not None:
        line["error_info"] = response.error
    return line
