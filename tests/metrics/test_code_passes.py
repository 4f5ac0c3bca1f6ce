"""Programs scored by their tests: evaluated, repeated, scored again, and through the command."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from steelyard import Response, Sample, evaluate, open_task, rescore
from steelyard.cli import main
from steelyard.engine import run
from steelyard.errors import DataError
from steelyard.metrics.code import CodePasses, code_passes
from steelyard.store import Run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are run on Linux alone")

TEST = (
    "METADATA = {}\n\n\ndef check(candidate):\n    assert candidate(3) == 6\n    assert candidate(0) == 0\n"
)
PROMPT = 'def double(x: int) -> int:\n    """ Twice a number.\n    >>> double(2)\n    4\n    """\n'
SAMPLE = Sample("HumanEval/0", PROMPT, meta={"entry_point": "double", "test": TEST})


def score(text: str, sample: Sample = SAMPLE, metric: CodePasses = code_passes) -> dict[str, object]:
    async def ask() -> dict[str, object]:
        return dict(await metric(sample, Response(text)))

    return run(ask())


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("def double(x):\n    return x + x\n", "passed"),
        ("```python\ndef double(x):\n    return 2 * x\n```\nThat is it.", "passed"),
        ("    return x * 2\n", "passed"),
        ("def double(x):\n    return x + 3\n", "assertion"),
        ("def double(x):\n    return y + 3\n", "exception (NameError)"),
        ("def double(x):\n    raise KeyError\n", "exception (KeyError)"),
        ("def double(x):\n    return open('/etc/passwd', 'w')\n", "forbidden"),
        ("def double(x):\n    return __import__('socket').socket()\n", "forbidden"),
        ("def double(x):\n    exit(0)\n", "exception (NameError)"),
        ("def double(x):\n    while True: pass\n", "time-out"),
        ("def double(x):\n    return [0] * 10**12\n", "memory"),
        ("def double(x):\n    return x +\n", "syntax"),
        ("", "no code"),
    ],
)
def test_what_a_program_is_worth(text: str, outcome: str) -> None:
    quick = CodePasses(timeout=0.5)
    assert score(text, metric=quick) == {"": outcome == "passed", "outcome": outcome}


def test_tests_without_check_and_samples_without_tests() -> None:
    plain = Sample("1", "", meta={"test": "assert double(2) == 4"})
    assert score("def double(x):\n    return 2 * x", plain) == {"": True, "outcome": "passed"}
    with pytest.raises(DataError, match="sample '2' has no tests"):
        score("x = 1", Sample("2", ""))
    with pytest.raises(DataError, match="must be a name"):
        score("x = 1", Sample("3", "", meta={"test": TEST, "entry_point": "print(1); f"}))


@pytest.mark.parametrize(
    "tests", [TEST, "import math\n'of all'\nclass Tests:\n    def test(self): assert 0\nN = 3"]
)
def test_tests_that_try_nothing_are_no_tests(tests: str) -> None:
    with pytest.raises(DataError, match="sample '4' only define things"):
        score("def double(x):\n    return 0", Sample("4", "", meta={"test": tests}))
    assert score("x = 1", Sample("5", "", meta={"test": f"{tests}\nM = len([x])"}))["outcome"] == "passed"


def test_a_program_with_a_fence_in_it() -> None:
    text = 'def double(x):\n    """\n    ```\n    double(2)\n    ```\n    """\n    return 2 * x\n'
    assert score(text)["outcome"] == "passed"
    assert score(f"```python\n{text}```\n")["outcome"] == "passed"


def test_programs_may_import_from_folders_that_are_named(tmp_path: Path) -> None:
    (tmp_path / "twofold.py").write_text("def twice(x):\n    return 2 * x\n")
    text = "def double(x):\n    import twofold\n    return twofold.twice(x)\n"
    assert score(text)["outcome"] == "exception (ModuleNotFoundError)"
    assert score(text, metric=CodePasses(folders=(str(tmp_path),)))["outcome"] == "passed"


def write_rows(path: Path) -> Path:
    rows = [
        {"task_id": f"HumanEval/{n}", "prompt": PROMPT, "entry_point": "double", "test": TEST}
        for n in range(4)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_an_evaluation_with_repeats_and_again_from_its_folder(tmp_path: Path) -> None:
    answers = iter(
        ["    return 2 * x\n", "    return 0\n", "    return x * x + 1 +\n", "    return x + x\n"] * 2
    )
    task = open_task("humaneval", data=write_rows(tmp_path / "HumanEval.jsonl"))
    kept = evaluate(lambda prompt: next(answers), task, out=tmp_path / "run", repeat=2, concurrency=1)
    found = {one["metric"]: one for one in kept.about["results"]}
    assert found["code_passes"]["value"] == found["code_passes.pass@1"]["value"] == 0.5
    assert found["code_passes.pass@2"]["value"] == 1.0
    assert found["code_passes.outcome"]["labels"] == {"passed": 4, "assertion": 2, "syntax": 2}

    rescored = rescore(tmp_path / "run", [code_passes], extract=task.extract)
    again = {one["metric"]: one for one in rescored.about["results"]}
    assert {name: one["value"] for name, one in again.items() if name.startswith("code_passes")} == {
        name: one["value"] for name, one in found.items() if name.startswith("code_passes")
    }
    assert again["code_passes.outcome"]["labels"] == found["code_passes.outcome"]["labels"]


def test_the_command_evaluates_and_scores_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "HumanEval.jsonl")
    Path("coder.py").write_text("def right(prompt):\n    return '    return x + x'\n")
    told = ["eval", "--model", "./coder.py:right", "--task", "humaneval", "--data", "HumanEval.jsonl"]
    assert main([*told, "--out", "run"]) == 0
    out = capsys.readouterr().out
    assert "code_passes" in out and "passed" in out
    assert [record.scores["code_passes"] for record in Run.open("run").records()] == [True] * 4
    assert main(["score", "run", "--metric", "code_passes"]) == 0
    assert [record.scores["code_passes.outcome"] for record in Run.open("run").records()] == ["passed"] * 4
