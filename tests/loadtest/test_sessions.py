"""Which sessions are asked when: the same ones whoever asks, however many they are."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
from workload_maker import Numbered

from steelyard import Request, Response, Session, Stage, Turn
from steelyard.errors import DataError, UsageError
from steelyard.loadtest.plan import check_stage, list_dues
from steelyard.loadtest.sessions import Arrival, Asking, Sessions, Share

OPEN: list[dict[str, Any]] = [
    {"arrival": "at_once"},
    {"arrival": "constant", "rate": 10},
    {"arrival": "poisson", "rate": 10},
    {"arrival": "gamma", "rate": 10, "burstiness": 0.3},
    {"arrival": "burst", "rate": 10, "burst": 4},
    {"arrival": "ramp", "rate": 10, "ramp_from": 1, "ramp_seconds": 3},
    {"arrival": "ramp", "rate": 10, "ramp_from": 1, "ramp_seconds": 3, "ramp": "exponential"},
    {"arrival": "trace", "speed": 2.0},
]


def take(
    share: Share, workload: Numbered, most: int | None = None
) -> list[tuple[int, int, str, float | None]]:
    arrivals = islice(Sessions(workload).arrivals(share), most)
    return [(one.place, one.number, one.session.id, one.due) for one in arrivals]


def taken_by_all(share: Share, workload: Numbered, workers: int) -> list[tuple[int, int, str, float | None]]:
    return sorted(one for n in range(workers) for one in take(replace(share, worker=n, of=workers), workload))


@pytest.mark.parametrize("options", OPEN, ids=lambda options: options["arrival"])
def test_however_many_ask_the_same_sessions_are_due_at_the_same_moments(options: dict[str, Any]) -> None:
    workload = Numbered(apart=0.25)
    share = Share(stage=Stage(name="x", **options), number=0, first=7, places=[(0, 50)])
    alone = take(share, workload)
    assert [one[:3] for one in alone] == [(n, 7 + n, f"s{7 + n}") for n in range(50)]
    for workers in (2, 3, 7):
        assert taken_by_all(share, workload, workers) == alone
    timed = replace(share, places=[(0, None)], left=2.0)
    if options["arrival"] != "at_once":
        assert taken_by_all(timed, workload, 3) == take(timed, workload)
        assert {one[3] is not None and one[3] < 2.0 for one in take(timed, workload)} == {True}


def test_clients_are_divided_and_join_in_turn() -> None:
    share = Share(stage=Stage(name="x", concurrency=8, joining=4, requests=20), number=0, of=3)
    shares = [replace(share, worker=n) for n in range(3)]
    assert [one.clients for one in shares] == [3, 3, 2]
    assert sorted(at for one in shares for at in one.joining or []) == [n / 4 for n in range(8)]
    # Of a stage that goes on those are there at once who had joined.
    late = replace(share, of=1, skipped=1.5)
    assert late.joining == [0.0] * 7 + [0.25]
    assert replace(share, stage=Stage(name="x", arrival="at_once")).clients is None


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_a_workload_that_ends_is_asked_once_from_wherever_a_stage_begins(workers: int) -> None:
    share = Share(stage=Stage(name="x", concurrency=4), number=0, first=6, places=[(0, None)])
    for first in (6, 16, 26, 0):
        found = taken_by_all(replace(share, first=first), Numbered(size=10), workers)
        assert [one[1] for one in found] == [(first + n) % 10 for n in range(10)]
    few = taken_by_all(replace(share, places=[(0, 7)]), Numbered(size=10), workers)
    assert [one[1] for one in few] == [6, 7, 8, 9, 0, 1, 2]


def test_an_empty_workload_is_an_error() -> None:
    with pytest.raises(DataError, match="numbered is empty"):
        take(Share(stage=Stage(name="x", concurrency=1), number=0), Numbered(size=0))


def test_stages_one_after_another_read_on() -> None:
    class Counting(Numbered):
        begun = made = 0

        def __iter__(self) -> Any:
            Counting.begun += 1
            for session in super().__iter__():
                Counting.made += 1
                yield session

    sessions = Sessions(Counting())
    stage, numbers = Stage(name="x", concurrency=4), []
    for n in range(5):
        share = Share(stage=stage, number=n, first=10 * n, places=[(0, 10)])
        numbers += [one.number for one in sessions.arrivals(share)]
    assert numbers == list(range(50))
    assert (Counting.begun, Counting.made) == (1, 51)


def test_what_is_gone_on_with_keeps_its_gaps() -> None:
    stage = Stage(name="x", arrival="poisson", rate=10)
    dues = list(islice(list_dues(stage), 60))
    left = [(4, 6), (9, 10), (20, None)]
    share = Share(stage=stage, number=0, places=left, skipped=None)
    found = [(one[0], one[3]) for one in take(share, Numbered(), 10)]
    assert [place for place, _ in found] == [4, 5, 9, *range(20, 27)]
    assert [due for _, due in found] == pytest.approx([dues[place] - dues[4] for place, _ in found])
    both = [take(replace(share, worker=n, of=2), Numbered(), 5) for n in range(2)]
    assert sorted(one for some in both for one in some)[:8] == take(share, Numbered(), 8)
    # Of one that lasts some seconds those are over that it was asked for.
    over = Share(stage=stage, number=0, places=[(0, None)], skipped=2.0, left=1.0)
    wanted = [due - 2.0 for due in dues if 2.0 <= due < 3.0]
    assert [one[3] for one in take(over, Numbered())] == pytest.approx(wanted)


def test_a_trace_without_times_says_so() -> None:
    with pytest.raises(DataError, match="'s0' has no time"):
        take(Share(stage=Stage(name="x", arrival="trace"), number=0), Numbered())


def ask_all(session: Session, *, chat: bool) -> list[Any]:
    asking: Asking | None = Asking(Arrival(0, 0, session, None), 0)
    prompts = []
    while asking is not None:
        request = asking.request("run", chat=chat)
        prompts.append(request.prompt)
        asking = asking.follow(request, Response(text=f"answer {asking.turn}"))
    return prompts


def test_turns_stand_behind_those_before_and_their_answers() -> None:
    session = Session("s", [Turn("one"), Turn("two"), Turn("three")])
    user, said = (lambda text: {"role": "user", "content": text}), "assistant"
    assert ask_all(session, chat=True) == [
        "one",
        [user("one"), {"role": said, "content": "answer 0"}, user("two")],
        [user("one"), {"role": said, "content": "answer 0"}, user("two"),
         {"role": said, "content": "answer 1"}, user("three")],
    ]  # fmt: skip
    assert ask_all(session, chat=False) == [
        "one",
        "one\nanswer 0\ntwo",
        "one\nanswer 0\ntwo\nanswer 1\nthree",
    ]


def test_a_prompt_in_turns_is_kept_as_it_is() -> None:
    system: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "one"}]
    first, second = ask_all(Session("s", [Turn(system), Turn("two")]), chat=True)
    assert first is system and len(system) == 2
    assert second == [
        *system,
        {"role": "assistant", "content": "answer 0"},
        {"role": "user", "content": "two"},
    ]
    assert ask_all(Session("s", [Turn("one"), Turn(system)]), chat=True)[1] is system


def test_each_turn_has_its_own_length_and_name() -> None:
    session = Session("s", [Turn("a", 5, params={"top_k": 1}), Turn("b", 9)], meta={"kind": "k"})
    first = Asking(Arrival(3, 8, session, None), 2)
    request = first.request("run", chat=False)
    assert request == Request("run-2-3-0", "a", params={"top_k": 1, "max_tokens": 5})
    assert first.sample(kept=None).meta == {"kind": "k", "stage": 2, "session": "s", "turn": 0, "turns": 2}
    second = first.follow(request, Response(text="x"))
    assert second is not None and second.is_last
    assert second.request("run", chat=False).params == {"max_tokens": 9}
    assert second.sample(kept="b").id == "s#1"
    assert first.follow(request, Response(error="HTTP 500")) is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "nothing says how much is asked"),
        ({"concurrency": 0}, "concurrency is 0"),
        ({"concurrency": 1, "rate": 5}, "a rate without an arrival"),
        ({"arrival": "sometimes"}, "no arrival 'sometimes'"),
        ({"arrival": "poisson"}, "without a rate"),
        ({"arrival": "constant", "rate": -1}, "rate is -1"),
        ({"arrival": "ramp", "rate": 4}, "a ramp without a length"),
        ({"concurrency": 2, "duration": 0}, "duration is 0"),
        ({"concurrency": 2, "grace": -1}, "grace is -1"),
    ],
)
def test_a_stage_that_cannot_be_says_why(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_stage(Stage(name="x", **options))
