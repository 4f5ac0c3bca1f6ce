"""What a reward model said beside what people said: ratings, margins, and the records that are far off."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from scipy.stats import rankdata

from steelyard import Record, Request, Response, Run, Sample
from steelyard.report.contents import read_contents
from steelyard.report.doubts import doubt_run
from steelyard.report.judgement_charts import draw_judgements
from steelyard.report.judgements import Judgements, Key, margin_of, verdicts_of
from steelyard.report.model_spending import tell_model
from steelyard.report.samples import chosen_of, tabulate_choices, tabulate_verdicts


def record(index: int, target: Any, scores: Any, *, dataset: str = "D", error: str | None = None) -> Record:
    sample = Sample(str(index), {}, target, meta={"dataset": dataset})
    return Record(index, sample, Request(str(index), {}), Response(scores=scores, error=error))


def judge(*records: Record) -> Judgements:
    judged = Judgements()
    for one in records:
        judged.add(one)
    return judged


def test_ratings_and_margins_are_kept_by_data_and_by_what_is_judged() -> None:
    judged = judge(
        record(0, {"musicality": 3, "alignment": 2.5}, {"musicality": 0.5, "alignment": 0.25}),
        record(1, {"musicality": 4.0}, {"musicality": 0.75}, dataset="E"),
        record(2, {"preference": "model_b"}, {"musicality": 1.0, "musicality_b": 3.0}),
        record(3, {"preference_alignment": " A "}, {"alignment": 1.0, "alignment_b": 3.0}),
        record(4, {"preference": "both"}, {"musicality": 1.0, "musicality_b": 3.0}),
        record(5, {"preference": "a"}, {"musicality": 1.0}, error="side b: no sound"),
        record(6, None, {"musicality": 1.0}),
        record(7, {"musicality": True}, {"musicality": 1.0}),
        record(8, {"musicality": 2.0}, [0.5]),
    )
    points = {str(key): (list(r.people), list(r.model), list(r.places)) for key, r in judged.ratings.items()}
    assert points == {
        "D musicality": ([3.0], [0.5], [0]),
        "D alignment": ([2.5], [0.25], [0]),
        "E musicality": ([4.0], [0.75], [1]),
    }
    # Above zero is the side that people prefer.
    margins = {str(key): (list(m.values), list(m.places)) for key, m in judged.margins.items()}
    assert margins == {"D preference": ([2.0], [2]), "D preference_alignment": ([-2.0], [3])}


def test_the_furthest_are_those_whose_ranks_differ_the_most() -> None:
    draw = random.Random(4)
    people = [draw.randint(1, 5) for _ in range(200)]
    model = [draw.gauss(value, 1.5) for value in people]
    judged = judge(*(record(n, {"m": p}, {"m": s}) for n, (p, s) in enumerate(zip(people, model))))
    gaps = abs(rankdata([-p for p in people]) - rankdata([-s for s in model]))
    expected = sorted(range(200), key=lambda n: -gaps[n])[:10]
    found = judged.furthest()
    assert list(found) == [n for n in expected if 3 * gaps[n] > 200]
    first = expected[0]
    ranks = [round(float(rankdata([-x for x in side])[first])) for side in (people, model)]
    assert found[first] == f"m: rank {ranks[0]} of 200 for people, {ranks[1]} for the model"


def test_of_pairs_the_surest_mistakes_are_the_furthest() -> None:
    pairs = [record(n, {"preference": "a"}, {"musicality": n - 15.0, "musicality_b": 0.0}) for n in range(40)]
    assert judge(*pairs).furthest() == {n: f"preference: the other side by {15 - n}" for n in range(4)}
    right = [record(n, {"preference": "b"}, {"musicality": -1.0, "musicality_b": 0.0}) for n in range(40)]
    assert judge(*right).furthest() == {}


def test_a_pair_is_told_side_by_side() -> None:
    scores = {"alignment": 0.25, "musicality": 3.0, "alignment_b": 0.25, "musicality_b": 3.5}
    target = {"preference": "a", "preference_musicality": "b", "alignment": "both"}
    one = record(0, target, scores)
    assert tabulate_verdicts(one) == [
        ["", "a", "b", "the model prefers", "people prefer"],
        ["alignment", "0.25", "0.25", "neither", "both"],
        ["musicality", "3", "3.5", "b", "b"],
        ["preference", "–", "–", "–", "a"],
    ]
    assert chosen_of(one) == "alignment 0.25 : 0.25, musicality 3 : 3.5, preference –"
    half = record(1, {"preference": "a"}, {"musicality_b": 2.0}, error="side a: no sound")
    assert tabulate_verdicts(half)[1] == ["musicality", "–", "2", "–", "–"]
    assert margin_of(half.response, "preference") is None
    rated = record(2, {"musicality": 3.5}, {"musicality": 0.123456})
    assert tabulate_verdicts(rated) == [["", "the model", "people"], ["musicality", "0.1235", "3.5"]]
    assert verdicts_of(record(3, "x", [0.1, 0.2])) == [] == tabulate_verdicts(record(4, "x", None))


def test_choices_are_told_with_their_scores_and_which_is_right() -> None:
    def asked(target: Any, choices: list[str] | None) -> Record:
        sample = Sample("1", "2 + 2?", target, choices)
        request = Request("1", "2 + 2?", choices=("4", "5 " + "!" * 700))
        return Record(0, sample, request, Response(scores=[1.25, -3.0]))

    head, right, wrong = tabulate_choices(asked(0, ["4", "5"]))
    assert (head, right) == (["", "score", "right"], ["4", "1.25", "right"])
    assert wrong[0].endswith("!…") and wrong[1:] == ["-3", ""]
    # An odd target, or options that are not what was compared, end nothing.
    for odd in (asked("seven", ["4", "5"]), asked(0, None)):
        assert [row[2] for row in tabulate_choices(odd)[1:]] == ["", ""]
    assert tabulate_choices(record(0, None, {"m": 1.0})) == []


def test_charts_show_every_point_and_both_sides() -> None:
    rated = [record(n, {"m": n % 5}, {"m": float(n)}) for n in range(50)]
    pairs = [
        record(n, {"preference": "a"}, {"musicality": n - 10.0, "musicality_b": 0.0}, dataset="P")
        for n in range(30)
    ]
    points, margins = draw_judgements(judge(*rated, *pairs))
    assert (points.title, margins.title) == ("D m", "P preference: margin")
    assert points.shapes[0].path.count("h0") == 50
    assert [swatch.label for swatch in margins.legend] == ["wrong 10", "right 19"]
    assert margins.note == "30 pairs, 1 of them tied"
    many = judge(*(record(n, {"m": n % 7}, {"m": float(n % 90)}) for n in range(2500)))
    (dense,) = draw_judgements(many)
    assert all("heat" in shape.kind for shape in dense.shapes) and dense.shapes
    # One piece is no picture, and equal scores are no division by nothing.
    assert list(draw_judgements(judge(record(0, {"m": 1}, {"m": 1.0})))) == []
    alike = judge(*(record(n, {"m": 2}, {"m": 0.0}) for n in range(3)))
    (flat,) = draw_judgements(alike)
    assert flat.shapes[0].path.count("h0") == 3
    assert Key("", "m").__str__() == "m"


def test_where_the_time_goes_is_said_in_words() -> None:
    heard = {"audio_seconds": 6000, "decoded_seconds": 3000, "decoding": 60.0}
    told = dict(tell_model({**heard, "waiting": 30.0, "network": 50.0, "pieces": 200}, 60.0))
    assert told == {
        "sound": "6,000 s listened to, 60 s in a second",
        "decoding": "60 s of all threads for 3,000 s of sound, 50 s in a second",
        "waiting for sound": "30 s",
        "network": "50 s of all threads",
        "bottleneck": "decoding, which the network waits for 38 % of its time: more workers=N may help",
        "the model counts": "pieces 200",
    }
    quick = dict(tell_model({**heard, "waiting": 1.0, "network": 90.0}))
    assert quick["bottleneck"] == "the network: sounds are there when it wants them"
    # The same threads decode and compute.
    shared = dict(tell_model({**heard, "network": 540.0}))
    assert shared["bottleneck"] == "the network, 90 % of the time of threads that decode and compute"
    assert "bottleneck" not in dict(tell_model({"decoding": 5.0, "network": 5.0}))
    assert dict(tell_model({"coins": 2})) == {"the model counts": "coins 2"}
    assert dict(tell_model({"audio_seconds": 12.5, "scoring": 3.0})) == {
        "sound": "12.5 s listened to",
        "in the model's code": "3 s",
    }


def test_what_is_odd_about_answers_is_counted(tmp_path: Path) -> None:
    made = Run.create(tmp_path / "r", {"task": "t", "model": "m", "state": "done"})
    for place, remark in enumerate(["cut off: 1.25 of 3 s are there", "", "cut off: 2 of 3 s are there"]):
        raw = {"valid": [True], "remarks": [remark]}
        made.add(
            Record(
                place, Sample(str(place), "?"), Request(str(place), {}), Response(scores={"x": 1}, raw=raw)
            )
        )
    lines = doubt_run(read_contents(made))
    assert "answered all the same, 2 × cut off: 1.25 of 3 s are there" in lines
