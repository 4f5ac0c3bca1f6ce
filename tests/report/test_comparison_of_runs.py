"""Runs paired answer by answer: by id and turn, with what they lack, and verdicts that are not noise."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from steelyard import LocalModel, Request, Response, Run, Sample, Task, evaluate
from steelyard.errors import UnknownName, UsageError
from steelyard.metrics.overlap import wer
from steelyard.metrics.preferences import preference
from steelyard.metrics.text import exact
from steelyard.report.comparison import Pairing, as_document, compare_runs
from steelyard.report.verdicts import doubt_pairing, tell_verdicts


def samples(ids: range | list[int], **meta: Any) -> list[Sample]:
    return [Sample(id=f"s{n}", input=f"w{n}", target=f"w{n}", meta=meta) for n in ids]


def run_of(path: Path, data: list[Sample], right: float, *, seed: int = 0, **options: Any) -> Run:
    """A run whose model is right on a share of the samples."""
    draw = random.Random(seed)

    def answer(prompt: str) -> str:
        return prompt if draw.random() < right else "wrong"

    repeat = options.pop("repeat", 1)
    task = Task(**{"name": "t", "data": data, "metrics": [exact], **options})
    return evaluate(answer, task, out=path, repeat=repeat, concurrency=1)


def one(pairings: list[Pairing]) -> Pairing:
    (pairing,) = pairings
    return pairing


def test_a_better_run_is_better_and_the_changed_samples_are_named(tmp_path: Path) -> None:
    base = run_of(tmp_path / "a", samples(range(200)), 0.5)
    other = run_of(tmp_path / "b", samples(range(200)), 0.8, seed=1)
    pairing = one(compare_runs(base, [other], named=5))
    (measured,) = pairing.measured
    found = measured.comparison
    was = {r.sample.id: r.scores["exact"] for r in base.records()}
    now = {r.sample.id: r.scores["exact"] for r in other.records()}
    assert found.verdict == "better"
    assert found.difference == pytest.approx((sum(now.values()) - sum(was.values())) / 200)
    gained = [name for name in was if now[name] > was[name]]
    assert len(found.gained) == len(gained)
    assert list(measured.gained) == gained[:5]
    assert found.low is not None and found.low > 0 and found.detectable
    assert any("smallest difference" in line for line in tell_verdicts(pairing))


def test_equal_models_are_noise(tmp_path: Path) -> None:
    base = run_of(tmp_path / "a", samples(range(100)), 0.5)
    other = run_of(tmp_path / "b", samples(range(100)), 0.5, seed=2)
    pairing = one(compare_runs(base, [other]))
    assert pairing.measured[0].comparison.verdict == "noise"
    assert "exact: noise" in next(tell_verdicts(pairing))


def test_samples_are_paired_by_id_in_whatever_order(tmp_path: Path) -> None:
    order = list(range(50))
    random.Random(3).shuffle(order)
    base = run_of(tmp_path / "a", samples(range(50)), 1.0)
    other = run_of(tmp_path / "b", samples([*order, 98, 99])[5:], 1.0)
    pairing = one(compare_runs(base, [other], named=3))
    assert (pairing.common, pairing.missing, pairing.extra) == (45, 5, 2)
    assert list(pairing.missing_ids) == [f"s{n}" for n in sorted(order[:5])][:3]
    assert list(pairing.extra_ids) == ["s98", "s99"]
    assert pairing.measured[0].comparison.difference == 0
    assert not any("data differs" in remark for remark in pairing.remarks)
    assert "2 answers only in" in "\n".join(doubt_pairing(pairing))


def test_turns_are_paired_and_clustered(tmp_path: Path) -> None:
    base = run_of(tmp_path / "a", samples(range(40)), 0.5, repeat=3)
    other = run_of(tmp_path / "b", samples(range(40)), 0.9, repeat=3, seed=1)
    pairing = one(compare_runs(base, [other], named=2))
    assert pairing.common == 120
    assert "clustered" in pairing.measured[0].comparison.test
    assert all("#" in name for name in pairing.measured[0].gained)
    single = run_of(tmp_path / "c", samples(range(40)), 0.9, seed=1)
    pairing = one(compare_runs(base, [single]))
    assert pairing.common == 40 and pairing.missing == 80
    assert any("only the first answers" in remark for remark in pairing.remarks)


def test_groups_are_respected(tmp_path: Path) -> None:
    data = [
        Sample(s.id, s.input, s.target, meta={"group": n // 10}) for n, s in enumerate(samples(range(60)))
    ]
    base, other = run_of(tmp_path / "a", data, 0.4), run_of(tmp_path / "b", data, 0.9, seed=1)
    assert one(compare_runs(base, [other])).measured[0].comparison.test == "clustered t, 6 groups"


def test_changed_data_and_prompts_are_said(tmp_path: Path) -> None:
    base = run_of(tmp_path / "a", samples(range(30)), 1.0)
    moved = [Sample(s.id, s.input, "other" if n < 4 else s.target) for n, s in enumerate(samples(range(30)))]
    other = run_of(tmp_path / "b", moved, 1.0, template="{input}!")
    pairing = one(compare_runs(base, [other]))
    assert list(pairing.remarks) == [
        "the data differs for 4 of 30 common samples",
        "the prompts differ for 30 of 30 common samples",
    ]
    assert any(change.startswith("task.template was") for change in pairing.changed)


def test_metrics_over_a_whole_set_and_lower_is_better(tmp_path: Path) -> None:
    base = run_of(tmp_path / "a", samples(range(80)), 0.4, metrics=[exact, wer])
    other = run_of(tmp_path / "b", samples(range(80)), 0.9, seed=1, metrics=[wer, exact])
    pairing = one(compare_runs(base, [other]))
    verdicts = {measured.metric: measured.comparison.verdict for measured in pairing.measured}
    assert verdicts == {"exact": "better", "wer": "better"}
    wanted = one(compare_runs(base, [other], metrics=["wer"])).measured
    assert [measured.metric for measured in wanted] == ["wer"]
    assert wanted[0].comparison.difference < 0


def test_failures_count_as_0_and_undefined_pairs_are_left_out(tmp_path: Path) -> None:
    def maybe(sample: Sample, response: Any) -> bool | None:
        return None if sample.id in ("s1", "s2") else response.text == sample.target

    def answer(prompt: str) -> str:
        if prompt == "w9":
            raise TimeoutError
        return prompt

    task = Task(name="t", data=samples(range(20)), metrics=[maybe])
    base = evaluate(lambda prompt: prompt, task, out=tmp_path / "a")
    other = evaluate(answer, task, out=tmp_path / "b")
    pairing = one(compare_runs(base, [other]))
    (measured,) = pairing.measured
    assert (measured.undefined, measured.comparison.n, pairing.failed) == (2, 18, (0, 1))
    assert measured.comparison.difference == pytest.approx(-1 / 18)
    assert list(measured.lost) == ["s9"]


def test_holm_is_over_all_runs_and_metrics(tmp_path: Path) -> None:
    base = run_of(tmp_path / "a", samples(range(60)), 0.5)
    others = [run_of(tmp_path / f"b{n}", samples(range(60)), 0.7, seed=n + 1) for n in range(4)]
    alone = one(compare_runs(base, others[:1])).measured[0].comparison
    among = compare_runs(base, others)[0].measured[0].comparison
    assert alone.p == among.p == alone.adjusted
    assert among.adjusted is not None and alone.p is not None and among.adjusted >= alone.p
    total = [pairing.measured[0].comparison for pairing in compare_runs(base, others)]
    smallest = min(total, key=lambda found: found.p or 0.0)
    assert smallest.adjusted == pytest.approx(min(1.0, 4 * (smallest.p or 0.0)))


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    base = run_of(tmp_path / "a", samples(range(5)), 1.0)
    with pytest.raises(UsageError, match="no sample in common"):
        compare_runs(base, [run_of(tmp_path / "b", samples(range(10, 15)), 1.0)])
    with pytest.raises(UsageError, match="no metric in common"):
        compare_runs(base, [run_of(tmp_path / "c", samples(range(5)), 1.0, metrics=[wer])])
    with pytest.raises(UnknownName, match="did you mean exact"):
        compare_runs(base, [base], metrics=["exat"])


def test_the_document_is_plain(tmp_path: Path) -> None:
    import json

    base = run_of(tmp_path / "a", samples(range(30)), 0.5)
    pairing = one(compare_runs(base, [run_of(tmp_path / "b", samples(range(30)), 1.0)]))
    document = json.loads(json.dumps(as_document(pairing)))
    (metric,) = document["metrics"]
    assert metric["gained"] >= len(metric["gained_ids"]) > 0
    assert metric["metric"] == "exact" and metric["verdict"] == "better"


def test_failures_are_wrong_only_where_people_said_something_known(tmp_path: Path) -> None:
    labels = ["a"] * 6 + ["b"] * 2 + ["dunno"] * 4
    data = [Sample(id=f"s{n}", input=str(n), target={"preference": label}) for n, label in enumerate(labels)]

    class Judge(LocalModel):
        def batch(self, requests: Sequence[Request]) -> list[Response]:
            given = Response(scores={"musicality": 2.0, "musicality_b": 1.0})
            return [Response(error="no sound") if one.prompt in ("0", "8") else given for one in requests]

    task = Task(name="t", data=data, metrics=[preference])
    base, other = (evaluate(Judge(), task, out=tmp_path / name) for name in "ab")
    (measured,) = one(compare_runs(base, [other])).measured
    told = base.about["results"][0]
    assert measured.comparison.before == told["value"] == pytest.approx(5 / 8)
    assert measured.undefined == told["undefined"] == 4
