"""How answers are chosen where nobody says: a temperature, a penalty, a seed of one side's own.

A side that says other things when it is asked the same again samples. One that always says the same, but
not what it says at temperature 0, does so too, with a seed; or it makes likely what greedily is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from steelyard.models.http import HttpModel
from steelyard.parity.findings import SAMPLING, Finding
from steelyard.parity.questions import STORIES, Question, in_form
from steelyard.parity.sides import Pair, Side
from steelyard.parity.survey import Survey, place_of, quote, show_pair

TIMES = 4
"""How often the same is asked."""
_TRIED = 4
# What is so where nobody says otherwise, in the words of several services.
_PLAIN: tuple[tuple[str, Any], ...] = (
    ("repetition_penalty", 1.0),
    ("repeat_penalty", 1.0),
    ("frequency_penalty", 0.0),
    ("presence_penalty", 0.0),
    ("top_k", 1),
)
_MEND = "give temperature=0 (or what you want) with every question, and the penalties as 1 and 0"


@dataclass(frozen=True)
class _Habit:
    """What one side does by itself: `varies`, `varies` though it was asked greedily, says another thing."""

    label: str
    varies: bool
    restless: bool
    other: bool
    failed: str
    example: str

    @property
    def samples(self) -> bool:
        """Whether answers that nobody shaped are not the greedy ones."""
        return self.varies or self.other

    def __str__(self) -> str:
        if self.restless:
            return f"{self.label} says other things each time, at temperature 0 too"
        if self.varies:
            return f"{self.label} samples: the same question gets other answers"
        return f"{self.label} " + ("says other things than at temperature 0" if self.other else "is greedy")


def examine_sampling(survey: Survey, form: str) -> None:
    """Ask the same several times, without and with a temperature of 0."""
    habits = [_watch(side, survey, form) for side in (survey.a, survey.b)]
    a, b = habits
    told = "; ".join(map(str, habits))
    if failed := a.failed or b.failed:
        survey.found.append(
            Finding(SAMPLING, "unknown", f"a question without a temperature failed: {failed}")
        )
    elif a.samples != b.samples or a.restless != b.restless:
        example = a.example or b.example
        side = "A" if (a.samples, a.restless) > (b.samples, b.restless) else "B"
        survey.found.append(Finding(SAMPLING, "differs", told, example, _MEND, {"side": side}))
    elif a.samples:
        told += "; whether at the same temperature does not show"
        survey.found.append(Finding(SAMPLING, "unknown", told, mend=_MEND))
    else:
        survey.found.append(Finding(SAMPLING, "same", told))
    if a.restless or b.restless:
        survey.explain(survey.pairs, SAMPLING)


def _watch(side: Side, survey: Survey, form: str) -> _Habit:
    """Ask one side the same several times."""
    asked = [in_form(f"story-{n}", text, form) for n, text in enumerate(STORIES, 1)]
    limit = {"max_tokens": survey.params["max_tokens"]}
    free = [side.ask(_again(asked, f"free-{turn}"), limit) for turn in range(1, TIMES + 1)]
    greedy = [side.ask(_again(asked, f"greedy-{turn}"), survey.params) for turn in (1, 2)]
    failed = next((one.error for row in (*free, *greedy) for one in row if one.error), "")
    texts = [[row[n].text for row in free] for n in range(len(asked))]
    calm = [[row[n].text for row in greedy] for n in range(len(asked))]
    varied = next((some for some in texts if len(set(some)) > 1), None)
    other = next(((some[0], one[0]) for some, one in zip(texts, calm) if some[0] != one[0]), None)
    example = ""
    if varied is not None:
        example = f"{side.label}: " + " / ".join(quote(text, 24) for text in sorted(set(varied))[:3])
    elif other is not None:
        example = f"{side.label}: {quote(other[0], 24)}, at temperature 0 {quote(other[1], 24)}"
    restless = any(len(set(some)) > 1 for some in calm)
    return _Habit(side.label, varied is not None, restless, other is not None, failed or "", example)


def _again(questions: Sequence[Question], name: str) -> list[Question]:
    """The same questions under another name, for the records."""
    return [replace(question, id=f"{question.id}-{name}") for question in questions]


def try_plain(survey: Survey, pairs: Sequence[Pair]) -> list[Pair]:
    """Pairs whose answers become the same once a service is told to punish and prefer nothing."""
    tried = sorted(pairs, key=lambda pair: -place_of(pair))[:_TRIED]
    for side in (survey.a, survey.b):
        if not isinstance(side.model, HttpModel):
            continue
        for name, value in _PLAIN:
            asked = _again([pair.question for pair in tried], f"{name}-{value:g}")
            answers = side.ask(asked, {**survey.params, name: value})
            others = [pair.b if side is survey.a else pair.a for pair in tried]
            agreed = sum(x.error is None and x.text == y.text for x, y in zip(answers, others))
            if agreed > len(tried) / 2:
                told = f"{side.label} has another {name}: with {name}={value:g} "
                told += f"{agreed} of {len(tried)} answers that differed are the same"
                numbers = {"side": side.label, "parameter": name, "value": value}
                _replace(survey, told, show_pair(tried[0]), numbers)
                return list(pairs)
    return []


def _replace(survey: Survey, told: str, example: str, numbers: Mapping[str, Any]) -> None:
    """Put what was found in the place of what was known of sampling."""
    known = next((one for one in survey.found if one.cause == SAMPLING), None)
    if known is not None:
        survey.found.remove(known)
        told = f"{known.evidence}; {told}" if known.verdict == "differs" else told
    name, value = numbers["parameter"], numbers["value"]
    mend = f"give {name}={value:g} to {numbers['side']}, as in params='{{\"{name}\": {value:g}}}'"
    survey.found.append(Finding(SAMPLING, "differs", told, example, mend, numbers))
