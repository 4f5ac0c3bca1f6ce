"""The task `preference` from rows to results: of music and of texts, by data set, with failures."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from steelyard import LocalModel, Request, Response, Run, evaluate, open_task, rescore
from steelyard.cli import main
from steelyard.errors import DataError
from steelyard.metrics.preferences import preference, preference_musicality
from steelyard.report.comparison import compare_runs
from steelyard.report.contents import read_contents
from steelyard.tasks.rewards import METRICS

MODEL = """
import random

def judge(request):
    noise = random.Random(request.prompt["audio"].data.name + {salt!r})
    names = ["musicality", "alignment"]
    if "audio_b" in request.prompt:
        names += ["musicality_b", "alignment_b"]
    return {{"scores": {{name: noise.random() for name in names}}}}
"""


def rows(count: int) -> list[dict[str, Any]]:
    noise = random.Random(4)
    made: list[dict[str, Any]] = []
    for place in range(count):
        row: dict[str, Any] = {"audio-path": f"{place}.wav", "prompt": f"prompt {place}", "split": "test"}
        if place % 3 == 0:
            row |= {
                "source": "PAM",
                "musicality": noise.randint(1, 5),
                "text-music alignment": noise.randint(1, 5),
            }
        elif place % 3 == 1:
            label = noise.choice(["a", "b", "model_a", "model_b", "both", "skip"])
            month = f"2025-0{7 + place % 2}"
            row |= {
                "audio-path": f"MusicArena_data/x/y/{month}/{place}.wav",
                "audio2": f"{place}b.wav",
                "source": "Music Arena",
                "preference": label,
            }
        else:
            row |= {"audio2": f"{place}b.wav", "source": "cmi-arena-annotation", "prompt id": place // 12}
            row |= {"preference-musicality": noise.choice("ab"), "preference-alignment": noise.choice("ab")}
        made.append(row)
    return made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(300)))
    return path


class Judge(LocalModel):
    """Scores that say nothing, but the same whenever it is asked the same; some answers fail."""

    def __init__(self, seed: int = 0, failing: Sequence[int] = ()) -> None:
        super().__init__()
        self.seed, self.failing = seed, failing

    def batch(self, requests: Sequence[Request]) -> list[Response]:
        return [self.answer(request) for request in requests]

    def answer(self, request: Request) -> Response:
        noise = random.Random(f"{request.id} {self.seed}")
        if int(request.id) in self.failing:
            return Response(error="broken")
        names = ["musicality", "alignment"] * (2 if "audio_b" in request.prompt else 1)
        return Response(
            scores={name + "_b" * (place > 1): noise.random() for place, name in enumerate(names)}
        )


def test_three_hundred_rows_by_the_command(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(MODEL.format(salt=name))
        model = ["--model", f"{tmp_path}/{name}.py:judge", "--out", str(tmp_path / name)]
        assert main(["eval", *model, "--task", "preference", "--data", str(data)]) == 0
    capsys.readouterr()
    assert main(["report", str(tmp_path / "one")]) == 0
    shown = capsys.readouterr().out
    for line in (
        "musicality_srcc",
        "alignment_ktau",
        "preference_alignment",
        "unknown label 'skip'",
        "MusicArena  preference",
    ):
        assert line in shown
    assert "margin" not in shown and "rewardbench" not in shown
    records = list(Run.open(tmp_path / "one").records())
    assert len(records) == 300
    found = {result["metric"]: result for result in Run.open(tmp_path / "one").about["results"]}
    rated = [
        (r.sample.target["musicality"], r.response.scores["musicality"])
        for r in records
        if "musicality" in r.sample.target
    ]
    assert len(rated) == 100
    assert found["musicality_srcc"]["value"] == pytest.approx(stats.spearmanr(*zip(*rated)).statistic)
    assert found["musicality_ktau"]["value"] == pytest.approx(stats.kendalltau(*zip(*rated)).statistic)
    labels = [r.sample.target["preference"] for r in records if "preference" in r.sample.target]
    assert found["preference"]["undefined"] == labels.count("skip") > 5
    assert found["preference"]["n"] + labels.count("skip") == 100
    assert found["preference_musicality"]["method"] == "bootstrap, bca, 25 groups"
    assert all(
        found[name]["low"] < found[name]["value"] < found[name]["high"] for name in found if "." not in name
    )
    assert main(["compare", str(tmp_path / "one"), str(tmp_path / "two"), "--by", "dataset"]) == 0
    shown = capsys.readouterr().out
    assert "noise" in shown and "alignment_lcc" in shown


def test_results_by_dataset_and_month(tmp_path: Path, data: Path) -> None:
    task = open_task("preference", data=str(data))
    assert tuple(task.by) == ("dataset", "section", "subset")
    run = evaluate(Judge(), task, out=tmp_path / "run")
    by = read_contents(run).by
    assert list(by) == ["dataset"]
    numbers = {
        part: [one.metric for one in found if one.value is not None] for part, found in by["dataset"].items()
    }
    correlations = [
        f"{name}_{kind}" for name in ("musicality", "alignment") for kind in ("srcc", "lcc", "ktau")
    ]
    assert numbers == {
        "CMI-Pref": ["preference_musicality", "preference_alignment"],
        "MusicArena": ["preference"],
        "PAM": correlations,
    }
    months = read_contents(run, by=["month"]).by["month"]
    assert [one.metric for one in months["2025-07"]] == ["preference", "preference.outcome"]


def test_failures_count_only_where_they_were_asked(tmp_path: Path, data: Path) -> None:
    run = evaluate(Judge(failing=[0, 3, 2]), open_task("preference", data=str(data)), out=tmp_path / "run")
    found = {result["metric"]: result for result in run.about["results"]}
    failed = {name: (one["n"], one["failed"]) for name, one in found.items() if "." not in name}
    assert failed["musicality_lcc"] == (98, 2) and failed["preference_musicality"] == (100, 1)
    assert failed["preference"][1] == 0
    again = rescore(run.path, METRICS)
    assert again.about["results"] == run.about["results"]
    pairing = compare_runs(
        evaluate(Judge(), open_task("preference", data=str(data)), out=tmp_path / "b"), [run]
    )[0]
    counts = {one.metric: one.comparison.n for one in pairing.measured}
    assert counts["musicality_lcc"] == 98 and counts["preference_musicality"] == 100


def test_splits_and_subsets(data: Path) -> None:
    def count(**options: Any) -> int:
        return len(list(open_task("preference", data=str(data), **options).data))

    assert count(subset="all", split="test") == 300
    assert (
        count(subset="PAM") == 100
        and count(subset="pam, CMI-Pref") == 200
        and count(subset=["MusicArena"]) == 100
    )
    for options in ({"subset": "SongEval"}, {"split": "train"}):
        with pytest.raises(DataError, match="has no row of") as caught:
            count(**options)
        assert caught.value.hint == "there are CMI-Pref, MusicArena, PAM, the split test"
    chosen = open_task("preference", data=str(data), subset="PAM")
    assert chosen.identity() != open_task("preference", data=str(data)).identity()
    assert chosen.identity() == open_task("preference", data=str(data), subset=["PAM"]).identity()


class Longest(LocalModel):
    """Likes long answers."""

    def batch(self, requests: Sequence[Request]) -> list[Response]:
        return [
            Response(scores=[float(len(choice)) for choice in request.choices or ()]) for request in requests
        ]


TEXTS = [
    {"prompt": "1 + 1?", "chosen": "two", "rejected": "3", "subset": "math-prm"},
    {"prompt": "1 + 1?", "chosen": "2", "rejected": "3", "subset": "math-prm"},
    {"prompt": "Hi", "chosen": "Hello there.", "rejected": "Bye.", "subset": "alpacaeval-easy"},
    {"prompt": "Hi", "chosen": "Oh.", "rejected": "A long answer.", "subset": "alpacaeval-hard"},
]


def test_texts_by_section_and_subset(tmp_path: Path) -> None:
    task = open_task("preference", data=TEXTS)
    sample = next(iter(task.data))
    for chat, prompt in ((False, "1 + 1?"), (True, [{"role": "user", "content": "1 + 1?"}])):
        request = task.request(sample, chat=chat)
        assert (request.prompt, request.choices, request.params) == (prompt, ("two", "3"), {})
    run = evaluate(Longest(), task, out=tmp_path / "run")
    found = {result["metric"]: result for result in run.about["results"]}
    assert list(found) == ["preference", "preference.outcome", "margin", "rewardbench"]
    assert found["preference"]["value"] == pytest.approx(2.5 / 4)
    assert found["preference.outcome"]["labels"] == {"right": 2, "tied scores": 1, "wrong": 1}
    assert found["margin"]["value"] == pytest.approx((2 + 0 + 8 - 11) / 4)
    assert found["rewardbench"]["value"] == pytest.approx((0.75 + 0.5) / 2)
    by = read_contents(run).by
    assert list(by) == ["section", "subset"]
    assert {
        part: next(one.value for one in results if one.metric == "preference")
        for part, results in by["section"].items()
    } == {
        "Chat": 0.5,
        "Reasoning": 0.75,
    }


def test_metrics_may_be_chosen(tmp_path: Path, data: Path) -> None:
    task = open_task("preference", data=str(data), metrics=["preference", preference_musicality])
    assert list(task.metrics) == [preference, preference_musicality]
