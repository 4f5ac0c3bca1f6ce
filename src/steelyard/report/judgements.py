"""What a reward model said beside what people said: points of ratings, margins of pairs, the furthest off.

judged = Judgements()
for record in run.records():
    judged.add(record)
judged.ratings[("PAM", "musicality")].model        array('d', [3.1, 2.7, …])
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from steelyard.metrics.preferences import A, B, read_label
from steelyard.types import Record, Response

SECOND = "_b"
"""What the names of the scores of a pair's second side end in."""
_SIDES = {A: 1.0, B: -1.0}
_PREFERENCE, _BY = "preference", "musicality"
_FURTHEST = 10
_TENTH = 10


class Key(NamedTuple):
    """A set of data, and what is judged."""

    dataset: str
    name: str

    def __str__(self) -> str:
        return f"{self.dataset} {self.name}".strip()


@dataclass
class Ratings:
    """Pieces that people gave numbers: what the model and what they said, and which records these are."""

    model: array[float] = field(default_factory=lambda: array("d"))
    people: array[float] = field(default_factory=lambda: array("d"))
    places: array[int] = field(default_factory=lambda: array("q"))


@dataclass
class Margins:
    """Pairs of which people prefer one side: by how much the model scored it above the other."""

    values: array[float] = field(default_factory=lambda: array("d"))
    places: array[int] = field(default_factory=lambda: array("q"))


class Remark(NamedTuple):
    """A record that is far off, and in which words."""

    place: int
    text: str


class Judgements:
    """The ratings and the margins of a run, a few bytes an answer."""

    def __init__(self) -> None:
        self.ratings: dict[Key, Ratings] = {}
        self.margins: dict[Key, Margins] = {}

    def add(self, record: Record) -> None:
        """Take in one record; it is not kept."""
        target, scores = record.sample.target, record.response.scores
        if record.response.error is not None or not isinstance(target, Mapping):
            return
        if not isinstance(scores, Mapping):
            return
        dataset = str(record.sample.meta.get("dataset") or "")
        for name, said in target.items():
            key = Key(dataset, str(name))
            if (margin := margin_of(record.response, key.name)) is not None:
                if side := _SIDES.get(read_label(str(said)) or ""):
                    margins = self.margins.setdefault(key, Margins())
                    margins.values.append(side * margin)
                    margins.places.append(record.index)
            elif _is_number(said) and _is_number(scores.get(name)):
                ratings = self.ratings.setdefault(key, Ratings())
                ratings.model.append(scores[key.name])
                ratings.people.append(said)
                ratings.places.append(record.index)

    def furthest(self) -> dict[int, str]:
        """The records that are the furthest from what people said, by their indices, each with why."""
        found: dict[int, str] = {}
        for key, ratings in self.ratings.items():
            for place, text in _furthest_ratings(ratings):
                found.setdefault(place, f"{key.name}: {text}")
        for key, margins in self.margins.items():
            for place, text in _furthest_margins(margins):
                found.setdefault(place, f"{key.name}: {text}")
        return found


def margin_of(response: Response, name: str) -> float | None:
    """By how much the first side of a pair scored above the second; None where it is no pair."""
    scores = response.scores
    if not isinstance(scores, Mapping):
        return None
    name = subject_of(name)
    first, second = _number(scores.get(name)), _number(scores.get(name + SECOND))
    return None if first is None or second is None else first - second


def subject_of(name: str) -> str:
    """What is judged by a label of a name; a preference as such goes by musicality."""
    return _BY if name == _PREFERENCE else name.removeprefix(f"{_PREFERENCE}_")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _furthest_ratings(ratings: Ratings) -> Iterator[Remark]:
    """Those whose ranks differ the most."""
    n = len(ratings.model)
    model, people = _ranks(ratings.model), _ranks(ratings.people)
    order = sorted(range(n), key=lambda at: -abs(model[at] - people[at]))
    for at in order[: _few(n)]:
        # By chance two ranks are a third of all apart.
        if 3 * abs(model[at] - people[at]) > n:
            yield Remark(
                ratings.places[at],
                f"rank {people[at]:.0f} of {n:,} for people, {model[at]:.0f} for the model",
            )


def _furthest_margins(margins: Margins) -> Iterator[Remark]:
    """The pairs of which the model is the surest of the side that people like less."""
    order = sorted(range(len(margins.values)), key=margins.values.__getitem__)
    for at in order[: _few(len(order))]:
        if margins.values[at] < 0:
            yield Remark(margins.places[at], f"the other side by {-margins.values[at]:.3g}")


def _few(n: int) -> int:
    """Of how many records it is said that they are far off."""
    return min(_FURTHEST, max(1, n // _TENTH))


def _ranks(values: array[float]) -> list[float]:
    """The rank of each value from the highest, equal ones sharing theirs."""
    order = sorted(range(len(values)), key=lambda at: -values[at])
    ranks, begin = [0.0] * len(values), 0
    for end in range(1, len(order) + 1):
        if end == len(order) or values[order[end]] != values[order[begin]]:
            for at in order[begin:end]:
                ranks[at] = (begin + 1 + end) / 2
            begin = end
    return ranks


class Verdict(NamedTuple):
    """What is said of one thing that is judged: by the model of one side or of both, and by people."""

    name: str
    first: float | None
    second: float | None
    people: str


def verdicts_of(record: Record) -> list[Verdict]:
    """The scores of a piece or of a pair beside what people said; none where an answer has no such scores."""
    scores = record.response.scores
    if not isinstance(scores, Mapping):
        return []
    target = record.sample.target if isinstance(record.sample.target, Mapping) else {}
    said = {str(name): _said(value) for name, value in target.items()}
    found = []
    for name in dict.fromkeys(_side_of(str(name), scores) for name in scores):
        label = said.pop(f"{_PREFERENCE}_{name}", "") or said.pop(name, "")
        found.append(Verdict(name, _number(scores.get(name)), _number(scores.get(name + SECOND)), label))
    return found + [Verdict(name, None, None, label) for name, label in said.items() if label]


def _side_of(name: str, scores: Mapping[str, Any]) -> str:
    """What a score is called on both sides; of a pair whose first side failed only the second is there."""
    paired = any(str(other).endswith(SECOND) for other in scores)
    return name[: -len(SECOND)] if paired and name.endswith(SECOND) else name


def _number(value: Any) -> float | None:
    return float(value) if _is_number(value) else None


def _said(value: Any) -> str:
    return "" if value is None else f"{value:g}" if _is_number(value) else str(value)
