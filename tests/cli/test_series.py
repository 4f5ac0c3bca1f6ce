"""Several models, prompts and data sets in one command: one table, folders told apart, resumed."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ask = Callable[..., tuple[int, str, str]]
Begin = Callable[..., "subprocess.Popen[str]"]
MODELS = ("--model", "./model.py:echo", "--model", "./model.py:other")
DATA = ("--data", "words.jsonl", "--data", "more.jsonl", "input=ask")
PROMPTS = ("--prompt", "Say:  {input}", "--prompt", "@short.txt")
COMMAND = ("eval", *MODELS, *DATA, *PROMPTS, "--metric", "exact")
FOLDERS = sorted(
    f"{data}-{prompt}-{model}"
    for data in ("words", "more")
    for prompt in ("prompt-1", "short")
    for model in ("echo", "other")
)


@pytest.fixture
def files(folder: Path) -> Path:
    rows = [{"ask": f"say m{n}", "target": f"m{n}", "kind": "ab"[n % 2]} for n in range(10)]
    (folder / "more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "short.txt").write_text("Q: {input}\n")
    return folder


def about(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / "run.json").read_text())
    return found


def prompts(path: Path) -> set[str]:
    lines = (path / "records.jsonl").read_text().splitlines()
    return {json.loads(line)["request"]["prompt"].rpartition(" say ")[0] for line in lines}


def test_every_model_is_asked_every_prompt_of_every_data_set(ask: Ask, files: Path) -> None:
    code, out, err = ask(*COMMAND, "--out", "all")
    assert code == 0
    scores, cost, legend, *_ = out.split("\n\n")
    head, *rows = scores.splitlines()
    assert head.split()[:4] == ["task", "prompt", "model", "metric"]
    assert [row.split()[0] for row in rows] == ["words", "words", "more", "more"] * 2
    assert [row.split("exact")[1].split()[0] for row in rows] == ["1.000"] * 4 + ["0.000"] * 4
    assert len(cost.splitlines()) == 9 and "latency ms" in cost
    assert legend.splitlines() == ["prompt 1: Say: {input}", "short: Q: {input}"]
    assert sorted(path.name for path in (files / "all").glob("[!.]*")) == FOLDERS
    assert prompts(files / "all" / "words-short-echo") == {"Q:"}
    assert prompts(files / "all" / "more-prompt-1-other") == {"Say: "}
    assert "more · short · other: 10/10" in err


def test_the_json_and_the_page_carry_the_names(ask: Ask, files: Path) -> None:
    _, out, _ = ask(*COMMAND, "--out", "all", "--quiet", "--json", "--by", "kind", "--html", "all.html")
    runs = json.loads(out)["runs"]
    assert [(run["data"], run["prompt"], run["template"], run["model"]) for run in runs][1:3] == [
        ("words", "short", "Q: {input}", "echo"),
        ("more", "prompt 1", "Say:  {input}", "echo"),
    ]
    assert runs[0]["spent"]["cost"]["rss_peak_bytes"] > runs[0]["spent"]["cost"]["rss_idle_bytes"] / 2
    assert 0 <= runs[0]["spent"]["latency"]["median"] <= runs[0]["spent"]["latency"]["most"]
    page = (files / "all.html").read_text()
    assert page.count('<article class="run">') == 8 and page.count('<article class="overview">') == 1
    for shown in ("8 runs", "By kind", "prompt 1", "Q: {input}", "latency ms"):
        assert shown in page


def test_a_table_by_a_column_has_a_row_for_each_run(ask: Ask, files: Path) -> None:
    _, out, _ = ask(*COMMAND, "--out", "all", "--quiet", "--by", "kind")
    _, by, *_ = out.split("\n\n")
    assert by.splitlines()[0].split()[:5] == ["task", "prompt", "model", "kind", "metric"]
    assert len(by.splitlines()) == 1 + 8 * 2


def test_a_stopped_series_goes_on(begin: Begin, ask: Ask, files: Path) -> None:
    slow = ("eval", "--model", "./model.py:echo", "--model", "./model.py:slow", *COMMAND[5:])
    process = begin(*slow, "--concurrency", "2", "--out", "all", "--csv")
    log = files / "all" / "words-short-slow" / "records.jsonl"
    deadline = time.monotonic() + 60
    while not log.exists() or log.read_bytes().count(b"\n") < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    command = shlex.split(err.splitlines()[-1].partition("go on with: steelyard ")[2])
    assert command == ["eval", "--resume", "all"]
    resumed = begin(*command, "--json")
    out, err = resumed.communicate(timeout=60)
    assert resumed.returncode == 0, err
    assert [run["answers"] for run in json.loads(out)["runs"]] == [40, 40, 10, 10] * 2
    for path in (files / "all").glob("[!.]*"):
        with (path / "answers.csv").open(newline="") as file:
            _, *rows = csv.reader(file, delimiter=";")
        stored = [
            json.loads(line)["request"]["id"] for line in (path / "records.jsonl").read_text().splitlines()
        ]
        assert [key for key, _ in rows] == stored
        assert len(set(stored)) == len(stored) == (40 if path.name.startswith("words") else 10)


def test_killed_in_the_middle_the_sheet_is_whole_after_all(begin: Begin, files: Path) -> None:
    slow = ("--model", "./model.py:slow", "--data", "words.jsonl", "--metric", "exact", "--concurrency", "2")
    process = begin("eval", *slow, "--csv", "--out", "r", "--quiet")
    sheet = files / "r" / "answers.csv"
    deadline = time.monotonic() + 60
    while not sheet.exists() or sheet.read_bytes().count(b"\n") < 6:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=30)
    with sheet.open("ab") as file:
        file.write(b'38;"torn')
    # Flags are those that it was begun with.
    resumed = begin("eval", "--resume", "r", "--quiet")
    _, err = resumed.communicate(timeout=60)
    assert resumed.returncode == 0, err
    with sheet.open(newline="") as file:
        head, *rows = csv.reader(file, delimiter=";", strict=True)
    assert head == ["id", "model_answer"]
    assert sorted((int(key), answer) for key, answer in rows) == [(n, f"w{n}") for n in range(40)]


def test_one_run_of_a_series_goes_on_alone(ask: Ask, files: Path) -> None:
    ask(*COMMAND, "--out", "all", "--quiet")
    path = files / "all" / "more-short-echo"
    log = path / "records.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:4]))
    code, out, _ = ask("eval", "--resume", str(path), "--json", "--quiet")
    (run,) = json.loads(out)["runs"]
    assert (code, run["answers"], run["prompt"], run["data"]) == (0, 10, "short", "more")
    (files / "short.txt").write_text("R: {input}")
    code, _, err = ask("eval", "--resume", str(path))
    assert code == 2 and "task.template was 'Q: {input}', is 'R: {input}'" in err


def test_runs_of_a_series_are_reported_and_compared(ask: Ask, files: Path) -> None:
    ask(*COMMAND, "--out", "all", "--quiet")
    one, other = "all/words-short-echo", "all/words-prompt-1-other"
    _, out, _ = ask("compare", one, other)
    assert "base   words · short · echo  (all/words-short-echo)" in out
    assert "! the prompts differ for 40 of 40 common samples" in out
    _, out, _ = ask("report", one, other, "--csv")
    rows = list(csv.DictReader(out.splitlines()))
    assert [(row["data"], row["prompt"]) for row in rows] == [("words", "short"), ("words", "prompt 1")]
    _, out, _ = ask("report", one, other)
    assert "words · short · echo  (all/words-short-echo)" in out
    assert out.split("\n\n")[-1].splitlines()[0].split()[:3] == ["task", "prompt", "model"]
    ask("report", one, "--answers", "again.csv")
    assert len((files / "again.csv").read_text().splitlines()) == 41
    code, _, err = ask("report", one, other, "--answers", "again.csv")
    assert code == 2 and "--answers writes those of one run" in err


def test_a_series_goes_on_by_its_folder_alone(ask: Ask, files: Path) -> None:
    ask(*COMMAND, "--out", "all", "--quiet", "--limit", "4")
    shutil.rmtree(files / "all" / "more-short-other")
    code, out, _ = ask("eval", "--resume", "all", "--quiet", "--json")
    assert code == 0 and [run["answers"] for run in json.loads(out)["runs"]] == [4] * 8
    _, out, _ = ask("report", "all", "--json")
    assert len(json.loads(out)["runs"]) == 8
    _, out, _ = ask("report", *map(str, sorted((files / "all").glob("*-echo"))), "--json")
    assert len(json.loads(out)["runs"]) == 4
    # One model more, asked all the same.
    more = ("--model", "./model.py:upper")
    code, out, _ = ask("eval", *MODELS, *more, "--resume", "all", "--quiet", "--json")
    assert code == 0 and len(json.loads(out)["runs"]) == 12
    (files / "all" / ".series.json").write_text("[]")
    code, _, err = ask("eval", "--resume", "all")
    assert code == 1 and ".series.json is damaged" in err


def test_secrets_are_not_noted(ask: Ask, files: Path) -> None:
    model = ("--model", "./model.py:Configured", "word=w1", "api_key=hush-hush")
    ask("eval", *model, *COMMAND[3:], "--out", "all", "--quiet", "--limit", "2")
    assert "hush-hush" not in "".join(p.read_text() for p in (files / "all").rglob("*") if p.is_file())
    code, _, err = ask("eval", "--resume", "all")
    assert code == 2 and "api_key is not stored" in err


def test_twins_are_told_apart(ask: Ask, files: Path) -> None:
    (files / "b").mkdir()
    (files / "b" / "words.jsonl").write_text((files / "words.jsonl").read_text())
    (files / "b" / "short.txt").write_text("S: {input}")
    twins = (
        "--data",
        "words.jsonl",
        "--data",
        "b/words.jsonl",
        "--prompt",
        "@short.txt",
        "--prompt",
        "@b/short.txt",
    )
    _, out, _ = ask(
        "eval", *MODELS[:2], *twins, "--metric", "exact", "--out", "all", "--quiet", "--limit", "2"
    )
    scores, *_ = out.split("\n\n")
    assert scores.splitlines()[0].split()[:4] == ["task", "data", "prompt", "model"]
    names = [
        "words-short-echo",
        "words-short-2-echo",
        "words-words-2-short-echo",
        "words-words-2-short-2-echo",
    ]
    assert sorted(path.name for path in (files / "all").glob("[!.]*")) == sorted(names)
    assert prompts(files / "all" / "words-words-2-short-2-echo") == {"S:"}


def test_options_as_they_were_stored_before_there_could_be_several(ask: Ask, files: Path) -> None:
    flags = ("--data", "more.jsonl", "input=ask", "--prompt", "@@{input}", "--metric", "exact")
    ask("eval", *MODELS[:2], *flags, "--out", "r", "--quiet")
    path = files / "r" / "run.json"
    stored = about(files / "r")
    assert stored["options"]["data"] == [["more.jsonl", "input=ask"]]
    stored["options"] |= {"data": ["more.jsonl", "input=ask"], "prompt": "@{input}"}
    path.write_text(json.dumps(stored))
    log = files / "r" / "records.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:4]))
    code, out, err = ask("eval", "--resume", "r", "--json", "--quiet")
    assert code == 0, err
    assert json.loads(out)["runs"][0]["answers"] == 10
    assert {json.loads(line)["request"]["prompt"][:5] for line in log.read_text().splitlines()} == {"@say "}


@pytest.mark.parametrize(
    ("prompt", "error"),
    [("@none.txt", "the prompt none.txt cannot be read"), ("@latin.txt", "latin.txt is not a text in UTF-8")],
)
def test_prompt_files_that_cannot_be_read(ask: Ask, files: Path, prompt: str, error: str) -> None:
    (files / "latin.txt").write_bytes("café {input}".encode("latin-1"))
    code, _, err = ask("eval", *MODELS[:2], *DATA[:2], "--metric", "exact", "--prompt", prompt)
    assert code == 2 and error in err


def test_stdin_is_for_one_run(ask: Ask) -> None:
    code, _, err = ask("eval", *MODELS[:2], "--data", "-", "--data", "words.jsonl", "--metric", "exact")
    assert code == 2 and "stdin can be read only once" in err
