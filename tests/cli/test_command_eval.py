"""`steelyard eval`: what it asks, shows, stores and returns."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Ask = Callable[..., tuple[int, str, str]]
WORDS = ("--data", "words.jsonl", "--metric", "exact")


def about(path: Path) -> dict[str, object]:
    loaded: dict[str, object] = json.loads((path / "run.json").read_text())
    return loaded


def test_a_complete_run_is_shown_stored_and_returns_0(ask: Ask, folder: Path) -> None:
    code, out, err = ask("eval", "--model", "./model.py:echo", *WORDS, "--out", "r")
    assert code == 0
    assert "words · echo  (r)" in out
    row = next(line.split() for line in out.splitlines() if line.startswith("exact"))
    assert row[1] == "1.000" and row[-3:] == ["40", "0", "1.000"]
    assert "stored in r" in err
    assert len((folder / "r" / "records.jsonl").read_text().splitlines()) == 40


def test_failures_are_counted_said_and_return_1(ask: Ask) -> None:
    code, out, _ = ask("eval", "--model", "./model.py:flaky", *WORDS, "--out", "r", "--quiet")
    assert code == 1
    assert "! 4 of 40 requests failed and count as 0" in out
    assert "! 4 × TimeoutError: no answer within" in out
    assert "0.900" in out


def test_a_metric_that_fails_returns_1(ask: Ask) -> None:
    metric = ("--metric", "./metric.py:broken")
    code, out, _ = ask("eval", "--model", "./model.py:echo", *WORDS, *metric, "--out", "r")
    assert code == 1
    assert "the metric failed, 40 × broken: KeyError: 'weights'" in out


def test_a_metric_that_says_nothing_is_told(ask: Ask, folder: Path) -> None:
    (folder / "bare.jsonl").write_text('{"input": "no target"}\n')
    _, out, _ = ask("eval", "--model", "./model.py:echo", "--data", "bare.jsonl", "--metric", "exact")
    assert "! exact is undefined for 1 answer, which it leaves out" in out


def test_json_is_one_document(ask: Ask) -> None:
    code, out, err = ask(
        "eval", "--model", "./model.py:flaky", *WORDS, "--json", "--by", "kind", "--out", "r"
    )
    (run,) = json.loads(out)["runs"]
    assert code == 1
    assert (run["answers"], run["failed"], run["complete"]) == (40, 4, False)
    assert run["results"][0]["value"] == pytest.approx(0.9)
    assert {value: part[0]["n"] for value, part in run["by"]["kind"].items()} == {"a": 20, "b": 20}
    assert sum(run["reasons"].values()) == 4
    assert "40/40" in err


def test_every_model_is_asked_every_task(ask: Ask, folder: Path) -> None:
    models = ("--model", "./model.py:echo", "--model", "./model.py:flaky")
    code, out, _ = ask("eval", *models, *WORDS, "--out", "all", "--quiet")
    assert code == 1
    scores, cost, *_ = out.split("\n\n")
    rows = [line.split() for line in scores.splitlines() if line.startswith("words")]
    assert cost.splitlines()[0].split()[:2] == ["task", "model"] and "wall s" in cost
    assert [row[:4] for row in rows] == [
        ["words", "echo", "exact", "1.000"],
        ["words", "flaky", "exact", "0.900"],
    ]
    assert sorted(path.name for path in (folder / "all").glob("[!.]*")) == ["words-echo", "words-flaky"]
    code, out, _ = ask("eval", *models, *WORDS, "--resume", "all", "--quiet", "--json")
    assert [run["answers"] for run in json.loads(out)["runs"]] == [40, 40]


def test_flags_shape_the_requests(ask: Ask, folder: Path) -> None:
    flags = ("--prompt", "Q: {input} ({kind})", "--system", "Be brief.", "--max-tokens", "7", "--stop", "\n")
    more = ("--temperature", "0.5", "--param", "top_k=3", "--limit", "4", "--offset", "2", "--repeat", "2")
    ask("eval", "--model", "./model.py:echo", *WORDS, *flags, *more, "--chat", "no", "--out", "r", "--quiet")
    records = [json.loads(line) for line in (folder / "r" / "records.jsonl").read_text().splitlines()]
    assert len(records) == 8
    first = records[0]["request"]
    assert first["prompt"] == "Be brief.\n\nQ: say w2 (a)"
    assert first["id"] == "2#0"
    params = {"seed": 0, "max_tokens": 7, "stop": ["\n"], "temperature": 0.5, "top_k": 3}
    assert first["params"] == params


def test_options_of_models_and_secrets(ask: Ask, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "from-the-environment")
    base = ("--data", "words.jsonl", "--metric", "exact", "--quiet", "--limit", "2")
    model = ("--model", "./model.py:Configured", "word=w1")
    ask("eval", *model, "api_key=hush-hush", *base, "--out", "r", "--html", "r.html")
    ask("eval", *model, "api_key=env:SECRET_KEY", *base, "--out", "s")
    for name in ("r/run.json", "r/records.jsonl", "r.html", "s/run.json"):
        text = (folder / name).read_text()
        assert "hush-hush" not in text and "from-the-environment" not in text
    assert about(folder / "r")["options"]["model"] == [["./model.py:Configured", "word=w1", "api_key=***"]]
    code, _, err = ask("eval", "--resume", "r")
    assert code == 2 and "api_key is not stored" in err
    assert ask("eval", "--resume", "s", "--quiet")[0] == 0
    code, _, err = ask("eval", *model, "api_key=env:NO_SUCH_KEY", *base)
    assert code == 2 and "NO_SUCH_KEY" in err


def test_resume_alone_takes_the_stored_flags(ask: Ask, folder: Path) -> None:
    ask("eval", "--model", "./model.py:flaky", *WORDS, "--repeat", "2", "--out", "r", "--quiet")
    log = folder / "r" / "records.jsonl"
    whole = log.read_text().splitlines(keepends=True)
    log.write_text("".join(whole[:30]) + whole[30][:17])
    code, out, _ = ask("eval", "--resume", "r", "--json")
    (run,) = json.loads(out)["runs"]
    assert (code, run["answers"], run["failed"]) == (1, 80, 8)
    indices = [json.loads(line)["index"] for line in log.read_text().splitlines()]
    assert sorted(indices) == list(range(80))
    text = (folder / "model.py").read_text()
    (folder / "model.py").write_text(text.replace('endswith("3")', 'endswith("33")'))
    fresh = [sys.executable, "-m", "steelyard", "eval", "--resume", "r"]
    done = subprocess.run(fresh, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 2
    assert "is a run of something else: model.source was" in done.stderr


def test_retry_failed_asks_only_what_failed(ask: Ask, folder: Path) -> None:
    (folder / "model.py").write_text(
        "import pathlib\n"
        "def flaky(prompt):\n"
        "    if prompt.endswith('3') and not pathlib.Path('mended').exists():\n"
        "        raise TimeoutError\n"
        "    return prompt.split()[-1]\n"
    )
    assert ask("eval", "--model", "./model.py:flaky", *WORDS, "--out", "r", "--quiet")[0] == 1
    (folder / "mended").touch()
    code, out, _ = ask("eval", "--resume", "r", "--retry-failed", "--quiet")
    assert code == 0
    assert "1.000" in out
    cost = about(folder / "r")["cost"]
    assert isinstance(cost, list) and [part["answers"] for part in cost] == [40, 4]


def test_rows_of_a_tasks_own_data_can_be_chosen(ask: Ask, folder: Path) -> None:
    (folder / "task.py").write_text(
        "from steelyard import Sample, Task\n"
        "def exact(sample, response):\n"
        "    return response.text == sample.target\n"
        "rows = [Sample(str(n), f'say {n}', str(n)) for n in range(9)]\n"
        "mine = Task(name='mine', data=rows, metrics=[exact])\n"
    )
    command = ("eval", "--model", "./model.py:echo", "--task", "./task.py:mine", "--quiet", "--json")
    _, out, _ = ask(*command, "--sample", "3", "--seed", "5", "--out", "a")
    assert json.loads(out)["runs"][0]["answers"] == 3
    _, out, _ = ask(*command, "--offset", "7", "--out", "b")
    assert json.loads(out)["runs"][0]["answers"] == 2


def test_skipped_rows_are_said(ask: Ask, folder: Path) -> None:
    with (folder / "words.jsonl").open("a") as file:
        file.write("{torn\n")
    code, _, err = ask("eval", "--model", "./model.py:echo", *WORDS, "--out", "r")
    assert code == 2 and "words.jsonl, line 41" in err
    skip = ("--on-bad-row", "skip", "--out", "s")
    code, out, _ = ask("eval", "--model", "./model.py:echo", *WORDS, *skip)
    assert code == 0
    assert "! 1 bad rows were passed over; the first: " in out
    assert "1 bad rows" in ask("report", "s")[1]


def test_stdin_is_data(folder: Path) -> None:
    command = [sys.executable, "-m", "steelyard", "eval", "--model", "./model.py:echo"]
    command += ["--data", "-", "format=jsonl", "--metric", "exact", "--json"]
    text = (folder / "words.jsonl").read_text()
    done = subprocess.run(command, input=text, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["runs"][0]["answers"] == 40


@pytest.mark.parametrize("kind", ["model", "metric", "task", "data"])
def test_what_new_writes_runs_with_the_command_it_prints(ask: Ask, folder: Path, kind: str) -> None:
    code, out, _ = ask("new", kind, f"my_{kind}")
    assert code == 0
    path = folder / f"my_{kind}.py"
    assert len(path.read_text().splitlines()) <= 40
    command = out.splitlines()[-1].split()
    code, out, _ = ask(*command[1:], "--quiet", "--json", "--limit", "4")
    assert code == 0
    assert 2 <= json.loads(out)["runs"][0]["answers"] <= 4
    code, _, err = ask("new", kind, f"my_{kind}")
    assert code == 2 and "exists already" in err
