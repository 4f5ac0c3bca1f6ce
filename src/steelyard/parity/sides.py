"""One of the two ways to a model: in which forms it can be asked, its answers, and what it tells besides.

A chat service that also goes on with texts, as most do, is asked for both. Of a model in this process
more can be seen: what it would say were its prompt another one in tokens.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from steelyard.engine import answer, run
from steelyard.errors import describe
from steelyard.models.base import LocalModel, Model
from steelyard.models.http import HttpModel
from steelyard.models.tokenized import Asked, TokenModel
from steelyard.parity.questions import CHAT, TEXT, Question, in_form
from steelyard.types import Chunk, Request, Response, Tokens
from steelyard.wire.completions import Completions
from steelyard.wire.likelihoods import FIRST
from steelyard.wire.openai import OpenAI

Change = Callable[[list[int]], list[int]]
Keep = Callable[[str, Request, Response], None]
CUT = "cut"
"""Why an answer ended that we did not hear to its end."""


@dataclass(frozen=True)
class Pair:
    """A question and what both sides answered."""

    question: Question
    a: Response
    b: Response

    def of(self, label: str) -> Response:
        """What one side answered."""
        return self.a if label == "A" else self.b

    @property
    def good(self) -> bool:
        """Whether both answered."""
        return self.a.error is None and self.b.error is None

    @property
    def equal(self) -> bool:
        """Whether both said the same."""
        return self.good and self.a.text == self.b.text

    @property
    def offset(self) -> int | None:
        """How many tokens more B read; None where one of them does not tell."""
        read_a, read_b = read_of(self.a), read_of(self.b)
        return None if read_a is None or read_b is None or not self.good else read_b - read_a


class Side:
    """A model, called A or B, asked in texts and in chats as far as it can be."""

    def __init__(self, label: str, model: Model, keep: Keep) -> None:
        self.label, self.model, self._keep = label, model, keep
        self.main = CHAT if model.chat else TEXT
        self.ways: dict[str, Model] = {self.main: model}
        self.likelihoods: dict[str, Model] = {}
        self._made: list[Model] = []
        self.asked = 0
        if self.main == CHAT and (other := _beside(model)) is not None:
            self.ways[TEXT] = other
            if other is not model:
                self._made.append(other)

    @property
    def tokens(self) -> TokenModel | None:
        """The model itself, where its prompts can be changed in tokens."""
        return self.model if isinstance(self.model, TokenModel) else None

    def ask(self, questions: Sequence[Question], params: Mapping[str, Any]) -> list[Response]:
        """The answers to questions, each kept."""
        questions = [self._fit(one) for one in questions]
        requests = [Request(one.id, one.prompt, one.choices, params) for one in questions]
        answers: list[Response] = [Response()] * len(requests)
        for form in (TEXT, CHAT):
            places = [n for n, one in enumerate(questions) if one.form == form]
            if places:
                given = answer(self._model(form, questions), [requests[n] for n in places])
                for place, response in zip(places, given):
                    answers[place] = response
        self._note(requests, answers)
        return answers

    def listen(self, question: Question, params: Mapping[str, Any], *, most: int) -> Response:
        """The answer to a question as far as so many pieces."""
        question = self._fit(question)
        request = Request(question.id, question.prompt, None, params)
        response = run(_listen(self.ways[question.form], request, most))
        if response.error is None and finish_of(response) != CUT and written_of(response) is None:
            # It ends soon enough, and some count the tokens of whole answers alone.
            (response,) = answer(self.ways[question.form], [request])
        self._note([request], [response])
        return response

    def retell(
        self, questions: Sequence[Question], params: Mapping[str, Any], change: Change
    ) -> list[Response]:
        """What a model of this process says where its prompts are changed in tokens; else nothing."""
        requests = [Request(one.id, one.prompt, None, params) for one in questions]
        return self.reask(requests, lambda asked: replace(asked, prompt=change(list(asked.prompt))))

    def reask(self, requests: Sequence[Request], change: Callable[[Asked], Asked]) -> list[Response]:
        """The answers of a model of this process to changed requests; else nothing."""
        if self.tokens is None:
            return []
        changed = Retold(self.tokens, change)
        try:
            return answer(changed, requests)
        finally:
            changed.close()

    def find_likelihoods(self, questions: Sequence[Question]) -> list[Response]:
        """How likely choices are, in the first way that works; nothing where none does."""
        form = questions[0].form
        model = self.ways[form]
        for way in model.likelihoods:
            if way == FIRST:
                continue
            self.likelihoods[form] = model.asking(way)
            answers = self.ask(questions, {})
            if all(one.error is None and one.scores is not None for one in answers):
                return answers
        self.likelihoods.pop(form, None)
        return []

    def close(self) -> None:
        """Close what was opened beside the model."""
        for model in self._made:
            model.close()

    def _fit(self, question: Question) -> Question:
        """The question in a form that it can be asked in; one turn of a chat is a text, too."""
        if question.form in self.ways or isinstance(question.prompt, Mapping):
            return question
        text = question.prompt if isinstance(question.prompt, str) else question.prompt[-1]["content"]
        return replace(in_form(question.id, str(text), self.main), choices=question.choices)

    def _model(self, form: str, questions: Sequence[Question]) -> Model:
        scored = any(one.choices is not None for one in questions)
        return self.likelihoods.get(form, self.ways[form]) if scored else self.ways[form]

    def _note(self, requests: Sequence[Request], answers: Sequence[Response]) -> None:
        self.asked += len(requests)
        for request, response in zip(requests, answers):
            self._keep(self.label, request, response)


class Retold(LocalModel):
    """A model of this process whose requests are changed, once they are tokens, before it answers them."""

    def __init__(self, model: TokenModel, change: Callable[[Asked], Asked]) -> None:
        self._inner, self._change = model, change
        self.batch_size = model.batch_size

    def batch(self, requests: Sequence[Request]) -> Sequence[Response]:
        """Answer as the model within, which computes in a way of its own."""
        other = copy(self._inner)
        other.encode = self._encode  # type: ignore[method-assign]
        return other.batch(requests)

    def _encode(self, request: Request) -> Asked:
        changed = self._change(self._inner.encode(request))
        self._inner.check(len(changed.prompt) + 1)
        return changed


def read_of(response: Response) -> int | None:
    """How many tokens were read."""
    return None if response.tokens is None else response.tokens.input


def written_of(response: Response) -> int | None:
    """How many tokens were written."""
    return None if response.tokens is None else response.tokens.output


def finish_of(response: Response) -> str | None:
    """Why an answer ended: stop, length, or cut by us; None where nobody says."""
    raw = response.raw if isinstance(response.raw, Mapping) else {}
    said = raw.get("finish_reason") or raw.get("finish")
    if said in ("stop_sequence", "eos_token", "eos", "end_turn"):
        return "stop"
    return str(said) if said else None


def _beside(model: Model) -> Model | None:
    """The way to ask a chat model for texts, if there may be one."""
    if isinstance(model, TokenModel):
        return model
    if not isinstance(model, HttpModel) or not isinstance(model.wire, OpenAI):
        return None
    known = set(inspect.signature(HttpModel).parameters) - {"url", "wire"}
    options = {name: value for name, value in model.options.items() if name in known}
    wire = Completions(model=model.wire.model, params=model.wire.params, stream=model.wire.stream)
    return HttpModel(model.url, wire=wire, **options)


async def _listen(model: Model, request: Request, most: int) -> Response:
    if type(model).stream is Model.stream:
        return await model.ask(request)
    texts: list[str] = []
    counts, raw = Tokens(), None
    stream = model.stream(request)
    try:
        async with aclosing(stream) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                counts, raw = _count(counts, chunk), chunk.raw if chunk.raw is not None else raw
                if chunk.text:
                    texts.append(chunk.text)
                if len(texts) >= most:
                    cut = Tokens(counts.input, counts.output or len(texts))
                    return Response("".join(texts), tokens=cut, raw={"finish": CUT})
    except Exception as error:  # noqa: BLE001 - the model boundary: a failure is an answer
        return Response("".join(texts), error=describe(error))
    told = counts if counts != (None, None) else None
    return Response("".join(texts), tokens=told, raw=raw)


def _count(counts: Tokens, chunk: Chunk) -> Tokens:
    read = counts.input if chunk.tokens_in is None else chunk.tokens_in
    return Tokens(read, counts.output if chunk.tokens_out is None else chunk.tokens_out)
