"""`steelyard eval` with a cache, a deadline, a budget of failures and prices; what it tells of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chat_service import chatting
from steelyard.cli.parser import parse_arguments
from steelyard.errors import UsageError

Ask = Callable[..., tuple[int, str, str]]
WORDS = ("--data", "words.jsonl", "--metric", "exact")


@pytest.mark.parametrize(
    ("given", "seconds"), [("90", 90), ("1.5", 1.5), ("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86400)]
)
def test_times_have_units(given: str, seconds: float) -> None:
    assert parse_arguments(["eval", "--deadline", given]).deadline == seconds


@pytest.mark.parametrize(
    ("given", "most"), [("0", 0), ("12", 12), ("5%", 0.05), ("2.5 %", 0.025), ("100%", float("inf"))]
)
def test_failures_are_a_number_or_a_share(given: str, most: float) -> None:
    assert parse_arguments(["eval", "--max-failures", given]).max_failures == most


@pytest.mark.parametrize(
    "flags",
    [("--deadline", "soon"), ("--deadline", "0"), ("--max-failures", "1.5"), ("--max-failures", "101%")],
)
def test_what_is_neither_is_refused(flags: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match=flags[1]):
        parse_arguments(["eval", *flags])


def test_a_deadline_stops_a_run_that_can_be_gone_on_with(ask: Ask) -> None:
    slow = ("--model", "./model.py:slow", *WORDS, "--concurrency", "1", "--out", "r")
    code, out, err = ask("eval", *slow, "--deadline", "0.4")
    assert code == 1
    assert "! this run is not finished" in out and "(the deadline of 0.4 s is over)" in out
    assert "stopped: the deadline of 0.4 s is over; " in err
    assert "go on with: steelyard eval --resume r\n" in err
    code, out, err = ask("eval", "--resume", "r", "--concurrency", "40", "--json")
    assert code == 0
    (run,) = json.loads(out)["runs"]
    assert (run["answers"], run["state"], run["reason"]) == (40, "done", None)


def test_failures_stop_a_run(ask: Ask) -> None:
    flaky = ("--model", "./model.py:flaky", *WORDS, "--concurrency", "1", "--quiet")
    code, out, err = ask("eval", *flaky, "--out", "r", "--max-failures", "1")
    assert code == 1
    assert "! this run is not finished: 14 answers so far (2 questions failed, and 1 were allowed to)" in out
    assert "go on with: steelyard eval --resume r --retry-failed\n" in err
    code, _, _ = ask("eval", *flaky, "--out", "s", "--max-failures", "10%")
    assert code == 1
    stored = json.loads(Path("s/run.json").read_text())
    assert stored["state"] == "done" and "max_failures" not in stored["options"]


def test_a_cache_answers_the_second_time(ask: Ask) -> None:
    model = ("--model", "./model.py:echo", *WORDS, "--quiet", "--cache", "answers.sqlite")
    _, _, err = ask("eval", *model, "--out", "a")
    assert "cache: 0 answers from answers.sqlite" in err
    code, out, err = ask("eval", *model, "--out", "b")
    assert code == 0
    assert "cache: 40 answers from answers.sqlite" in err
    assert "40 answers of 40 given before, not asked again" in out and "latency" not in out
    _, out, _ = ask("explain", "b", "3")
    assert "cached given before" in out
    _, out, _ = ask("report", "a", "b", "--json")
    assert [run["cached"] for run in json.loads(out)["runs"]] == [0, 40]


def test_a_cache_without_a_name_lies_with_the_caches(
    ask: Ask, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "caches"))
    _, _, err = ask("eval", "--cache", "--model", "./model.py:echo", *WORDS, "--quiet", "--out", "a")
    assert f"cache: 0 answers from {folder / 'caches' / 'steelyard' / 'answers.sqlite'}" in err
    stored = json.loads((folder / "a" / "run.json").read_text())
    assert stored["options"]["cache"] is True and "--cache" in stored["command"]
    code, out, _ = ask("eval", "--resume", "a", "--json")
    assert code == 0 and json.loads(out)["runs"][0]["answers"] == 40


def test_prices_are_told_kept_and_replaced(ask: Ask, folder: Path) -> None:
    (folder / "prices.yaml").write_text("{currency: EUR, models: {served: {input: 1000, output: 10000}}}")
    (folder / "new.yaml").write_text("{models: {'ser*': {input: 2000, output: 0}}}")
    (folder / "none.yaml").write_text("{models: {other: {input: 1, output: 1}}}")
    with chatting(lambda asked: asked.json["messages"][-1]["content"].split()[-1]) as service:
        model = ("--model", service.url, *WORDS, "--quiet")
        code, out, _ = ask("eval", *model, "--out", "a", "--prices", "prices.yaml")
        assert code == 0
        # Seven tokens in and three out, forty times.
        assert "price" in out and f"{40 * (7 * 1000 + 3 * 10000) / 1e6:.2f} EUR" in out
        _, _, err = ask("eval", *model, "--out", "b", "--prices", "none.yaml")
        assert "none.yaml has no price for served" in err
    _, out, _ = ask("report", "a")
    assert "1.48 EUR" in out
    _, out, _ = ask("report", "a", "--prices", "new.yaml", "--json")
    spent = json.loads(out)["runs"][0]["spent"]
    assert (spent["price"], spent["currency"]) == (pytest.approx(0.56), "USD")
    _, _, err = ask("report", "b", "--prices", "prices.json")
    assert "the prices prices.json cannot be read" in err


def test_a_wrong_address_is_one_line_with_what_mends_it(ask: Ask, folder: Path) -> None:
    with chatting() as service:
        root = service.url.removesuffix("/v1")
        wrong = ("--model", "openai", f"url={root}/api", "model=served", *WORDS, "--out", "r", "--quiet")
        code, out, err = ask("eval", *wrong)
        assert (code, out) == (1, "") and not (folder / "r").exists()
        assert err.splitlines() == [
            f"steelyard: error: 127.0.0.1:{service.port}/api/chat/completions answers HTTP 404: Not Found; "
            f"the OpenAI protocol is spoken at {service.url}",
            f"hint: --model {service.url}",
        ]
        code, _, err = ask("eval", "--model", root, *WORDS, "--out", "r", "--quiet")
        assert f"{service.url} speaks the OpenAI protocol: asked at {service.url}/chat/completions" in err
