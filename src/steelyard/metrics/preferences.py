"""Whether the answer, or the piece of music, that people prefer has the higher score.

    >>> sample = Sample("1", "2 + 2?", target=0, choices=["4", "5"])
    >>> preference(sample, Response(scores=[1.5, -0.5]))
    {'': 1.0, 'outcome': 'right'}
    >>> pair = Sample("2", {}, target={"preference": "model_b"})
    >>> preference(pair, Response(scores={"musicality": 3.0, "musicality_b": 3.0}))
    {'': 0.5, 'outcome': 'tied scores'}

Of two, the right one is worth 1. Equal scores are worth a half whatever people said, and so is any
answer where people found both alike ("both", "neither"). A label that says none of this is
undefined: it is counted, under its own name, and in no average. One right answer among several shares
its worth with those that score as high; several right ones must all score higher than all wrong ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from steelyard.errors import DataError
from steelyard.metrics.base import Value
from steelyard.metrics.choices import target_indices
from steelyard.metrics.estimates import estimate_worth
from steelyard.types import Response, Sample

A, B, BOTH = "a", "b", "both"
LABELS: Mapping[str, str] = {
    "a": A,
    "b": B,
    "model_a": A,
    "model_b": B,
    "both": BOTH,
    "neither": BOTH,
}
"""What people say of a pair, and what it means."""

RIGHT, WRONG, TIED, ALIKE = "right", "wrong", "tied scores", "no preference"


class Preference:
    """Whether the piece that people prefer scores higher, by the label and the score of some names."""

    estimate = staticmethod(estimate_worth)

    def __init__(self, name: str, *, score: str) -> None:
        self.name = self.ref = name
        self.score = score

    def concerns(self, sample: Sample) -> bool:
        """Whether people said which they prefer."""
        return label_of(sample, self.name) is not None

    def parts(self, sample: Sample) -> list[str]:
        """The scores in which a failed answer counts: never the words, none where nothing known was said."""
        known = has_right_answers(sample) or read_label(label_of(sample, self.name) or "") is not None
        return [""] if self.concerns(sample) and known else []

    def __call__(self, sample: Sample, response: Response) -> Value:
        given = label_of(sample, self.name) or ""
        label = read_label(given)
        if label is None:
            return {"": None, "outcome": f"unknown label {given[:40]!r}"}
        first, second = (score_of(response, self.score + side) for side in ("", "_b"))
        return dict(zip(("", "outcome"), judge_pair(label, first, second)))


class AnyPreference(Preference):
    """The same, also of texts: whether the right answers to a question score higher than the wrong ones."""

    def concerns(self, sample: Sample) -> bool:
        """Whether people said which they prefer, or the sample says which answers are right."""
        return super().concerns(sample) or has_right_answers(sample)

    def __call__(self, sample: Sample, response: Response) -> Value:
        if not has_right_answers(sample):
            return super().__call__(sample, response)
        right, wrong = split_scores(sample, response)
        return dict(zip(("", "outcome"), judge_answers(right, wrong)))


class Margin:
    """How much higher the lowest right answer scores than the highest wrong one."""

    name = ref = "margin"
    # A failure is no margin: 0 would be more than many have.
    answered_only = own_scale = True

    def concerns(self, sample: Sample) -> bool:
        """Whether the sample has right answers and wrong ones."""
        return has_right_answers(sample) and len(set(target_indices(sample))) < len(sample.choices or ())

    def __call__(self, sample: Sample, response: Response) -> float:
        right, wrong = split_scores(sample, response)
        return min(right) - max(wrong)


class Rewards:
    """The scores themselves, of samples of which people said nothing."""

    name = ref = "rewards"
    answered_only = own_scale = True

    def concerns(self, sample: Sample) -> bool:
        """Whether there is nothing to hold the scores against."""
        return sample.target is None

    def __call__(self, sample: Sample, response: Response) -> Value:
        scores = response.scores
        if isinstance(scores, Mapping):
            return dict(scores)
        return {f"answer {place}": score for place, score in enumerate(scores or (), start=1)}


def read_label(given: str) -> str | None:
    """What a label of a pair means: a, b or both; None where it says nothing known."""
    return LABELS.get(given.strip().casefold())


def label_of(sample: Sample, name: str) -> str | None:
    """What people said of a pair, by the name of what they were asked."""
    target = sample.target
    given = target.get(name) if isinstance(target, Mapping) else None
    return given if isinstance(given, str) and given.strip() else None


def score_of(response: Response, name: str) -> float:
    """The score of a name that an answer has."""
    scores = response.scores
    if not isinstance(scores, Mapping) or name not in scores:
        has = ", ".join(scores) if isinstance(scores, Mapping) else "none by name"
        raise DataError(f"the answer has no score called {name}", hint=f"it has {has}")
    return float(scores[name])


def judge_pair(label: str, first: float, second: float) -> tuple[float | None, str]:
    """What two scores are worth beside a label (a, b or both), and why."""
    if math.isnan(first) or math.isnan(second):
        return None, "no number"
    if first == second:
        return 0.5, TIED
    if label == BOTH:
        return 0.5, ALIKE
    return (1.0, RIGHT) if (first > second) == (label == A) else (0.0, WRONG)


def judge_answers(right: Sequence[float], wrong: Sequence[float]) -> tuple[float | None, str]:
    """What the scores of right and wrong answers are worth, and why."""
    if any(map(math.isnan, (*right, *wrong))):
        return None, "no number"
    if not wrong:
        # Of two, people found both alike; of more, nothing was asked.
        return judge_pair(BOTH, *right) if len(right) == 2 else (None, "nothing wrong to tell apart")
    lowest, highest = min(right), max(wrong)
    if lowest > highest:
        return 1.0, RIGHT
    if lowest == highest and len(right) == 1:
        return 1 / (1 + wrong.count(highest)), TIED
    return 0.0, WRONG


def has_right_answers(sample: Sample) -> bool:
    """Whether a sample has answers to choose from, and says which are right."""
    return bool(sample.choices) and sample.target is not None and not isinstance(sample.target, Mapping)


def split_scores(sample: Sample, response: Response) -> tuple[list[float], list[float]]:
    """The scores of the right answers and of the wrong ones."""
    answers = list(sample.choices or ())
    scores = response.scores
    if isinstance(scores, Mapping):
        scores = [scores[answer] for answer in answers if answer in scores]
    if scores is None or len(scores) != len(answers):
        raise DataError(f"{len(answers)} answers were to be scored, and {len(scores or ())} were")
    places = set(target_indices(sample))
    if not places:
        raise DataError(f"the target of sample {sample.id!r} names no right answer")
    right = [float(score) for place, score in enumerate(scores) if place in places]
    return right, [float(score) for place, score in enumerate(scores) if place not in places]


preference = AnyPreference("preference", score="musicality")
preference_musicality = Preference("preference_musicality", score="musicality")
preference_alignment = Preference("preference_alignment", score="alignment")
margin = Margin()
rewards = Rewards()
