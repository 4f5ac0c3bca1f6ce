"""Whatever goes wrong is one line that names it, one that mends it, and an exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Ask = Callable[..., tuple[int, str, str]]
ECHO = ("eval", "--model", "./model.py:echo")
WORDS = ("--data", "words.jsonl", "--metric", "exact")


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (("evl",), "there is no verb 'evl'", "did you mean eval"),
        (("eval", "--modle", "x"), "no flag of steelyard eval '--modle'", "did you mean --model"),
        (("eval", "--limit", "none"), "'none' is not a whole number of at least 1", "steelyard eval --help"),
        (("eval", "--limit", "0"), "'0' is not a whole number", ""),
        (("eval", "--temperature", "-1"), "'-1' is not a number of at least 0", ""),
        (("eval", "--top-p", "nan"), "'nan' is not a number", ""),
        (("report",), "required: RUN", "steelyard report --help"),
        (("list", "modles"), "modles", ""),
        (("eval",), "no model is named", "--model embedded"),
        (("eval", "--model", "embeded", *WORDS), "there is no model 'embeded'", "did you mean embedded?"),
        (("eval", "--model", "./model.py:eco", *WORDS), "'eco'", "did you mean echo?"),
        (("eval", "--model", "./none.py:echo", *WORDS), "there is no file", ""),
        (("eval", "--model", "./broken.py:echo", *WORDS), "cannot be loaded: SyntaxError", "see its line 2"),
        (("eval", "--model", "./model.py:echo", "word", *WORDS), "'word' is not key=value", "batch_size=8"),
        (("eval", "--model", "./model.py:Configured", "wrd=1", *WORDS), "no option 'wrd'", "word"),
        (("eval", "--model", "./model.py:Configured", "word=1", "word=2", *WORDS), "word is given twice", ""),
        ((*ECHO, *WORDS, "other"), "'other' is not key=value", "another flag"),
        ((*ECHO, "--data", "words.jsonl", "inptu=q", "--metric", "exact"), "no option 'inptu'", "input"),
        (("eval", "--model", "./model.py:Picky", *WORDS), "Picky could not be opened: OSError", "--debug"),
        ((*ECHO,), "there is nothing to ask", ""),
        ((*ECHO, "--task", "arithmetc"), "there is no task 'arithmetc'", "did you mean arithmetic"),
        ((*ECHO, "--data", "words.jsonl"), "no metric is named", ""),
        ((*ECHO, "--data", "words.jsonl", "--metric", "exat"), "no metric 'exat'", "did you mean exact"),
        ((*ECHO, "--data", "wrds.jsonl", "--metric", "exact"), "wrds.jsonl", ""),
        ((*ECHO, "--data", "empty.jsonl", "--metric", "exact"), "is empty", ""),
        ((*ECHO, "--data", "words.jsonl", "input=ask", "--metric", "exact"), "'ask'", "input=COLUMN"),
        ((*ECHO, "--data", "latin.csv", "--metric", "exact"), "latin.csv", ""),
        ((*ECHO, *WORDS, "--prompt", "{question}"), "no field 'question'", "input, target"),
        ((*ECHO, *WORDS, "--extract", "numbr"), "there is no extractor 'numbr'", "did you mean number?"),
        ((*ECHO, *WORDS, "--out", "full"), "the folder full is not empty", "resume it"),
        ((*ECHO, *WORDS, "--out", "words.jsonl"), "cannot write to words.jsonl", ""),
        ((*ECHO, *WORDS, "--resume", "none"), "none is not a run", "run.json"),
        (("eval", "--resume", "none"), "none is not a run", "run.json"),
        ((*ECHO, *WORDS, "--retry-failed"), "--retry-failed goes with --resume", ""),
        ((*ECHO, *WORDS, "--out", "a", "--resume", "b"), "name two folders", ""),
        ((*ECHO, *ECHO[1:], "--data", "-", "--metric", "exact"), "stdin can be read only once", ""),
        (("report", "none"), "none is not a run", ""),
        (("report", "damaged"), "run.json is damaged", ""),
        (("report", "list"), "run.json is damaged", ""),
        (("report", "newer"), "was written by a newer version", "pip install -U"),
        (("new", "model", "my-model"), "is no Python name", ""),
        (("new", "model", "model"), "model.py exists already", ""),
        (("explain", "good", "x1"), "there is no sample in good 'x1'", "did you mean"),
        (("compare", "good", "damaged"), "run.json is damaged", ""),
        (("compare", "good", "good", "--metric", "exat"), "no metric in good 'exat'", "did you mean exact?"),
        (("score", "good", "--metric", "exat"), "there is no metric 'exat'", "did you mean exact"),
        (("report", "good", "--by", "colour"), "has a column 'colour'", "steelyard explain"),
        (("report", "good", "--html", "model.py/page.html"), "cannot write model.py/page.html", ""),
    ],
)  # fmt: skip
def test_wrong_commands(ask: Ask, folder: Path, arguments: tuple[str, ...], error: str, hint: str) -> None:
    (folder / "broken.py").write_text("x = 1\ndef (\n")
    (folder / "empty.jsonl").touch()
    (folder / "latin.csv").write_bytes("input,target\ncafé,x\n".encode("latin-1"))
    for name, text in (("damaged", '{"format": 1, "st'), ("list", "[]"), ("newer", '{"format": 99}')):
        (folder / name).mkdir()
        (folder / name / "run.json").write_text(text)
    (folder / "full").mkdir()
    (folder / "full" / "something").touch()
    assert ask(*ECHO, *WORDS, "--out", "good", "--quiet", "--limit", "15")[0] == 0
    code, out, err = ask(*arguments)
    lines = err.splitlines()
    # The page comes after the table: a file that cannot be written does not take the table away.
    assert code != 0 and (out == "" or "--html" in arguments)
    assert lines[0].startswith("steelyard: error: ") and error in lines[0]
    assert len(lines) <= 2
    assert hint in (lines[1] if len(lines) == 2 else "")


def test_debug_shows_where_it_went_wrong(ask: Ask) -> None:
    with pytest.raises(Exception, match="there is no model"):
        ask("eval", "--model", "embeded", *WORDS, "--debug")


def test_a_bug_is_called_a_bug(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(options: object) -> int:
        raise AssertionError("in the works")

    monkeypatch.setattr("steelyard.cli.catalogue.run", fail)
    code, _, err = ask("list")
    assert code == 1
    assert err.splitlines() == [
        "steelyard: error: this is a bug: AssertionError: in the works",
        "hint: run again with --debug and report what it shows",
    ]


def test_names_from_outside_do_not_reach_the_terminal_as_commands(ask: Ask) -> None:
    _, _, err = ask("eval", "--model", "\x1b[31mred\x07", *WORDS)
    assert "\x1b" not in err and "\x07" not in err and "\\x1b[31mred" in err


def test_a_torn_log_is_read_up_to_the_tear_and_a_damaged_line_is_named(ask: Ask, folder: Path) -> None:
    ask(*ECHO, *WORDS, "--out", "r", "--quiet")
    log = folder / "r" / "records.jsonl"
    text = log.read_text()
    log.write_text(text[:-10])
    code, out, _ = ask("report", "r", "--json")
    assert json.loads(out)["runs"][0]["answers"] == 39
    lines = text.splitlines(keepends=True)
    log.write_text("".join([*lines[:3], "{}\n", *lines[4:]]))
    code, _, err = ask("report", "r")
    assert code == 1 and "records.jsonl, line 4 is damaged" in err


def test_an_unfinished_run_is_said_to_be_so(ask: Ask, folder: Path) -> None:
    ask(*ECHO, *WORDS, "--out", "r", "--quiet")
    path = folder / "r" / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "state": "running", "results": []}))
    code, out, _ = ask("report", "r")
    assert code == 1 and "! this run is not finished: 40 answers so far" in out
    assert "1.000" in out


def test_a_reader_that_goes_away_is_no_error(folder: Path) -> None:
    command = f"'{sys.executable}' -m steelyard list | head -1"
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True)
    assert done.stdout == "models\n" and done.stderr == ""
    read, write = os.pipe()
    os.close(read)
    arguments = [sys.executable, "-m", "steelyard", "list"]
    with os.fdopen(write) as gone:
        alone = subprocess.run(arguments, stdout=gone, stderr=subprocess.PIPE, cwd=folder, check=False)
    assert alone.returncode == 1 and alone.stderr == b""


def test_reports_run_nothing_that_a_folder_names(ask: Ask, folder: Path) -> None:
    ask(*ECHO, *WORDS, "--metric", "./metric.py:short", "--out", "r", "--quiet")
    (folder / "evil.py").write_text("open('was-run', 'w')\ndef f(*_): return 1\n")
    path = folder / "r" / "run.json"
    about = {**json.loads(path.read_text()), "metrics": ["./evil.py:f", "evil:f"], "extract": "./evil.py:f"}
    path.write_text(json.dumps({**about, "state": "running"}))
    assert ask("report", "r", "--html", "r.html")[0] == 1
    assert ask("explain", "r", "1")[0] == 0
    assert ask("compare", "r", "r")[0] == 0
    assert not (folder / "was-run").exists()
