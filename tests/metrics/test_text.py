"""Metrics of texts, numbers and overlap, against what is known of them."""

import math

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from steelyard.errors import DataError
from steelyard.metrics.corpus import bleu, chrf
from steelyard.metrics.numbers import NumberMatch, number
from steelyard.metrics.overlap import cer, rouge_1, rouge_2, rouge_l, split_words, token_f1, wer
from steelyard.metrics.text import (
    contains,
    contains_ci,
    exact,
    exact_ci,
    exact_words,
    regex,
    starts_with,
)
from steelyard.types import Response, Sample

WORDS = st.lists(st.sampled_from("the cat dog sat on a mat in Rome big red".split()), min_size=1, max_size=12)
TEXT = WORDS.map(" ".join)


def ask(metric, target, text, **meta):
    return metric(Sample("1", "", target=target, meta=meta), Response(text=text))


@pytest.mark.parametrize(
    ("metric", "target", "text", "passes"),
    [
        (exact, "Paris", " Paris\n", True),
        (exact, "Paris", "paris", False),
        (exact, "Paris", "Paris.", False),
        (exact, ["Rome", "Paris"], "Paris", True),
        (exact, 4, "4", True),
        (exact_ci, "New  York", "new york ", True),
        (exact_ci, "Straße", "STRASSE", True),
        (exact_words, "the Eiffel Tower", "Eiffel tower!", True),
        (exact_words, "Paris", "Paris, France", False),
        (contains, "Paris", "It is Paris.", True),
        (contains, "paris", "It is Paris.", False),
        (contains_ci, "paris", "It is Paris.", True),
        (starts_with, "Yes", " Yes, it is", True),
        (starts_with, "Yes", "Oh yes", False),
        (regex, r"\d{3}", "it is 123", True),
        (regex, r"^no", "yes\nno", False),
    ],
)
def test_passes(metric, target, text, passes):
    assert ask(metric, target, text) is passes


def test_a_pattern_may_stand_in_a_column_of_its_own():
    assert ask(regex, "Paris", "it is 12", pattern=r"\d\d") is True


def test_a_bad_pattern_names_the_sample():
    with pytest.raises(DataError, match="pattern of sample '1'"):
        ask(regex, "(", "x")


@pytest.mark.parametrize("metric", [exact, exact_ci, contains, regex, token_f1, rouge_l, number])
def test_without_a_target_a_metric_is_undefined(metric):
    assert ask(metric, None, "x") is None


@pytest.mark.parametrize("metric", [wer, cer, bleu, chrf])
def test_without_targets_a_metric_over_a_set_is_undefined(metric):
    assert metric.combine([ask(metric, None, "x"), ask(metric, None, "y")]) is None


@pytest.mark.parametrize(
    ("target", "text", "passes"),
    [
        ("#### 1,250", "So it costs $1250.00 in all.", True),
        (18, "The answer is 18.", True),
        ("18", "The answer is 17.", False),
        ("0.5", "1/2", True),
        ("25%", "The answer is 0.25", True),
        ("0.25", "The answer is 25%", True),
        ("25", "The answer is 25%", True),
        ("25", "The answer is 0.25", False),
        ("3", "I do not know", False),
        ("-4", "The answer is −4", True),
        ([3, 4], "it is 4", True),
        ("0.333", "1/3", False),
        ("0.333333333", "1/3", True),
        ("100000000000000000001", "100000000000000000000", False),
    ],
)
def test_number(target, text, passes):
    assert ask(number, target, text) is passes


def test_number_with_a_tolerance():
    assert ask(NumberMatch("close", tolerance=0.01), "0.333", "1/3") is True


def test_a_target_that_is_no_number_is_an_error_that_names_it():
    with pytest.raises(DataError, match="target of sample '1' is not a number: 'many'"):
        ask(number, "many", "3")


def test_token_f1():
    assert ask(token_f1, "the cat sat", "A cat ran.") == pytest.approx(0.5)
    assert ask(token_f1, ["x", "cat ran"], "A cat ran.") == 1
    assert ask(token_f1, "", "") == 1
    assert ask(token_f1, "", "x") == 0


def test_rouge_as_worked_out_by_hand():
    # Lin 2004: police killed the gunman / police kill the gunman
    assert ask(rouge_1, "police killed the gunman", "police kill the gunman") == pytest.approx(3 / 4)
    assert ask(rouge_2, "police killed the gunman", "police kill the gunman") == pytest.approx(1 / 3)
    assert ask(rouge_l, "police killed the gunman", "the gunman kill police") == pytest.approx(2 / 4)


def test_scripts_without_blanks_are_split_by_character():
    assert split_words("Tokyo は東京") == ["tokyo", "は", "東", "京"]
    assert ask(rouge_l, "東京", "東北") == 0.5


@given(TEXT, TEXT)
def test_overlaps_are_shares_and_symmetric(target, text):
    for metric in (token_f1, rouge_1, rouge_2, rouge_l):
        value = ask(metric, target, text)
        assert 0 <= value <= 1
        assert value == pytest.approx(ask(metric, text, target))
    assert ask(rouge_l, target, target) == 1


def test_error_rates_are_over_all_words():
    rows = [ask(wer, "a b c d", "a x c"), ask(wer, "e f", "e f")]
    assert rows == [[2, 4], [0, 2]]
    assert wer.combine(rows) == pytest.approx(2 / 6)
    assert cer.combine([ask(cer, "abcd", " abxd")]) == 0.25
    assert wer.combine([ask(wer, ["x y", "a b"], "a b")]) == 0
    assert wer.combine([ask(wer, "a b c", "")]) == 1


@given(TEXT, TEXT)
def test_an_error_rate_is_the_edit_distance(target, text):
    ours, theirs = target.split(), text.split()
    row = list(range(len(theirs) + 1))
    for i, word in enumerate(ours, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(theirs, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (word != other))
    assert ask(wer, target, text) == [row[-1], len(ours)]


@given(st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=5))
def test_bleu_and_chrf_are_sacrebleus(rows):
    answers = [answer for answer, _, _ in rows]
    targets = [target for _, target, _ in rows]
    others = [other for _, _, other in rows]
    for references in ([targets], [targets, others]):
        each = [list(column) for column in zip(*references)]
        ours = bleu.combine([ask(bleu, wanted, answer) for wanted, answer in zip(each, answers)])
        # Effective order only touches sentences shorter than the longest n-gram.
        theirs = sacrebleu.metrics.BLEU(effective_order=True).corpus_score(answers, references).score
        if sum(max(len(a.split()) - 3, 0) for a in answers):
            assert ours == pytest.approx(theirs)
        ours = chrf.combine([ask(chrf, wanted, answer) for wanted, answer in zip(each, answers)])
        assert ours == pytest.approx(sacrebleu.corpus_chrf(answers, references).score)


def test_an_empty_answer_scores_nothing():
    assert bleu.combine([ask(bleu, "the cat", "")]) == 0
    assert chrf.combine([ask(chrf, "the cat", "")]) == 0
    assert not math.isnan(chrf.combine([ask(chrf, "", "")]))
