"""Presets over data in the forms that users have them in, and files of one's own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ais_project import Project, toy_model

from ais_bench.benchmark.configuration.presets import PRESETS, copy_preset
from ais_bench.benchmark.datasets.entries import open_set
from ais_bench.benchmark.outcome.results import results_of
from chat_service import chatting, pictures
from steelyard.builtin import BUILTINS
from steelyard.evaluation import evaluate

LETTERS = "'The answer is B' if 'sum' in prompt else 'C'"


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Project:
    project = Project(tmp_path, capsys)
    project.write("conf/models/toy.py", toy_model(LETTERS))
    return project


def ask(project: Project, *words: str, code: int = 0) -> list[list[str]]:
    """The rows of the table, without its head."""
    out, _ = project.call("--config-dir", "conf", "--models", "toy", *words, code=code)
    return [line.split() for line in out.splitlines()[1:]]


def with_mmlu(project: Project) -> None:
    for split, count in (("dev", 5), ("test", 4)):
        for subject in ("algebra", "law"):
            about = "a sum" if subject == "algebra" else "a case"
            rows = [
                f'"{split} {n} about {about}?",one,two,three,four,{"B" if n else "C"}' for n in range(count)
            ]
            project.write(f"ais_bench/datasets/mmlu/{split}/{subject}_{split}.csv", "\n".join(rows) + "\n")


def test_subjects_are_shown_apart_and_averaged(project: Project) -> None:
    with_mmlu(project)
    rows = ask(project, "--datasets", "mmlu_gen_5_shot_str")
    assert [(row[0], row[2], row[4], row[6]) for row in rows] == [
        ("mmlu-algebra", "accuracy", "75.00", "0"),
        ("mmlu-law", "accuracy", "25.00", "0"),
        ("mmlu", "naive_average", "50.00", "0"),
        ("mmlu-weighted", "weighted_average", "50.00", "0"),
    ]
    lines = project.lines("toy", "mmlu")
    assert len(lines) == 8
    assert isinstance(lines[0]["origin_prompt"], str)
    assert lines[0]["origin_prompt"].count("A. one") == 6
    assert {line["gold"] for line in lines} == {"B", "C"}
    rows = ask(project, "--datasets", "mmlu_gen_0_shot_cot_chat_prompt", "--num-prompts", "1")
    assert [row[4] for row in rows] == ["0.00", "100.00", "50.00", "50.00"]
    assert "step by step" in str(project.lines("toy", "mmlu")[0]["origin_prompt"])


def test_letters_are_compared_by_likelihood(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with_mmlu(project)
    monkeypatch.chdir(project.folder)
    one = open_set(copy_preset("datasets", "mmlu_ppl_0_shot_str"), limit=2)
    run = evaluate("embedded", one.task, out=project.folder / "run", chat=one.chat)
    records = list(run.records())
    assert len(records) == 4
    assert {tuple(record.request.choices or ()) for record in records} == {(" A", " B", " C", " D")}
    document = results_of(run, [one])["mmlu"]
    assert (document["mode"], document["n"], document["failed"]) == ("ppl", 4, 0)
    assert set(document["subsets"]) == {"algebra", "law"}


def test_data_are_found_where_the_variable_says(project: Project) -> None:
    options = [{"text": text, "label": label} for label, text in zip("1234", "abcd")]
    row = {"question": {"stem": "Which sum?", "choices": options}, "answerKey": "2"}
    file = project.write("elsewhere/ARC/ARC-c/ARC-Challenge-Test.jsonl", json.dumps(row) + "\n")
    words = ("--models", "toy", "--datasets", "ARC_c_gen_0_shot_chat_prompt")
    _, err = project.run("--config-dir", "conf", *words, code=2)
    assert "put ARC-Challenge-Test.jsonl into ais_bench/datasets/ARC/ARC-c" in err
    out, _ = project.run("--config-dir", "conf", *words, AIS_BENCH_DATASETS_CACHE=str(file.parents[2]))
    assert re.search(r"ARC_c +\w{6} +accuracy +gen +100.00", out)


def test_word_problems_of_the_users_own(project: Project) -> None:
    project.write("conf/models/toy.py", toy_model("'So 1,000 + 234 is $1,234.' + chr(10) + 'Question: 5?'"))
    rows = [{"question": "How much?", "answer": "1000 + 234 = <<1000+234=1234>>1234\n#### 1,234"}]
    for split in ("test", "train"):
        text = "".join(
            json.dumps({**row, "question": f"{split} {n}"}) + "\n" for n in range(5) for row in rows
        )
        project.write(f"ais_bench/datasets/gsm8k/{split}.jsonl", text)
    (row,) = ask(project, "--datasets", "gsm8k_gen_4_shot_cot_str")
    assert row[4] == "100.00"  # what it goes on to ask itself is not its answer
    line = project.lines("toy", "gsm8k")[0]
    assert (line["gold"], line["origin_prompt"].count("train")) == ("1234", 4)
    (row,) = ask(project, "--datasets", "gsm8k_gen_0_shot_cot_chat_prompt", "--num-prompts", "2")
    assert row[4] == "0.00"


def test_instructions_are_scored_four_ways(project: Project) -> None:
    kinds = ["punctuation:no_comma", "change_case:english_lowercase"]
    rows = [{"key": 1, "prompt": "sum", "instruction_id_list": kinds, "kwargs": [{}, {}]}]
    project.write("ais_bench/datasets/ifeval/input_data.jsonl", json.dumps(rows[0]) + "\n")
    rows = ask(project, "--datasets", "ifeval_0_shot_gen_str")
    assert [(row[2], row[4]) for row in rows] == [
        ("Prompt-level-strict-accuracy", "0.00"),
        ("Prompt-level-loose-accuracy", "0.00"),
        ("Inst-level-strict-accuracy", "50.00"),
        ("Inst-level-loose-accuracy", "50.00"),
    ]


def test_questions_about_pictures(project: Project) -> None:
    image = pytest.importorskip("PIL.Image")
    home = project.write("ais_bench/datasets/textvqa/textvqa_val.jsonl", "").parent
    image.new("RGB", (24, 16), "red").save(home / "red.png")
    row = {"image": "red.png", "question": "Which colour?", "answers": ["red"] * 10}
    (home / "textvqa_val.jsonl").write_text(json.dumps(row) + "\n")
    with chatting(lambda asked: "red" if pictures(asked)[0].size == (24, 16) else "blue") as service:
        words = ["vllm_api_general_chat", f"host_port={service.port}", "host_ip=127.0.0.1", "model=served"]
        out, _ = project.call("--models", *words, "--datasets", "textvqa_gen")
    assert re.search(r"textvqa +\w{6} +accuracy +gen +100.00", out)


def test_files_of_ones_own(project: Project) -> None:
    rows = [
        {"question": f"{word} {n}?", "A": "a", "B": "b", "answer": "B"}
        for n, word in enumerate(["sum", "case"])
    ]
    project.write("quiz.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    project.write("short.csv", "question,answer\nwhat?,C\nwho?,c\nhow?,D\n")
    (row,) = ask(project, "--custom-dataset-path", "quiz.jsonl")
    assert (row[0], row[4]) == ("quiz", "50.00")
    assert "A. a" in str(project.lines("toy", "quiz")[0]["origin_prompt"])
    (row, *_) = ask(project, "--custom-dataset-path", "short.csv", "--custom-dataset-data-type", "qa")
    assert (row[0], row[4]) == ("short", "66.67")
    meta = {"abbr": "few", "data_type": "qa", "human_prompt": "Say: {question}", "request_count": 1}
    project.write("short.meta.json", json.dumps(meta))
    (row, *_) = ask(project, "--custom-dataset-path", "short.csv")
    assert (row[0], row[4]) == ("few", "100.00")
    assert "Say: what?" in str(project.lines("toy", "few")[0]["origin_prompt"])
    project.write("other.json", json.dumps({"abr": "x"}))
    _, err = project.call(
        "--config-dir", "conf", "--models", "toy", "--custom-dataset-path", "short.csv",
        "--custom-dataset-meta-path", "other.json", code=2,
    )  # fmt: skip
    assert "did you mean abbr" in err


def test_every_preset_can_be_made() -> None:
    for name in PRESETS["datasets"]:
        entry = copy_preset("datasets", name)
        if "workload" in entry:
            assert entry["workload"] in BUILTINS["workloads"], name
            continue
        assert entry["task"] in BUILTINS["tasks"], name
        assert entry["mode"] == ("ppl" if "ppl" in name else "gen")
        assert str(entry["shots"]) == (re.findall(r"(\d+)_shot", name) or [str(entry["shots"])])[0]
    for name in PRESETS["models"]:
        assert copy_preset("models", name)["abbr"] == name.replace("_", "-")
