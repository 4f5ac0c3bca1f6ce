"""Results of records: failures, undefined scores, groups, repeats, labels, metrics over a set."""

import json
import math
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.errors import UsageError
from steelyard.metrics.estimates import estimate_clustered, estimate_number, estimate_proportion
from steelyard.metrics.extraction import find_number
from steelyard.metrics.labels import f1_macro
from steelyard.metrics.numbers import number
from steelyard.metrics.overlap import wer
from steelyard.metrics.preferences import preference, rewards
from steelyard.metrics.scoring import Scorer
from steelyard.metrics.summary import Summary
from steelyard.metrics.text import exact
from steelyard.types import Record, Request, Response, Sample


def record(index, scores=None, *, error=None, text="", target=None, **meta):
    sample = Sample(str(index), "?", target=target, meta=meta)
    return Record(index, sample, Request(str(index), "?"), Response(text, error=error), scores or {})


def results(records, metrics=(), **options):
    summary = Summary(metrics, **options)
    for one in records:
        summary.add(one)
    return {result.metric: result for result in summary.results()}


def test_failures_score_nothing_and_stand_beside_the_score():
    records = [record(n, {"exact": n < 6}) for n in range(8)] + [record(n, error="timeout") for n in (8, 9)]
    found = results(records)["exact"]
    wanted = estimate_proportion(6, 10)
    assert (found.value, found.low, found.high) == (0.6, wanted.low, wanted.high)
    assert (found.n, found.failed, found.answered, found.undefined) == (10, 2, 0.75, 0)


def test_undefined_scores_are_counted_and_left_out():
    scores = [1.0, 2.0, None, math.nan, math.inf, 10**400, 6.0]
    records = [record(n, {"m": score}) for n, score in enumerate(scores)]
    records.append(record(9, {"m": None, "m.error": "TypeError: no"}))
    found = results(records)
    assert list(found) == ["m"]
    assert (found["m"].value, found["m"].n, found["m"].undefined) == (3.0, 3, 5)
    assert found["m"].low == estimate_number([1.0, 2.0, 6.0]).low


def test_a_metric_of_several_values_that_raised_is_undefined_in_each():
    records = [
        record(0, {"m.a": 1.0, "m.b": 0.5}),
        record(1, {"m": None, "m.error": "x"}),
        record(2, {"m.a": 0.0}),
    ]
    found = results(records, ["m"])
    assert list(found) == ["m.a", "m.b"]
    assert (found["m.a"].n, found["m.a"].undefined, found["m.b"].n, found["m.b"].undefined) == (2, 1, 1, 1)


def test_a_key_called_error_is_a_score_like_any_other():
    assert results([record(0, {"m.error": 0.5})])["m.error"].value == 0.5


def test_when_all_failed_the_score_is_nothing():
    found = results([record(n, error="down") for n in range(3)], [exact, wer])
    assert (found["exact"].value, found["exact"].failed, found["exact"].answered) == (0.0, 3, None)
    assert found["wer"].value is None


def test_nothing_at_all_has_no_score():
    found = results([], [exact])["exact"]
    assert (found.value, found.n, found.method) == (None, 0, "none")


def test_labels_are_counted():
    records = [record(n, {"tone": tone}) for n, tone in enumerate(["kind", "rude", "kind"])]
    found = results([*records, record(3, error="x")])["tone"]
    assert (found.labels, found.n, found.failed, found.value) == ({"kind": 2, "rude": 1}, 4, 1, None)


def test_samples_of_a_group_are_clustered():
    scores = [True, True, False, False, True, False]
    records = [record(n, {"exact": score}, group=f"page {n // 2}") for n, score in enumerate(scores)]
    found = results(records)["exact"]
    wanted = estimate_clustered([1, 1, 0, 0, 1, 0], [0, 0, 1, 1, 2, 2])
    assert (found.stderr, found.method) == (wanted.stderr, "clustered, 3 groups")


def test_samples_without_a_group_stand_alone_beside_those_with_one():
    records = [
        record(0, {"m": 1}, group="a"),
        record(1, {"m": 0}, group="a"),
        record(2, {"m": 1}),
        record(3, {"m": 0}),
    ]
    assert results(records)["m"].method == "clustered, 3 groups"


def test_repeated_answers_are_clustered_and_have_their_own_results():
    texts = ["4", "4", "5", "3", "1", "2"]
    records = [record(n, {"exact": text == "4"}, text=text) for n, text in enumerate(texts)]
    found = results(records, [exact], repeat=3)
    assert list(found) == [
        "exact",
        "exact.avg@3",
        "exact.pass@1",
        "exact.pass@2",
        "exact.pass@3",
        "exact.cons@3",
    ]
    assert found["exact"].method == "clustered, 2 groups"
    assert found["exact.avg@3"].value == pytest.approx(1 / 3)
    assert found["exact.pass@2"].value == 0.5 and found["exact.pass@3"].value == 0.5
    assert found["exact.cons@3"].value == 0.5


def test_votes_are_of_answers_taken_out_not_of_texts():
    texts = ["it is 4", "The answer is 4.", "5", "no idea", "none", "six: 6"]
    records = [record(n, {"number": n % 3 == 0 or n == 1}, text=text) for n, text in enumerate(texts)]
    for options in (
        {"metrics": [number]},
        {"metrics": ["number"]},
        {"metrics": ["exact"], "extract": find_number},
    ):
        found = results(
            [record(r.index, r.scores, text=r.response.text) for r in records], repeat=3, **options
        )
        # Of the first sample 4 wins two to one; of the second the only vote is the wrong 6.
        assert found["number.cons@3"].value == 0.5


def test_samples_with_answers_missing_are_not_guessed():
    records = [record(n, {"exact": True}, text="4") for n in range(5)]
    found = results(records, repeat=3)["exact.pass@3"]
    assert (found.n, found.undefined, found.value) == (1, 1, 1.0)


def test_failures_of_repeats_are_counted_by_sample_and_the_answered_stand_beside():
    records = [record(n, {"exact": True}) for n in range(4)] + [record(4, error="timeout")]
    records.append(record(5, {"exact": False}))
    found = results(records, repeat=2)
    assert (found["exact"].failed, found["exact"].n) == (1, 6)
    for name in ("exact.avg@2", "exact.pass@1", "exact.pass@2", "exact.cons@2"):
        assert (found[name].n, found[name].failed, found[name].answered) == (3, 1, 1.0)
        assert found[name].value == pytest.approx(2 / 3)


def test_a_failed_repeat_is_a_fail_without_a_vote():
    records = [record(0, {"exact": True}, text="4"), record(1, error="x"), record(2, error="x")]
    found = results(records, repeat=3)
    assert found["exact.cons@3"].value == 1
    assert found["exact.pass@1"].value == pytest.approx(1 / 3)


def scored(metric, pairs):
    scorer, records = Scorer([metric]), []
    for index, (target, text, error) in enumerate(pairs):
        sample, response = Sample(str(index), "?", target=target), Response(text, error=error)
        scores, _ = scorer.begin(sample, response)
        records.append(Record(index, sample, Request(str(index), "?"), response, scores))
    return records


@pytest.mark.parametrize("given", [[f1_macro], ["f1_macro"]])
def test_metrics_over_a_set_are_combined(given):
    records = scored(f1_macro, [("a", "a", None), ("b", "b", None), ("a", "", "timeout"), (None, "b", None)])
    found = results(records, given)["f1_macro"]
    assert found.value == pytest.approx((2 / 3 + 1) / 2) and found.answered == 1
    assert (found.n, found.failed, found.undefined) == (3, 1, 1)
    assert found.low is not None and found.low <= found.value


def test_a_set_metric_survives_the_disk():
    records = scored(wer, [("a b c", "a b", None), ("d e", "d e", None), ("f", "", "x")])
    stored = [
        record(r.index, json.loads(json.dumps(dict(r.scores))), error=r.response.error) for r in records
    ]
    found, again = results(records, [wer])["wer"], results(stored, ["wer"])["wer"]
    assert found == again and found.value == pytest.approx(2 / 6) and found.answered == pytest.approx(1 / 5)


def test_without_its_code_a_set_metric_is_named_and_the_rest_stands():
    found = results([record(0, {"mine": [1, 2], "exact": True})], ["./gone.py:mine", "exact"])
    assert found["mine"].value is None and "code of the metric mine was not found" in found["mine"].method
    assert found["exact"].value == 1


def test_confusion_is_a_table():
    found = results(
        [record(0, {"confusion": ["a", "b"]}), record(1, {"confusion": ["a", "a"]})], ["confusion"]
    )
    assert found["confusion"].labels == {"a → a": 1, "a → b": 1} and found["confusion"].value == 0.5


def test_results_come_in_the_order_of_the_metrics():
    records = [record(0, {"extraction": "text", "b": 1.0, "a": 1.0}), record(1, {"c": 1})]
    assert list(results(records, ["a", "b"])) == ["a", "b", "extraction", "c"]


def test_results_by_a_field():
    summary = Summary([exact], fields=["subject"])
    for n in range(6):
        summary.add(record(n, {"exact": n % 3 == 0}, subject="maths" if n < 4 else "law"))
    summary.add(record(6, error="x"))
    found = summary.by("subject")
    assert list(found) == ["(none)", "law", "maths"]
    assert [part[0].value for part in found.values()] == [0.0, 0.0, 0.5]
    with pytest.raises(UsageError, match="fields kept: subject"):
        summary.by("topic")


def test_running_means_count_failures():
    summary = Summary([exact])
    assert summary.running() == []
    for n in range(4):
        summary.add(
            record(n, {"exact": n < 3, "extraction": "text"} if n < 3 else {}, error=None if n < 3 else "x")
        )
    assert summary.running() == [("exact", 0.75)]


def test_running_means_of_scores_that_have_only_keys():
    summary = Summary([rewards, exact])
    for n in range(3):
        summary.add(record(n, {"rewards.alignment": float(n), "rewards.musicality": 1.0}))
        assert summary.running() == [("rewards.alignment", n / 2), ("rewards.musicality", 1.0)]
    assert [result.metric for result in summary.results()][:2] == ["rewards.alignment", "rewards.musicality"]


def test_a_failed_answer_to_an_unknown_label_is_undefined_as_one_that_was_given():
    labels = ["a", "dunno", "dunno"]
    records = [
        record(
            n, {"preference": None if n else 1.0}, error="x" if n == 2 else None, target={"preference": label}
        )
        for n, label in enumerate(labels)
    ]
    found = results(records, [preference])["preference"]
    assert (found.value, found.n, found.failed, found.undefined) == (1.0, 1, 0, 2)


@given(st.lists(st.tuples(st.booleans(), st.one_of(st.none(), st.floats(0, 1)))))
def test_the_counts_add_up_and_results_are_plain_json(rows):
    records = [
        record(n, {} if failed else {"m": score}, error="x" if failed else None)
        for n, (failed, score) in enumerate(rows)
    ]
    for found in results(records, ["m"]).values():
        assert found.n + found.undefined == len(rows)
        assert found.failed == sum(failed for failed, _ in rows)
        json.dumps(asdict(found), allow_nan=False)
        if found.value is not None and found.answered is not None:
            assert found.value <= found.answered + 1e-12


def test_the_order_of_records_does_not_matter():
    records = [record(n, {"exact": n % 3 == 0, "m": n / 7}, group=n // 4) for n in range(20)]
    forward, backward = results(records), results(records[::-1])
    for name, found in forward.items():
        assert found.stderr == pytest.approx(backward[name].stderr)
        assert found.value == pytest.approx(backward[name].value)
