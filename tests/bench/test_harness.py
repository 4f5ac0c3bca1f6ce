"""EvaluationHarness: task files weighed, cached by all that shapes the answers, reported."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.evaluation import EvaluationHarness, LocalModel, ModelInterface
from faulty_service import echo, serving
from steelyard.store import Run

QA = """
task_id: qa-1
task_type: qa
inputs:
  - {question: one}
  - {question: two}
  - {question: three}
  - {question: four}
expected_outputs: [{answer: ONE}, {answer: TWO}, {answer: three}, {answer: four}]
metrics: [{name: accuracy}, {name: f1, average: macro}, {name: clinical_correctness}]
"""
SUMMARIES = """
task_id: sum-1
task_type: summarization
dataset:
  - {document: the cat sat on the mat, summary: the cat sat}
metrics: [{name: rouge_l}, {name: "token F1"}, {name: clinical_correctness}]
"""
MODULE = """
asked = []

def load_model(model_path, word="", **options):
    def predict(batch, **kwargs):
        asked.append(len(batch))
        texts = [item.get("question", item.get("document", "")) for item in batch]
        return [{"prediction": text.upper() + word} for text in texts]
    return predict

def load_fragile(model_path):
    def predict(batch):
        asked.append(len(batch))
        return [{"label": {"one": "one", "two": "two"}[item["question"]]} for item in batch]
    return predict
"""


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EvaluationHarness]:
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    (tasks / "qa.yaml").write_text(QA)
    (tasks / "sum.yml").write_text(SUMMARIES)
    (tmp_path / "ward.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield EvaluationHarness(tasks, tmp_path / "results", tmp_path / "cache")
    sys.modules.pop("ward", None)


def asked() -> list[int]:
    return sys.modules["ward"].asked


def test_the_tasks_there_are(harness: EvaluationHarness) -> None:
    assert harness.list_available_tasks() == ["qa-1", "sum-1"]


def test_scores_by_task_and_overall(harness: EvaluationHarness) -> None:
    report = harness.evaluate(
        "shout", ["qa-1", "sum-1"], model_type="local", batch_size=3, module_path="ward"
    )
    assert report.model_id == "shout"
    assert report.task_scores["qa-1"]["accuracy"] == 1.0
    assert report.task_scores["qa-1"]["f1"] == 1.0
    assert report.task_scores["sum-1"]["rouge_l"] == pytest.approx(2 * 3 / (3 + 6))
    assert report.task_scores["sum-1"]["clinical_correctness"] == 1.0
    assert report.overall_scores["clinical_correctness"] == 1.0
    assert report.overall_scores["rouge_l"] == report.task_scores["sum-1"]["rouge_l"]
    assert asked() == [3, 1, 1]
    assert json.loads(json.dumps(report.to_dict()))["task_scores"] == report.task_scores
    results = {result["metric"]: result for result in report.results["qa-1"]}
    assert (results["accuracy"]["n"], results["accuracy"]["failed"]) == (4, 0)


def test_the_answers_are_stored_where_results_go(harness: EvaluationHarness, tmp_path: Path) -> None:
    report = harness.evaluate("shout", ["qa-1"], module_path="ward")
    run = Run.open(report.runs["qa-1"])
    assert run.path.parent == tmp_path / "results"
    records = sorted(run.records(), key=lambda record: record.index)
    assert [record.response.raw["prediction"] for record in records] == ["ONE", "TWO", "THREE", "FOUR"]
    assert records[0].request.prompt == {"question": "one"}


def test_the_cache_answers_the_same_question_only(harness: EvaluationHarness, tmp_path: Path) -> None:
    first = harness.evaluate("shout", ["qa-1"], module_path="ward")
    again = harness.evaluate("shout", ["qa-1"], module_path="ward")
    assert (again.task_scores, again.runs, asked()) == (first.task_scores, first.runs, [4])
    other = harness.evaluate("shout", ["qa-1"], module_path="ward", word="!")
    assert len(asked()) == 2
    spoiled = harness.evaluate("shout", ["qa-1"], module_path="ward", word="?x")
    assert (other.task_scores["qa-1"]["accuracy"], spoiled.task_scores["qa-1"]["accuracy"]) == (0.0, 0.0)
    file = tmp_path / "tasks" / "qa.yaml"
    file.write_text(QA.replace("answer: four", "answer: five"))
    changed = harness.evaluate("shout", ["qa-1"], module_path="ward")
    assert changed.task_scores["qa-1"]["accuracy"] == 0.75
    harness.evaluate("shout", ["qa-1"], module_path="ward", use_cache=False)
    assert len(asked()) == 5


def test_the_cache_knows_the_weights(harness: EvaluationHarness, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    for content in ("a", "a", "b"):
        weights.write_text(content)
        harness.evaluate("shout", ["qa-1"], module_path="ward", model_path=str(weights))
    assert len(asked()) == 2


def test_without_a_cache_folder_nothing_is_kept(harness: EvaluationHarness) -> None:
    harness.cache_dir = None
    for _ in range(2):
        harness.evaluate("shout", ["qa-1"], module_path="ward")
    assert len(asked()) == 2


def test_failures_score_nothing_are_counted_and_not_kept(harness: EvaluationHarness) -> None:
    report = harness.evaluate("m", ["qa-1"], module_path="ward", load_func="load_fragile", batch_size=1)
    assert report.task_scores["qa-1"]["accuracy"] == 0.5
    results = {result["metric"]: result for result in report.results["qa-1"]}
    assert results["accuracy"]["failed"] == 2
    before = len(asked())
    harness.evaluate("m", ["qa-1"], module_path="ward", load_func="load_fragile", batch_size=1)
    assert len(asked()) > before


def test_an_undefined_metric_spoils_no_other(harness: EvaluationHarness, tmp_path: Path) -> None:
    (tmp_path / "tasks" / "auc.yaml").write_text(
        "task_id: auc\nmetrics: [auroc, accuracy]\n"
        "dataset: [{question: a, label: A}, {question: b, label: A}]\n"
    )
    report = harness.evaluate("shout", ["auc", "qa-1"], module_path="ward")
    assert report.task_scores["auc"] == {"auroc": None, "accuracy": 0.5}
    assert report.overall_scores["auroc"] is None
    assert report.overall_scores["accuracy"] == 0.75


def test_an_unknown_metric_is_an_error(harness: EvaluationHarness, tmp_path: Path) -> None:
    (tmp_path / "tasks" / "bad.yaml").write_text(QA.replace("qa-1", "bad").replace("accuracy", "acuracy"))
    with pytest.raises(ValueError, match=r"acuracy.*accuracy"):
        harness.evaluate("shout", ["bad"], module_path="ward")


@pytest.mark.parametrize("task_ids", [["qa-2"], ["qa-1", "nothing"]])
def test_an_unknown_task_is_an_error(harness: EvaluationHarness, task_ids: list[str]) -> None:
    with pytest.raises(ValueError, match=r"not found in .*qa-1, sum-1"):
        harness.evaluate("shout", task_ids, module_path="ward")


def test_two_tasks_of_one_name(harness: EvaluationHarness, tmp_path: Path) -> None:
    (tmp_path / "tasks" / "copy.yaml").write_text(QA)
    with pytest.raises(ValueError, match="qa-1"):
        harness.list_available_tasks()


class Opaque(ModelInterface):
    """A model that does not say what it is made of."""

    def __init__(self) -> None:
        self.asked = 0

    @property
    def model_id(self) -> str:
        return "opaque"

    def predict(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self.asked += 1
        return [{"label": item["question"]} for item in inputs]


def test_a_model_nobody_can_know_is_asked_each_time(harness: EvaluationHarness) -> None:
    model = Opaque()
    for _ in range(2):
        report = harness.evaluate("opaque", ["qa-1"], model_type="interface", model=model)
    assert model.asked == 2
    assert report.task_scores["qa-1"]["accuracy"] == 1.0


def test_a_loaded_model_stays_and_others_go(harness: EvaluationHarness) -> None:
    harness.model_runner.register_interface_model(
        LocalModel(predict_fn=lambda inputs: [item["question"] for item in inputs], model_id="mine")
    )
    assert harness.evaluate("mine", ["qa-1"]).task_scores["qa-1"]["accuracy"] == 1.0
    assert harness.model_runner.run_model("mine", [{"question": "x"}])[0]["label"] == "x"
    harness.evaluate("shout", ["qa-1"], module_path="ward")
    assert not harness.model_runner.is_loaded("shout")


def test_a_service(harness: EvaluationHarness) -> None:
    with serving(echo(lambda item: {"answer": item["question"]})) as service:
        options = {"model_type": "api", "endpoint": service.url, "api_key": "sk-very-secret"}
        report = harness.evaluate("s", ["qa-1"], batch_size=2, **options)
        assert report.task_scores["qa-1"]["accuracy"] == 1.0
        assert [len(call.json) for call in service.asked] == [2, 2]
        stored = [file.read_text() for file in harness.results_dir.rglob("*") if file.is_file()]
        stored += [file.read_text() for file in Path(str(harness.cache_dir)).rglob("*.json")]
        assert stored
        assert not any("sk-very-secret" in text for text in stored)


def test_a_hugging_face_model(harness: EvaluationHarness, on_shelf: Path) -> None:
    options = {
        "model_type": "huggingface",
        "hf_task": "summarization",
        "generation_kwargs": {"max_new_tokens": 3},
    }
    report = harness.evaluate("sshleifer/tiny-t5", ["sum-1"], **options)
    assert 0 <= (report.task_scores["sum-1"]["rouge_l"] or 0) <= 1
    assert report.results["sum-1"][0]["failed"] == 0


def test_labels_are_scored_as_the_map_calls_them(
    harness: EvaluationHarness, on_shelf: Path, tmp_path: Path
) -> None:
    (tmp_path / "tasks" / "cls.yaml").write_text(
        "task_id: cls\nmetrics: [accuracy]\ndataset: [{text: dog, label: ill}, {text: fox, label: ill}]\n"
    )
    for name, wanted in (("ill", 1.0), ("well", 0.0)):
        labels = {0: name, 1: name}
        report = harness.evaluate("classifier", ["cls"], model_type="huggingface", label_map=labels)
        assert report.task_scores["cls"]["accuracy"] == wanted
