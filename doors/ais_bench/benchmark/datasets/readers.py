"""Data set classes: where the rows of a configured data set come from.

    class Animals(BaseDataset):
        @staticmethod
        def load(path):
            return [{"question": "cat", "answer": "CAT"}]

`load` gives rows, or a mapping from splits to rows; a column is what the configuration calls it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ais_bench.benchmark.datasets.places import find_data
from steelyard.data.source import Data
from steelyard.errors import UsageError
from steelyard.metrics.choices import target_indices
from steelyard.metrics.extraction import LETTERS
from steelyard.types import Record, Sample

_QUESTIONS = ("question", "input", "problem", "prompt", "text")
_ANSWERS = ("answer", "target", "solution", "answerKey", "label")


class BaseDataset:
    """Gives rows. One of one's own writes `load`, which gets what the entry says beside its settings."""

    @staticmethod
    def load(path: str, **options: Any) -> Any:
        """The rows, or a mapping from splits to rows."""
        raise NotImplementedError("load(path) gives the rows of a data set")


class JsonlDataset(BaseDataset):
    """The rows of a file: JSONL, JSON, CSV, Parquet."""

    @staticmethod
    def load(path: str, **options: Any) -> Any:
        """The samples of the file, every column in them."""
        return {"test": Data(find_data(path), **options)}


class CustomDataset(JsonlDataset):
    """The rows of a file of one's own."""


class _Known(BaseDataset):
    """A set in the layout that its users have it in; of exams `name` is one of the subjects."""

    layout: ClassVar[str]
    exams = False

    @classmethod
    def load(cls, path: str, name: str | None = None, **_: Any) -> Any:
        """The samples that are asked, and those that are shown."""
        asked = Data(find_data(path), layout=cls.layout)
        shown = asked.examples()
        subject = name if cls.exams else None
        splits: dict[str, Iterable[Sample]] = {"test": _Subject(asked, subject) if subject else asked}
        if shown is not None:
            splits["train"] = _Subject(shown, subject) if subject else shown
        return splits


class GSM8KDataset(_Known):
    """Word problems."""

    layout = "gsm8k"


class MATHDataset(_Known):
    """Competition problems."""

    layout = "math"


class Aime2024Dataset(_Known):
    """Problems with whole numbers as answers."""

    layout = "aime"


class Aime2025Dataset(Aime2024Dataset):
    """The same, of another year."""


class MMLUDataset(_Known):
    """Exams of 57 subjects."""

    layout = "mmlu"
    exams = True


class CEvalDataset(_Known):
    """Chinese exams of 52 subjects."""

    layout = "ceval"
    exams = True


class CMMLUDataset(_Known):
    """Chinese exams of 67 subjects."""

    layout = "cmmlu"
    exams = True


class ARCDataset(_Known):
    """Science questions."""

    layout = "arc_challenge"


class HumanevalDataset(_Known):
    """Functions to be written."""

    layout = "humaneval"


class IFEvalDataset(_Known):
    """Prompts with instructions to follow."""

    layout = "ifeval"


class _Subject:
    """The samples of one subject."""

    def __init__(self, data: Data, subject: str) -> None:
        self._data, self._subject = data, subject
        self.name = f"{data.name}-{subject}"

    def __iter__(self) -> Any:
        found = False
        for sample in self._data:
            if sample.meta.get("subject") == self._subject:
                found = True
                yield sample
        if not found:
            raise UsageError(f"{self._data.name} has no subject {self._subject!r}")

    def identity(self) -> Mapping[str, Any]:
        """What makes it what it is."""
        return {**self._data.identity(), "subject": self._subject}


def columns_of(sample: Sample) -> dict[str, Any]:
    """A sample under all names that configurations have for its parts."""
    gold = {name: gold_of(sample) for name in _ANSWERS}
    columns = dict.fromkeys(_QUESTIONS, sample.input) | gold | dict(sample.meta)
    if sample.choices:
        # A row may tell the right option by its number.
        columns |= gold
    for letter, option in zip(LETTERS, sample.choices or ()):
        columns.setdefault(letter, option)
        columns.setdefault(f"text{letter}", option)
    return columns


def said_of(record: Record) -> str:
    """The answer; of likelihoods the letter of the likeliest option."""
    scores = record.response.scores
    if record.request.choices is None or not scores or isinstance(scores, Mapping):
        return record.response.text
    return LETTERS[max(range(len(scores)), key=scores.__getitem__)]


def gold_of(sample: Sample) -> Any:
    """The right answer alone: of options its letter, of a worked solution what stands behind ####."""
    target = sample.target
    if sample.choices and target is not None:
        return LETTERS[target_indices(sample)[0]]
    if isinstance(target, str) and "####" in target:
        return target.rpartition("####")[2].strip().replace(",", "")
    return target
