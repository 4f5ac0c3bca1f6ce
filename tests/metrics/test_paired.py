"""Comparisons of two runs, against scipy and by their properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from steelyard.errors import UsageError
from steelyard.metrics.labels import f1_macro
from steelyard.metrics.overlap import wer
from steelyard.metrics.paired import adjust, adjust_holm, compare_statistics, compare_values, mcnemar

PASSES = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60)


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_is_the_mid_p_of_a_binomial(gained, lost):
    n, fewer = gained + lost, min(gained, lost)
    exact = stats.binomtest(gained, n).pvalue if n else 1.0
    wanted = exact - stats.binom.pmf(fewer, n, 0.5) if gained != lost else 1.0
    assert mcnemar(gained, lost) == pytest.approx(wanted, abs=1e-9)


def test_numbers_get_the_paired_t_test():
    rng = np.random.default_rng(0)
    before, after = rng.random((2, 30))
    found, wanted = compare_values(before.tolist(), after.tolist()), stats.ttest_rel(after, before)
    assert found.p == pytest.approx(wanted.pvalue)
    interval = wanted.confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


@given(PASSES)
def test_a_comparison_is_the_same_the_other_way_round(pairs):
    before, after = zip(*pairs)
    there, back = compare_values(before, after), compare_values(after, before)
    assert there.p == back.p and there.detectable == back.detectable
    assert there.difference == pytest.approx(-back.difference)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert {there.verdict, back.verdict} in ({"noise"}, {"better", "worse"})
    assert there.gained == back.lost


@given(PASSES)
def test_flips_are_what_changed(pairs):
    before, after = zip(*pairs)
    names = [f"s{place}" for place in range(len(pairs))]
    found = compare_values(before, after, ids=names)
    assert found.gained == [name for name, (old, new) in zip(names, pairs) if new > old]
    assert found.lost == [name for name, (old, new) in zip(names, pairs) if new < old]


def test_verdicts():
    low, high = [0] * 20 + [1] * 20, [1] * 30 + [0] * 2 + [1] * 8
    assert compare_values(low, high).verdict == "better"
    assert compare_values(high, low).verdict == "worse"
    assert compare_values(low, high, lower_is_better=True).verdict == "worse"
    assert compare_values(low, low).verdict == "noise" and compare_values(low, low).p == 1
    assert compare_values([0, 1], [1, 1]).verdict == "noise"
    assert compare_values([0.5], [0.9]).verdict == "noise"


def test_a_constant_gain_is_as_likely_as_coins():
    found = compare_values([0.1, 0.2, 0.3], [0.2, 0.3, 0.4])
    assert found.p == 0.25 and found.verdict == "noise"
    assert compare_values([0.5] * 12, [0.75] * 12).verdict == "better"


def test_groups_count_once():
    before, after = [0.0] * 6 + [1.0] * 4, [1.0] * 8 + [0.0] * 2
    alone = compare_values(before * 4, after * 4)
    grouped = compare_values(before * 4, after * 4, groups=list(range(10)) * 4)
    assert alone.verdict == "better" and grouped.verdict == "noise"
    assert grouped.difference == pytest.approx(alone.difference) and "clustered t, 10 groups" in grouped.test
    assert compare_values([0.0, 1.0], [1.0, 1.0], groups=["a", "a"]).p is None


def test_the_smallest_difference_seen_is_seen_four_times_in_five():
    rng = np.random.default_rng(3)
    effect = compare_values(*rng.standard_normal((2, 60)).tolist()).detectable
    seen = 0
    for _ in range(400):
        before, after = rng.standard_normal((2, 60))
        seen += compare_values(before.tolist(), (after + effect).tolist()).verdict == "better"
    assert 0.65 < seen / 400 < 0.95


def test_holm_is_by_the_book():
    assert adjust_holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert adjust_holm([]) == [] and adjust_holm([0.9, 0.8]) == [1.0, 1.0]


def test_a_verdict_does_not_outlive_its_correction():
    weak = compare_values([0] * 20, [1] * 6 + [0] * 14)
    assert weak.verdict == "better" and weak.adjusted is None
    alone, first, *_ = [adjust([weak])[0], *adjust([weak, weak, weak, weak])]
    assert alone.verdict == "better" and alone.adjusted == weak.p
    assert first.verdict == "noise" and first.adjusted == pytest.approx(4 * weak.p)


def test_whole_set_metrics_are_exchanged():
    rng = np.random.default_rng(1)
    targets = rng.choice(["a", "b"], 120)
    good = [(t, t if rng.random() < 0.9 else "a") for t in targets]
    bad = [(t, t if rng.random() < 0.4 else "a") for t in targets]
    found = compare_statistics(bad, good, combine=f1_macro.combine)
    assert found.verdict == "better" and found.low > 0 and found.test == "paired exchange"
    assert compare_statistics(good, good, combine=f1_macro.combine).p == 1
    large = compare_statistics(bad * 20, good * 20, combine=f1_macro.combine)
    assert large.verdict == "better" and large.test == "jackknife, 100 parts"


def test_fewer_errors_are_better():
    worse, better = [(3, 10)] * 25 + [(5, 10)] * 25, [(2, 10)] * 40 + [(4, 10)] * 10
    found = compare_statistics(worse, better, combine=wer.combine, lower_is_better=True)
    assert found.difference < 0 and found.verdict == "better"


def test_runs_that_do_not_match_are_refused():
    with pytest.raises(UsageError, match="not of the same samples"):
        compare_values([1, 0], [1])
    with pytest.raises(UsageError, match="no sample in common"):
        compare_values([], [])
    with pytest.raises(UsageError, match="undefined over one"):
        compare_statistics([()], [()], combine=f1_macro.combine)
