"""Correlations of scores with ratings: scipy's, of many draws at once, with intervals that are true."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from steelyard import plugins
from steelyard.errors import DataError
from steelyard.metrics.correlations import (
    Correlation,
    count_inversions,
    musicality_ktau,
    musicality_lcc,
    musicality_srcc,
)
from steelyard.metrics.estimates import draw_units, draw_weights, estimate_corpus, gather_units
from steelyard.metrics.paired import compare_statistics
from steelyard.metrics.scoring import Scorer
from steelyard.metrics.summary import Result, Summary
from steelyard.types import Record, Request, Response, Sample

THEIRS = {
    musicality_srcc: stats.spearmanr,
    musicality_lcc: stats.pearsonr,
    musicality_ktau: stats.kendalltau,
}
ROWS = st.lists(st.tuples(st.integers(1, 5), st.floats(-3, 3).map(lambda x: round(x, 1))), max_size=40)


def theirs(metric: Correlation, rows: Any) -> float | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = float(THEIRS[metric](*np.asarray(rows, dtype=float).T).statistic)
        except (ValueError, TypeError):
            return None
    return None if math.isnan(found) else found


def correlated(rng: np.random.Generator, n: int, rho: float = 0.7) -> np.ndarray:
    rating = rng.standard_normal(n)
    score = rho * rating + math.sqrt(1 - rho * rho) * rng.standard_normal(n)
    return np.column_stack([np.clip(np.round(rating + 3), 1, 5), score.round(1)])


@pytest.mark.parametrize("metric", THEIRS, ids=lambda metric: metric.name)
@settings(max_examples=80, deadline=None)
@given(rows=ROWS)
def test_they_are_scipys_with_ties_and_undefined_where_one_side_is_alike(
    metric: Correlation, rows: Any
) -> None:
    wanted = theirs(metric, rows) if len(rows) > 1 else None
    assert metric.combine(rows) == (None if wanted is None else pytest.approx(wanted, abs=1e-9))


@given(st.lists(st.integers(0, 12), max_size=70))
def test_inversions_are_counted(values: list[int]) -> None:
    pairs = sum(a > b for place, a in enumerate(values) for b in values[place + 1 :])
    assert count_inversions(np.array(values, dtype=np.int64)) == pairs


@pytest.mark.parametrize("metric", THEIRS, ids=lambda metric: metric.name)
def test_of_large_sets_they_are_scipys(metric: Correlation) -> None:
    rows = correlated(np.random.default_rng(0), 5000)
    assert metric.combine(rows.tolist()) == pytest.approx(theirs(metric, rows), abs=1e-12)
    # Numbers far apart, and far from 0.
    rows[:, 1] = rows[:, 1] * 1e-9 + 1e3
    assert metric.combine(rows.tolist()) == pytest.approx(theirs(metric, rows), abs=1e-6)


@pytest.mark.parametrize("metric", THEIRS, ids=lambda metric: metric.name)
@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 9)), min_size=2, max_size=12),
    seed=st.integers(0, 9),
)
def test_of_many_draws_at_once_they_are_what_they_are_of_each(
    metric: Correlation, rows: Any, seed: int
) -> None:
    weights = np.random.default_rng(seed).integers(0, 3, (20, len(rows))).astype(float)
    weights[:, 0] += 1
    together = metric.reweigh(rows, weights)
    for drawn, row in zip(together, weights.astype(int)):
        alone = metric.combine([one for one, times in zip(rows, row) for _ in range(times)])
        assert math.isnan(drawn) if alone is None else drawn == pytest.approx(alone, abs=1e-9)


@pytest.mark.parametrize("metric", THEIRS, ids=lambda metric: metric.name)
def test_intervals_are_those_of_the_plain_bootstrap(metric: Correlation) -> None:
    rows = correlated(np.random.default_rng(1), 40).tolist()
    for groups in (None, [place // 3 for place in range(40)]):
        fast = estimate_corpus(
            rows, metric.combine, reweigh=metric.reweigh, bound=metric.bound, groups=groups
        )
        slow = estimate_corpus(rows, metric.combine, groups=groups)
        assert fast.method == slow.method == "bootstrap, percentile"
        for name in ("value", "stderr", "low", "high"):
            assert getattr(fast, name) == pytest.approx(getattr(slow, name), abs=1e-9)


def test_draws_as_weights_are_the_same_draws() -> None:
    units = gather_units(5, ["a", "b", "a", "c", "b"])
    weights = draw_weights(units, 50, seed=3)
    for drawn, row in zip(draw_units(len(units), 50, seed=3), weights):
        assert [row[unit[0]] for unit in units] == [drawn.count(place) for place in range(len(units))]
    assert (weights[:, 0] == weights[:, 2]).all() and (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


@pytest.mark.parametrize("metric", THEIRS, ids=lambda metric: metric.name)
@pytest.mark.parametrize(("sign", "n"), [(1, 8), (-1, 8), (1, 60), (1, 2)])
def test_a_perfect_correlation_is_not_certain(metric: Correlation, sign: int, n: int) -> None:
    rows = [[place, sign * 2.0 * place + 1] for place in range(n)]
    found = estimate_corpus(rows, metric.combine, reweigh=metric.reweigh, bound=metric.bound)
    low, high = (found.low, found.high) if sign > 0 else (-found.high, -found.low)
    assert found.value == pytest.approx(sign) and high == pytest.approx(1)
    assert -1 <= low < 1
    # Half as many pairs that all agree: the more, the surer.
    assert low == pytest.approx({2: -0.587, 8: 0.0203, 60: 0.7730}[n], abs=1e-3)


@pytest.mark.parametrize("metric", THEIRS, ids=lambda metric: metric.name)
def test_few_rows_tell_little(metric: Correlation) -> None:
    # Of three rows no draw can be further from what they say than they are.
    rows = [[1.0, 2.0], [2.0, 3.0], [3.0, 9.0]]
    for few, low in ((rows, -0.2), (rows[:2], -0.2), ([*rows, [2.5, 1.0], [0.0, 2.5]], -0.5)):
        found = estimate_corpus(few, metric.combine, reweigh=metric.reweigh, bound=metric.bound)
        assert found.method == "bound" and found.low is not None and found.high is not None
        assert -1 <= found.low < low and found.low < found.value <= found.high <= 1
    doubled = [[rating, score] for rating, score in rows for _ in range(6)]
    groups = [place // 6 for place in range(18)]
    found = estimate_corpus(
        doubled, metric.combine, reweigh=metric.reweigh, bound=metric.bound, groups=groups
    )
    assert found.method == "bound" and found.low < -0.2
    other = [[rating, -score] for rating, score in rows]
    compared = compare_statistics(rows, other, combine=metric.combine, reweigh=metric.reweigh)
    assert (compared.p, compared.verdict, compared.low) == (None, "noise", None)


def test_large_sets_and_many_groups_have_intervals_too() -> None:
    rng = np.random.default_rng(2)
    rows = correlated(rng, 5000).tolist()
    for groups in (None, [place % 60 for place in range(5000)]):
        found = estimate_corpus(
            rows,
            musicality_ktau.combine,
            reweigh=musicality_ktau.reweigh,
            bound=musicality_ktau.bound,
            groups=groups,
        )
        assert found.method == f"jackknife, {100 if groups is None else 60} parts"
        assert found.stderr == pytest.approx(0.0072, abs=0.003)


def sample(rating: Any, **meta: Any) -> Sample:
    return Sample("1", "", target={"musicality": rating}, meta=meta)


def test_what_a_correlation_sees_of_an_answer() -> None:
    good = Response(scores={"musicality": 0.5})
    assert musicality_srcc(sample(3), good) == [3.0, 0.5]
    assert musicality_srcc(sample(3), Response(scores={"musicality": math.nan})) == []
    assert musicality_srcc(sample(3), Response(scores={"musicality": 0.5}, error="one side")) == []
    for nothing in (None, "3", True, math.nan):
        assert not musicality_srcc.concerns(sample(nothing))
    assert not musicality_srcc.concerns(Sample("1", "", target="a"))
    with pytest.raises(DataError, match="no score called musicality") as caught:
        musicality_srcc(sample(3), Response(scores={"quality": 1.0}))
    assert caught.value.hint == "it has quality"


def results(
    pairs: Any, metrics: Any = (musicality_srcc, musicality_lcc), **options: Any
) -> dict[str, Result]:
    summary = Summary(metrics, **options)
    scorer = Scorer(metrics)
    for place, (one, response) in enumerate(pairs):
        scores, _ = scorer.begin(one, response)
        summary.add(Record(place, one, Request("1", ""), response, scores))
    return {result.metric: result for result in summary.results()}


def test_failed_answers_are_left_out_and_counted() -> None:
    pairs = [(sample(rating), Response(scores={"musicality": rating**2})) for rating in (1, 2, 3, 4)]
    pairs += [(sample(5), Response(error="broken"))] * 2
    pairs += [(Sample("2", "", target={"preference": "a"}), Response(error="broken"))]
    found = results(pairs)["musicality_srcc"]
    assert (found.value, found.n, found.failed, found.undefined) == (1.0, 4, 2, 0)
    assert found.answered == 1.0


def test_undefined_is_none_and_never_nan() -> None:
    pairs = [(sample(rating), Response(scores={"musicality": 1.0})) for rating in (1, 2, 3)]
    found = results(pairs)["musicality_lcc"]
    assert (found.value, found.low, found.high, found.n) == (None, None, None, 3)
    assert results(pairs[:1])["musicality_lcc"].value is None


def test_results_that_concern_nobody_are_not_told() -> None:
    assert results([(Sample("1", "", target="a"), Response("a"))]) == {}


def test_they_are_built_in() -> None:
    for name in ("musicality", "alignment"):
        for kind in ("srcc", "lcc", "ktau"):
            metric = plugins.resolve("metrics", f"{name}_{kind}")
            assert (metric.name, plugins.reference(metric), metric.rating) == (f"{name}_{kind}",) * 2 + (
                name,
            )


@pytest.mark.parametrize("metric", THEIRS, ids=lambda metric: metric.name)
def test_two_models_are_compared_whatever_their_scales(metric: Correlation) -> None:
    rng = np.random.default_rng(5)
    rows = correlated(rng, 200, 0.4)
    better = correlated(rng, 200, 0.4)
    better[:, 0] = rows[:, 0]
    better[:, 1] = 1000 * (rows[:, 0] + rng.standard_normal(200) * 0.4)
    options: Any = {"combine": metric.combine, "reweigh": metric.reweigh}
    found = compare_statistics(rows.tolist(), better.tolist(), **options)
    assert found.verdict == "better" and found.test == "paired bootstrap"
    assert found.low is not None and found.low > 0.1 and found.p is not None and found.p < 1e-6
    assert compare_statistics(better.tolist(), rows.tolist(), **options).verdict == "worse"
    same = compare_statistics(rows.tolist(), (rows * [1, 5]).tolist(), **options)
    assert (same.verdict, same.p) == ("noise", 1.0)
    # Where the interval just holds 0, p is just above 0.05.
    close = rows.copy()
    close[:, 1] += rng.standard_normal(200) * 0.6
    found = compare_statistics(rows.tolist(), close.tolist(), **options)
    assert found.p is not None and found.low is not None and found.high is not None
    assert (found.p < 0.05) == (found.low > 0 or found.high < 0)
