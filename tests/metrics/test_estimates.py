"""Estimates against scipy, and their properties."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from steelyard.metrics import distributions
from steelyard.metrics.estimates import (
    Estimate,
    estimate_clustered,
    estimate_corpus,
    estimate_mean,
    estimate_number,
    estimate_proportion,
    quantile,
)
from steelyard.metrics.overlap import wer
from steelyard.metrics.repeats import pass_at, sizes_up_to, vote

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60)


@given(st.floats(0.5, 1e6), st.floats(0.501, 0.9999))
def test_t_quantiles_are_scipys(dof, p):
    assert distributions.t_quantile(p, dof) == pytest.approx(stats.t.ppf(p, dof), rel=1e-6, abs=1e-7)


@given(st.floats(0, 40), st.floats(0.5, 1e5))
def test_t_tails_are_scipys(t, dof):
    assert distributions.t_tail(t, dof) == pytest.approx(2 * stats.t.sf(t, dof), rel=1e-6, abs=1e-12)


@given(st.floats(0, 1), st.floats(0.1, 1e4), st.floats(0.1, 1e4))
def test_incomplete_beta_is_scipys(x, a, b):
    assert distributions.beta_cdf(x, a, b) == pytest.approx(special.betainc(a, b, x), rel=1e-6, abs=1e-9)


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_fair_coins_are_scipys(pair):
    assert distributions.binomial_cdf(*pair) == pytest.approx(
        stats.binom.cdf(*pair, 0.5), rel=1e-6, abs=1e-12
    )
    assert distributions.binomial_pmf(*pair) == pytest.approx(
        stats.binom.pmf(*pair, 0.5), rel=1e-6, abs=1e-12
    )


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(pair):
    ours, theirs = estimate_proportion(*pair), stats.binomtest(*pair).proportion_ci(method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    assert 0 <= ours.low <= ours.value <= ours.high <= 1


def test_symmetric_numbers_get_the_t_interval():
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    ours = estimate_number(values)
    theirs = stats.ttest_1samp(values, 0).confidence_interval()
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))
    assert ours.stderr == pytest.approx(stats.sem(values))


@given(NUMBERS)
def test_an_interval_is_around_its_value(values):
    found = estimate_mean(values)
    assert found.n == len(values) and found.value == pytest.approx(np.mean(values), abs=1e-6)
    slack = 1e-9 * max(map(abs, values))
    assert found.low - slack <= found.value <= found.high + slack


@given(NUMBERS, st.floats(-100, 100), st.floats(0.1, 100))
def test_intervals_move_with_their_values(values, shift, scale):
    found, moved = estimate_number(values), estimate_number([shift + scale * value for value in values])
    spread = max(values) - min(values)
    if spread > 1e-3:
        assert moved.low == pytest.approx(shift + scale * found.low, rel=1e-4, abs=1e-3 * scale * spread)
        assert moved.high == pytest.approx(shift + scale * found.high, rel=1e-4, abs=1e-3 * scale * spread)


def test_little_is_known_from_little():
    assert estimate_mean([]) == Estimate(None, None, None, None, 0, "none")
    assert estimate_mean([0.5]) == Estimate(0.5, None, None, None, 1, "none")
    assert estimate_mean([0.5, 0.5]).method == "constant"
    assert estimate_mean([1.0, 1.0], ["a", "a"]).stderr is None


def test_groups_of_one_are_no_groups():
    assert estimate_mean([1, 0, 1], ["a", "b", "c"]) == estimate_mean([1, 0, 1])


def test_copies_in_a_group_are_no_more_evidence():
    values = [0.1, 0.5, 0.2, 0.9, 0.4]
    once = estimate_number(values)
    copied = estimate_clustered(
        [value for value in values for _ in range(7)], [g for g in range(5) for _ in range(7)]
    )
    assert copied.value == pytest.approx(once.value) and copied.stderr == pytest.approx(once.stderr)
    t = stats.t.ppf(0.975, 4)
    assert copied.high - copied.low == pytest.approx(2 * t * once.stderr)


def test_groups_that_all_pass_are_as_uncertain_as_their_number():
    found = estimate_clustered([1.0] * 50, [place // 10 for place in range(50)])
    assert (found.low, found.high) == (estimate_proportion(5, 5).low, 1.0)


def test_the_bootstrap_of_a_ratio_has_the_known_error():
    rng = np.random.default_rng(0)
    lengths = rng.integers(5, 20, 400)
    rows = list(zip(rng.binomial(lengths, 0.3).tolist(), lengths.tolist()))
    ratio = wer.combine(rows)
    linear = math.sqrt(sum((edits - ratio * length) ** 2 for edits, length in rows)) / lengths.sum()
    for method in ("percentile", "bca"):
        found = estimate_corpus(rows, wer.combine, method=method)
        assert found.stderr == pytest.approx(linear, rel=0.1)
        assert found.low < ratio < found.high and found.method == f"bootstrap, {method}"
        assert found == estimate_corpus(rows, wer.combine, method=method)
    jackknife = estimate_corpus(rows * 6, wer.combine)
    assert jackknife.method == "jackknife, 100 parts"
    assert jackknife.stderr == pytest.approx(linear / math.sqrt(6), rel=0.25)


def test_the_bootstrap_draws_groups_whole():
    rows = [(place % 2, 1) for place in range(40)]
    alone = estimate_corpus(rows, wer.combine)
    paired = estimate_corpus(rows, wer.combine, groups=[place // 2 for place in range(40)])
    assert paired.stderr < 1e-9 < alone.stderr
    same = estimate_corpus(rows, wer.combine, groups=[place % 2 for place in range(40)])
    assert same.stderr > 3 * alone.stderr


def test_an_undefined_metric_has_no_estimate():
    assert estimate_corpus([], wer.combine).value is None
    assert estimate_corpus([(0, 0)] * 5, wer.combine).value is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(0, 1))
def test_quantiles_are_numpys(values, p):
    assert quantile(sorted(values), p) == pytest.approx(np.quantile(values, p), rel=1e-9, abs=1e-6)


def test_means_need_no_numpy():
    code = "import sys, steelyard.metrics.summary as s; s.estimate_mean([0.1, 0.9]); "
    code += "sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_all_choices_of_k(case):
    from itertools import combinations

    n, passed, k = case
    choices = list(combinations([1] * passed + [0] * (n - passed), k))
    assert pass_at(k, passed=passed, n=n) == pytest.approx(sum(map(any, choices)) / len(choices))


def test_pass_at_more_than_there_are_is_refused():
    with pytest.raises(ValueError, match="pass@5 cannot be told from 4"):
        pass_at(5, passed=1, n=4)


def test_votes():
    assert vote(["a", "b", "a"], [1, 0, 1]) == 1
    assert vote(["a", "b", "b"], [1, 0, 0]) == 0
    assert vote(["a", "b"], [1, 0]) == 0.5
    assert vote([None, None, "a"], [0, 0, 1]) == 1
    assert vote([None, None], [0, 0]) == 0
    assert sizes_up_to(1) == [1] and sizes_up_to(6) == [1, 2, 4, 6] and sizes_up_to(8) == [1, 2, 4, 8]


def test_groups_alike_by_chance_have_no_certain_mean():
    found = estimate_mean([0, 1] * 10, [n // 2 for n in range(20)])
    assert found.value == 0.5
    assert found.stderr > 0.1
    assert found.low < 0.3 < 0.7 < found.high


def test_shares_have_their_interval_among_shares():
    found = estimate_mean([1.0, 0.5, 1.0, 0.0])
    assert (found.low, found.high) == (0.0, 1.0) and found.value == 0.625
    beyond = estimate_mean([2.0, 0.5, 1.0, 0.0])
    assert beyond.low < 0 and beyond.high > 2
