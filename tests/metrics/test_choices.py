"""Metrics of multiple choice."""

import math

import pytest

from steelyard.errors import DataError
from steelyard.metrics.choices import acc, acc_bytes, acc_norm, acc_token, choice, choice_prob
from steelyard.types import Response, Sample

CITIES = ["Rome", "Paris", "Saint Petersburg"]


def sample(target, choices=CITIES):
    return Sample("7", "?", target=target, choices=choices)


@pytest.mark.parametrize("target", [1, "B", "b", "(B)", "Paris", "1", ["Rome", "Paris"]])
def test_a_target_may_be_an_index_a_letter_or_a_text(target):
    assert choice(sample(target), Response("The answer is (B).")) is True
    assert acc(sample(target), Response(scores=[-3.0, -1.0, -2.0])) is True
    assert choice(sample(target), Response("C")) is False


def test_the_text_of_an_option_comes_before_an_index():
    assert choice(sample("2", ["1", "2", "3"]), Response("B")) is True


@pytest.mark.parametrize("target", [3, -1, "E", "London", True])
def test_a_target_that_is_no_option_is_an_error(target):
    with pytest.raises(DataError, match="target of sample '7' is no option"):
        choice(sample(target), Response("B"))


def test_without_a_target_or_scores_they_are_undefined():
    assert choice(sample(None), Response("B")) is None
    for metric in (acc, acc_norm, acc_bytes, acc_token, choice_prob):
        assert metric(sample(None), Response(scores=[-1.0, -2.0, -3.0])) is None
        assert metric(sample(1), Response("B")) is None
        assert metric(sample(1), Response(scores=[-1.0, math.nan, -3.0])) is None


def test_length_normalisation():
    response = Response(scores=[-5.0, -5.5, -9.0], raw={"tokens": [1, 1, 4]})
    assert acc(sample("Rome"), response) is True
    assert acc_norm(sample("Saint Petersburg"), response) is True
    assert acc_token(sample("Saint Petersburg"), response) is True
    wide = Response(scores=[-6.0, -7.0])
    assert acc_norm(sample(0, ["abc", "日本人"]), wide) is True
    assert acc_bytes(sample(1, ["abc", "日本人"]), wide) is True


def test_a_tie_is_no_choice():
    for target in range(3):
        assert acc(sample(target), Response(scores=[-1.0, -1.0, -1.0])) is False


def test_scores_may_have_names():
    assert acc(sample("Paris"), Response(scores={"Paris": -1, "Rome": -2, "Saint Petersburg": -3})) is True


def test_another_number_of_scores_than_options_is_an_error():
    with pytest.raises(DataError, match="3 options, its answer 2 scores"):
        acc(sample(1), Response(scores=[-1.0, -2.0]))


def test_choice_prob_is_a_softmax():
    response = Response(scores=[math.log(0.1), math.log(0.3), math.log(0.1)])
    assert choice_prob(sample(1), response) == pytest.approx(0.6)
    assert choice_prob(sample([0, 1]), response) == pytest.approx(0.8)
    far = Response(scores=[-2000.0, -2001.0, -math.inf])
    assert choice_prob(sample(0), far) == pytest.approx(1 / (1 + math.exp(-1)))
    assert choice_prob(sample(0), Response(scores=[-math.inf] * 3)) is None
