"""check_independence(model, requests): whether an answer depends on what else is asked beside it.

found = check_independence(open_model("./my_model.py:Reward"), requests)
found.holds                                  False
print("\\n".join(found.tell()))               which question, in which company, by how much, and why

Every question is asked alone, once more, alone in another order, in threes, all together, in other orders,
and beside others with and without a reference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import cycle
from random import Random
from typing import Any

from steelyard.engine import answer
from steelyard.errors import UsageError, describe
from steelyard.models.base import LocalModel, Model
from steelyard.models.scores import check_scores
from steelyard.parity.company import Said, Unit, measure, said_of, units_of
from steelyard.parity.findings import Finding
from steelyard.parity.suspicion import (
    AGAIN,
    BACKWARDS,
    LIKE,
    REVERSED,
    SHUFFLED,
    THREES,
    TOGETHER,
    UNLIKE,
    WHOLE,
    Evidence,
    Group,
    explain,
)
from steelyard.types import Request, Response

TOLERANCE = 1e-5
Ask = Callable[[Sequence[Request]], list[Response]]
_THREE = 3
_HALVES = ("bfloat16", "float16", "bf16", "fp16")


@dataclass(frozen=True)
class Independence:
    """What was found: how far the furthest score of a question was from the one it has alone, and why.

    `unseen` is what these questions cannot show, as they are alike in it.
    """

    model: str
    asked: int
    tolerance: float
    largest: float | None
    findings: Sequence[Finding]
    unseen: Sequence[str] = ()

    @property
    def holds(self) -> bool:
        """Whether no answer depends on its company, as far as was seen."""
        return not any(one.verdict == "differs" for one in self.findings)

    def of(self, cause: str) -> Finding | None:
        """What was found of one cause, if anything was."""
        return next((one for one in self.findings if one.cause == cause), None)

    def tell(self) -> Iterator[str]:
        """It in plain words, a line each."""
        questions = "1 question" if self.asked == 1 else f"{self.asked} questions"
        if self.holds:
            alike = "" if not self.largest else f" to {self.largest:.1g}"
            yield f"{questions} alone, together and in other orders: the same{alike}"
        if self.unseen:
            yield f"what was not seen: {'; '.join(self.unseen)}"
        for one in self.findings:
            yield f"{one.cause}: {one.evidence}"
            yield from filter(None, (one.example, one.mend and f"to mend it: {one.mend}"))

    def as_document(self) -> dict[str, Any]:
        """All of it for machines, and as a run stores it."""
        return {
            "holds": self.holds,
            "asked": self.asked,
            "tolerance": self.tolerance,
            "largest": self.largest,
            "findings": [asdict(one) for one in self.findings],
            "unseen": list(self.unseen),
        }


def check_independence(
    model: Model, requests: Sequence[Request], *, seed: int = 0, tolerance: float = TOLERANCE
) -> Independence:
    """Ask `model` the same requests alone and in several companies; what differs by more, and why.

    Scores, likelihoods, vectors and greedy texts alike. A model of this process is handed these very
    batches; any other is asked as many at a time.
    """
    if not requests:
        raise UsageError("there is nothing to ask", hint="name a request at least")
    if not tolerance >= 0:
        raise UsageError(f"tolerance is {tolerance}", hint="it must be at least 0")
    ask = _asker(model)
    asked = [_greedy(one) for one in requests]
    units, alone = _ask_alone(ask, model, asked)
    forth = range(len(units))
    groups = [_ask_singly(ask, units, forth, AGAIN), _ask_singly(ask, units, forth[::-1], BACKWARDS)]
    for company, places in _companies(units, Random(seed)):
        members: list[int] = []
        said: list[Said] = []
        for place, response in zip(places, ask([asked[place] for place in places])):
            parts = [n for n in forth if units[n].place == place]
            members += parts
            said += [said_of(units[n], response, whole=True) for n in parts]
        groups.append(Group(company, members, said))
    if isinstance(model, LocalModel):
        # What comes next is to take the time that it takes.
        model.free()
    seen = Evidence(units, alone, groups, tolerance, halves=_counts_in_halves(model))
    return Independence(model.name, len(asked), tolerance, seen.largest, explain(seen), list(_miss(units)))


def _miss(units: Sequence[Unit]) -> Iterator[str]:
    """What units that are alike cannot show."""
    if len(units) < 2:
        yield "what company does, as there is one question"
        return
    if all(unit.lengths == units[0].lengths for unit in units):
        yield "what padding does, as all are of one length"
    having = {unit.has_reference for unit in units}
    if len(having) == 1 and None not in having:
        yield f"what references do, as {'all have one' if True in having else 'none has one'}"


def _ask_alone(ask: Ask, model: Model, asked: Sequence[Request]) -> tuple[list[Unit], list[Said]]:
    """The units of all requests, and what is said of each alone."""
    units: list[Unit] = []
    alone: list[Said] = []
    for place, request in enumerate(asked):
        parts = units_of(place, request, model=model)
        said = [said_of(unit, ask([unit.request])[0], whole=False) for unit in parts]
        if len(parts) > 1 and any(one.error is not None for one in said):
            # Some models compare, and say nothing of one part without the other.
            parts = [Unit(place, request, lengths=measure(model, request))]
            whole = said_of(parts[0], ask([request])[0], whole=True)
            said = [whole]
        units += parts
        alone += said
    return units, alone


def _ask_singly(ask: Ask, units: Sequence[Unit], order: Sequence[int], company: str) -> Group:
    said = [said_of(units[n], ask([units[n].request])[0], whole=False) for n in order]
    return Group(company, list(order), said)


def _companies(units: Sequence[Unit], random: Random) -> Iterator[tuple[str, list[int]]]:
    """Which requests are asked together, by their places, and what a reader calls that."""
    places = list(dict.fromkeys(unit.place for unit in units))
    counts = Counter(unit.place for unit in units)
    yield from ((WHOLE, [place]) for place in places if counts[place] > 1)
    if len(places) < 2:
        return
    if len(places) > _THREE:
        yield from ((THREES, places[n : n + _THREE]) for n in range(0, len(places), _THREE))
    yield TOGETHER, places
    yield REVERSED, places[::-1]
    yield SHUFFLED, random.sample(places, len(places))
    having = {has: [u.place for u in units if u.has_reference is has] for has in (True, False)}
    with_one, without = (list(dict.fromkeys(having[has])) for has in (True, False))
    if with_one and without:
        yield from ((LIKE, some) for some in (with_one, without) if len(some) > 1)
        yield from ((UNLIKE, list(pair)) for pair in zip(with_one, cycle(without)))
        yield from ((UNLIKE, list(pair)) for pair in zip(without, cycle(with_one)))


def _asker(model: Model) -> Ask:
    """What asks a model several requests at a time, in their order where it can be kept."""
    if isinstance(model, LocalModel) and model.takes_batches:
        return partial(_ask_batch, model)
    return lambda requests: answer(model, requests, concurrency=len(requests))


def _ask_batch(model: LocalModel, requests: Sequence[Request]) -> list[Response]:
    # What a model keeps of what it worked out before would hide what company does to it.
    model.free()
    answers: list[Response] = []
    while len(answers) < len(requests):
        answers += _answer(model, requests[len(answers) : len(answers) + max(model.batch_size, 1)])
    return [
        check_scores(model, request, one)
        if one.error is None and (one.scores is not None or request.choices is not None)
        else one
        for request, one in zip(requests, answers)
    ]


def _answer(model: LocalModel, requests: Sequence[Request]) -> list[Response]:
    """Answer a batch; where it fails, its halves, as an evaluation does."""
    try:
        responses = list(model.batch(requests))
        if len(responses) == len(requests):
            return responses
        return [Response(error=f"{len(responses)} answers to {len(requests)} requests")] * len(requests)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the model boundary: a failure is an answer
        if len(requests) == 1:
            return [Response(error=describe(error))]
    half = len(requests) // 2
    return _answer(model, requests[:half]) + _answer(model, requests[half:])


def _greedy(request: Request) -> Request:
    """The request without chance: what is drawn differs each time, whoever stands beside it."""
    if not request.params.get("temperature"):
        return request
    return replace(request, params={**request.params, "temperature": 0})


def _counts_in_halves(model: Model) -> bool:
    """Whether it says that its numbers have 16 bits, which round by where they stand."""
    told = model.identity()
    options = told.get("options")
    every = {**told, **(options if isinstance(options, Mapping) else {})}
    return every.get("bf16") is True or str(every.get("dtype")).removeprefix("torch.") in _HALVES
