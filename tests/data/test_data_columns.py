"""Which column is what."""

from __future__ import annotations

import pytest

from steelyard.data.source import Data
from steelyard.errors import DataError
from steelyard.types import Sample


def only(row, **options) -> Sample:
    (sample,) = Data([row], **options)
    return sample


@pytest.mark.parametrize(
    "row, asked, target",
    [
        ({"question": "q", "answer": "a"}, "q", "a"),
        ({"text": "t", "label": 1}, "t", 1),
        ({"document": "d", "summary": "s"}, "d", "s"),
        ({"prompt": "p", "completion": "c", "text": "t"}, "p", "c"),
        ({"text": "t", "prompt": "p"}, "p", None),
        ({"messages": [{"role": "user", "content": "hi"}]}, [{"role": "user", "content": "hi"}], None),
        ({"input": {"a": 1}}, {"a": 1}, None),
    ],
)
def test_usual_columns_are_found(row, asked, target):
    sample = only(row)
    assert (sample.input, sample.target) == (asked, target)
    assert sample.meta == row


def test_columns_by_name():
    row = {"a": "1", "b": "2", "c": "3", "question": "q", "answer": "z"}
    sample = only(row, input="a", target="b", id="c", group="question")
    assert (sample.id, sample.input, sample.target) == ("3", "1", "2")
    assert sample.meta == {"a": "1", "b": "2", "question": "q", "answer": "z", "group": "q"}
    # A column that was given one role is not taken for another.
    assert only({"answer": "a", "question": "q"}, input="answer").target is None


def test_a_missing_column_says_what_is_there_and_what_to_write():
    with pytest.raises(DataError, match=r"expected a column for the input, saw .*'foo', 'bar'.*input=COLUMN"):
        only({"foo": "1", "bar": "2"})
    with pytest.raises(DataError, match=r"the column 'quest', saw .*'question'.*target=COLUMN"):
        only({"question": "1"}, target="quest")
    with pytest.raises(DataError, match=r"the column 'D', saw .*choices=COLUMN"):
        only({"question": "1", "A": "x"}, choices=["A", "D"])


def test_columns_do_not_change_in_the_middle():
    rows = [{"question": "q"}, {"question": "q", "answer": "a"}]
    with pytest.raises(DataError, match=r"row 1: expected no column 'answer'.*target=COLUMN"):
        list(Data(rows))
    rows = [{"question": "q", "answer": "a"}, {"prompt": "q", "answer": "a"}]
    with pytest.raises(DataError, match="row 1: expected the column 'question'"):
        list(Data(rows))
    rows = [{"question": "q", "answer": "a"}, {"extra": 1, "question": "r", "answer": "b", "input": "no"}]
    assert [s.input for s in Data(rows)] == ["q", "r"]


def test_ids():
    assert only({"input": "a", "id": 7}).id == "7"
    assert "id" not in only({"input": "a", "id": 7}).meta
    assert only({"input": "a", "idx": 7}).id == "0"
    with pytest.raises(DataError, match=r"an id"):
        only({"input": "a", "id": None})


@pytest.mark.parametrize(
    "choices, target, expected",
    [
        (["x", "y"], "B", (["x", "y"], "B")),
        (("x", 2), 1, (["x", "2"], 1)),
        ('["x", "y"]', "0", (["x", "y"], "0")),
        ({"text": ["x", "y"], "label": ["1", "2"]}, "2", (["x", "y"], 1)),
        ({"A": "x", "B": "y"}, "A", (["x", "y"], "A")),
    ],
)
def test_choices_in_all_their_forms(choices, target, expected):
    sample = only({"question": "q", "choices": choices, "answer": target})
    assert (sample.choices, sample.target) == expected


def test_choices_from_several_columns():
    row = {"question": "q", "A": "x", "B": 5, "answer": "B", "options": "no"}
    assert only(row, choices=["A", "B"]).choices == ["x", "5"]


@pytest.mark.parametrize("choices", ["x", 3, None, [], "[1"])
def test_choices_that_are_none(choices):
    with pytest.raises(DataError, match="option"):
        only({"question": "q", "choices": choices})


def test_the_callers_rows_stay_as_they_are():
    row = {"id": 1, "input": "a", "topic": "b"}
    sample = only(row, group="topic")
    assert row == {"id": 1, "input": "a", "topic": "b"}
    assert sample.meta == {"input": "a", "topic": "b", "group": "b"}
