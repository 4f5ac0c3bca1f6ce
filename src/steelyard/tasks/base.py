"""A Task is data, a prompt and metrics: it makes a Request of each Sample and scores each Response.

    Task("capitals", [Sample("1", "France", target="Paris")], [exact],
         template="What is the capital of {input}?")

A template names the sample's fields in braces: {input}, {target}, {options} (its choices, lettered)
and every other column of its row. Worked examples (`shots`) come before the question: as turns
where the model takes a chat, else as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any

from steelyard.errors import DataError, UsageError
from steelyard.metrics.base import Metric, name_of
from steelyard.metrics.extraction import LETTERS, Extractor
from steelyard.plugins import source_digest
from steelyard.types import Message, Prompt, Request, Response, Sample

_FIELD = re.compile(r"\{\{|\}\}|\{(\w[\w -]*)\}")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is asked of each sample, and how the answer is scored."""

    name: str
    data: Iterable[Sample]
    metrics: Sequence[Metric]
    template: str = "{input}"
    reply: str = " {target}"
    system: str = ""
    shots: Sequence[Sample] = ()
    extract: Extractor | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.metrics:
            raise UsageError(f"the task {self.name} has no metric", hint="steelyard list metrics shows them")
        tell_apart(self.metrics)

    def request(self, sample: Sample, *, chat: bool) -> Request:
        """The question for one sample, as turns or as a text."""
        return Request(id=sample.id, prompt=self.prompt(sample, chat=chat), params=self.params)

    def prompt(self, sample: Sample, *, chat: bool) -> Prompt:
        """The whole prompt: system text, worked examples and the question."""
        if self.template == "{input}" and not isinstance(sample.input, str):
            return sample.input  # type: ignore[no-any-return]
        question = self.question(sample)
        # A worked example that is the question itself would tell the answer.
        shots = [shot for shot in self.shots if shot.input != sample.input]
        examples = [(self.question(shot), self.answer(shot)) for shot in shots]
        if not chat:
            texts = [self.system] if self.system else []
            texts += [asked + answered for asked, answered in examples]
            return "\n\n".join([*texts, question])
        turns: list[Message] = [{"role": "system", "content": self.system}] if self.system else []
        for asked, answered in examples:
            turns.append({"role": "user", "content": asked})
            turns.append({"role": "assistant", "content": answered.strip()})
        return [*turns, {"role": "user", "content": question}]

    def question(self, sample: Sample) -> str:
        """The sample in the words of the template."""
        return fill(self.template, sample)

    def answer(self, sample: Sample) -> str:
        """What a worked example answers."""
        return fill(self.reply, sample)

    def identity(self) -> Mapping[str, Any]:
        """All that shapes the questions and the scores."""
        data = self.data.identity() if hasattr(self.data, "identity") else type(self.data).__name__
        own = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name not in ("data", "metrics", "extract", "shots")
        }
        return {
            **own,
            "kind": f"{type(self).__module__}.{type(self).__qualname__}",
            "data": data,
            "shots": [(shot.input, shot.target) for shot in self.shots],
            **identify_scoring(self.metrics, self.extract),
        }


def identify_scoring(metrics: Sequence[Metric], extract: Extractor | None) -> Mapping[str, Any]:
    """All that shapes the scores of given answers."""
    return {
        "metrics": {name_of(metric): _identity_of(metric) for metric in metrics},
        "extract": None if extract is None else [name_of(extract), _identity_of(extract)],
    }


def tell_apart(metrics: Sequence[Metric]) -> None:
    """Refuse metrics of one name: the scores of one would take the place of the other's."""
    names = [name_of(metric) for metric in metrics]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"two metrics are called {twice[0]}", hint="name=… calls a judge something else")


def take_out(extract: Extractor | None, sample: Sample, response: Response) -> tuple[Response, str | None]:
    """The response as metrics see it, its text the final answer alone, and the rule that found it."""
    if extract is None or response.error is not None:
        return response, None
    found = extract(response.text, sample)
    return replace(response, text="" if found.value is None else str(found.value)), found.rule


def fill(template: str, sample: Sample) -> str:
    """Put a sample's fields into a template; {{ and }} stand for braces."""

    literals, names = _parts(template)
    if not names:
        return literals[0]
    texts = [literals[0]]
    for name, literal in zip(names, literals[1:]):
        found = _field(sample, name)
        if found is None:
            columns = ", ".join(["input", "target", "options", "id", *sample.meta])
            hint = f"there are: {columns}; a brace that is none is written twice"
            raise DataError(f"sample {sample.id!r} has no field {name!r} for the template", hint=hint)
        texts += (str(found), literal)
    return "".join(texts)


@lru_cache(maxsize=64)
def _parts(template: str) -> tuple[list[str], list[str]]:
    """The texts of a template and the names of the fields between them."""
    literals, names, end = [""], [], 0
    for match in _FIELD.finditer(template):
        literals[-1] += template[end : match.start()]
        end = match.end()
        if match.group(1) is None:
            literals[-1] += match.group()[0]
        else:
            names.append(match.group(1))
            literals.append("")
    literals[-1] += template[end:]
    return literals, names


def _identity_of(part: Metric | Extractor) -> Any:
    """What makes a metric or an extractor what it is: what it says itself, else where it is written."""
    return getattr(part, "identity", None) or source_digest(part)


def lettered(choices: Sequence[str]) -> str:
    """Options on lines of their own, each with its letter."""
    return "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices))


def _field(sample: Sample, name: str) -> Any:
    if name in ("input", "target", "id"):
        return getattr(sample, name)
    if name == "options" and sample.choices is not None:
        return lettered(sample.choices)
    return sample.meta.get(name)
