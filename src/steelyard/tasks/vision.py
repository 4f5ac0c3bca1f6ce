"""Questions about pictures and documents.

    vqa          short answers                     {"question": …, "image": "7.png", "answers": [… ]}
    charts       numbers and short answers         the same
    fields       fields of documents, as JSON      {"image": "7.png", "target": {"total": 12.5, …}}
    pages        what kind of document it is       {"image": "7.png", "label": "invoice"}
    page_order   which page comes first            {"pages": ["2.png", "1.png"], "target": "2, 1"}
    transcribe   all the text that stands there    {"image": "7.png", "target": "Invoice 12 …"}

Each is a Task with the right words, extraction and metrics; anything of it can be overridden. The
pictures come before the words, and results are shown apart by the kinds of documents and questions.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from typing import Any

from steelyard.errors import DataError, UsageError
from steelyard.metrics.documents import anls, relaxed
from steelyard.metrics.extraction import Regex, find_last_line, find_text
from steelyard.metrics.extraction.objects import find_object
from steelyard.metrics.extraction.orders import find_order
from steelyard.metrics.labels import accuracy, confusion, f1_macro
from steelyard.metrics.objects import field_names, target_objects
from steelyard.metrics.objects import fields as fields_right
from steelyard.metrics.orders import kendall, pages_exact, spearman
from steelyard.metrics.overlap import cer, token_f1, wer
from steelyard.metrics.text import exact_words, references
from steelyard.tasks.base import Task
from steelyard.tasks.prompts import Content, compose, images_of
from steelyard.types import Sample

BY = ("doc_type", "question_type", "language")
"""The columns that such data sets tell their documents and questions apart by."""


@dataclass(frozen=True, kw_only=True)
class PictureTask(Task):
    """A task about pictures, whose worked examples answer with the first acceptable answer."""

    by: Sequence[str] = BY

    def answer(self, sample: Sample) -> str:
        """What a worked example answers."""
        return next((f" {target}" for target in references(sample)), "")


@dataclass(frozen=True, kw_only=True)
class FieldsTask(PictureTask):
    """A task about the fields of documents: their names are `names`, in `names_column`, or the target's."""

    names: Sequence[str] = ()
    names_column: str = ""

    def question(self, sample: Sample) -> Content:
        """The names of the fields in the words of the template."""
        named = ", ".join(self.names or self._names_of(sample))
        return compose(self.template, replace(sample, meta={**sample.meta, "names": named}))

    def answer(self, sample: Sample) -> str:
        """The object that a worked example answers with."""
        return " " + json.dumps(target_objects(sample)[0], ensure_ascii=False)

    def _names_of(self, sample: Sample) -> Sequence[str]:
        if self.names_column:
            given = sample.meta.get(self.names_column)
            found = _split(given) if isinstance(given, str) else [str(name) for name in given or ()]
        else:
            found = [name for target in target_objects(sample)[:1] for name in field_names(target)]
        if not found:
            hint = "names=total,date says which fields are asked for"
            raise DataError(f"sample {sample.id!r} has no names of fields", hint=hint)
        return found


@dataclass(frozen=True, kw_only=True)
class PageOrder(PictureTask):
    """A task about pages that are out of order: each is shown after its number."""

    def question(self, sample: Sample) -> Content:
        """The pages with their numbers, and the words of the template."""
        if "{image" in self.template:
            return super().question(sample)
        count = len(images_of(sample))
        shown = "".join(f"Page {number}:\n{{image {number}}}\n" for number in range(1, count + 1))
        return compose(shown + self.template, sample)

    def answer(self, sample: Sample) -> str:
        """The order that a worked example answers with."""
        target = sample.target
        return " " + (", ".join(map(str, target)) if isinstance(target, (list, tuple)) else str(target))


@dataclass(frozen=True, kw_only=True)
class PageLabels(PictureTask):
    """A task about the kind of documents: one of `labels`, or of the sample's own choices."""

    labels: Sequence[str] = ()

    def question(self, sample: Sample) -> Content:
        """The labels in the words of the template."""
        labels = self.labels or sample.choices
        if not labels:
            hint = "labels=invoice,letter names them, or choices=COLUMN"
            raise DataError(f"sample {sample.id!r} has no labels to choose from", hint=hint)
        return compose(self.template, replace(sample, meta={**sample.meta, "labels": ", ".join(labels)}))


class Shuffled:
    """Samples whose pages are put out of order, each always in the same way; the target is the way back.

    Where `always` is not set, only samples without a target are.
    """

    def __init__(self, data: Iterable[Sample], *, seed: int = 0, always: bool = False) -> None:
        self._data = data
        self._seed, self._always = seed, always
        self.name = str(getattr(data, "name", "pages"))

    def __iter__(self) -> Iterator[Sample]:
        return map(self._shuffle, self._data)

    def size(self) -> int | None:
        """How many samples there are, where that is known."""
        if hasattr(self._data, "size"):
            size: int | None = self._data.size()
            return size
        return len(self._data) if isinstance(self._data, Sized) else None

    def identity(self) -> Mapping[str, Any]:
        """What makes these samples these samples, and the seed."""
        own = self._data.identity() if hasattr(self._data, "identity") else type(self._data).__name__
        return {"pages": own, "shuffled": {"seed": self._seed, "always": self._always}}

    @property
    def skipped(self) -> int:
        """How many bad rows were passed over."""
        return getattr(self._data, "skipped", 0)

    @property
    def bad_rows(self) -> list[str]:
        """The first of the bad rows."""
        return getattr(self._data, "bad_rows", [])

    def _shuffle(self, sample: Sample) -> Sample:
        if sample.target is not None and not self._always:
            return sample
        images = images_of(sample)
        places = list(range(len(images)))
        random.Random(f"{self._seed}:{sample.id}").shuffle(places)
        shown = tuple(images[place] for place in places)
        target = ", ".join(str(places.index(place) + 1) for place in range(len(images)))
        return replace(sample, target=target, meta={**sample.meta, "images": shown})


def vqa(*, data: Any, name: str = "vqa", **options: Any) -> PictureTask:
    """Short answers about pictures: ANLS, the words of the target, and the F1 of words."""
    preset = {
        "metrics": (anls, exact_words, token_f1),
        "template": "{input}\nAnswer with a word or a few, as they stand there, and nothing else.",
        "extract": find_text,
        "params": {"max_tokens": 64},
    }
    return PictureTask(name=name, data=data, **{**preset, **options})


def charts(*, data: Any, name: str = "charts", **options: Any) -> PictureTask:
    """Numbers and short answers about charts: relaxed accuracy, which lets numbers be 5 % off."""
    preset = {
        "metrics": (relaxed, exact_words),
        "template": "{input}\nAnswer with a number, a word or a few words, and nothing else.",
        "extract": find_text,
        "params": {"max_tokens": 64},
    }
    return PictureTask(name=name, data=data, **{**preset, **options})


def fields(
    *,
    data: Any,
    names: Sequence[str] | str = (),
    names_column: str = "",
    name: str = "fields",
    **options: Any,
) -> FieldsTask:
    """Fields of documents as a JSON object, compared field by field.

    Which fields is said by `names` (a list, or a text with commas), by a column of the data, or by the
    target of each sample.
    """
    preset = {
        "metrics": (fields_right,),
        "template": "Read these fields of the document: {names}.\n"
        "Answer with one JSON object that has them by these names, null for what is not there, and "
        "nothing else.",
        "extract": find_object,
        "params": {"max_tokens": 1024},
    }
    names = _split(names) if isinstance(names, str) else names
    return FieldsTask(name=name, data=data, names=names, names_column=names_column, **{**preset, **options})


def pages(*, data: Any, labels: Sequence[str] | str = (), name: str = "pages", **options: Any) -> PageLabels:
    """What kind of document or picture it is: accuracy, macro F1 and which was taken for which.

    The kinds are `labels` (a list, or a text with commas), or each sample's own choices. Of an answer
    the last label that it names counts.
    """
    labels = _split(labels) if isinstance(labels, str) else labels
    preset = {
        "metrics": (accuracy, f1_macro, confusion),
        "template": "Which of these is it: {labels}?\nAnswer with that alone.",
        "extract": Regex(_any_of(labels), rule="label") if labels else find_last_line,
        "params": {"max_tokens": 32},
    }
    return PageLabels(name=name, data=data, labels=labels, **{**preset, **options})


def page_order(
    *,
    data: Any,
    shuffle: str | bool = "auto",
    shuffle_seed: int = 0,
    name: str = "page_order",
    **options: Any,
) -> PageOrder:
    """Pages that are out of order: how the order given goes with the right one.

    Rows with a target are asked as they are. Pages of rows without one are in the right order, and are
    shuffled by `shuffle_seed`; `shuffle` yes or no does so with all or none.
    """
    if shuffle not in ("auto", "yes", "no", True, False):
        raise UsageError(f"shuffle is {shuffle!r}", hint="auto, yes or no")
    if shuffle not in ("no", False):
        data = Shuffled(data, seed=shuffle_seed, always=shuffle != "auto")
    preset = {
        "metrics": (kendall, spearman, pages_exact),
        "template": "These pages belong to one document and are out of order. In which order should they "
        "be read?\nAnswer with their numbers in that order, with commas between them, and nothing else.",
        "extract": find_order,
        "params": {"max_tokens": 64},
    }
    return PageOrder(name=name, data=data, **{**preset, **options})


def transcribe(*, data: Any, name: str = "transcribe", **options: Any) -> PictureTask:
    """All the text of a picture: errors by characters and by words."""
    preset = {
        "metrics": (cer, wer),
        "template": "Write down all the text that stands there, line by line, and nothing else.",
        "extract": find_text,
        "params": {"max_tokens": 2048},
    }
    return PictureTask(name=name, data=data, **{**preset, **options})


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _any_of(labels: Sequence[str]) -> str:
    """A pattern of whole labels, the longer before those that they hold."""
    spelled = [r"\s+".join(map(re.escape, label.split())) for label in sorted(labels, key=len, reverse=True)]
    return rf"(?i)(?<!\w)({'|'.join(spelled)})(?!\w)"
