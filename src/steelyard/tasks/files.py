"""Task files: `read_task("triage.yaml")`.

    task_id: triage
    task_type: qa                # or summarization, diagnostic_reasoning, communication
    inputs:                      # or rows under `dataset`: a list, or the name of a file beside this one
      - question: Is aspirin an NSAID?
    expected_outputs:
      - answer: "yes"
    metrics:
      - name: accuracy
      - {name: f1, average: macro}
    template: "{question}"       # optional, as are system, extract and params

A row of `dataset` has `input` and `expected_output`, or is flat: what it has of answer, label, …
is the expected output, the rest the input. Pictures among the inputs are named from where the file is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from steelyard.data.media import PICTURES, Media
from steelyard.data.rows import BadRow
from steelyard.data.source import Data
from steelyard.errors import DataError, UnknownName
from steelyard.metrics.base import Metric, name_of
from steelyard.metrics.extraction import extractor
from steelyard.plugins import call_with, reference, resolve
from steelyard.tasks.base import Task
from steelyard.types import Prompt, Sample

KEYS = (
    "task_id", "task_type", "inputs", "expected_outputs", "dataset", "metrics",
    "template", "system", "extract", "params",
)  # fmt: skip
TYPES = ("qa", "summarization", "diagnostic_reasoning", "communication")
TEXTS = ("text", "prompt", "question", "patient_message", "document", "note")
SUMMARIZED = ("document", "text", "note", "patient_message")
_AVERAGED = ("precision", "recall", "f1")
_SPELLED = {"rougel": "rouge_l", "exact_match": "exact", "tokenf1": "token_f1"}
_WORDS = re.compile(r"[^a-z0-9]+")
_INPUTS = ("input", "inputs")
_TARGETS = (
    "expected_output", "expected_outputs", "expected", "target", "answer", "label", "summary", "diagnosis",
    "prediction", "response", "output", "reference",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FileTask(Task):
    """A task whose inputs are mappings. A template names their keys; without one their text is asked."""

    task_type: str = "qa"

    def prompt(self, sample: Sample, *, chat: bool) -> Prompt:
        """The prompt in the words of the template, or of the input itself."""
        keys = {**sample.meta, **sample.input}
        question = replace(sample, input=text_of(sample.input, summarizing=self.summarizes), meta=keys)
        if question.input is None and self.template == "{input}":
            hint = "name its keys in a template: …"
            raise DataError(f"the input of sample {sample.id} has none of {', '.join(TEXTS)}", hint=hint)
        return super().prompt(question, chat=chat)

    def identity(self) -> Mapping[str, Any]:
        """As every task's; metrics that a file calls alike may be different ones."""
        return {**super().identity(), "metric_refs": [reference(metric) for metric in self.metrics]}

    @property
    def summarizes(self) -> bool:
        """Whether its inputs are documents to be summarised."""
        return self.task_type == "summarization"


def read_task(path: str | Path) -> FileTask:
    """The task that a YAML file describes."""
    path = Path(path)
    told = _read(path)
    task_type = told.get("task_type", "qa")
    if task_type not in TYPES:
        raise UnknownName(f"task_type (in {path})", str(task_type), TYPES)
    options: dict[str, Any] = {key: told[key] for key in ("template", "system", "params") if key in told}
    if "extract" in told:
        options["extract"] = extractor(str(told["extract"]))
    return FileTask(
        name=str(told.get("task_id") or path.stem),
        task_type=task_type,
        data=Data(list(_samples(told, path))),
        metrics=tuple(_metrics(told, path)),
        **options,
    )


def text_of(item: Mapping[str, Any], *, summarizing: bool) -> str | None:
    """The text of an input: of the keys that may hold one, the first that does."""
    message, context = item.get("patient_message"), item.get("context")
    if summarizing and _is_text(message) and _is_text(context):
        return f"{message}\n\nContext: {context}"
    return next(
        (item[key] for key in (SUMMARIZED if summarizing else TEXTS) if _is_text(item.get(key))), None
    )


def _read(path: Path) -> dict[str, Any]:
    import yaml  # heavy for the many runs without a task file

    try:
        told = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise DataError(f"the task file {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(told, dict):
        raise DataError(f"{path} is not a task", hint=f"a mapping with {', '.join(KEYS[:6])} was expected")
    for key in told:
        # Other keys are notes of its writers; one that looks like ours is a slip.
        if key not in KEYS and get_close_matches(str(key), KEYS, n=1, cutoff=0.8):
            raise UnknownName(f"key of a task file (in {path})", str(key), KEYS)
    return told


def _samples(told: Mapping[str, Any], path: Path) -> Iterator[Sample]:
    pictures = Media(PICTURES, folder_of=lambda where: path.parent)
    for place, (given, expected, rest) in enumerate(_rows(told, path)):
        if not isinstance(given, (str, Mapping)) or not given:
            raise DataError(f"input {place + 1} of {path} is neither a text nor a mapping")
        item = {"text": given} if isinstance(given, str) else dict(given)
        try:
            if pictures.settle(item, TEXTS):
                pictures.take(item, "")
        except BadRow as bad:
            raise bad.at(f"input {place + 1} of {path}") from bad
        target = _target(expected, place, path)
        yield Sample(id=str(rest.pop("id", place)), input=item, target=target, meta=rest)


def _rows(told: Mapping[str, Any], path: Path) -> Iterator[tuple[Any, Any, dict[str, Any]]]:
    """Each row's input, expected output, and whatever else it has."""
    dataset = told.get("dataset")
    if dataset is None:
        inputs, expected = _list(told, "inputs", path), _list(told, "expected_outputs", path)
        if len(inputs) != len(expected):
            raise DataError(f"{path} has {len(inputs)} inputs and {len(expected)} expected_outputs")
        yield from ((given, wanted, {}) for given, wanted in zip(inputs, expected))
        return
    for place, row in enumerate(
        _list(told, "dataset", path) if isinstance(dataset, list) else _beside(dataset, path)
    ):
        if not isinstance(row, Mapping):
            raise DataError(f"row {place + 1} of {path} is not a mapping")
        rest = dict(row)
        # All that may be the answer is kept from the input, not only what is taken for it.
        answers = {key: rest.pop(key) for key in _TARGETS if key in rest}
        wanted = next(iter(answers.values()), None)
        given = next((rest.pop(key) for key in _INPUTS if key in rest), None)
        if given is None:
            given = {key: value for key, value in rest.items() if key != "id"}
            rest = {"id": rest["id"]} if "id" in rest else {}
        yield given, wanted, {**rest, **answers}


def _beside(dataset: Any, path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file that is named from where the task file is."""
    options: dict[str, Any] = (
        {"path": dataset}
        if isinstance(dataset, str)
        else dict(dataset)
        if isinstance(dataset, Mapping)
        else {}
    )
    if not isinstance(options.get("path"), str):
        raise DataError(f"the dataset of {path} is neither rows nor a file", hint="dataset: rows.jsonl")
    source = path.parent / options.pop("path")
    for sample in call_with(f"the dataset of {path}", Data, options, source):
        yield {**sample.meta, "id": sample.id}


def _target(expected: Any, place: int, path: Path) -> Any:
    """The expected output itself, out of the mapping that it may stand in."""
    if not isinstance(expected, Mapping):
        return expected
    found = [key for key in (*_TARGETS, "text") if key in expected] or list(expected)[: len(expected) == 1]
    if not found:
        hint = f"one of {', '.join(_TARGETS[3:])} was expected"
        raise DataError(f"expected output {place + 1} of {path} has only {', '.join(expected)}", hint=hint)
    return expected[found[0]]


def _metrics(told: Mapping[str, Any], path: Path) -> Iterator[Metric]:
    """The metrics by their names, each once under the name that the file gives it."""
    taken: set[str] = set()
    for entry in _list(told, "metrics", path):
        options = (
            {"name": entry} if isinstance(entry, str) else dict(entry) if isinstance(entry, Mapping) else {}
        )
        if not isinstance(options.get("name"), str):
            raise DataError(f"a metric in {path} has no name", hint="metrics: [{name: accuracy}]")
        given = options.pop("name").strip()
        name = given if ":" in given else _WORDS.sub("_", given.lower()).strip("_")
        average = options.pop("average", "macro") if name in _AVERAGED else None
        if options:
            raise DataError(f"the metric {given} in {path} has no option {', '.join(options)}")
        full = _SPELLED.get(name, name) if average is None else f"{name}_{average}"
        metric: Metric = resolve("metrics", full)
        if average is not None and name not in taken:
            metric = copy(metric)
            metric.name = name  # type: ignore[attr-defined]
        if name_of(metric) in taken:
            raise DataError(f"the metric {given} stands twice in {path}")
        taken.add(name_of(metric))
        yield metric


def _list(told: Mapping[str, Any], key: str, path: Path) -> list[Any]:
    value = told.get(key)
    if not isinstance(value, list) or not value:
        raise DataError(f"{path} has no {key}", hint=f"a list under {key}: was expected")
    return value


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
