"""`report`, `explain`, `compare` and `score`: all from the run folder alone."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

Ask = Callable[..., tuple[int, str, str]]
WORDS = ("--data", "words.jsonl", "--metric", "exact")


def run(ask: Ask, model: str, out: str, *more: str) -> None:
    ask("eval", "--model", f"./model.py:{model}", *WORDS, *more, "--quiet", "--out", out)


@pytest.fixture
def two(ask: Ask) -> Ask:
    run(ask, "echo", "a")
    run(ask, "flaky", "b")
    return ask


def test_report_in_every_form(two: Ask, folder: Path) -> None:
    assert two("report", "a")[0] == 0
    code, out, _ = two("report", "a", "b", "--csv", "--by", "kind")
    assert code == 1
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["run"], row["by"], row["value"], row["n"]) for row in rows] == [
        ("a", "", "", "40"), ("a", "kind", "a", "20"), ("a", "kind", "b", "20"),
        ("b", "", "", "40"), ("b", "kind", "a", "20"), ("b", "kind", "b", "20"),
    ]  # fmt: skip
    assert float(rows[3]["score"]) == pytest.approx(0.9)
    out = two("report", "b", "--md")[1]
    assert "| exact | 0.900 |" in out and "- 4 of 40 requests failed" in out
    found = json.loads(two("report", "a", "b", "--json")[1])["runs"]
    assert [contents["complete"] for contents in found] == [True, False]
    two("report", "a", "b", "--html", "pages/both.html")
    page = (folder / "pages" / "both.html").read_text()
    assert page.count('<article class="run">') == 2
    assert two("report", "a", "--csv", "--md")[0] == 2


def test_the_folder_is_enough(two: Ask, folder: Path) -> None:
    before = two("report", "b", "--by", "kind")[1]
    for name in ("model.py", "words.jsonl", "metric.py"):
        (folder / name).unlink()
    assert two("report", "b", "--by", "kind")[1] == before
    assert two("explain", "b", "3")[0] == 0
    assert two("compare", "a", "b")[0] == 0
    code, out, _ = two("score", "b", "--metric", "contains")
    assert code == 1 and "contains" in out
    assert "exact" not in two("report", "b")[1]


def test_explain_shows_one_sample_whole(ask: Ask) -> None:
    run(ask, "spoken", "r", "--extract", "number", "--chat", "yes", "--system", "Be brief.")
    run(ask, "flaky", "f", "--repeat", "2")
    shown = ask("explain", "r", "12")[1]
    for part in ("prompt, system\n  Be brief.", "prompt, user\n  say w12", "target\n  w12"):
        assert part in shown
    assert "Traceback" not in shown
    assert "other columns\n  kind: a" in shown and "latency" in shown
    shown = ask("explain", "f", "3#1")[1]
    assert shown.startswith("sample 3, asked as 3#1\n") and "failed: it scores 0\n  TimeoutError" in shown
    both = ask("explain", "f", "4")[1]
    assert "asked as 4#0" in both and "asked as 4#1" in both
    assert [record["index"] for record in json.loads(ask("explain", "f", "4", "--json")[1])] == [8, 9]


def test_explain_marks_what_was_taken_out_and_names_the_rule(ask: Ask, folder: Path) -> None:
    (folder / "model.py").write_text(
        "def spoken(prompt):\n    return f'First 5, then 6. The answer is {prompt.split()[-1][1:]}.'\n"
        "def silent(prompt):\n    return 'I cannot say.'\n"
    )
    run(ask, "spoken", "r", "--extract", "number")
    shown = ask("explain", "r", "12")[1]
    assert "First 5, then 6. The answer is ⟦12⟧." in shown
    assert "12 by the rule 'answer is'" in shown
    assert "exact = fail    the answer is the target" in shown
    run(ask, "silent", "s", "--extract", "number")
    shown = ask("explain", "s", "12")[1]
    assert "nothing could be: the rule is 'nothing'" in shown
    assert "! 40 of 40 answers (100 %) hold none that could be taken out" in ask("report", "s")[1]


def test_compare_says_what_is_better_and_what_is_noise(two: Ask) -> None:
    run(two, "other", "c", "--prompt", "{input}")
    code, out, _ = two("compare", "a", "b", "c", "--flips", "3")
    assert code == 0
    assert "exact: noise" in out or "exact: the other run is worse" in out
    assert "40 worse: 0, 1, 2, …" in out
    assert "! failed requests, which count as 0: base 0, other 4" in out
    assert "what differs: model.function" in out
    found = json.loads(two("compare", "a", "c", "--json")[1])["comparisons"]
    assert found[0]["metrics"][0]["verdict"] == "worse" and found[0]["metrics"][0]["lost"] == 40
    assert "no difference at all" in two("compare", "a", "a")[1]
    rows = list(csv.DictReader(io.StringIO(two("compare", "a", "c", "--csv")[1])))
    assert rows[0]["difference"] == "-1.0"
    assert "| exact |" in two("compare", "a", "c", "--md")[1]


def test_compare_writes_a_page(two: Ask, folder: Path) -> None:
    assert two("compare", "a", "b", "--html", "c.html")[0] == 0
    assert "Differences" in (folder / "c.html").read_text()


def test_score_again_with_another_metric_and_rule(ask: Ask) -> None:
    run(ask, "spoken", "r")
    code, out, _ = ask("score", "r", "--metric", "contains", "--metric", "./metric.py:short", "--json")
    assert code == 0
    results = {result["metric"]: result for result in json.loads(out)["runs"][0]["results"]}
    assert set(results) == {"contains", "short"}
    assert results["short"]["value"] == 0.0
    out = ask("score", "r", "--metric", "./metric.py:short", "--extract", "number", "--json")[1]
    results = {result["metric"]: result for result in json.loads(out)["runs"][0]["results"]}
    assert results["short"]["value"] == 1.0
    assert results["extraction"]["labels"] == {"answer is": 40}
