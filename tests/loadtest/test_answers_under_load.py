"""Answers under load: what gets worse is caught, what does not is left alone; over a real service too."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from steelyard import Stage
from steelyard.errors import UsageError
from steelyard.loadtest.answers import Asked, Verdict, find_mixed, judge_answers, share_differing
from steelyard.loadtest.checks import check_answers, is_bad
from steelyard.loadtest.probes import Probed, Probes
from steelyard.models.base import Model
from steelyard.tasks.base import Task
from steelyard.tasks.references import open_task
from steelyard.types import Chunk, Request, Sample
from steelyard.workloads.base import Session, Turn

SAMPLES = 40
NEVER = "no difference told"


def task(count: int = SAMPLES) -> Task:
    """Questions with an answer of their own each."""
    samples = [Sample(str(n), f"What is {n} and {n}?", target=str(2 * n)) for n in range(count)]
    return open_task(data=samples, metrics=["exact"], extract="number")


def truth(sample: str) -> str:
    return f"The sum of {sample} and {sample}, as anybody will tell you, is {2 * int(sample)}."


class Service:
    """Answers by script: sure of itself but for some words, until it is under load."""

    def __init__(
        self, seed: int, *, wavering: float = 0.0, under_load: Callable[..., str] | None = None
    ) -> None:
        self.source, self.wavering, self.under_load = random.Random(seed), wavering, under_load

    def ask(self, sample: str, *, loaded: bool) -> str:
        said = truth(sample)
        if self.source.random() < self.wavering:
            said = truth(str(int(sample) + 1)) if self.source.random() < 0.5 else said.replace("sum", "total")
        if loaded and self.under_load is not None:
            said = self.under_load(said, sample, self.source)
        return said

    def asked(self, *, loaded: bool, times: int = 1) -> Asked:
        return Asked(
            {str(n): [self.ask(str(n), loaded=loaded) for _ in range(times)] for n in range(SAMPLES)}
        )


def judged(service: Service, probes: Probes, *, levels: int = 2) -> list[Verdict]:
    idle = [service.asked(loaded=False), service.asked(loaded=False)]
    return judge_answers(probes, idle, {n: service.asked(loaded=True) for n in range(levels)}, {})


@pytest.fixture(scope="module")
def probes() -> Probes:
    return Probes(task(), chat=False)


@pytest.mark.parametrize("wavering", [0.05, 0.4])
def test_a_service_that_is_well_is_not_accused(probes: Probes, wavering: float) -> None:
    accused = sum(
        any(one.verdict != NEVER for one in judged(Service(seed, wavering=wavering), probes))
        for seed in range(100)
    )
    assert accused <= 5


def dropped(said: str, sample: str, source: random.Random) -> str:
    return "I do not see any numbers in your question."


def quantised(said: str, sample: str, source: random.Random) -> str:
    return said[:-3] + "0." if source.random() < 0.35 else said


def swapped(said: str, sample: str, source: random.Random) -> str:
    return truth(str(source.randrange(SAMPLES))) if source.random() < 0.1 else said


# Whoever gives answers of others at idle gives them by nature: who wavers is not tried with those.
FAULTS = [
    (dropped, "worse", 0.0),
    (dropped, "worse", 0.05),
    (quantised, "worse", 0.0),
    (quantised, "worse", 0.05),
]


@pytest.mark.parametrize(("fault", "verdict", "wavering"), [*FAULTS, (swapped, "mixed up", 0.0)])
def test_what_gets_worse_is_caught(probes: Probes, fault: Any, verdict: str, wavering: float) -> None:
    caught = sum(
        any(
            one.verdict == verdict
            for one in judged(Service(seed, wavering=wavering, under_load=fault), probes)
        )
        for seed in range(20)
    )
    assert caught >= 18


def test_streams_that_are_mixed_up_are_shown() -> None:
    first = {"a": ["yes"], "b": ["no"], "c": ["yes"]}
    assert [
        (one.sample, one.other) for one in find_mixed(first, {"a": ["no"], "b": ["no", "yes"], "c": ["?"]})
    ] == [
        ("a", "b"),
        ("b", "a"),
    ]
    assert share_differing(first, {"a": ["yes", "no"], "b": ["no"]}) == pytest.approx(1 / 3)
    assert share_differing(first, {}) is None


def test_short_answers_that_others_have_too_are_no_proof(probes: Probes) -> None:
    # Whoever is asked for A or B gives another's answer whenever it is wrong, at idle too.
    source = random.Random(3)

    def ask() -> Asked:
        return Asked(
            {str(n): ["AB"[n % 2] if source.random() > 0.2 else "BA"[n % 2]] for n in range(SAMPLES)}
        )

    verdicts = judge_answers(probes, [ask(), ask()], {n: ask() for n in range(3)}, {})
    assert [one.verdict for one in verdicts] == [NEVER] * 3


def test_what_failed_does_not_count_and_is_said(probes: Probes) -> None:
    service = Service(1)
    idle = [service.asked(loaded=False), service.asked(loaded=False)]
    (one, other) = judge_answers(probes, idle, {0: Asked({}, failed=9), 4: Asked()}, {0: "64 clients"})
    assert (one.name, one.asked, one.failed, one.verdict) == ("64 clients", 9, 9, "nothing to compare")
    assert "9 of 9 were not answered" in str(one) and "nothing was asked" in str(other)


class Greetings:
    """What is asked beside."""

    name = "greetings"

    def __init__(self, count: int | None = None, *, at: float | None = None) -> None:
        self.count, self.at = count, at

    def identity(self) -> dict[str, Any]:
        return {"workload": self.name}

    def __iter__(self) -> Iterator[Session]:
        n = 0
        while self.count is None or n < self.count:
            yield Session(f"g{n}", [Turn("Hello?")], None if self.at is None else self.at * n)
            n += 1


def test_probes_are_spread_among_the_sessions(probes: Probes) -> None:
    mixed = Probed(Greetings(900, at=0.5), probes, share=0.1)
    sessions = list(mixed)
    places = [place for place, one in enumerate(sessions) if "check" in one.meta]
    assert len(sessions) - len(places) == 900 and 95 <= len(places) <= 105
    gaps = {b - a for a, b in pairwise(places)}
    assert max(gaps) <= 15 and len(gaps) > 1
    asked = [one.meta["check"] for one in sessions if "check" in one.meta]
    assert asked[:SAMPLES] == list(probes.samples) and asked[SAMPLES] == "0"
    assert [one.at for one in sessions] == sorted(one.at or 0 for one in sessions)
    assert mixed.identity() != Probed(Greetings(), probes, share=0.2).identity()
    assert [one.id for one in Probed(Greetings(5), probes)] == [
        one.id for one in Probed(Greetings(5), probes)
    ]


def test_probes_that_cannot_be_are_refused(probes: Probes) -> None:
    with pytest.raises(UsageError, match="share"):
        Probed(Greetings(), probes, share=1.0)
    with pytest.raises(UsageError, match="empty"):
        Probes(task(0), chat=False)
    with pytest.raises(UsageError, match="likelihoods"):
        Probes(open_task("choice", by="likelihood"), chat=False)


class Forgetful(Model):
    """Forgets what it is asked as soon as it is asked more than two things at a time."""

    elsewhere = False
    concurrency = 64

    def __init__(self, most: int) -> None:
        self.most, self.now = most, 0

    @property
    def name(self) -> str:
        return "forgetful"

    async def stream(self, request: Request):  # type: ignore[no-untyped-def]
        self.now += 1
        try:
            await asyncio.sleep(0.002)
            words = str(request.prompt).split()
            remembers = words[0] == "What" and self.now <= self.most
            yield Chunk(truth(words[2]) if remembers else "What was it?")
        finally:
            self.now -= 1


@pytest.mark.parametrize(("most", "verdicts"), [(2, [NEVER, "worse"]), (99, [NEVER, NEVER])])
def test_a_load_with_its_answers_checked(most: int, verdicts: list[str], tmp_path: Path) -> None:
    stages = [Stage(name=f"{n} clients", concurrency=n, requests=150) for n in (1, 8)]
    run = check_answers(
        Forgetful(most), Greetings(), task(30), stages=stages, out=tmp_path / "run", share=0.3, scrape=False
    )
    told = run.about["answers"]
    assert [level["verdict"] for level in told["levels"]] == verdicts
    assert is_bad(told) == ("worse" in verdicts)
    assert told["idle"]["differing"] == 0 and told["samples"] == 30
    assert [level["name"] for level in told["levels"]] == ["1 clients", "8 clients"]
    # Probes are asked with the rest, and are not in its figures.
    assert all(
        level["asked"] + result["total"] == 150 for level, result in zip(told["levels"], run.about["results"])
    )
    assert min(level["asked"] for level in told["levels"]) >= 40
    # What is done is not asked again.
    again = check_answers(
        Forgetful(most),
        Greetings(),
        task(30),
        stages=stages,
        out=tmp_path / "run",
        share=0.3,
        scrape=False,
        resume=True,
    )
    assert again.about["answers"] == told
