"""Searching the highest load that keeps objectives: by rule, against a queue of known limit, for real."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slotted_service import slotted

from steelyard.errors import UsageError
from steelyard.loadtest.evidence import Evidence, Part, bound_average, bound_share, judge
from steelyard.loadtest.limit import complete_objectives, find_limit
from steelyard.loadtest.observation import observe
from steelyard.loadtest.plan import Stage
from steelyard.loadtest.search import Look, Outcome, Search
from steelyard.timings.columns import Columns
from steelyard.timings.objectives import read_objectives
from steelyard.timings.shards import Shard
from steelyard.types import Record, Request, Response, Sample, Timing, Tokens
from steelyard.workloads.base import Session, Turn

STAGE = Stage(name="", duration=10.0)


def parts(*overs: float, requests: int = 100) -> list[Part]:
    """Parts with so many values above a limit each."""
    return [Part(requests, requests, over) for over in overs]


def test_a_share_has_clopper_and_pearsons_bounds() -> None:
    assert bound_share(parts(0, requests=299), 0.05) == (0.0, 0.0, pytest.approx(0.00997, abs=1e-5))
    assert bound_share(parts(1, requests=10), 0.05) == (
        0.1,
        pytest.approx(0.00512, abs=1e-5),
        pytest.approx(0.39416, abs=1e-5),
    )
    assert bound_share([], 0.05) == (None, None, None)


def test_what_comes_in_bursts_says_less() -> None:
    _, low, high = bound_share(parts(*[5] * 20), 0.01)
    _, burst_low, burst_high = bound_share(parts(*[50, 0, 0, 0, 0] * 2, *[0] * 10), 0.01)
    assert low is not None and high is not None and burst_low is not None and burst_high is not None
    assert burst_low < low < 0.05 < high < burst_high


def test_gaps_of_one_answer_stand_together_where_nothing_is_known() -> None:
    (_, _, by_gaps), (_, _, by_requests) = (bound_share([Part(10, n, 0)], 0.05) for n in (1000, 10))
    assert by_gaps == by_requests


def test_times_that_are_alike_in_turn_say_less_of_what_never_happened() -> None:
    even = [Part(50, 50, 0, ranks=25.0)] * 10
    waves = [Part(50, 50, 0, ranks=5.0 if n % 4 < 2 else 45.0) for n in range(10)]
    assert bound_share(waves, 0.01)[2] > 4 * bound_share(even, 0.01)[2]  # type: ignore[operator]


def test_an_average_wants_enough_parts() -> None:
    assert bound_average(parts(10, 12, 11), 0.05) == (0.11, None, None)
    average, low, high = bound_average(parts(*[10, 12] * 10), 0.05)
    assert average == pytest.approx(0.11) and low is not None and high is not None and low < 0.11 < high


def test_what_grows_is_never_kept() -> None:
    calm = Evidence("p99", 0.01, parts(*[0] * 20))
    assert judge([calm], alpha=0.01).verdict == "kept"
    assert judge([replace(calm, grows=True)], alpha=0.01).verdict == "open"


# A service that keeps its objective up to a limit, and breaks it above, as evidence.


def sharp(limit: float, stages: Sequence[Stage], *, what: str = "rate") -> Callable[[int], Look]:
    def look(number: int) -> Look:
        level = getattr(stages[number], what)
        over = 0 if level <= limit else 50
        return Look([Evidence("p99", 0.01, parts(*[over] * 10, requests=100))])

    return look


def search(
    make: Callable[[Sequence[Stage]], Callable[[int], Look]], **options: object
) -> tuple[Outcome, list[Stage]]:
    """A search to its end, and its stages."""
    stages: list[Stage] = []
    searching = Search(STAGE, look=make(stages), **options)  # type: ignore[arg-type]
    while (stage := searching([None] * len(stages))) is not None:
        stages.append(stage)
    return searching.outcome([None] * len(stages)), stages


@settings(deadline=None, max_examples=40)
@given(st.floats(0.01, 3000), st.floats(0.01, 0.3), st.integers(0, 40))
def test_a_sharp_limit_is_found_and_what_is_said_was_measured(
    limit: float, tolerance: float, stop: int
) -> None:
    found, stages = search(lambda seen: sharp(limit, seen), tolerance=tolerance)
    assert found.value is not None and found.missed is not None
    assert found.value <= limit < found.missed
    # Three digits are told of a rate.
    assert found.missed <= found.value * (1 + tolerance) * 1.02
    assert {found.value, found.missed} <= {stage.rate for stage in stages}
    assert len({stage.seed for stage in stages}) == len(stages)
    # Begun anew from what is stored, it goes on as it would have.
    again = Search(STAGE, look=sharp(limit, stages), tolerance=tolerance)
    for count in range(min(stop, len(stages)), len(stages)):
        assert again([None] * count) == stages[count]


def test_a_concurrency_is_a_whole_number() -> None:
    found, stages = search(
        lambda seen: sharp(37, seen, what="concurrency"), what="concurrency", tolerance=0.01
    )
    assert (found.value, found.missed) == (37, 38)
    assert all(stage.arrival is None for stage in stages)
    assert str(found) == "all objectives are kept at 37 clients (95% sure); at 38 clients they are not"


def test_nothing_above_the_highest_level_is_asked() -> None:
    found, stages = search(lambda seen: sharp(1e9, seen), low=3, high=10)
    assert [stage.rate for stage in stages] == [3, 6, 10]
    assert (found.value, found.missed, str(found)) == (10, None, "all objectives are kept at 10/s (95% sure)")
    found, stages = search(lambda seen: sharp(1e9, seen), low=0.12345, high=0.33333)
    assert [stage.rate for stage in stages] == [0.123, 0.246, 0.333]


def test_where_nothing_keeps_the_objectives_it_ends() -> None:
    found, stages = search(lambda seen: sharp(0, seen), low=1)
    assert found.value is None and "no rate was shown" in str(found)
    assert 5 < len(stages) < 20


def spoiling(spoils: Callable[[int, float], bool]) -> Callable[[Sequence[Stage]], Callable[[int], Look]]:
    """A sharp limit at 100/s, and looks that the client spoils."""

    def make(stages: Sequence[Stage]) -> Callable[[int], Look]:
        honest = sharp(100, stages)

        def look(number: int) -> Look:
            spoiled = "the client spoiled this run" if spoils(number, stages[number].rate or 0) else None
            return replace(honest(number), spoiled=spoiled)

        return look

    return make


def test_a_client_that_is_the_limit_is_searched_up_to() -> None:
    found, stages = search(spoiling(lambda number, rate: rate >= 7))
    assert found.missed is None and found.value is not None and 6.5 < found.value < 7
    assert found.ended == "ended at 7.03/s: the client spoiled this run"
    names = ["1/s", "2/s", "4/s", "8/s", "8/s, look 2", "5.66/s", "6.73/s", "7.34/s"]
    assert [stage.name for stage in stages][: len(names)] == names


def test_a_client_that_is_the_limit_of_what_the_service_bears_is_not_the_reason() -> None:
    found, _ = search(spoiling(lambda number, rate: rate > 110))
    assert found.ended is None and found.value is not None and found.missed is not None
    assert 95 < found.value <= 100 < found.missed < 110


def test_a_client_that_is_always_late_ends_the_search() -> None:
    found, stages = search(spoiling(lambda number, rate: rate <= 1 or number > 9))
    assert found.value is None and len(stages) == 6
    assert found.ended is not None and found.ended.startswith("ended at 0.25/s: the client spoiled")


def test_a_hiccup_of_the_client_costs_a_look() -> None:
    found, stages = search(spoiling(lambda number, rate: number == 3))
    assert found.ended is None and found.value is not None and 95 < found.value <= 100
    assert [stage.rate for stage in stages[2:6]] == [4, 8, 8, 16]
    assert 3 not in [number for level in found.levels for number in level.looks]


def test_what_cannot_be_told_is_said_and_not_claimed() -> None:
    def make(stages: Sequence[Stage]) -> Callable[[int], Look]:
        # So few that nothing can be told, however long.
        return lambda number: Look(
            [Evidence("p99", 0.01, parts(0 if (stages[number].rate or 0) < 9 else 1, requests=2))]
        )

    found, stages = search(make)
    assert found.value is None
    assert 8 in found.open_ and "it cannot be told" in str(found)
    assert "to tell p99 takes 459 requests a level" in str(found)
    # What longer looks would not tell is not looked at for longer.
    assert max(stage.duration or 0 for stage in stages) == 10


@pytest.mark.parametrize(
    "odd", [{"what": "size"}, {"tolerance": 0}, {"low": 0}, {"high": 0.5}, {"confidence": 1}]
)
def test_a_search_that_cannot_be_is_refused(odd: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        search(lambda seen: sharp(1, seen), **odd)
    with pytest.raises(UsageError, match="how long"):
        Search(Stage(name=""), look=sharp(1, []))


# A queue with a known limit: four servers, a tenth of a second each, what waits in line.

SERVERS, SERVICE = 4, 0.1


def queue(rate: float, seconds: float, seed: int) -> list[tuple[float, float]]:
    """When each of some customers comes, and when each leaves."""
    source, free, now, seen = random.Random(seed), [0.0] * SERVERS, 0.0, []
    while (now := now + source.expovariate(rate)) < seconds:
        heapq.heapreplace(free, end := max(now, free[0]) + SERVICE)
        seen.append((now, end))
    return seen


@cache
def share_over(rate: float, limit: float) -> float:
    """Which share of all customers stays longer, in the long run."""
    seen = queue(rate, 4_000, seed=1)
    return sum(end - begin > limit for begin, end in seen) / len(seen)


def store(run: Path, number: int, customers: Sequence[tuple[float, float]]) -> None:
    """Write customers down as the requests of a stage."""
    shard = Shard(run / "shards" / str(number), sitting=0, worker=0, began=0.0, zero=0.0)
    for place, (begin, end) in enumerate(customers):
        timing = Timing(due=begin, sent=begin, chunks=(end,), done=end)
        sample = Sample(str(place), None, meta={"stage": number, "session": str(place), "turn": 0})
        shard.add(
            Record(place, sample, Request(str(place), ""), Response("", tokens=Tokens(1, 1), timing=timing))
        )
    shard.close()


@pytest.mark.parametrize("seed", range(3))
def test_the_limit_of_a_queue_is_found(seed: int, tmp_path: Path) -> None:
    objectives = read_objectives("ttft_due_p90=200ms")
    stages: list[Stage] = []

    def look(number: int) -> Look:
        stage = stages[number]
        store(tmp_path, number, queue(stage.rate or 0, stage.duration or 0, seed=stage.seed + 1000 * seed))
        return Look(observe(Columns.read(tmp_path, stage=number), objectives))

    searching = Search(replace(STAGE, duration=20.0), look=look, low=5, tolerance=0.1)
    while (stage := searching([None] * len(stages))) is not None:
        stages.append(stage)
    found = searching.outcome([None] * len(stages))
    assert found.value is not None and found.value in {stage.rate for stage in stages}
    assert share_over(found.value, 0.2) < 0.12 and share_over(found.value * 1.25, 0.2) > 0.1
    # Were every level measured as long as the longest may be, it would take several times as long.
    levels = {stage.rate for stage in stages}
    assert sum(stage.duration or 0 for stage in stages) < len(levels) * 16 * 20 / 2


def test_what_is_observed_is_counted(tmp_path: Path) -> None:
    # One a second, each third of them slow, the last twenty cut off or failed.
    shard = Shard(tmp_path / "shards" / "0", sitting=0, worker=0, began=0.0, zero=0.0)
    for n in range(100):
        took = 0.9 if n % 3 == 0 else 0.1
        error, raw = ("cut off", {"cut": True}) if n >= 90 else ("broken", None) if n >= 80 else (None, None)
        chunks = () if error else (n + took / 2, n + took)
        timing = Timing(due=float(n), sent=float(n), chunks=chunks, done=n + took)
        meta = {"stage": 0, "session": str(n), "turn": 0, **({"check": "q"} if n == 50 else {})}
        tokens = None if error else Tokens(3, 2)
        shard.add(
            Record(
                n,
                Sample(str(n), None, meta=meta),
                Request(str(n), ""),
                Response("", None, tokens, timing, error, raw),
            )
        )
    shard.close()
    named = "ttft_p90=200ms,itl_p99=200ms,error=1%,e2el_average=1s,request_rate=0.5,output_speed_median=3"
    told = {
        one.objective.split()[0]: one
        for one in observe(Columns.read(tmp_path, stage=0), read_objectives(named))
    }
    # The first answer's two lengths do not count, nor the probe.
    sizes = {
        name: (sum(p.requests for p in one.parts), sum(p.over for p in one.parts))
        for name, one in told.items()
    }
    assert sizes["ttft_p90"] == (88, 26 + 10)
    assert sizes["itl_p99"][1] == 26
    assert sizes["error"] == (98, 20)
    assert sizes["e2el_average"][0] == 88 and told["e2el_average"].average
    assert told["request_rate"].least and told["request_rate"].allowed == -0.5
    assert sizes["request_rate"] == (78, -78)
    assert sizes["output_speed_median"] == (78, 26) and told["output_speed_median"].allowed == 0.5
    assert judge([told["error"]], alpha=0.01).value == pytest.approx(20 / 98)


def test_hardly_anything_may_fail_in_any_case() -> None:
    assert [one.name for one in complete_objectives("ttft_p99=1s")] == ["ttft_p99", "error"]
    assert [one.limit for one in complete_objectives("error=5%")] == [0.05]


class Greetings:
    """The same short question again and again."""

    name = "greetings"

    def identity(self) -> dict[str, str]:
        return {"workload": self.name}

    def __iter__(self):  # type: ignore[no-untyped-def]
        number = 0
        while True:
            yield Session(str(number := number + 1), [Turn("Hello?", max_tokens=1)])


def test_the_limit_of_a_real_service_is_found(tmp_path: Path) -> None:
    # Forty a second is all that it can do; with four at a time each takes 0.1 s.
    stage = Stage(name="", duration=1.0, arrival="constant", grace=0.5)
    with slotted(4, 0.1) as url:
        run = find_limit(
            url, Greetings(), stage=stage, slo="ttft_due_median=150ms,error=50%", out=tmp_path / "run",
            low=20, high=80, tolerance=0.5, longest=2, scrape=False,
        )  # fmt: skip
    found = run.about["search"]
    assert run.about["state"] == "done" and len(run.about["results"]) == len(run.about["stages"])
    assert found["value"] is None or 20 <= found["value"] <= 45
    assert {level["value"] for level in found["levels"]} == {stage["rate"] for stage in run.about["stages"]}
    # What a level was too much for is waited for, so that the next one finds a service that is idle.
    spent = {n + 1 for n, one in enumerate(run.about["results"][:-1]) if one["cut"] or one["failed"]}
    assert {one["ahead_of"] for one in run.about.get("warmups", []) if one["name"] == "draining"} == spent
    assert found["ended"] or found["value"] == 20 or found["value"] == 28.3 or found["value"] == 40
