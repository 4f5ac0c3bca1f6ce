"""How options are picked: the best way that a model offers, found by asking it the first questions.

    found = find_way(model, task, samples, chat=chat)
    found.model, found.task                asked in that way
    found.about()                          {"by": "letter-likelihood", "likelihood": "echo", …}

The likelihoods of letters come first: a model's own, or those that a service tells. Those of an answer's
first token count only where it is one of the letters, which it is not where a model thinks first or
begins with "The". Else the model writes its letter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from steelyard.engine import answer_async, run
from steelyard.errors import RunMismatch, SteelyardError, UsageError, describe
from steelyard.metrics.choices import carried
from steelyard.models.base import Model
from steelyard.tasks.base import Task
from steelyard.tasks.choice import AUTO, LETTER, LETTER_LIKELIHOOD, LIKELIHOOD, Choice, describe_way
from steelyard.tasks.prompts import with_media
from steelyard.types import Prompt, Request, Response, Sample

PROBES = 3
"""How many of the first samples a model is tried with."""
LEAST = 0.5
"""How much of the first token's probability the letters must carry."""
FIRST_TOKEN = "first-token"  # noqa: S105 - of an answer
_OWN = ("own",)
_SHOWN = 160


@dataclass(frozen=True)
class Way:
    """A model and a task as they are to be asked; by which likelihoods, and what else was tried."""

    model: Model
    task: Task
    asked: str = ""
    likelihood: str | None = None
    tried: Mapping[str, str] | None = None

    def about(self) -> dict[str, Any]:
        """What a run notes of it; nothing where there was nothing to find."""
        if self.tried is None:
            return {}
        by = self.task.way if isinstance(self.task, Choice) else LIKELIHOOD
        found = {"asked": self.asked, "by": by, "likelihood": self.likelihood, "tried": dict(self.tried)}
        return {"choices": found}


def find_way(model: Model, task: Task, samples: Sequence[Sample], *, chat: bool, **time: Any) -> Way:
    """How the options of a task are picked, where that is not said; as it is where nothing is to be found.

    `time` is the deadline of the run, which holds for this too, and when it began.
    """
    if isinstance(task, Choice) and task.way == AUTO:
        by_letter = task.settled(LETTER_LIKELIHOOD, chat=chat)
        likelihood, tried = _try_all(model, _questions(by_letter, samples, chat), chat=chat, **time)
        if likelihood is None:
            return Way(model, task.settled(LETTER, chat=chat), AUTO, None, tried)
        return Way(model.asking(likelihood), by_letter, AUTO, likelihood, tried)
    if tuple(model.likelihoods) == _OWN:
        return Way(model, task)
    questions = _questions(task, samples, chat)
    if not questions or any(question.choices is None for question in questions):
        return Way(model, task)
    likelihood, tried = _try_all(model, questions, chat=None, **time)
    if likelihood is None:
        said = "; ".join(f"{way}: {why}" for way, why in tried.items())
        raise UsageError(
            f"{model.name} does not tell how likely choices are" + (f" (tried {said})" if said else ""),
            hint="by=letter, where the task is one of options",
        )
    return Way(model.asking(likelihood), task, LIKELIHOOD, likelihood, tried)


def known_way(model: Model, task: Task, stored: Mapping[str, Any], *, chat: bool) -> Way:
    """The way that a run was begun in; `stored` is what `run.json` says."""
    about = stored.get("choices")
    if isinstance(task, Choice) and task.way == AUTO:
        # A run that says nothing of it was begun where options were picked by letter unless one said else.
        task = task.settled(LETTER, chat=False) if about is None else task.settled(about["by"], chat=chat)
    if about is None or about["likelihood"] is None:
        return Way(model, task)
    likelihood = about["likelihood"]
    if likelihood not in model.likelihoods:
        message = (
            f"the run goes by {describe_way(about)}, which {model.name} is not asked for as it was opened"
        )
        raise RunMismatch(message, hint=f"likelihood={likelihood}")
    return Way(model.asking(likelihood), task, likelihood=likelihood)


def may_be_open(model: Model, task: Task) -> bool:
    """Whether there may be something to find out, for which the first samples are looked at."""
    return (isinstance(task, Choice) and task.way == AUTO) or tuple(model.likelihoods) != _OWN


async def doubt_way(model: Model, request: Request) -> SteelyardError | None:
    """Why a model that told likelihoods does so no more; None where it still does of a plain question."""
    if request.choices is None:
        return None
    asked = "1 + 1 ="
    plain: Prompt = asked if isinstance(request.prompt, str) else [{"role": "user", "content": asked}]
    try:
        response = await model.ask(Request(id="0", prompt=plain, choices=("2", "3")))
    except Exception as error:  # noqa: BLE001 - the model boundary
        response = Response(error=describe(error))
    if response.error is None:
        return None
    message = f"{model.name} tells no more how likely choices are, as it did when this run began: "
    return RunMismatch(message + response.error, hint="start a new run")


def _questions(task: Task, samples: Sequence[Sample], chat: bool) -> list[Request]:
    return [with_media(sample, task.request(sample, chat=chat))[1] for sample in samples]


def _try_all(
    model: Model, questions: Sequence[Request], *, chat: bool | None, **time: Any
) -> tuple[str | None, dict[str, str]]:
    """The first way that works, and what the others said; `chat` is None where the user wants likelihoods."""
    tried: dict[str, str] = {}
    letters = all(len(choice.strip()) == 1 for question in questions for choice in question.choices or ())
    for likelihood in model.likelihoods:
        if likelihood == FIRST_TOKEN and not letters:
            tried[likelihood] = "tells of single letters only"
            continue
        answers = _ask(model, likelihood, questions, **time)
        if error := next((response.error for response in answers if response.error), None):
            # What a service refuses may be this way alone; where nobody answers, no other way is better.
            if not error.startswith("HTTP") and (doubt := run(model.doubt(error))):
                raise doubt
            tried[likelihood] = error[:_SHOWN]
            continue
        shares = [carried(response) for response in answers]
        # Whoever wants likelihoods may have small ones, and none at all only by mistake.
        least = LEAST if chat is not None else 0.0
        share = min(shares, default=0.0) if chat is not None else max(shares, default=1.0)
        if share <= least and (chat or likelihood == FIRST_TOKEN):
            tried[likelihood] = f"an answer begins with one of the letters only with {100 * share:.2g} %"
            continue
        return likelihood, tried
    return None, tried


def _ask(model: Model, likelihood: str, questions: Sequence[Request], **time: Any) -> list[Response]:
    """The answers in one of the ways, without those to questions that fail in any."""
    answers = run(answer_async(model.asking(likelihood), questions, **time))
    failed = [place for place, response in enumerate(answers) if response.error is not None]
    if not 0 < len(failed) < len(answers):
        return answers
    plain = [replace(questions[place], choices=None, params={"max_tokens": 1}) for place in failed]
    again = run(answer_async(model, plain, **time))
    hopeless = {place for place, response in zip(failed, again) if response.error is not None}
    return [response for place, response in enumerate(answers) if place not in hopeless]
