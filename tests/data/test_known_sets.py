"""Known data sets in the forms in which they are published: files, splits, subjects, samples."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from steelyard.data.source import Data
from steelyard.errors import DataError, UnknownName, UsageError


def write_rows(path: Path, rows: Sequence[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
    elif path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def mmlu_rows(subject: str, count: int) -> list[list[str]]:
    # The first option holds commas and quotes, as the real files do.
    return [
        [f"{subject} {n}: what is {n} + {n}?", 'none, or "0"', str(2 * n), "x", "y", "B"]
        for n in range(count)
    ]


@pytest.fixture
def mmlu(tmp_path: Path) -> Path:
    for subject in ("abstract_algebra", "high_school_us_history"):
        for split, count in (("dev", 5), ("val", 2), ("test", 3)):
            write_rows(tmp_path / "data" / split / f"{subject}_{split}.csv", mmlu_rows(subject, count))
    (tmp_path / "data" / "README.txt").write_text("Published so.")
    return tmp_path / "data"


def test_mmlu_as_published(mmlu: Path) -> None:
    data = Data(mmlu, layout="mmlu")
    samples = list(data)
    assert [sample.id for sample in samples[:4]] == [
        "abstract_algebra/0", "abstract_algebra/1", "abstract_algebra/2", "high_school_us_history/0"
    ]  # fmt: skip
    assert samples[1].input == "abstract_algebra 1: what is 1 + 1?"
    assert list(samples[1].choices or ()) == ['none, or "0"', "2", "x", "y"]
    assert samples[1].target == 1
    assert samples[3].meta["subject"] == "high_school_us_history"
    assert samples[3].meta["topic"] == "high school us history"
    examples = data.examples()
    assert examples is not None and len(list(examples)) == 10
    assert len(list(Data(mmlu, layout="mmlu", split="validation"))) == 4
    assert data.identity()["layout"] == "mmlu"
    beside = Data(mmlu / "test", layout="mmlu")
    assert len(list(beside)) == 6 and len(list(beside.examples() or ())) == 10


def test_mmlu_of_one_file_finds_its_examples(mmlu: Path) -> None:
    data = Data(mmlu / "test" / "abstract_algebra_test.csv", layout="mmlu")
    assert {sample.meta["subject"] for sample in data} == {"abstract_algebra"}
    examples = data.examples()
    assert examples is not None
    assert [sample.id for sample in examples] == [f"abstract_algebra/{n}" for n in range(5)]


def test_mmlu_of_the_hub(tmp_path: Path) -> None:
    rows = [
        {"question": f"Question {n}?", "subject": "anatomy", "choices": ["a", "b", "c", "d"], "answer": n}
        for n in range(4)
    ]
    write_rows(tmp_path / "all" / "test-00000-of-00001.parquet", rows)
    write_rows(tmp_path / "all" / "dev-00000-of-00001.parquet", rows[:2])
    write_rows(tmp_path / "all" / "auxiliary_train-00000-of-00001.parquet", rows * 3)
    data = Data(tmp_path, layout="mmlu")
    assert [(sample.target, sample.meta["subject"]) for sample in data] == [(n, "anatomy") for n in range(4)]
    assert data.size() == 4
    examples = data.examples()
    assert examples is not None and len(list(examples)) == 2
    exported = write_rows(tmp_path / "mmlu.jsonl", [{**row, "answer": "ABCD"[row["answer"]]} for row in rows])
    assert [sample.target for sample in Data(exported, layout="mmlu")] == [0, 1, 2, 3]


def test_a_folder_of_the_hub_has_each_question_once(tmp_path: Path) -> None:
    row = {"question": "Which?", "subject": "anatomy", "choices": ["a", "b"], "answer": 1}
    for folder in ("all", "anatomy"):
        for split in ("test", "dev"):
            write_rows(tmp_path / folder / f"{split}-00000-of-00001.parquet", [row])
    data = Data(tmp_path, layout="mmlu")
    assert len(list(data)) == len(list(data.examples() or ())) == 1
    assert len(list(Data(tmp_path / "anatomy", layout="mmlu"))) == 1


def test_a_question_of_no_subject_is_of_general_knowledge(tmp_path: Path) -> None:
    row = {"question": "Which?", "choices": ["a", "b"], "answer": 1}
    (sample,) = Data(write_rows(tmp_path / "here" / "mmlu_test.jsonl", [row]), layout="mmlu")
    assert (sample.meta["subject"], sample.meta["topic"]) == ("", "general knowledge")
    (sample,) = Data([row], layout="ceval")
    assert sample.meta["topic"] == "综合知识"
    (sample,) = Data([row], layout="mcq")
    assert "topic" not in sample.meta


def test_a_header_where_others_have_none_is_one(tmp_path: Path) -> None:
    rows = [["question", "A", "B", "C", "D", "answer"], *mmlu_rows("x", 1)]
    assert len(list(Data(write_rows(tmp_path / "virology_test.csv", rows), layout="mmlu"))) == 1


def test_ceval(tmp_path: Path) -> None:
    header = ["id", "question", "A", "B", "C", "D", "answer"]
    row = ["0", "下列说法正确的是____。", "甲", "乙", "丙", "丁", "C"]
    for split, extra in (("dev", ["explanation"]), ("val", []), ("test", [])):
        answered = row[:-1] if split == "test" else row
        shown = header[:-1] if split == "test" else header
        why = ["因为……"] if extra else []
        write_rows(tmp_path / split / f"accountant_{split}.csv", [shown + extra, answered + why])
    (sample,) = Data(tmp_path, layout="ceval")
    assert (sample.id, sample.target, sample.meta["topic"]) == ("accountant/0", 2, "注册会计师")
    (unanswered,) = Data(tmp_path, layout="ceval", split="test")
    assert unanswered.target is None


def test_cmmlu(tmp_path: Path) -> None:
    for split in ("dev", "test"):
        rows = [
            ["", "Question", "A", "B", "C", "D", "Answer"],
            ["0", "种子是什么？", "甲", "乙", "丙", "丁", "D"],
        ]
        write_rows(tmp_path / split / "agronomy.csv", rows)
    data = Data(tmp_path, layout="cmmlu")
    (sample,) = data
    assert (sample.input, sample.target, sample.meta["topic"]) == ("种子是什么？", 3, "农学")
    one = Data(tmp_path / "test" / "agronomy.csv", layout="cmmlu")
    examples = one.examples()
    assert examples is not None and [sample.id for sample in examples] == ["agronomy/0"]


def test_arc_as_published_and_of_the_hub(tmp_path: Path) -> None:
    folder = tmp_path / "ARC-V1"
    for part in ("Easy", "Challenge"):
        for split in ("Train", "Dev", "Test"):
            options = [{"text": f"{part} {split}", "label": "1"}, {"text": "B", "label": "2"}]
            row = {
                "id": f"{part}_{split}",
                "question": {"stem": "Which?", "choices": options},
                "answerKey": "2",
            }
            write_rows(folder / f"ARC-{part}" / f"ARC-{part}-{split}.jsonl", [row])
            # The release has each file in two formats.
            table = [["questionID", "question"], ["1", "Which? (1) x (2) y"]]
            write_rows(folder / f"ARC-{part}" / f"ARC-{part}-{split}.csv", table)
    data = Data(folder, layout="arc_challenge")
    (sample,) = data
    assert (sample.id, sample.input, sample.target) == ("Challenge_Test", "Which?", 1)
    assert list(sample.choices or ()) == ["Challenge Test", "B"]
    examples = data.examples()
    assert examples is not None and [sample.id for sample in examples] == ["Challenge_Train"]
    one = Data(folder / "ARC-Easy" / "ARC-Easy-Test.jsonl", layout="arc_easy").examples()
    assert one is not None and [sample.id for sample in one] == ["Easy_Train"]
    hub = {"id": "M_1", "question": "Which?", "answerKey": "E"}
    hub["choices"] = {"text": list("vwxyz"), "label": list("ABCDE")}  # type: ignore[assignment]
    path = write_rows(tmp_path / "test-00000-of-00001.parquet", [hub])
    assert [sample.target for sample in Data(path, layout="arc_challenge")] == [4]


@pytest.mark.parametrize(
    ("row", "target"),
    [
        ({"question": "?", "A": "x", "B": "y", "answer": "B"}, 1),
        ({"question": "?", "A": "B", "B": "A", "answer": "B"}, 1),
        ({"question": "?", "a": "x", "b": "y", "c": "z", "answer": "c"}, 2),
        ({"question": "?", "option_a": "x", "option_b": "y", "answer": "(b)"}, 1),
        ({"question": "?", "A": "x", "B": "y", "C": None, "D": "", "answer": "y"}, 1),
        ({"question": "?", "choices": ["x", "y"], "label": 1}, 1),
        ({"question": "?", "choices": ["7", "0"], "answer": "0"}, 1),
        ({"question": "?", "options": '["x", "y"]', "answer": "x"}, 0),
        ({"question": "?", "options": {"A": "x", "B": "y"}, "answer": "B"}, 1),
        ({"stem": "?", "options": [{"label": "1", "text": "x"}, {"label": "2", "text": "y"}], "gold": 2}, 1),
        ({"question": "?", "A": "x", "B": "y", "N": 7, "answer": "B"}, 1),
        ({"question": "?", "choices": ["x", "y"]}, None),
    ],
)  # fmt: skip
def test_options_in_many_forms(row: dict[str, Any], target: int | None) -> None:
    (sample,) = Data([row], layout="mcq")
    assert sample.target == target


@pytest.mark.parametrize(
    ("layout", "row", "message"),
    [
        ("mcq", {"question": "?", "A": "x", "B": "y", "answer": "C"}, "one of A, B, saw 'C'"),
        ("mcq", {"question": "?", "A": "x", "answer": "A"}, "columns A, B"),
        ("mcq", {"question": "?", "choices": ["x", "y"], "answer": 2}, "one of A, B, saw '2'"),
        ("mcq", {"question": "?", "A": "x", "B": "y", "C": "z", "answer": "AB"}, "one of A, B, C, saw 'AB'"),
        ("mcq", {"question": "?", "A": "x", "B": "", "C": "z", "answer": "C"}, "each of the options A, B, C"),
        ("mcq", {"question": "?", "choices": ["x", None], "answer": 0}, "each of the options A, B"),
        (
            "arc_easy",
            {"question": "?", "choices": {"text": ["x", "y"], "label": ["A"]}, "answerKey": "A"},
            "each of",
        ),
        ("gsm8k", {"question": "?", "answer": "many"}, "answer with a number"),
        ("math", {"problem": "?"}, "column solution"),
        ("math", {"problem": "?", "solution": "It is two."}, "solution with .boxed"),
        ("math", {"problem": "?", "answer": ["1", "2"]}, "one answer"),
        ("aime", {"problem": "?", "answer": True}, "one answer"),
        ("ifeval", {"prompt": "Go.", "instruction_id_list": ["a"], "kwargs": [3]}, "1 mappings"),
        ("humaneval", {"prompt": "def f():", "entry_point": "f"}, "column test"),
        ("ifeval", {"prompt": "Go.", "instruction_id_list": ["a"], "kwargs": [{}, {}]}, "1 mappings"),
        ("sharegpt", {"conversations": [{"from": "gpt", "value": "Hi"}]}, "turn of the user"),
        ("mtbench", {"turns": "Hi"}, "list of texts"),
    ],
)
def test_bad_rows_are_named_by_file_and_line(
    tmp_path: Path, layout: str, row: dict[str, Any], message: str
) -> None:
    path = write_rows(tmp_path / "d.jsonl", [row])
    with pytest.raises(DataError, match=message) as raised:
        list(Data(path, layout=layout))
    assert "d.jsonl, line 1" in str(raised.value)
    data = Data(write_rows(tmp_path / "e.jsonl", [row, 3]), layout=layout, on_bad_row="skip")
    with pytest.raises(DataError, match="every row"):
        list(data)
    assert data.skipped == 2


def test_gsm8k(tmp_path: Path) -> None:
    answer = "She sold 48/2 = <<48/2=24>>24.\n#### 24"
    for split in ("train", "test"):
        write_rows(tmp_path / f"{split}.jsonl", [{"question": f"{split}?", "answer": answer}])
    data = Data(tmp_path, layout="gsm8k")
    (sample,) = data
    assert (sample.input, sample.target) == ("test?", "She sold 48/2 = 24.\n#### 24")
    examples = data.examples()
    assert examples is not None and [sample.input for sample in examples] == ["train?"]
    beside = Data(tmp_path / "test.jsonl", layout="gsm8k").examples()
    assert beside is not None and [sample.input for sample in beside] == ["train?"]
    for split in ("train", "test"):
        write_rows(tmp_path / f"{split}_socratic.jsonl", [{"question": f"{split}!", "answer": "#### 1"}])
    write_rows(tmp_path / "test.jsonl.gz", [{"question": "test?", "answer": answer}])
    assert [sample.input for sample in Data(tmp_path, layout="gsm8k")] == ["test?"]
    guided = Data(tmp_path / "test_socratic.jsonl", layout="gsm8k")
    assert [sample.input for sample in (*guided, *(guided.examples() or ()))] == ["test!", "train!"]


def test_math_as_published_and_its_exports(tmp_path: Path) -> None:
    row = {"problem": "2/4?", "level": "Level 1", "type": "Algebra"}
    solution = "We get $\\boxed{2}$, no, $\\boxed{\\frac{1}{2}}$."
    for split in ("train", "test"):
        for number in (1, 12):
            write_rows(
                tmp_path / "MATH" / split / "algebra" / f"{number}.json", {**row, "solution": solution}
            )  # type: ignore[arg-type]
    samples = list(Data(tmp_path / "MATH", layout="math"))
    assert [(sample.target, sample.meta["subject"]) for sample in samples] == [(solution, "Algebra")] * 2
    (tmp_path / "MATH" / "test" / "algebra" / "3.json").write_text("{")
    with pytest.raises(DataError, match=r"3\.json, row 0: expected a JSON object"):
        list(Data(tmp_path / "MATH", layout="math"))
    exported = {**row, "subject": "Algebra", "answer": "\\frac12", "unique_id": "test/algebra/1.json"}
    (sample,) = Data(write_rows(tmp_path / "math500.jsonl", [exported]), layout="math")
    assert (sample.id, sample.target) == ("test/algebra/1.json", "\\frac12")
    path = write_rows(tmp_path / "aime.jsonl", [{"ID": "2024-I-1", "Problem": "?", "Answer": 33}])
    (aime,) = Data(path, layout="aime")
    assert (aime.id, aime.target) == ("2024-I-1", "33")
    (aime,) = Data([{"origin_prompt": "?", "gold_answer": "033"}], layout="aime")
    assert (aime.input, aime.target) == ("?", "033")
    numbered = {str(n): {"problem": f"{n}?", "solution": "$\\boxed{1}$"} for n in range(2)}
    (tmp_path / "math.json").write_text(json.dumps(numbered))
    assert [sample.input for sample in Data(tmp_path / "math.json", layout="math")] == ["0?", "1?"]


def test_humaneval_and_ifeval(tmp_path: Path) -> None:
    row = {"task_id": "HumanEval/0", "prompt": "def f():\n", "entry_point": "f"}
    row |= {"canonical_solution": "    return 1\n", "test": "def check(c):\n    assert c() == 1\n"}
    (sample,) = Data(write_rows(tmp_path / "HumanEval.jsonl.gz", [row]), layout="humaneval")
    assert (sample.id, sample.meta["entry_point"]) == ("HumanEval/0", "f")
    rows = [{"key": 1000, "prompt": "Go.", "instruction_id_list": ["punctuation:no_comma"],
             "kwargs": [{"num_words": None, "relation": None}]}]  # fmt: skip
    write_rows(tmp_path / "data" / "input_response_data_x.jsonl", [{"prompt": "Go.", "response": "No."}])
    write_rows(tmp_path / "data" / "input_data.jsonl", rows)
    assert len(list(Data(tmp_path / "data", layout="ifeval"))) == 1
    for path in (tmp_path / "ifeval.jsonl", tmp_path / "ifeval.parquet"):
        (sample,) = Data(write_rows(path, rows), layout="ifeval")
        assert (sample.id, sample.meta["kwargs"]) == ("1000", [{}])


def test_conversations(tmp_path: Path) -> None:
    told = [
        ("system", "Be brief."),
        ("human", "Hi"),
        ("gpt", "Hello."),
        ("human", "Bye"),
        ("gpt", "See you."),
    ]
    row = {"id": "a1", "conversations": [{"from": who, "value": text} for who, text in told]}
    (sample,) = Data(write_rows(tmp_path / "ShareGPT.json", [row]), layout="sharegpt")
    assert [turn["role"] for turn in sample.input] == ["system", "user", "assistant", "user"]
    assert sample.target == "See you."
    row = {
        "question_id": 111,
        "category": "math",
        "turns": ["1 + 1?", "Twice that?"],
        "reference": ["2", "4"],
    }
    write_rows(tmp_path / "mt" / "reference_answer" / "x.jsonl", [{"question_id": 111, "choices": []}])
    write_rows(tmp_path / "mt" / "question.jsonl", [row])
    (sample,) = Data(tmp_path / "mt", layout="mtbench")
    assert (sample.id, sample.input, sample.target) == ("111", "1 + 1?", "2")
    assert sample.meta["turns"] == ["1 + 1?", "Twice that?"]


def test_what_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean mmlu"):
        Data([{}], layout="mmmlu")
    with pytest.raises(UsageError, match="input= beside layout=mcq"):
        Data([{}], layout="mcq", input="text")
    write_rows(tmp_path / "train.jsonl", [{"question": "?", "answer": "#### 1"}])
    with pytest.raises(DataError, match="no split 'val' \\(it has train\\)"):
        Data(tmp_path, layout="gsm8k", split="val")
    assert len(list(Data(tmp_path, layout="gsm8k"))) == 1
