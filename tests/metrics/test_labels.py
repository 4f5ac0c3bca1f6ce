"""Metrics of classification, against scikit-learn."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from steelyard import plugins
from steelyard.metrics.labels import accuracy, auroc, confusion, f1_macro, label_of, recall_macro
from steelyard.types import Response, Sample

LABELS = ["bad", "good", "so so"]
PAIRS = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=40)
AVERAGES = ["macro", "micro", "weighted"]


def rows(metric, pairs):
    return [
        metric(Sample("1", "", target=target), Response(text=f" {label.title()}")) for target, label in pairs
    ]


@settings(max_examples=40)
@given(PAIRS)
def test_rates_are_scikit_learns(pairs):
    targets, given = zip(*pairs)
    theirs = {"f1": sk.f1_score, "precision": sk.precision_score, "recall": sk.recall_score}
    for rate, measure in theirs.items():
        for average in AVERAGES:
            metric = plugins.resolve("metrics", f"{rate}_{average}")
            wanted = measure(targets, given, average=average, zero_division=0)
            assert metric.combine(rows(metric, pairs)) == pytest.approx(wanted), metric.name


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40))
def test_auroc_is_scikit_learns(pairs):
    targets = ["yes" if target else "no" for target, _ in pairs]
    scores = [score / 5 for _, score in pairs]
    answers = [Response(scores={"yes": score, "no": 1 - score}) for score in scores]
    ours = auroc.combine([auroc(Sample("1", "", target=t), answer) for t, answer in zip(targets, answers)])
    if len(set(targets)) < 2:
        assert ours is None
    else:
        assert ours == pytest.approx(sk.roc_auc_score([t == "yes" for t in targets], scores))


def test_auroc_of_three_labels_is_averaged():
    targets = ["a", "b", "c", "a", "b", "c"]
    scores = [
        [0.6, 0.3, 0.1],
        [0.2, 0.5, 0.3],
        [0.5, 0.1, 0.4],
        [0.3, 0.4, 0.3],
        [0.1, 0.8, 0.1],
        [0.2, 0.2, 0.6],
    ]
    samples = [Sample("1", "", target=target, choices=list("abc")) for target in targets]
    ours = auroc.combine([auroc(sample, Response(scores=row)) for sample, row in zip(samples, scores)])
    assert ours == pytest.approx(sk.roc_auc_score(targets, scores, multi_class="ovr"))


def test_a_failed_answer_ranks_worst():
    good = [["yes", {"yes": 0.9, "no": 0.1}], ["no", {"yes": 0.2, "no": 0.8}]]
    assert auroc.combine(good) == 1
    assert auroc.combine([*good, ["yes", {}]]) == pytest.approx(0.5)
    assert auroc.combine([*good, ["no", {}]]) == pytest.approx(0.5)


def test_a_failed_answer_is_a_label_missed_and_none_given():
    pairs = [("good", "good"), ("good", ""), ("bad", "bad")]
    assert recall_macro.combine(pairs) == pytest.approx((0.5 + 1) / 2)
    assert f1_macro.combine(pairs) == pytest.approx((2 / 3 + 1) / 2)


def test_the_label_is_the_likeliest_where_there_are_scores():
    sample = Sample("1", "", target="Good")
    assert accuracy(sample, Response(text="bad", scores={"bad": 0.2, "good": 0.8})) is True
    assert accuracy(sample, Response(text="GOOD ")) is True
    assert accuracy(Sample("1", "", target=1, choices=["bad", "good"]), Response("good")) is True
    assert accuracy(Sample("1", ""), Response("good")) is None


def test_confusion_has_a_table():
    pairs = [("good", "good"), ("good", "bad"), ("good", "bad"), ("bad", "")]
    assert confusion.combine(pairs) == 0.25
    assert confusion.tabulate(pairs) == {"bad → (none)": 1, "good → bad": 2, "good → good": 1}


def test_a_single_score_is_no_label():
    answer = Response(text="cat", scores={"score": 0.9})
    assert label_of(Sample("1", "", target="cat"), answer) == "cat"
