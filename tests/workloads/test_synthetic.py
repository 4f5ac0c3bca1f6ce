"""Made workloads: seeded, each session for itself, shared beginnings with the rate that is asked for."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steelyard.errors import SteelyardError
from steelyard.workloads.base import take_share
from steelyard.workloads.prefixes import Prefixes
from steelyard.workloads.references import open_workload


def first(count: int, **options: Any) -> list[Any]:
    return list(islice(open_workload("synthetic", **options), count))


def test_the_same_seed_makes_the_same_sessions_and_another_others() -> None:
    options = {"input": "uniform:5:50", "output": "normal:20:5", "turns": "uniform:1:3"}
    assert first(20, seed=4, **options) == first(20, seed=4, **options)
    assert first(20, seed=4, **options) != first(20, seed=5, **options)
    # Other lengths of answers leave the questions as they are.
    prompts = [[turn.prompt for turn in one.turns] for one in first(20, seed=4, **options)]
    others = [[turn.prompt for turn in one.turns] for one in first(20, seed=4, **{**options, "output": 7})]
    assert prompts == others


@settings(max_examples=30, deadline=None)
@given(every=st.integers(1, 5), seed=st.integers(0, 1000), limit=st.integers(1, 30) | st.none())
def test_shares_are_the_whole(every: int, seed: int, limit: int | None) -> None:
    workload = open_workload("prefixes", prefix=3, input="uniform:1:9", seed=seed, hit_rate=0.5, limit=limit)
    whole = list(islice(workload, 30))
    shares = [list(islice(take_share(workload, place, every), 30)) for place in range(every)]
    assert [shares[n % every][n // every] for n in range(len(whole))] == whole
    assert len(whole) == (limit or 30)


def test_a_session_far_away_is_made_without_those_before() -> None:
    workload = open_workload("prefixes", hit_rate=0.9, input=4)
    session = next(take_share(workload, 10**12, 7))
    assert session.id == str(10**12) and session.meta["prefix"] > 10**10


@settings(max_examples=40, deadline=None)
@given(
    rate=st.floats(0, 1, allow_nan=False),
    groups=st.integers(1, 20),
    seed=st.integers(0, 999),
    blocks=st.integers(1, 6),
)
def test_as_many_prefixes_are_known_as_the_rate_says(
    rate: float, groups: int, seed: int, blocks: int
) -> None:
    prefixes, seen, known = Prefixes(groups, hit_rate=rate, seed=seed), set(), 0
    for number in range(100 * blocks):
        chosen = prefixes.choose(number)
        # What it says is what whoever looks back would say.
        assert chosen.seen == (chosen.number in seen)
        assert chosen.number > max(seen, default=-1) - groups
        seen.add(chosen.number)
        known += bool(chosen.seen)
    wanted = 100 * blocks * rate
    assert wanted - 1 <= known <= wanted + 1 or (rate == 1 and known == 100 * blocks - 1)


def test_prefixes_are_shared_word_for_word() -> None:
    sessions = first(200, input=5, prefix=20, groups=4)
    beginnings = {" ".join(str(one.turns[0].prompt).split()[:20]) for one in sessions}
    assert len(beginnings) == 4 == len({one.meta["prefix"] for one in sessions})
    assert len({one.turns[0].prompt for one in sessions}) == 200
    popular = [one.meta["prefix"] for one in first(400, input=5, prefix=20, groups=4, popularity="zipf:2")]
    assert popular.count(0) > 2 * popular.count(1) > popular.count(3)


def test_prefixes_may_be_of_different_lengths_each_its_own() -> None:
    sessions = first(100, input=1, prefix="uniform:5:30", groups=3)
    lengths = {one.meta["prefix"]: len(str(one.turns[0].prompt).split()) for one in sessions}
    assert len(lengths) == 3
    assert all(len(str(one.turns[0].prompt).split()) == lengths[one.meta["prefix"]] for one in sessions)


def test_later_turns_have_lengths_of_their_own() -> None:
    sessions = first(50, input=10, turns="uniform:1:3", prefix=30, groups=2, output="uniform:3:9")
    assert {len(one.turns) for one in sessions} == {1, 2, 3}
    for session in sessions:
        assert [len(str(turn.prompt).split()) for turn in session.turns] == [40, 10, 10][: len(session.turns)]
        assert all(3 <= (turn.max_tokens or 0) <= 9 for turn in session.turns)


def test_what_shapes_it_is_its_identity() -> None:
    def identity(**options: Any) -> Any:
        return open_workload("synthetic", **options).identity()

    assert identity() == identity()
    changed = [
        {"input": 9}, {"output": 9}, {"prefix": 9}, {"turns": 2}, {"seed": 1}, {"limit": 9},
        {"prefix": 9, "groups": 2}, {"prefix": 9, "hit_rate": 0.5},
        {"prefix": 9, "groups": 2, "popularity": "zipf:1"},
        {"params": {"temperature": 0}}, {"adapters": "a"}, {"exact_output": True}, {"think": 1},
    ]  # fmt: skip
    told = [str(identity(**options)) for options in [{}, *changed]]
    assert len(set(told)) == len(told)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"groups": 4}, "there is no prefix to share"),
        ({"hit_rate": 0.5}, "there is no prefix to share"),
        ({"prefix": 5, "hit_rate": 1.5}, "hit_rate is 1.5"),
        ({"prefix": 5, "groups": 0}, "groups is 0"),
        ({"prefix": 5, "groups": 2, "popularity": "often"}, "popularity=often"),
        ({"form": "bytes"}, "form=bytes"),
        ({"limit": 0}, "limit is 0"),
        ({"turns": 0}, "turns=.* cannot be read"),
        ({"inptu": 5}, "no option 'inptu' .it has input"),
    ],
)
def test_what_cannot_be_is_told(options: dict[str, Any], error: str) -> None:
    with pytest.raises(SteelyardError, match=error):
        open_workload("synthetic", **options)
