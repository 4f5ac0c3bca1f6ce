"""`steelyard score`: a reward model held against people; failures that stop a run; independence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ask = Callable[..., tuple[int, str, str]]

MODEL = """
def brief(request):
    return [-len(answer) for answer in request.choices]

def picky(request):
    if "3" in request.prompt:
        raise ValueError("no three")
    return [-len(answer) for answer in request.choices]

def failing(request):
    raise ValueError("no")

def together(batch):
    return [len(batch) + len(text) for text in batch]

class Counting:
    asked = 0

    def __call__(self, request):
        self.asked += 1
        return [-len(answer) + self.asked for answer in request.choices]
"""


@pytest.fixture(autouse=True)
def rows(folder: Path) -> None:
    (folder / "rewards.py").write_text(MODEL)
    subsets = ("math-prm", "alpacaeval-easy")
    written = [
        {
            "prompt": f"{n} + {n}?",
            "chosen": str(2 * n),
            "rejected": f"{2 * n + 1} or so",
            "subset": subsets[n % 2],
            "split": "test" if n < 8 else "train",
        }
        for n in range(10)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in written))


def about(path: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((Path(path) / "run.json").read_text())
    return loaded


def test_it_is_the_evaluation_of_a_preference(ask: Ask) -> None:
    given = ("--model", "./rewards.py:brief", "--data", "rows.jsonl", "--json")
    code, out, err = ask("score", *given, "--out", "a")
    other, same, _ = ask("eval", "--task", "preference", *given, "--out", "b")
    assert code == other == 0 and "stored in a" in err
    found, expected = (json.loads(text)["runs"][0] for text in (out, same))
    assert found["task"] == "preference" and found["results"] == expected["results"]
    assert found["results"][0]["value"] == 1.0 and set(found["by"]) == {"section", "subset"}
    assert about("a")["identity"] == about("b")["identity"]
    assert about("a")["command"][:2] == ["steelyard", "eval"]
    assert ask("score", "--resume", "a", "--quiet")[0] == ask("eval", "--resume", "a", "--quiet")[0] == 0
    assert ask("score", "a", "--metric", "preference")[0] == 0 and about("a")["rescored"] is True


@pytest.mark.parametrize(
    ("flags", "count"),
    [
        (["--subset", "Reasoning"], 5),
        (["--subset", "math-prm,alpacaeval-easy", "--split", "test"], 8),
        (["--task", "preference", "name=mine", "--split", "train"], 2),
    ],
)
def test_rows_are_chosen(ask: Ask, flags: list[str], count: int) -> None:
    given = ("--model", "./rewards.py:brief", "--data", "rows.jsonl", "--json")
    code, out, _ = ask("score", *given, *flags, "--out", "r")
    assert code == 0 and json.loads(out)["runs"][0]["answers"] == count
    assert json.loads(ask("score", "--resume", "r", "--json")[1])["runs"][0]["answers"] == count


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "rows.jsonl"], "neither a model nor a run is named"),
        (["--metric", "preference"], "neither a model nor a run is named"),
        (["r"], "no metric is named"),
        (["r", "--model", "./rewards.py:brief"], "--model is for asking a model, and r is a run"),
        (["r", "--metric", "preference", "--on-error", "stop"], "--on-error is for asking a model"),
        (["--model", "./rewards.py:brief"], "the task preference needs data"),
        (
            ["--model", "./rewards.py:brief", "--data", "rows.jsonl", "--subset", "2024"],
            "rows has no row of 2024",
        ),
        (
            ["--model", "embedded", "--data", "-", "--check-independence", "2"],
            "stdin can be read only once, and --check-independence",
        ),
        (
            ["--model", "embedded", "--data", "x", "--on-error", "stop", "--max-failures", "1"],
            "--on-error and --max-failures say the same",
        ),
    ],
)
def test_what_cannot_be_is_said(ask: Ask, arguments: list[str], said: str) -> None:
    code, _, err = ask("score", *arguments)
    assert code == 2 and said in err


def test_a_failure_stops_the_run_which_goes_on_once_it_is_mended(ask: Ask, folder: Path) -> None:
    given = ("--model", "./rewards.py:picky", "--data", "rows.jsonl", "--concurrency", "1", "--quiet")
    code, _, err = ask("score", *given, "--on-error", "stop", "--out", "r")
    assert code == 1 and about("r")["state"] == "stopped" and about("r")["answers"] == 4
    assert "stopped: question 3 failed, and none was allowed to: ValueError: no three; 4 answers" in err
    assert "go on with: steelyard eval --resume r --retry-failed" in err
    code, _, err = ask("score", "--resume", "r", "--retry-failed", "--on-error", "stop", "--quiet")
    assert code == 1 and about("r")["answers"] == 4
    assert ask("score", "--resume", "r", "--quiet")[0] == 1
    assert (about("r")["state"], about("r")["answers"], about("r")["results"][0]["failed"]) == ("done", 10, 1)


def test_every_failure_may_be_recorded(ask: Ask, folder: Path) -> None:
    rows = [{"prompt": "?", "chosen": "a", "rejected": "b"}] * 150
    (folder / "many.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = (
        "score",
        "--model",
        "./rewards.py:failing",
        "--data",
        "many.jsonl",
        "--quiet",
        "--concurrency",
        "1",
    )
    assert ask(*given, "--out", "r")[0] == 1 and about("r")["answers"] == 100
    assert ask(*given, "--out", "s", "--on-error", "record")[0] == 1
    assert (about("s")["state"], about("s")["answers"]) == ("done", 150)
    assert "failed: it scores 0\n  ValueError: no" in ask("explain", "s", "0")[1]


def test_a_rated_piece_that_failed_is_left_out(ask: Ask, folder: Path) -> None:
    (folder / "rated.jsonl").write_text('{"audio-path": "a.wav", "musicality": 3}\n')
    given = ("--model", "./rewards.py:failing", "--data", "rated.jsonl", "--quiet", "--out", "r")
    assert ask("score", *given, "--html", "r.html")[0] == 1
    told = "failed: it is left out of the scores"
    assert f"{told}\n  ValueError: no" in ask("explain", "r", "0")[1]
    assert f"<h3>{told}</h3>" in (folder / "r.html").read_text()


def test_independence_is_told_and_stored(ask: Ask) -> None:
    given = ("--data", "rows.jsonl", "--check-independence", "4", "--quiet")
    code, out, err = ask("score", "--model", "./rewards.py:brief", *given, "--out", "a")
    assert code == 0
    assert "independence: 4 questions alone, together and in other orders: the same" in err
    stored = about("a")["independence"]
    assert (stored["holds"], stored["asked"], stored["findings"]) == (True, 4, [])
    assert "depend on what is asked" not in out
    code, out, err = ask("score", "--model", "./rewards.py:Counting", *given, "--out", "b")
    assert code == 0 and about("b")["answers"] == 10
    assert "! independence: asked twice: 8 of 8 scores differ" in err
    assert "! answers depend on what is asked beside them (asked twice): 8 of 8 scores differ" in out
    assert ask("report", "b")[1].count("answers depend on what is asked beside them") == 1
    assert "check_independence" not in about("b")["options"]
    ask("score", "--resume", "a", "--check-independence", "2", "--quiet")
    assert about("a")["independence"]["asked"] == 2


def test_answers_in_texts_are_checked_too(ask: Ask) -> None:
    data = ("--data", "words.jsonl", "--metric", "exact", "--check-independence", "4", "--quiet")
    _, out, err = ask("eval", "--model", "./rewards.py:together", *data, "--out", "r")
    assert "! independence: the batch: 4 of 4 answers differ: it depends on who else is asked" in err
    assert "'7' alone" in err and "! answers depend" in out
