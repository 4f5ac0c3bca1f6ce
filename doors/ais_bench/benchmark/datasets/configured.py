"""A data set that a configuration describes, as a Task: `configure(entry)`.

dict(abbr="animals", type=Animals, path="animals.jsonl",
     reader_cfg=dict(input_columns=["question"], output_column="answer"),
     infer_cfg=dict(prompt_template=dict(type=PromptTemplate, template="…"),
                    retriever=dict(type=ZeroRetriever), inferencer=dict(type=GenInferencer)),
     eval_cfg=dict(evaluator=dict(type=AccEvaluator)))
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from ais_bench.benchmark.configuration.files import find_written
from ais_bench.benchmark.datasets.readers import columns_of
from ais_bench.benchmark.datasets.rows import Golden, name_of, read_rows
from ais_bench.benchmark.datasets.scoring import Postprocessed, metric_of
from ais_bench.benchmark.datasets.templates import compare, cut_answer, is_labelled, render
from steelyard.errors import DataError, UnknownName, UsageError
from steelyard.metrics.choices import acc
from steelyard.metrics.extraction import find_text
from steelyard.tasks.base import Task
from steelyard.types import Prompt, Request, Sample

_GENERATES, _COMPARES = ("GenInferencer", "ChatInferencer"), ("PPLInferencer", "PPLOnlyInferencer")


@dataclass(frozen=True, kw_only=True)
class Configured(Task):
    """A task in the words of a configuration; its worked examples are rendered as that says."""

    words: Mapping[str, Any] = field(default_factory=dict)

    def request(self, sample: Sample, *, chat: bool) -> Request:
        """The question as the template has it, turns or a text; with labels, how each of them goes on."""
        template = self.words["template"]
        if not is_labelled(template):
            prompt = cut_answer(self._render(template, sample))
            return Request(id=sample.id, prompt=prompt, params=self.params)
        # A row may have fewer options than the template has labels.
        asked = list(template.values())[: len(sample.choices or template)]
        prompt, rests = compare([self._render(each, sample) for each in asked])
        return Request(id=sample.id, prompt=prompt, choices=tuple(rests))

    def _render(self, template: Any, sample: Sample) -> Prompt:
        answer = self.words["output_column"]
        fields = {name: value for name, value in columns_of(sample).items() if name != answer}
        if not is_labelled(self.words["template"]) and answer:
            fields[answer] = ""
        shots = [render(self.words["example"], columns_of(shot)) for shot in self.shots]
        return render(template, fields, examples=shots, mark=self.words["mark"])


def configure(entry: Mapping[str, Any]) -> Configured:
    """The task that an entry describes."""
    abbr = entry["abbr"]
    reader, infer = _part(entry, "reader_cfg"), _part(entry, "infer_cfg")
    scoring = _part(entry, "eval_cfg")
    asked, shown = read_rows(entry, reader)
    given = infer.get("prompt_template") or infer.get("ice_template")
    if not isinstance(given, Mapping) or "template" not in given:
        raise UsageError(
            f"the data set {abbr} has no template", hint="infer_cfg=dict(prompt_template=dict(…))"
        )
    labelled = is_labelled(given["template"])
    inferencer = infer.get("inferencer") or {}
    _check_inferencer(inferencer, abbr, labelled=labelled)
    example = (infer.get("ice_template") or given).get("template")
    words = {
        "template": given["template"],
        "example": example,
        "mark": given.get("ice_token") or (infer.get("ice_template") or {}).get("ice_token") or "",
        "output_column": reader.get("output_column") or "",
    }
    shots = tuple(_shots(infer.get("retriever") or {}, shown, abbr))
    most = inferencer.get("max_out_len")
    if labelled:
        labels = [str(label) for label in given["template"]]
        return Configured(
            name=abbr, data=Golden(asked, reader, labels=labels), metrics=(acc,), words=words, shots=shots
        )
    before = _postprocessor(scoring.get("dataset_postprocessor"))
    after = _postprocessor(scoring.get("pred_postprocessor"))
    return Configured(
        name=abbr,
        data=Golden(asked, reader, clean=before),
        metrics=(metric_of(scoring.get("evaluator") or {"type": "AccEvaluator"}),),
        extract=after or find_text,
        params={"max_tokens": most} if most else {},
        words=words,
        shots=shots,
    )


def _shots(retriever: Mapping[str, Any], shown: Iterable[Sample] | None, abbr: str) -> Iterator[Sample]:
    kind = retriever.get("type", "ZeroRetriever")
    name = name_of(kind)
    if name == "ZeroRetriever":
        return
    if name != "FixKRetriever":
        raise UnknownName("retriever", name, ("ZeroRetriever", "FixKRetriever"))
    wanted = list(retriever.get("fix_id_list") or ())
    if shown is None:
        raise DataError(
            f"the data set {abbr} has no split to take examples from", hint="reader_cfg=dict(train_split=…)"
        )
    found = dict(enumerate(islice(shown, max(wanted, default=-1) + 1)))
    for number in wanted:
        if number not in found:
            raise DataError(f"there is no example {number} for {abbr}", hint=f"there are {len(found)}")
        yield found[number]


def _check_inferencer(inferencer: Mapping[str, Any], abbr: str, *, labelled: bool) -> None:
    kind = inferencer.get("type", _COMPARES[0] if labelled else _GENERATES[0])
    name = name_of(kind)
    if name not in _GENERATES + _COMPARES:
        raise UnknownName("inferencer", name, _GENERATES + _COMPARES)
    if (name in _COMPARES) != labelled:
        hint = "PPLInferencer goes with a template for each label, GenInferencer with one"
        raise UsageError(f"the template of {abbr} is none for {name}", hint=hint)


def _postprocessor(told: Mapping[str, Any] | None) -> Postprocessed | None:
    if not told:
        return None
    kind = told["type"]
    if isinstance(kind, str):
        place = "ais_bench.benchmark.datasets.postprocessors:" + kind.rpartition(".")[2]
        kind = find_written(kind if ":" in kind else place)
    return Postprocessed(kind, {name: value for name, value in told.items() if name != "type"})


def _part(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = entry.get(name) or {}
    if not isinstance(part, Mapping):
        raise UsageError(f"{name} of {entry['abbr']} is to be a mapping")
    return part
