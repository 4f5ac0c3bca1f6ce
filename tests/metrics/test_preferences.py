"""What people prefer and what scores higher: every label, ties, several answers, benchmarks' own numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from steelyard import plugins
from steelyard.errors import DataError
from steelyard.metrics.base import is_about
from steelyard.metrics.estimates import estimate_mean, estimate_proportion, estimate_worth
from steelyard.metrics.preferences import (
    judge_answers,
    margin,
    preference,
    preference_alignment,
    preference_musicality,
    rewards,
)
from steelyard.metrics.rewardbench import rewardbench, rewardbench2
from steelyard.metrics.scoring import Scorer
from steelyard.metrics.summary import Result, Summary
from steelyard.types import Record, Request, Response, Sample


def pair(label: Any, name: str = "preference") -> Sample:
    return Sample("1", {}, target={name: label})


def heard(a: float, b: float, name: str = "musicality") -> Response:
    return Response(scores={name: a, f"{name}_b": b})


@pytest.mark.parametrize(
    ("label", "first", "second", "tied"),
    [
        ("a", 1.0, 0.0, 0.5),
        ("b", 0.0, 1.0, 0.5),
        ("model_a", 1.0, 0.0, 0.5),
        ("model_b", 0.0, 1.0, 0.5),
        (" Model_B ", 0.0, 1.0, 0.5),
        ("A", 1.0, 0.0, 0.5),
        ("both", 0.5, 0.5, 0.5),
        ("neither", 0.5, 0.5, 0.5),
        ("Neither", 0.5, 0.5, 0.5),
        ("tie", None, None, None),
        ("skip", None, None, None),
        ("c", None, None, None),
    ],
)
def test_every_label(label: str, first: Any, second: Any, tied: Any) -> None:
    for scores, wanted in (((2, 1), first), ((1, 2), second), ((1, 1), tied)):
        for metric, name in (
            (preference, "musicality"),
            (preference_musicality, "musicality"),
            (preference_alignment, "alignment"),
        ):
            assert metric(pair(label, metric.name), heard(*scores, name))[""] == wanted


def test_outcomes_say_why() -> None:
    found = [preference(pair(label), heard(*scores))["outcome"] for label, scores in (
        ("a", (2, 1)), ("b", (2, 1)), ("a", (1, 1)), ("both", (1, 1)), ("both", (1, 2)), ("c", (1, 2))
    )]  # fmt: skip
    assert found == ["right", "wrong", "tied scores", "tied scores", "no preference", "unknown label 'c'"]
    assert preference(pair("a"), heard(1, math.nan)) == {"": None, "outcome": "no number"}


def test_what_each_is_about() -> None:
    texts = Sample("1", "?", target=0, choices=["x", "y"])
    for label in (None, "", " ", 3):
        assert not is_about(preference, pair(label))
    assert (
        is_about(preference, texts) and is_about(margin, texts) and not is_about(preference_alignment, texts)
    )
    assert not is_about(margin, Sample("1", "?", target=[0, 1], choices=["x", "y"]))
    assert not is_about(rewards, texts) and is_about(rewards, Sample("1", {}))


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=3), st.lists(st.integers(0, 3), min_size=1, max_size=3)
)
def test_answers_that_are_right_against_those_that_are_wrong(right: list[int], wrong: list[int]) -> None:
    worth = judge_answers(right, wrong)[0]
    if len(right) == 1:
        # Who must choose one, and finds some alike, takes any of them.
        best = [place for place, score in enumerate([*right, *wrong]) if score == max(*right, *wrong)]
        assert worth == pytest.approx((0 in best) / len(best))
    else:
        assert worth == all(a > b for a in right for b in wrong)


def test_texts() -> None:
    def ask(target: Any, *scores: float) -> Any:
        return preference(
            Sample("1", "?", target=target, choices=list("wxyz")[: len(scores)]), Response(scores=scores)
        )

    assert ask(0, 2, 1)[""] == 1.0 and ask(1, 2, 1)[""] == 0.0 and ask(0, 1, 1)[""] == 0.5
    assert ask([0, 1], 2, 1) == {"": 0.5, "outcome": "no preference"}
    assert ask([0, 1], 1, 1) == {"": 0.5, "outcome": "tied scores"}
    assert ask([0, 1, 2], 1, 2, 3)[""] is None
    assert ask([0, 2], 3, 1, 2)[""] == 1.0 and ask([0, 2], 3, 2, 2)[""] == 0.0
    assert ask(0, 1, 1, 1, 0) == {"": pytest.approx(1 / 3), "outcome": "tied scores"}
    named = Sample("1", "?", target=0, choices=["x", "y"])
    assert preference(named, Response(scores={"y": 3.0, "x": 1.0}))[""] == 0.0
    assert margin(named, Response(scores={"y": 3.0, "x": 1.0})) == -2.0
    with pytest.raises(DataError, match="2 answers were to be scored, and 3 were"):
        preference(named, Response(scores=[1, 2, 3]))
    unknown = Sample("1", "?", target={"preference": "?"}, choices=["x", "y"])
    assert preference(unknown, Response(scores=[1, 2])) == {"": None, "outcome": "unknown label '?'"}


def results(pairs: Any, metrics: Any) -> dict[str, Result]:
    summary, scorer = Summary(metrics), Scorer(metrics)
    for place, (one, response) in enumerate(pairs):
        scores, _ = scorer.begin(one, response)
        summary.add(Record(place, one, Request("1", ""), response, scores))
    return {result.metric: result for result in summary.results()}


def test_failures_count_where_the_sample_was_asked_and_its_label_is_known() -> None:
    rated = Sample("2", {}, target={"musicality": 3.0})
    pairs = [
        *[(pair("a"), heard(2, 1))] * 4,
        *[(pair("b"), heard(1, 1))] * 2,
        (pair("skip"), heard(2, 1)),
        (pair("a"), Response(error="broken")),
        (pair("skip"), Response(error="broken")),
        (rated, Response(error="broken")),
        (rated, Response(scores={"musicality": 1.0})),
    ]
    found = results(pairs, [preference, preference_alignment, margin, rewards])
    assert list(found) == ["preference", "preference.outcome"]
    one = found["preference"]
    assert (one.value, one.n, one.failed, one.undefined) == (pytest.approx(5 / 7), 7, 1, 2)
    assert one.answered == pytest.approx(5 / 6) and one.method == "bootstrap, bca"
    outcomes = found["preference.outcome"]
    assert outcomes.labels == {"right": 4, "tied scores": 2, "unknown label 'skip'": 1}
    # Where all failed there are no words to be counted, and no number in their place.
    assert list(results(pairs[7:8], [preference])) == ["preference"]


def test_what_people_said_nothing_of_is_told_as_it_is() -> None:
    pairs = [(Sample("1", {}), Response(scores={"musicality": score, "alignment": 1.0})) for score in (1, 2)]
    assert {name: one.value for name, one in results(pairs, [preference, rewards]).items()} == {
        "rewards.musicality": 1.5,
        "rewards.alignment": 1.0,
    }
    pairs = [(Sample("1", "?", choices=["x", "y"]), Response(scores=[1.0, 3.0]))]
    assert results(pairs, [rewards])["rewards.answer 2"].value == 3.0


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=60), st.integers(1, 5), st.booleans())
def test_intervals_of_what_answers_are_worth(values: list[float], size: int, grouped: bool) -> None:
    groups = [place // size for place in range(len(values))] if grouped else None
    found, plain = estimate_worth(values, groups), estimate_mean(values, groups)
    assert found.value == pytest.approx(plain.value) and found.n == len(values)
    if found.method.startswith(("bootstrap", "Wilson")):
        assert found.low is not None and found.high is not None and found.value is not None
        assert 0 <= found.low <= found.value <= found.high <= 1 and found.low < found.high
    else:
        assert found == plain and (len(set(groups)) if groups else len(values)) < 7


def test_the_interval_of_worths_is_that_of_a_bootstrap_written_elsewhere() -> None:
    values = np.repeat([1.0, 0.5, 0.0], [45, 9, 6])
    found = estimate_worth(values.tolist())
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="BCa", random_state=1)
    assert found.method == "bootstrap, bca"
    # Ours is as much wider as t is than the normal.
    bounds = theirs.confidence_interval
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high), abs=0.02)
    assert found.stderr == pytest.approx(theirs.standard_error, rel=0.1)


def test_worths_that_are_all_alike_are_no_certainty() -> None:
    for value in (0.0, 0.5, 1 / 3, 1.0):
        alone, grouped = (
            estimate_worth([value] * 40),
            estimate_worth([value] * 40, [n // 5 for n in range(40)]),
        )
        for one, units in ((alone, 40), (grouped, 8)):
            wilson = estimate_proportion(units * value, units)
            assert (one.value, one.stderr) == pytest.approx((value, 0.0))
            assert (one.low, one.high) == pytest.approx((wilson.low, wilson.high))
        assert (alone.method, grouped.method) == ("Wilson", "Wilson, 8 groups")
    assert estimate_worth([]).value is None


def test_groups_make_what_is_known_less_certain() -> None:
    values = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0] * 10
    alone, together = estimate_worth(values), estimate_worth(values, [place // 4 for place in range(80)])
    assert together.stderr > alone.stderr and together.method == "bootstrap, bca, 20 groups"
    # The error of a share is known.
    assert alone.stderr == pytest.approx(math.sqrt(0.625 * 0.375 / 80), rel=0.1)


def section(name: str, subset: str, worth: int) -> tuple[Sample, Response]:
    sample = Sample("1", "?", target=0, choices=["x", "y"], meta={"section": name, "subset": subset})
    return sample, Response(scores=[worth, 0.5])


def test_rewardbench_weighs_mathematics_as_all_programs() -> None:
    pairs = [section("Chat", "mt-bench-easy", worth) for worth in (1, 1, 0, 1)]
    pairs += [section("Reasoning", "math-prm", worth) for worth in (1, 0)]
    pairs += [section("Reasoning", f"hep-{name}", worth) for name in ("go", "js", "cpp") for worth in (1, 1)]
    found = results(pairs, [rewardbench])["rewardbench"]
    # Chat 3/4; Reasoning (6 · 1/2 + 6 · 1) / 12 = 3/4.
    assert found.value == pytest.approx((0.75 + 0.75) / 2) and found.n == 12
    assert results(pairs[:4], [rewardbench])["rewardbench"].value == 0.75
    # No share is certain for being the same wherever one looks.
    for copies in (1, 700):
        perfect = results([pairs[0], pairs[4]] * copies, [rewardbench])["rewardbench"]
        wilson = estimate_proportion(2 * copies, 2 * copies)
        assert (perfect.value, perfect.high, perfect.low) == (1.0, 1.0, wilson.low)
        failed = results([(pairs[0][0], Response(error="broken"))] * (2 * copies), [rewardbench])[
            "rewardbench"
        ]
        assert (failed.value, failed.low, failed.high) == (0.0, 0.0, pytest.approx(1 - (wilson.low or 0)))


def answers(subset: str, name: str, right: list[float], wrong: list[float]) -> tuple[Sample, Response]:
    meta = {"subset": subset, "num_correct": len(right)}
    scores = [*right, *wrong]
    target = list(range(len(right)))
    return Sample(name, "?", target, [str(n) for n in range(len(scores))], meta), Response(scores=scores)


def test_rewardbench2_scores_ties_by_its_own_rules() -> None:
    pairs = [answers("Math", "1", [3], [1, 2, 0]), answers("Math", "2", [1], [1, 0, 0])]
    found = results(pairs, [rewardbench2])["rewardbench2"]
    assert found.value == pytest.approx((1 + 0.5) / 2)
    pairs += [
        answers("Ties", "ref:1", [5], [1, 2]),  # 3 above the next
        answers("Ties", "tied:1", [5, 4], [2, 1]),  # 1 among the right, 2 to the wrong
        answers("Ties", "ref:2", [1], [2, 0]),  # not above
        answers("Ties", "tied:2", [9, 1], [0, -1]),  # 8 among the right, 1 to the wrong
    ]
    margins = (math.tanh(2 / 1 - 1) + math.tanh(-1 / 8 - 1)) / 2
    ties = 0.3 * 0.5 + 0.3 * 1.0 + 0.2 * 0.5 + 0.2 * 0.5 + 0.01 * margins
    found = results(pairs, [rewardbench2])["rewardbench2"]
    assert found.value == pytest.approx((0.75 + ties) / 2)
    failed = [(one, Response(error="broken")) for one, _ in pairs]
    assert results(failed, [rewardbench2])["rewardbench2"].value == 0.0


def test_a_failure_is_no_margin_and_no_reward() -> None:
    sample, broken = Sample("1", "?", 0, ["x", "y"]), Response(error="broken")
    pairs = [(sample, Response(scores=[0.0, 3.0])), (sample, broken), (sample, Response(scores=[0.0, 1.0]))]
    found = results(pairs, [margin, preference])
    assert (found["margin"].value, found["margin"].n, found["margin"].failed) == (-2.0, 2, 1)
    assert found["margin"].answered == -2.0 and found["preference"].n == 3
    assert results([(sample, broken)] * 9, [margin])["margin"].value is None
    asked = Sample("2", {})
    pairs = [(asked, Response(scores={"score": -4.0})), (asked, broken)]
    reward = results(pairs, [rewards])["rewards.score"]
    assert (reward.value, reward.n, reward.failed) == (-4.0, 1, 1)


def test_they_are_built_in() -> None:
    for name in (
        "preference",
        "preference_musicality",
        "preference_alignment",
        "margin",
        "rewards",
        "rewardbench",
    ):
        metric = plugins.resolve("metrics", name)
        assert (metric.name, plugins.reference(metric)) == (name, name)
