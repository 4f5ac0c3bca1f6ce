"""Tasks over known data sets, from files on disk to scores: prompts, worked examples, ways, results."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from steelyard import LocalModel, Request, Response, Run, Task, evaluate, open_task
from steelyard.builtin import BUILTINS
from steelyard.cli import main
from steelyard.errors import DataError, RunMismatch, UsageError
from steelyard.metrics.text import exact


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def write_csv(path: Path, rows: Sequence[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def scores(task: Task, model: Any, out: Path, **options: Any) -> dict[str, float]:
    run = evaluate(model, task, out=out, **options)
    return {result["metric"]: result["value"] for result in run.about["results"] if not result["labels"]}


@pytest.fixture
def mmlu(tmp_path: Path) -> Path:
    for subject in ("anatomy", "world_religions"):
        for split in ("dev", "test"):
            rows = [[f"{subject} {split} {n}?", "no", "yes", "never", "why", "B"] for n in range(6)]
            write_csv(tmp_path / "mmlu" / split / f"{subject}_{split}.csv", rows)
    return tmp_path / "mmlu"


def test_mmlu_shows_the_first_examples_of_the_same_subject(mmlu: Path) -> None:
    task = open_task("mmlu", data=str(mmlu), shots=2, by="letter")
    sample = list(task.data)[6]
    assert sample.id == "world_religions/0"
    assert task.prompt(sample, chat=False) == "\n\n".join(
        "Question about world religions. Answer with the right option's letter.\n\n"
        f"world_religions {name}?\nA. no\nB. yes\nC. never\nD. why\nAnswer:{answer}"
        for name, answer in (("dev 0", " B"), ("dev 1", " B"), ("test 0", ""))
    )
    turns = task.prompt(sample, chat=True)
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * 2 + ["user"]  # type: ignore[index]
    assert task.identity()["shots_by"] == "subject"
    assert len(task.shots) == 4


def test_mmlu_by_letter_has_results_by_subject(mmlu: Path, tmp_path: Path) -> None:
    def half(prompt: str) -> str:
        return "The answer is (B)." if "anatomy" in prompt else "A"

    task = open_task("mmlu", data=mmlu, by="letter")
    assert scores(task, half, tmp_path / "run") == {"choice": 0.5}
    assert list(task.by) == ["subject"]


class Likely(LocalModel):
    """Finds the longest of the options the likeliest, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Request] = []

    def batch(self, requests: Sequence[Request]) -> list[Response]:
        self.asked += requests
        return [Response(scores=[float(len(text)) for text in request.choices or ()]) for request in requests]


def test_mmlu_by_likelihood_hides_the_options(mmlu: Path, tmp_path: Path) -> None:
    model = Likely()
    found = scores(open_task("mmlu", data=mmlu, by="likelihood"), model, tmp_path / "run")
    assert found["acc"] == 0.0
    assert "Question about anatomy.\n\nanatomy test 0?\nAnswer:" in [one.prompt for one in model.asked]
    assert model.asked[0].choices == (" no", " yes", " never", " why")


def test_examples_of_another_folder_and_of_none(mmlu: Path, tmp_path: Path) -> None:
    one = open_task("mmlu", data=mmlu / "test" / "anatomy_test.csv", shots=5, shot_data=str(mmlu))
    assert len(one.shots) == 10
    (mmlu / "dev" / "anatomy_dev.csv").unlink()
    task = open_task("mmlu", data=mmlu, shots=1)
    with pytest.raises(DataError, match="no worked examples for subject 'anatomy'"):
        task.request(next(iter(task.data)), chat=False)
    with pytest.raises(DataError, match="7 worked examples are wanted"):
        open_task("mmlu", data=mmlu, shots=7)
    rows = write(tmp_path / "alone.jsonl", {"question": "?", "A": "x", "B": "y", "answer": "B"})
    with pytest.raises(UsageError, match="no worked examples to choose from"):
        open_task("mcq", data=rows, shots=1)


@pytest.mark.parametrize(
    ("name", "header", "file", "topic"),
    [
        ("ceval", ["id", "question", "A", "B", "C", "D", "answer"], "val/law_val.csv", "法学"),
        ("cmmlu", ["", "Question", "A", "B", "C", "D", "Answer"], "test/genetics.csv", "遗传学"),
    ],
)
def test_chinese_exams(tmp_path: Path, name: str, header: list[str], file: str, topic: str) -> None:
    row = ["0", "下列正确的是？", "甲", "乙", "丙", "丁", "C"]
    write_csv(tmp_path / "data" / file, [header, row])
    for split in ("dev/law_dev.csv", "dev/genetics.csv"):
        write_csv(tmp_path / "data" / split, [header, [row[0], "例题？", *row[2:]]])
    task = open_task(name, data=tmp_path / "data", shots=1, by="letter")
    prompt = task.prompt(next(iter(task.data)), chat=False)
    assert isinstance(prompt, str) and prompt.count(f"以下是关于{topic}的单项选择题") == 2
    assert prompt.endswith("题目：下列正确的是？\nA. 甲\nB. 乙\nC. 丙\nD. 丁\n答案：")
    assert scores(task, lambda prompt: "故本题选C。", tmp_path / "run") == {"choice": 1.0}


def test_arc_and_own_questions(tmp_path: Path) -> None:
    options = [{"text": text, "label": str(n)} for n, text in enumerate(("ice", "iron", "B"), 1)]
    row = {"id": "q", "question": {"stem": "What melts?", "choices": options}, "answerKey": "1"}
    path = write(tmp_path / "ARC-Challenge-Test.jsonl", row)
    task = open_task("arc_challenge", data=path, by="letter")
    assert "A. ice\nB. iron\nC. B" in str(task.prompt(next(iter(task.data)), chat=False))
    assert scores(task, lambda prompt: "A", tmp_path / "arc") == {"choice": 1.0}
    own = write(tmp_path / "own.jsonl", {"question": "Type?", "A": "B", "B": "A", "answer": "B"})
    assert scores(open_task("mcq", data=own, by="letter"), lambda prompt: "B", tmp_path / "mcq") == {
        "choice": 1.0
    }
    named = write(tmp_path / "named.jsonl", {"q": "Type?", "o": ["x", "y"], "t": "y"})
    columns = {"input": "q", "choices": "o", "target": "t"}
    task = open_task("mcq", data=named, data_options=columns, by="letter")
    assert scores(task, lambda prompt: "B", tmp_path / "named") == {"choice": 1.0}
    asked = write(tmp_path / "qa.jsonl", {"question": "Capital of France?", "answer": "Paris"})
    assert scores(open_task("qa", data=asked), lambda prompt: "paris.", tmp_path / "qa")["exact_words"] == 1.0


def test_gsm8k_takes_examples_from_its_train_or_from_ours(tmp_path: Path) -> None:
    for split in ("train", "test"):
        rows = [
            {"question": f"{split} {n}?", "answer": f"<<{n}+1={n + 1}>>So\n#### {n + 1}"} for n in range(9)
        ]
        write(tmp_path / "gsm8k" / f"{split}.jsonl", *rows)
    task = open_task("gsm8k", data=tmp_path / "gsm8k", shots=4)
    prompt = str(task.prompt(next(iter(task.data)), chat=False))
    assert prompt.count("train") == 4 and "<<" not in prompt
    assert prompt.endswith("Question: test 0?\nLet's think step by step\nAnswer:")

    def add(prompt: str) -> str:
        number = int(prompt.rsplit("test ", 1)[1].partition("?")[0])
        return f"We add one. The answer is ${number + 1} every day at 9:30."

    assert scores(task, add, tmp_path / "run") == {"number": 1.0}
    alone = write(tmp_path / "elsewhere" / "problems.jsonl", {"question": "1 + 1?", "answer": "#### 2"})
    assert len(open_task("gsm8k", data=alone, shots=4).shots) == 4


def test_math_shows_solutions_and_compares_formulas(tmp_path: Path) -> None:
    row = {
        "problem": "Half of 1?",
        "level": "Level 1",
        "type": "Algebra",
        "solution": "It is $\\boxed{\\frac12}$.",
    }
    for split in ("train", "test"):
        path = tmp_path / "MATH" / split / "algebra" / "1.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({**row, "problem": f"{split}: half of 1?"}))
    task = open_task("math", data=tmp_path / "MATH", shots=1)
    prompt = task.prompt(next(iter(task.data)), chat=True)
    assert prompt[1]["content"] == "It is $\\boxed{\\frac12}$."  # type: ignore[index]
    assert prompt[2]["content"].endswith("put the final answer in \\boxed{}.")  # type: ignore[index]
    assert scores(task, lambda prompt: "Clearly, \\boxed{0.5}", tmp_path / "run") == {"formula": 1.0}
    assert list(task.by) == ["subject", "level"]
    exported = {"problem": "3?", "answer": "3", "solution": "Three."}
    task = open_task("math", data=write(tmp_path / "test.jsonl", exported))
    assert task.answer(next(iter(task.data))) == " Three.\nThe final answer is \\boxed{3}."
    years = write(tmp_path / "aime.jsonl", {"Problem": "?", "Answer": "033"})
    assert scores(open_task("aime", data=years), lambda prompt: "It is 33.", tmp_path / "aime") == {
        "formula": 1.0
    }


def test_humaneval_is_gone_on_by_a_text_and_told_to_a_chat(tmp_path: Path) -> None:
    row = {"task_id": "HumanEval/0", "prompt": "def one():\n", "entry_point": "one"}
    row["test"] = "def check(candidate):\n    assert candidate() == 1\n"
    path = write(tmp_path / "HumanEval.jsonl", row)

    def passes(sample: Any, response: Response) -> bool:
        return response.text == "def one():\n    return 1\n"

    task = open_task("humaneval", data=path, metrics=[passes])
    sample = next(iter(task.data))
    text, chat = task.request(sample, chat=False), task.request(sample, chat=True)
    assert text.prompt == "def one():\n" and "\nclass " in text.params["stop"]
    assert "```python\ndef one():\n" in chat.prompt[0]["content"]  # type: ignore[index,operator]
    assert "stop" not in chat.params
    assert scores(task, lambda prompt: "    return 1\n\ndef", tmp_path / "a") == {"passes": 1.0}
    assert scores(task, lambda prompt: "```python\ndef one():\n    return 1\n```", tmp_path / "b") == {
        "passes": 1.0
    }


def test_ifeval(tmp_path: Path) -> None:
    rows = [
        {"key": n, "prompt": f"Write {n}.", "instruction_id_list": names, "kwargs": [{} for _ in names]}
        for n, names in enumerate([["punctuation:no_comma", "startend:quotation"], ["punctuation:no_comma"]])
    ]
    task = open_task("ifeval", data=write(tmp_path / "ifeval.jsonl", *rows))
    found = scores(task, lambda prompt: "no comma", tmp_path / "run")
    assert found == {
        "ifeval.strict": 0.5, "ifeval.loose": 0.5,
        "instructions_strict": pytest.approx(2 / 3), "instructions_loose": pytest.approx(2 / 3),
    }  # fmt: skip


def test_a_run_is_resumed_and_knows_its_data(mmlu: Path, tmp_path: Path) -> None:
    mended = tmp_path / "mended"

    def fails_at_first(prompt: str) -> str:
        if "anatomy test 2?" in prompt and not mended.exists():
            raise TimeoutError("no answer")
        return "B"

    def task() -> Task:
        return open_task("mmlu", data=mmlu, by="letter", shots=1)

    first = evaluate(fails_at_first, task(), out=tmp_path / "run")
    assert first.about["results"][0]["failed"] == 1
    mended.touch()
    again = evaluate(fails_at_first, task(), out=tmp_path / "run", resume=True, retry_failed=True)
    assert again.about["results"][0]["value"] == 1.0
    write_csv(mmlu / "dev" / "anatomy_dev.csv", [["changed?", "a", "b", "c", "d", "A"]])
    with pytest.raises(RunMismatch, match="shots"):
        evaluate(fails_at_first, task(), out=tmp_path / "run", resume=True)


def test_the_command(mmlu: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.py").write_text("def b(prompt):\n    return 'B'\n")
    arguments = ["eval", "--model", f"{tmp_path}/m.py:b", "--task", "mmlu", "by=letter", "--data", str(mmlu)]
    code = main([*arguments, "--shots", "3", "--limit", "8", "--out", str(tmp_path / "run"), "--quiet"])
    shown = capsys.readouterr().out
    assert code == 0 and "world_religions" in shown
    assert [record.sample.meta["subject"] for record in Run.open(tmp_path / "run").records()].count(
        "anatomy"
    ) == 6


def test_every_layout_that_is_a_task_makes_one(tmp_path: Path) -> None:
    exact_only: list[Callable[..., Any]] = [exact]
    for name in set(BUILTINS["layouts"]) & set(BUILTINS["tasks"]):
        assert open_task(name, data=[{}], metrics=exact_only).name == name
    assert set(BUILTINS["layouts"]) - set(BUILTINS["tasks"]) == {"mtbench", "sharegpt"}
