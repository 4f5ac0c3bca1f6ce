"""Fields of documents: matched, counted, flattened; with failures counted where they belong."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.errors import DataError
from steelyard.metrics.assignment import assign
from steelyard.metrics.objects import field_names, fields, flatten
from steelyard.metrics.scoring import Scorer
from steelyard.metrics.summary import Result, Summary
from steelyard.types import Record, Request, Response, Sample

BILL = {
    "number": "0012",
    "seller": {"name": "Acme", "city": "Ulm"},
    "items": [{"name": "Tea", "price": 3.5}, {"name": "Cake", "price": 4}],
    "tags": ["paid", "cash"],
    "vat": None,
}


def ask(target: Any, answer: Any) -> dict[str, Any]:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    found = fields(Sample("1", "", target=target), Response(text=text))
    assert isinstance(found, dict)
    return found


def test_all_right() -> None:
    scores = ask(BILL, BILL)
    assert (scores["share"], scores["f1"], scores["whole"]) == (1, 1, True)
    assert [name for name in scores if name.startswith("field.")] == [
        "field.number", "field.seller.name", "field.seller.city", "field.items.name", "field.items.price",
        "field.tags", "field.vat",
    ]  # fmt: skip


def test_missing_wrong_and_invented_fields() -> None:
    scores = ask({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 9, "x": 4})
    assert scores["share"] == pytest.approx(1 / 3)
    assert scores["f1"] == pytest.approx(2 * 1 / (3 + 3))
    assert (scores["field.a"], scores["field.b"], scores["field.c"]) == (1, 0, 0)
    scores = ask({"a": 1}, {"a": 1, "x": 4})
    assert (scores["share"], scores["whole"]) == (1, False)


def test_names_are_compared_without_case_and_signs() -> None:
    assert ask({"invoice_number": 1, "Total": 2}, {"Invoice Number": 1, "total": 2})["whole"] is True
    assert ask({"a_b": 1, "ab": 2}, {"ab": 2, "a_b": 1})["whole"] is True
    assert ask({"seller": {"name": "x"}}, {"seller.name": "x"})["whole"] is True


def test_nothing_is_nothing_however_it_is_said() -> None:
    for nothing in (None, "", "N/A", [], {}):
        assert ask({"a": 1, "b": nothing}, {"a": 1})["whole"] is True
        assert ask({"a": 1}, {"a": 1, "b": nothing})["whole"] is True
    scores = ask({"a": 1, "b": None}, {"a": 1, "b": 2})
    assert (scores["field.b"], scores["whole"]) == (0, False)


def test_items_are_matched_in_any_order_and_a_missing_one_costs_itself() -> None:
    turned = {**BILL, "items": BILL["items"][::-1]}  # type: ignore[index]
    assert ask(BILL, turned)["whole"] is True
    scores = ask(BILL, {**BILL, "items": [{"name": "cake", "price": "4.00"}]})
    assert (scores["field.items.name"], scores["field.items.price"]) == (0.5, 0.5)
    # Prices that belong to other items are not right: of the two, one pair of values can be.
    mixed = [{"name": "Tea", "price": 4}, {"name": "Cake", "price": 3.5}]
    scores = ask(BILL, {**BILL, "items": mixed})
    assert scores["field.items.name"] + scores["field.items.price"] == 1
    assert ask({"tags": ["a"]}, {"tags": "a"})["whole"] is True


def test_the_best_of_several_targets_counts() -> None:
    assert ask([{"a": 1}, {"a": 2}], {"a": 2})["whole"] is True


def test_a_target_may_be_written_as_json() -> None:
    assert ask('{"a": 1}', {"a": 1})["whole"] is True
    for wrong in ("a", "[1]", 3):
        with pytest.raises(DataError, match="target of sample '1'"):
            ask(wrong, {"a": 1})
    assert fields(Sample("1", "", target=None), Response(text="{}")) is None


def test_an_answer_without_an_object_has_nothing_right() -> None:
    assert set(ask(BILL, "I cannot read it.").values()) == {0}


def test_the_names_that_are_asked_for() -> None:
    assert field_names(BILL) == [
        "number", "seller.name", "seller.city", "items (a list: name, price)", "tags (a list)", "vat"
    ]  # fmt: skip


def test_lists_in_lists_are_compared_and_an_abyss_of_them_is_nothing() -> None:
    assert ask({"rows": [[1, 2], [3]]}, {"rows": [[3], [2, 1]]})["whole"] is True
    assert 0 < ask({"rows": [[1, 2], [3]]}, {"rows": [[3], [2, 5]]})["f1"] < 1
    deep = '{"a": ' + "[" * 400 + "1" + "]" * 400 + "}"
    assert ask({"a": [1]}, deep)["f1"] == 0


VALUES = st.recursive(
    st.one_of(st.none(), st.integers(-5, 5), st.text(alphabet="ab1", max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


@given(OBJECTS, OBJECTS)
def test_scores_are_shares_and_f1_is_symmetric(one: dict[str, Any], other: dict[str, Any]) -> None:
    scores = ask(one, other)
    assert all(0 <= score <= 1 for score in scores.values())
    assert scores["f1"] == pytest.approx(ask(other, one)["f1"])
    assert scores["whole"] is (scores["f1"] == 1)


@given(OBJECTS)
def test_an_object_is_all_of_itself(one: dict[str, Any]) -> None:
    scores = ask(one, one)
    assert {float(score) for score in scores.values()} == {1.0}
    assert set(fields.parts(Sample("1", "", target=one))) == set(scores)


@given(st.recursive(st.none(), lambda inner: st.dictionaries(st.sampled_from("ab"), inner, max_size=2)))
def test_flat_objects_have_no_objects_in_them(value: Any) -> None:
    flat = flatten({"x": value})
    assert not any(isinstance(one, dict) and one for one in flat.values())


@given(st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=1, max_size=4))
def test_an_assignment_is_worth_most(worth: list[list[int]]) -> None:
    pairs = assign(worth)
    rows, columns = len(worth), 3
    assert len(pairs) == min(rows, columns)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    tall = worth if rows <= columns else [list(column) for column in zip(*worth)]
    best = max(
        sum(tall[row][column] for row, column in enumerate(chosen))
        for chosen in permutations(range(len(tall[0])), len(tall))
    )
    assert sum(worth[row][column] for row, column in pairs) == best


def summarize(targets: list[dict[str, Any]], answers: list[Response]) -> dict[str, Result]:
    scorer, summary = Scorer([fields]), Summary([fields])
    for index, (target, response) in enumerate(zip(targets, answers)):
        sample = Sample(str(index), "", target=target)
        scores, _ = scorer.begin(sample, response)
        summary.add(Record(index, sample, Request(sample.id, ""), response, scores))
    return {result.metric: result for result in summary.results()}


def test_a_failed_answer_counts_in_the_fields_its_sample_has() -> None:
    found = summarize(
        [{"total": 1}, {"total": 2, "date": 3}, {"total": 4}],
        [Response(text='{"total": 1}'), Response(error="gone"), Response(error="gone")],
    )
    assert found["fields.share"].value == pytest.approx(1 / 3)
    total, day = found["fields.field.total"], found["fields.field.date"]
    assert (total.value, total.n, total.failed, total.answered) == (pytest.approx(1 / 3), 3, 2, 1)
    assert (day.value, day.n, day.failed, day.answered) == (0, 1, 1, None)
    assert "fields" not in found


def test_where_nothing_was_answered_all_fields_are_wrong() -> None:
    found = summarize([{"total": 1}], [Response(error="gone")])
    assert {name: result.value for name, result in found.items()} == {
        "fields.share": 0, "fields.f1": 0, "fields.whole": 0, "fields.field.total": 0
    }  # fmt: skip


def test_an_odd_target_costs_only_itself() -> None:
    scores, _ = Scorer([fields]).begin(Sample("1", "", target="[]"), Response(text="{}"))
    assert "not JSON" in str(scores["fields.error"]) or "no object" in str(scores["fields.error"])
    summary = Summary([fields])
    summary.add(Record(0, Sample("0", "", target="[]"), Request("0", ""), Response(error="gone"), {}))
    assert summary.results()[0].value == 0
