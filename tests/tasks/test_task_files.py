"""Task files in YAML: rows in either form, metrics by name, and clear errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from steelyard.errors import SteelyardError
from steelyard.metrics.base import name_of
from steelyard.tasks.files import FileTask, read_task, text_of
from steelyard.tasks.references import open_task

PAIRED = """
task_id: triage
task_type: qa
description: for people
inputs:
  - question: Is aspirin an NSAID?
  - Is water wet?
expected_outputs:
  - answer: "yes"
  - "yes"
metrics:
  - name: accuracy
  - {name: f1, average: micro}
  - clinical_correctness
"""


def write(folder: Path, text: str, name: str = "task.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def rows(task: FileTask) -> list[tuple[Any, Any]]:
    return [(sample.input, sample.target) for sample in task.data]


def dataset(folder: Path, text: str, **more: str) -> list[tuple[Any, Any]]:
    extra = "".join(f"{key}: {value}\n" for key, value in more.items())
    return rows(read_task(write(folder, f"metrics: [accuracy]\n{extra}dataset:{text}")))


def test_inputs_and_expected_outputs(tmp_path: Path) -> None:
    task = read_task(write(tmp_path, PAIRED))
    assert (task.name, task.task_type) == ("triage", "qa")
    assert rows(task) == [({"question": "Is aspirin an NSAID?"}, "yes"), ({"text": "Is water wet?"}, "yes")]
    assert [name_of(metric) for metric in task.metrics] == ["accuracy", "f1", "clinical_correctness"]
    assert [task.prompt(sample, chat=False) for sample in task.data] == [
        "Is aspirin an NSAID?",
        "Is water wet?",
    ]


def test_rows_of_a_dataset(tmp_path: Path) -> None:
    assert dataset(tmp_path, "\n  - {input: {note: n}, expected_output: {diagnosis: flu}, ward: 7}") == [
        ({"note": "n"}, "flu")
    ]
    assert dataset(tmp_path, "\n  - {question: q, context: c, answer: a}") == [
        ({"question": "q", "context": "c"}, "a")
    ]


def test_no_answer_is_shown_to_the_model(tmp_path: Path) -> None:
    ((given, target),) = dataset(tmp_path, "\n  - {question: q, answer: a, label: b}")
    assert given == {"question": "q"}
    assert target == "a"


def test_rows_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"question": "q", "answer": "a", "id": "x"}\n')
    (tmp_path / "notes.csv").write_text("note,label\nn,flu\n")
    assert dataset(tmp_path, " rows.jsonl") == [({"question": "q"}, "a")]
    assert dataset(tmp_path, " {path: notes.csv, input: note}") == [({"note": "n"}, "flu")]
    assert [sample.id for sample in read_task(tmp_path / "task.yaml").data] == ["0"]


def test_the_file_names_the_task_where_nothing_else_does(tmp_path: Path) -> None:
    path = write(tmp_path, "metrics: [exact]\ndataset: [{text: t, label: l}]", name="bedside.yml")
    assert read_task(path).name == "bedside"


def test_a_template_and_words_of_its_own(tmp_path: Path) -> None:
    text = PAIRED.replace("  - Is water wet?", "  - question: Is water wet?")
    text += 'template: "Q: {question}\\nA:"\nsystem: Be brief.\nparams: {max_tokens: 3}\nextract: text\n'
    task = read_task(write(tmp_path, text))
    (first, _) = task.data
    assert task.prompt(first, chat=False) == "Be brief.\n\nQ: Is aspirin an NSAID?\nA:"
    assert task.request(first, chat=True).params == {"max_tokens": 3}
    assert task.extract is not None


@pytest.mark.parametrize(
    ("item", "summarizing", "text"),
    [
        ({"document": "d", "text": "t"}, True, "d"),
        ({"document": "d", "text": "t"}, False, "t"),
        ({"patient_message": "p", "context": "c"}, True, "p\n\nContext: c"),
        ({"symptom": "s"}, False, None),
    ],
)
def test_the_text_of_an_input(item: dict[str, Any], summarizing: bool, text: str | None) -> None:
    assert text_of(item, summarizing=summarizing) == text


def test_an_input_without_a_text_needs_a_template(tmp_path: Path) -> None:
    path = write(tmp_path, "metrics: [exact]\ndataset: [{symptom: s, label: l}]")
    task = read_task(path)
    with pytest.raises(SteelyardError, match="template"):
        task.prompt(next(iter(task.data)), chat=False)
    path.write_text(path.read_text() + '\ntemplate: "{symptom}?"\n')
    task = read_task(path)
    assert task.prompt(next(iter(task.data)), chat=False) == "s?"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("rouge_l", "rouge_l"),
        ("ROUGE-L", "rouge_l"),
        ("rougeL", "rouge_l"),
        ("token F1", "token_f1"),
        ("recall", "recall"),
    ],
)
def test_metrics_however_they_are_written(tmp_path: Path, written: str, name: str) -> None:
    path = write(tmp_path, f"metrics: [{{name: {written}}}]\ndataset: [{{text: t, label: l}}]")
    assert [name_of(metric) for metric in read_task(path).metrics] == [name]


def test_two_averages_of_one_metric(tmp_path: Path) -> None:
    text = "metrics: [{name: f1, average: macro}, {name: f1, average: micro}]\ndataset: [{text: t, label: l}]"
    assert [name_of(metric) for metric in read_task(write(tmp_path, text)).metrics] == ["f1", "f1_micro"]


def test_identities_follow_the_content(tmp_path: Path) -> None:
    first, same = (read_task(write(tmp_path, PAIRED)).identity() for _ in range(2))
    assert first == same
    for change in (("aspirin", "ibuprofen"), ("average: micro", "average: macro"), ("qa", "communication")):
        assert read_task(write(tmp_path, PAIRED.replace(*change))).identity() != first


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("name: accuracy", "name: acuracy"), "accuracy"),
        (("micro", "middle"), "f1_middle"),
        (("- name: accuracy", "- {name: accuracy, average: macro}"), "no option average"),
        (("- name: accuracy", "- nome: accuracy"), "no name"),
        (("- clinical_correctness", "- accuracy"), "twice"),
        (("task_type: qa", "task_type: quiz"), "qa"),
        (("expected_outputs:", "expected_output:"), "did you mean expected_outputs"),
        (('  - "yes"\n', ""), "2 inputs and 1 expected_outputs"),
        (("answer:", "colour: red, size:"), "colour, size"),
        (("  - Is water wet?", "  - 7"), "input 2"),
        (("inputs:", "ins:"), "no inputs"),
        (("metrics:", "measures:"), "no metrics"),
        (("task_id: triage", "task_id: [triage"), "not YAML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    text = PAIRED.replace(*change)
    if "colour" in change[1]:
        text = text.replace('- colour: red, size: "yes"', '- {colour: red, size: "yes"}')
    assert text != PAIRED
    with pytest.raises(SteelyardError, match=said):
        read_task(write(tmp_path, text))


@pytest.mark.parametrize(
    "text", ["", "- a\n- b", "just words", "metrics: [exact]\ndataset: 7", "metrics: [exact]\ndataset: [1]"]
)
def test_what_is_no_task(tmp_path: Path, text: str) -> None:
    with pytest.raises(SteelyardError, match=r"task\.yaml"):
        read_task(write(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SteelyardError, match=r"gone\.yaml"):
        read_task(tmp_path / "gone.yaml")


def test_a_reference_to_a_file_opens_it(tmp_path: Path) -> None:
    assert open_task(write(tmp_path, PAIRED)).name == "triage"
