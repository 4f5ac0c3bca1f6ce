"""A Task is data, a prompt and metrics: it makes a Request of each Sample and scores each Response.

    Task("capitals", [Sample("1", "France", target="Paris")], [exact],
         template="What is the capital of {input}?")

A template names the sample's fields in braces: {input}, {target}, {options} (its choices, lettered)
and every other column of its row; {images} and {image 1} its pictures, which else come first. Worked
examples (`shots`) come before the question: as turns where the model takes a chat or there are
pictures, else as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from steelyard.errors import DataError, UsageError
from steelyard.metrics.base import Metric, name_of
from steelyard.metrics.extraction import Extractor
from steelyard.plugins import source_digest
from steelyard.tasks.prompts import (
    Content,
    compose,
    compose_turns,
    fill,
    images_of,
    join_text,
    join_turns,
)
from steelyard.types import Prompt, Request, Response, Sample


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is asked of each sample, and how the answer is scored.

    `by` are the columns that results are shown apart for where nobody says which. With `shots_by` a
    question is shown those worked examples that have the same in this column.
    """

    name: str
    data: Iterable[Sample]
    metrics: Sequence[Metric]
    template: str = "{input}"
    reply: str = " {target}"
    system: str = ""
    shots: Sequence[Sample] = ()
    shots_by: str = ""
    extract: Extractor | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    by: Sequence[str] = ()

    def __post_init__(self) -> None:
        if isinstance(self.by, str):
            named = tuple(name.strip() for name in self.by.split(",") if name.strip())
            object.__setattr__(self, "by", named)
        if not self.metrics:
            raise UsageError(f"the task {self.name} has no metric", hint="steelyard list metrics shows them")
        tell_apart(self.metrics)

    def request(self, sample: Sample, *, chat: bool) -> Request:
        """The question for one sample, as turns or as a text."""
        return Request(id=sample.id, prompt=self.prompt(sample, chat=chat), params=self.params)

    def prompt(self, sample: Sample, *, chat: bool) -> Prompt:
        """The whole prompt: system text, worked examples and the question."""
        if self.template == "{input}" and not isinstance(sample.input, str):
            turns = isinstance(sample.input, (list, tuple))
            return compose_turns(sample.input, sample) if turns else sample.input
        question = self.question(sample)
        examples = [(self.question(shot), self.answer(shot)) for shot in self._shots_for(sample)]
        text = None if chat else join_text(self.system, examples, question)
        return join_turns(self.system, examples, question) if text is None else text

    def question(self, sample: Sample) -> Content:
        """The sample in the words of the template, with its pictures."""
        return compose(self.template, sample)

    def answer(self, sample: Sample) -> str:
        """What a worked example answers."""
        return fill(self.reply, sample)

    def _shots_for(self, sample: Sample) -> Sequence[Sample]:
        shots = self.shots
        if shots and self.shots_by:
            group = sample.meta.get(self.shots_by)
            shots = self._grouped.get(group, ())
            if not shots:
                hint = f"--shot-data names some, or --shots 0; there are some for {len(self._grouped)} others"
                raise DataError(f"there are no worked examples for {self.shots_by} {group!r}", hint=hint)
        # A worked example that is the question itself would tell the answer.
        return [shot for shot in shots if shot.input != sample.input or not _show_the_same(shot, sample)]

    @cached_property
    def _grouped(self) -> Mapping[Any, Sequence[Sample]]:
        """The worked examples by the column that tells them apart."""
        found: dict[Any, list[Sample]] = {}
        for shot in self.shots:
            found.setdefault(shot.meta.get(self.shots_by), []).append(shot)
        return found

    def identity(self) -> Mapping[str, Any]:
        """All that shapes the questions and the scores."""
        data = self.data.identity() if hasattr(self.data, "identity") else type(self.data).__name__
        own = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name not in ("data", "metrics", "extract", "shots", "shots_by", "by")
        }
        return {
            **own,
            "kind": f"{type(self).__module__}.{type(self).__qualname__}",
            "data": data,
            "shots": [(shot.input, shot.target, *_digests(shot)) for shot in self.shots],
            **({"shots_by": self.shots_by} if self.shots_by else {}),
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


def _identity_of(part: Metric | Extractor) -> Any:
    """What makes a metric or an extractor what it is: what it says itself, else where it is written."""
    return getattr(part, "identity", None) or source_digest(part)


def _show_the_same(one: Sample, other: Sample) -> bool:
    return _digests(one) == _digests(other)


def _digests(sample: Sample) -> list[Any]:
    return [image.reference().get("digest", image.name) for image in images_of(sample)]
