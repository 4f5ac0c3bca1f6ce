"""An entry of `datasets = [dict(...)]` as what is asked: `open_set(entry)`.

dict(abbr="gsm8k", task="gsm8k", path="gsm8k", shots=4, prompt="chat")    a task of the engine
dict(abbr="animals", type=Animals, reader_cfg=…, infer_cfg=…, eval_cfg=…)  one that is described
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from ais_bench.benchmark.datasets.configured import configure
from ais_bench.benchmark.datasets.measured import is_measured
from ais_bench.benchmark.datasets.places import find_data
from ais_bench.benchmark.datasets.rows import name_of
from ais_bench.benchmark.datasets.templates import is_labelled
from steelyard.errors import UnknownName, UsageError
from steelyard.metrics.extraction import Extraction, Extractor
from steelyard.plugins import reference
from steelyard.tasks.base import Task
from steelyard.tasks.references import open_task
from steelyard.types import Sample

_KEYS = (
    "abbr", "task", "path", "mode", "prompt", "shots", "template", "files", "limit", "options", "metric",
    "max_out_len", "subsets", "output_config",
)  # fmt: skip
# What is shown with letters keeps its numbers comparable with those of a written letter.
_LIKELIHOOD = {"mmlu": "letter-likelihood", "ceval": "letter-likelihood", "cmmlu": "letter-likelihood"}


@dataclass(frozen=True)
class AskedSet:
    """A data set as it is asked: its name in results, its task, how its first metric or each is called."""

    abbr: str
    task: Task
    mode: str = "gen"
    chat: bool | None = None
    metric: str | Mapping[str, str] = "accuracy"
    kind: str = ""
    subsets: str = ""
    """The column whose values have results of their own, which are averaged."""
    output_config: Mapping[str, Any] | None = None
    """How long answers are to be in a load test, where rows do not say."""

    def label_of(self, metric: str, *, first: bool) -> str:
        """What results call a metric of the engine."""
        if isinstance(self.metric, str):
            return self.metric if first else metric
        return self.metric.get(metric, metric)

    @property
    def version(self) -> str:
        """Six digits that stand for all that shapes questions and scores."""
        text = json.dumps(self.task.identity(), sort_keys=True, default=str)
        return blake2b(text.encode(), digest_size=3).hexdigest()


def open_set(entry: Mapping[str, Any], *, limit: int | None = None) -> AskedSet:
    """What an entry asks; of its samples the first `limit`, of each subject where it has several."""
    if is_measured(entry):
        message = f"{entry['abbr']} has no right answers: it is for load tests"
        raise UsageError(message, hint="--mode perf")
    made = _open_task(entry) if "task" in entry else _configure(entry)
    if limit is not None:
        data = First(made.task.data, limit, field=made.subsets)
        made = replace(made, task=replace(made.task, data=data))
    return made


class First:
    """The first so many samples, or the first of each value of a field."""

    def __init__(self, data: Any, count: int, *, field: str = "") -> None:
        self._data, self._count, self._field = data, count, field
        self.name = getattr(data, "name", "data")

    def __iter__(self) -> Iterator[Sample]:
        """Read the samples."""
        taken: dict[Any, int] = {}
        for sample in self._data:
            value = sample.meta.get(self._field)
            taken[value] = taken.get(value, 0) + 1
            if taken[value] <= self._count:
                yield sample
            elif not self._field:
                return

    def size(self) -> int | None:
        """How many there are, where that is known."""
        size = self._data.size() if hasattr(self._data, "size") else None
        return None if size is None or self._field else min(size, self._count)

    def identity(self) -> Mapping[str, Any]:
        """What is in it, and how much of that."""
        own = self._data.identity() if hasattr(self._data, "identity") else type(self._data).__name__
        return {"data": own, "first": self._count, **({"each": self._field} if self._field else {})}


class Until:
    """An extractor that reads a text up to where it goes on to ask a question of its own."""

    def __init__(self, stops: tuple[str, ...], inner: Extractor) -> None:
        self._stops, self._inner = stops, inner
        self.name = getattr(inner, "__name__", None) or getattr(inner, "name", type(inner).__name__)
        self.identity = [*stops, reference(inner)]

    def __call__(self, text: str, sample: Sample) -> Extraction:
        end = min((place for stop in self._stops if (place := text.find(stop)) > 0), default=len(text))
        return self._inner(text[:end], sample)


def _configure(entry: Mapping[str, Any]) -> AskedSet:
    task, kind = configure(entry), entry.get("type")
    mode = "ppl" if is_labelled(task.words["template"]) else "gen"
    return AskedSet(task.name, task, mode=mode, kind=name_of(kind))


def _open_task(entry: Mapping[str, Any]) -> AskedSet:
    for key in entry:
        if key not in _KEYS:
            raise UnknownName(f"field of the data set {entry['abbr']}", key, _KEYS)
    name, mode, prompt = str(entry["task"]), entry.get("mode", "gen"), entry.get("prompt")
    if mode not in ("gen", "ppl") or prompt not in (None, "chat", "str"):
        hint = "mode is gen or ppl, prompt is chat or str"
        raise UsageError(f"the data set {entry['abbr']} is asked by {mode!r} in {prompt!r}", hint=hint)
    options = dict(entry.get("options") or {})
    if entry.get("path") is not None:
        options["data"] = str(find_data(entry["path"], entry.get("files", "")))
    if entry.get("template"):
        options["template"] = entry["template"]
    if entry.get("limit"):
        options["data_options"] = {**options.get("data_options", {}), "limit": entry["limit"]}
    if "by" not in options and _is_choice(name):
        options["by"] = _LIKELIHOOD.get(name, "likelihood") if mode == "ppl" else "letter"
    task = open_task(name, shots=int(entry.get("shots") or 0), **options)
    most = entry.get("max_out_len")
    stops = tuple(stop for stop in task.params.get("stop", ()) if stop.strip())
    extract = task.extract
    if extract is not None and stops and prompt == "str":
        extract = Until(stops, extract)
    # How long an answer is and what ends it is the model's configuration to say.
    params = {"max_tokens": most} if most else {}
    task = replace(task, name=str(entry["abbr"]), params=params, extract=extract)
    chat = None if prompt is None else prompt == "chat"
    metric = entry.get("metric", "accuracy")
    subsets = str(entry.get("subsets") or "")
    asked = {"mode": mode, "chat": chat, "metric": metric, "kind": name, "subsets": subsets}
    return AskedSet(task.name, task, **asked, output_config=entry.get("output_config"))


def _is_choice(name: str) -> bool:
    return name in ("mmlu", "ceval", "cmmlu", "arc_easy", "arc_challenge", "mcq", "choice")
