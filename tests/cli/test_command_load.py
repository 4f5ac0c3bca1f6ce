"""steelyard load, and report, compare, explain and score on what it stores: a real service on a socket."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from chat_service import chatting, refusal
from faulty_service import Asked, Service, reply, serving
from steelyard.cli.stages import read_levels, read_stages
from steelyard.errors import SteelyardError, UsageError
from steelyard.loadtest.plan import check_stage, list_dues
from steelyard.store import Run

Ask = Callable[..., tuple[int, str, str]]
LITTLE = ("--workload", "synthetic", "input=8", "output=4", "--quiet", "--scrape", "off", "--workers", "1")


@pytest.fixture
def service() -> Iterator[Service]:
    with chatting(lambda asked: "one two three") as found:
        yield found


@pytest.fixture
def load(ask: Ask, service: Service) -> Ask:
    """Load the service as the flags say."""

    def call(*flags: str) -> tuple[int, str, str]:
        return ask("load", "--model", service.url, *LITTLE, *flags)

    return call


def test_one_line_measures_and_shows_what_is_asked_of_it(load: Ask, ask: Ask) -> None:
    code, out, err = load("--requests", "12", "--concurrency", "3", "--out", "run")
    assert code == 0, err
    for label in ("E2EL", "TTFT", "ITL", "output speed", "our lag"):
        assert re.search(rf"^{label} +(ms|tokens/s) ", out, re.M), out
    assert "12 (12 answered, 0 failed)" in out
    assert re.search(r"times taken by +(the kernel|our reader)", out)
    assert re.search(r"tokens counted by +the service", out)
    assert "with 12 answers a p99 is hardly more than the slowest" in out
    run = Run.open("run")
    assert [stage["name"] for stage in run.about["stages"]] == ["3 clients"]
    assert run.about["command"][:2] == ["steelyard", "load"]
    # What was measured is what is shown again.
    assert ask("report", "run")[:2] == (0, out)


def test_what_has_no_load_is_a_closed_loop_of_a_while() -> None:
    stages = read_stages({})
    assert [(s.name, s.concurrency, s.requests, s.duration, s.warmup) for s in stages] == [
        ("warm-up", 1, 1, None, True),
        ("16 clients", 16, None, 30.0, False),
    ]


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        ({"rate": 5.0}, ["5/s poisson"]),
        ({"rate": 5.0, "concurrency": 3, "arrival": "constant"}, ["5/s constant, at most 3"]),
        ({"rate": 5.0, "burstiness": 0.5}, ["5/s gamma"]),
        ({"rate": 20.0, "ramp_from": 1.0, "ramp_for": 60.0}, ["1 to 20/s"]),
        ({"rate": 20.0, "ramp_from": 1.0, "ramp_for": 9.0, "burstiness": 0.5}, ["1 to 20/s"]),
        ({"rate": 20.0, "arrival": "burst", "burst": 4}, ["20/s burst"]),
        ({"arrival": "at_once", "requests": 200}, ["200 at once"]),
        ({"concurrency": 100, "pressure": 5.0}, ["100 clients, 5/s join"]),
        ({"arrival": "trace"}, ["trace"]),
        ({"sweep": "rate=1,2,4"}, ["1/s", "2/s", "4/s"]),
        ({"sweep": "concurrency=1:8:x2"}, ["1 client", "2 clients", "4 clients", "8 clients"]),
        ({"stage": [["rate=300/m duration=2s"], ["concurrency=3"]]}, ["5/s poisson", "3 clients"]),
        ({"stage": [["rate=5"], ["rate=5"]]}, ["5/s poisson", "5/s poisson (2)"]),
    ],
)
def test_flags_become_stages_that_can_be_asked(flags: dict[str, Any], names: list[str]) -> None:
    stages = read_stages({**flags, "warmup": 0})
    assert [stage.name for stage in stages] == names
    for stage in stages:
        check_stage(stage)
        if stage.arrival not in (None, "trace"):
            dues = list_dues(stage)
            assert next(dues) >= 0 and next(dues) >= 0


def test_levels_of_a_sweep() -> None:
    assert read_levels("rate=10:50:+10") == ("rate", [10, 20, 30, 40, 50])
    assert read_levels("rate=1:10:x3") == ("rate", [1, 3, 9, 10])
    assert read_levels("concurrency=4:4") == ("concurrency", [4])
    assert read_levels("rate=60/m,2") == ("rate", [1, 2])


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--rate", "5", "--pressure", "2", "--concurrency", "3"], "--pressure is a closed loop"),
        (["--pressure", "2"], "--pressure says how fast clients join"),
        (["--arrival", "poisson"], "--arrival poisson wants a rate"),
        (["--rate", "5", "--arrival", "at_once", "--requests", "9"], "--rate is nothing to at_once"),
        (["--arrival", "at_once"], "all at once is a number of requests"),
        (["--rate", "5", "--arrival", "gamma"], "--arrival gamma wants its shape"),
        (["--rate", "5", "--arrival", "constant", "--burstiness", "2"], "--burstiness goes with"),
        (["--rate", "5", "--ramp", "linear"], "a ramp is from a rate to a rate"),
        (["--rate", "zero"], "is not a rate"),
        (["--duration", "soon"], "is not a time"),
        (["--workers", "none"], "neither auto nor a number"),
        (["--sweep", "rate=1,2", "--rate", "5"], "--sweep rate goes through what --rate says"),
        (["--sweep", "rate=1:9:y2"], "goes nowhere"),
        (["--sweep", "rate=1:9000:+1"], "more than 200 levels"),
        (["--sweep", "rate=2,2"], "has a level twice"),
        (["--sweep", "rate=1", "--stage", "rate=2"], "two ways to say what is asked"),
        (["--stage", "rat=1"], "no field of a stage 'rat'"),
        (["--stage", "rate"], "is not key=value"),
        (["--search", "rate"], "a search is for what keeps objectives"),
        (["--search", "rat", "--slo", "error=1%"], "'rat' is no search"),
        (["--search", "rate=9:2", "--slo", "error=1%"], "goes nowhere"),
        (["--search", "rate", "--rate", "3", "--slo", "error=1%"], "--search looks for what --rate says"),
        (["--confidence", "95%"], "--confidence goes with --search"),
        (["--search", "rate", "--slo", "error=1%", "--tolerance", "5"], "is not a share"),
        (["--slo", "ttft_p98=1s"], "p98"),
        (["--slo", "ttft_p99=fast"], "is no limit for ttft"),
        (["--goodput", "itl=5ms"], "no limit of goodput 'itl'"),
        (["--data", "x.jsonl"], "--workload and --data both say"),
        (["--html", "."], "is a folder"),
        (["--speed", "2"], "--speed goes with --arrival trace"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_asked(
    load: Ask, service: Service, flags: list[str], said: str
) -> None:
    code, out, err = load(*flags)
    assert (code, out) == (2, ""), err
    assert said in err and "hint: " in err
    assert not [asked for asked in service.asked if asked.method == "POST"]
    assert not Path("runs").exists()


def test_a_missing_library_is_told_before_anything_is_asked(
    load: Ask, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, out, err = load("--requests", "2", "--parquet", "rows.parquet")
    assert (code, out) == (2, "") and "steelyard[arrow]" in err
    assert not [asked for asked in service.asked if asked.method == "POST"]


def test_it_needs_a_model(ask: Ask) -> None:
    code, _, err = ask("load", "--rate", "5")
    assert code == 2 and "no model is named" in err


def test_several_stages_in_one_table(load: Ask, ask: Ask) -> None:
    flags = ("--stage", "concurrency=2", "requests=6", "--stage", "rate=100 requests=5 name=fast")
    code, out, err = load(*flags, "--out", "run", "--slo", "e2el_p99=1m,error=0%")
    assert code == 0, err
    head, *rows = [line for line in out.splitlines() if re.match(r"stage |2 clients |fast ", line)]
    assert head.split()[:3] == ["stage", "requests", "failed"] and head.endswith("objectives")
    assert [row.split("  ")[0] for row in rows] == ["2 clients", "fast"]
    assert all(row.endswith("kept") for row in rows)
    _, shown, _ = ask("report", "run", "--stage", "fast")
    assert "5 (5 answered" in shown and "6 (6 answered" not in shown


def test_objectives_and_failures_decide_the_exit_code(ask: Ask) -> None:
    count = 0

    def every_fifth(asked: Asked) -> Any:
        nonlocal count
        count += 1
        return refusal("the cat sat on it") if count % 5 == 0 else "one two"

    with chatting(every_fifth) as service:
        flags = ("--model", service.url, *LITTLE, "--requests", "20", "--warmup", "0")
        code, out, _ = ask("load", *flags)
        assert code == 1 and "4 failed" in out and "the cat sat on it" in out
        assert "4 of 20 requests failed" in out
        code, out, _ = ask("load", *flags, "--slo", "error=30%")
        assert code == 0 and "error <= 30 %: kept" in out
        code, out, _ = ask("load", *flags, "--slo", "error=1%")
        assert code == 1 and "error <= 1 %: missed" in out
    with chatting() as service:
        flags = ("--model", service.url, *LITTLE, "--requests", "5", "--warmup", "0")
        code, out, _ = ask("load", *flags, "--slo", "e2el_p99=1us")
        assert code == 1 and "e2el_p99 <= 1 µs: missed" in out


def test_a_sweep_tells_what_each_level_showed(load: Ask) -> None:
    code, out, err = load("--sweep", "concurrency=1,2,4", "--requests", "8", "--slo", "e2el_p99=1m")
    assert code == 0, err
    rows = [line for line in out.splitlines() if re.match(r"(1 client|[24] clients) ", line)]
    assert len(rows) == 3 and all(row.endswith(" kept") for row in rows)
    assert "the most was " in out


def test_a_search_says_what_it_found(load: Ask) -> None:
    flags = ("--search", "concurrency=1:2", "--requests", "40", "--slo", "e2el_p50=1m", "--json")
    code, out, err = load(*flags)
    (run,) = json.loads(out)["runs"]
    found = run["search"]
    assert found["what"] == "concurrency" and found["said"], err
    assert code == (0 if found["value"] is not None else 1)
    assert {level["value"] for level in found["levels"]} <= {1, 2}
    assert run["stages"][0]["objectives"][0]["objective"] == "e2el_median"


def test_answers_that_get_worse_under_load_are_found(ask: Ask, folder: Path) -> None:
    rows = "".join(f'  - {{question: "say w{n}", answer: "w{n}"}}\n' for n in range(12))
    (folder / "words.yaml").write_text(
        f"task_id: words\ntask_type: qa\ndataset:\n{rows}metrics:\n  - name: exact\n"
    )
    asked_before = 0

    def forgetful(asked: Asked) -> Any:
        nonlocal asked_before
        said = asked.json["messages"][-1]["content"]
        found = re.search(r"say (w\d+)", said)
        asked_before += 1
        # At idle each of the twelve is asked twice; afterwards it forgets.
        return found[1] if found and asked_before <= 24 else "something else"

    with chatting(forgetful) as service:
        flags = ("--model", service.url, *LITTLE, "--requests", "60", "--concurrency", "4", "--warmup", "0")
        checks = ("--check-answers", "words.yaml", "share=0.5")
        code, out, err = ask("load", *flags, *checks, "--out", "run", "--csv", "rows.csv", "--html", "p.html")
    assert code == 1, err
    assert re.search(r"^4 clients: worse; exact 1 at idle, 0 under load", out, re.M), out
    assert "Answers under load" in (folder / "p.html").read_text()
    checked = [row["check"] for row in csv.DictReader((folder / "rows.csv").read_text().splitlines())]
    assert len(checked) == 60 and 20 <= checked.count("1") <= 40
    # What is shown of times is of the load alone.
    assert f"{checked.count('0')} ({checked.count('0')} answered, 0 failed)" in out


def test_one_document_for_machines(load: Ask) -> None:
    code, out, _ = load("--requests", "8", "--goodput", "e2el=1m", "--json", "--param", "temperature=0")
    document = json.loads(out)
    (run,) = document["runs"]
    assert code == 0 and run["good"] and run["state"] == "done" and run["requests"] == 8
    (stage,) = run["stages"]
    assert stage["performance"]["goodput"] == pytest.approx(stage["performance"]["request_rate"])
    assert stage["performance"]["statistics"]["e2el"]["n"] == 8
    assert stage["plan"]["requests"] == 8


def test_rows_and_a_page_and_gauges(load: Ask, ask: Ask, folder: Path) -> None:
    pushed: list[Asked] = []

    def take(asked: Asked) -> bytes:
        pushed.append(asked)
        return reply({}, status=200 if "/good/" in asked.target else 500)

    with serving(take) as gateway:
        url = f"http://user:secret@127.0.0.1:{gateway.port}"
        files = ("--html", "page.html", "--csv", "rows.csv", "--parquet", "rows.parquet")
        code, _, err = load(
            "--requests", "9", "--out", "run", *files, "--push", f"{url}/metrics/job/good/x/y"
        )
        assert code == 0, err
        code, _, err = ask("report", "run", "--push", url)
        assert code == 1 and "answered 500" in err and "secret" not in err
    assert [(one.method, one.target) for one in pushed] == [
        ("PUT", "/metrics/job/good/x/y"),
        ("PUT", "/metrics/job/steelyard"),
    ]
    assert pushed[0].headers["authorization"] == "Basic dXNlcjpzZWNyZXQ="
    assert b"steelyard_load_requests{" in pushed[0].body and b'state="answered"} 9\n' in pushed[0].body
    rows = list(csv.DictReader((folder / "rows.csv").read_text().splitlines()))
    assert len(rows) == 9 and all(row["state"] == "ok" and row["tokens_out"] == "3" for row in rows)
    assert all(float(row["sent"]) <= float(row["first_token"]) <= float(row["done"]) for row in rows)
    table = parquet.read_table(folder / "rows.parquet").to_pylist()
    assert [row["id"] for row in table] == [row["id"] for row in rows]
    assert table[0]["e2el"] == pytest.approx(float(rows[0]["e2el"]))
    assert "<svg" in (folder / "page.html").read_text()
    code, _, err = ask("report", "run", "--rows", "again.csv")
    assert (folder / "again.csv").read_text() == (folder / "rows.csv").read_text()


def test_a_table_for_programs_is_of_what_was_chosen_and_doubted_beside(load: Ask, ask: Ask) -> None:
    stages = ("--stage", "concurrency=1", "requests=3", "--stage", "concurrency=2", "requests=30")
    assert load(*stages, "--out", "run")[0] == 0
    _, out, err = ask("report", "run", "--csv")
    assert {row["stage"] for row in csv.DictReader(out.splitlines())} == {"1 client", "2 clients"}
    assert "! run: 1 client: with 3 answers a p99 is hardly more than the slowest of them" in err
    _, out, err = ask("report", "run", "--csv", "--stage", "2", "--steady")
    rows = {row["measure"]: row for row in csv.DictReader(out.splitlines())}
    assert rows["E2EL"]["stage"] == "2 clients" and int(rows["E2EL"]["n"]) <= 30
    assert re.search(r"^run: 2 clients: (from|no steady state)", err, re.M)


def test_load_runs_are_read_by_the_other_verbs(load: Ask, ask: Ask, folder: Path) -> None:
    for name in ("a", "b"):
        assert load("--requests", "40", "--concurrency", "4", "--out", name, "--keep-answers")[0] == 0
    code, out, _ = ask("compare", "a", "b", "--html", "compared.html")
    assert code == 0 and re.search(r"^ttft_p99 .*(better|worse|no difference can be told)$", out, re.M)
    assert "What changed" in (folder / "compared.html").read_text()
    code, out, err = ask("compare", "a", "b", "--csv")
    assert out.startswith("run,stage,number") and "! a: with 40 answers a p99 is hardly more" in err
    document = json.loads(ask("compare", "a", "b", "--json")[1])
    assert document["comparisons"][0]["stage"] == "4 clients"
    first = next(one.sample.id for one in Run.open("a").records() if one.sample.meta["stage"] == 0)
    code, out, _ = ask("explain", "a", first)
    assert code == 0 and "first token" in out and "one two three" in out and "prompt" in out
    assert json.loads(ask("explain", "a", first, "--json")[1])[0]["id"] == first
    # A warm-up is in no figure, and can be looked at all the same.
    assert load("--requests", "4", "--concurrency", "2", "--warmup", "3", "--out", "c")[0] == 0
    warm, measured = (ask("explain", "c", name)[1] for name in ("0", "3"))
    assert "request 0, turn 1 of session 0, in the stage warm-up" in warm
    assert "request 3, turn 1 of session 3, in the stage 2 clients" in measured
    assert re.search(r"tokens in +\d+, counted by usage\n +tokens out +\d+, counted by usage", measured)
    code, _, err = ask("explain", "a", "nobody")
    assert code == 2 and "no request 'nobody'" in err
    code, _, err = ask("score", "a", "--metric", "exact")
    assert code == 2 and "is a load run" in err
    ask(
        "eval",
        "--model",
        "./model.py:echo",
        "--data",
        "words.jsonl",
        "--metric",
        "exact",
        "--out",
        "e",
        "--quiet",
    )
    for verb in ("report", "compare"):
        code, _, err = ask(verb, "a", "e")
        assert code == 2 and "e is an evaluation" in err
    code, _, err = ask("report", "a", "--by", "kind")
    assert code == 2 and "--by is of evaluations" in err
    code, _, err = ask("report", "e", "--rows", "x.csv")
    assert code == 2 and "--rows is of load runs" in err
    assert ask("report", "a", "--md")[1].startswith("## ")
    assert ask("report", "a", "b", "--csv")[1].startswith("run,stage,measure,unit,average")


def test_a_run_that_is_stopped_is_shown_and_gone_on_with(
    begin: Callable[..., subprocess.Popen[str]], ask: Ask, folder: Path
) -> None:
    def slow(asked: Asked) -> Any:
        return "one two"

    with chatting(slow) as service:
        flags = ("--model", service.url, *LITTLE, "--rate", "20", "--requests", "60", "--out", "run")
        process = begin("load", *flags)
        wait_for(lambda: sum(1 for one in service.asked if one.method == "POST") > 10)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130, err
        assert "this run is interrupted" in out and "steelyard load --resume run" in err
        before = sum(1 for _ in Run.open("run").records())
        again = ("load", "--resume", "run", "--quiet", "--workers", "1", "--scrape", "off")
        code, out, err = ask(*again)
        wrong = [ask(*again, "--out", "other"), ask(*again, "--requests", "70")]
    assert code == 0, err
    assert [code for code, _, _ in wrong] == [2, 2]
    assert "name two folders" in wrong[0][2] and "requests was 60, is 70" in wrong[1][2]
    assert "60 (60 answered" in out
    asked = [one.sample.id for one in Run.open("run").records() if one.sample.meta["stage"] == 0]
    assert before < 60 and len(asked) == len(set(asked)) == 60


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_data_and_tasks_are_asked_too(load: Ask, ask: Ask, service: Service) -> None:
    flags = ("--model", service.url, "--quiet", "--scrape", "off", "--workers", "1", "--warmup", "0")
    code, _, err = ask(
        "load",
        *flags,
        "--data",
        "words.jsonl",
        "--prompt",
        "Please {input}",
        "--requests",
        "6",
        "--max-tokens",
        "5",
    )
    assert code == 0, err
    bodies = [one.json for one in service.asked if one.method == "POST"]
    assert {body["messages"][-1]["content"] for body in bodies} == {f"Please say w{n}" for n in range(6)}
    assert {body["max_tokens"] for body in bodies} == {5}
    code, _, err = ask("load", *flags, "--task", "arithmetic", "--requests", "3")
    assert code == 0, err


def test_a_trace_is_replayed_as_it_was(load: Ask, ask: Ask, service: Service, folder: Path) -> None:
    rows = [{"timestamp": 40 * n, "input_length": 6, "output_length": 3, "hash_ids": [n]} for n in range(5)]
    (folder / "trace.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = ("--model", service.url, "--quiet", "--scrape", "off", "--warmup", "0", "--out", "run")
    code, _, err = ask("load", *flags, "--workload", "trace.jsonl")
    assert code == 0, err
    assert Run.open("run").about["stages"][0]["name"] == "trace"
    dues = sorted(
        record.response.timing.due for record in Run.open("run").records() if record.response.timing
    )
    assert [round(due - dues[0], 3) for due in dues] == [0, 0.04, 0.08, 0.12, 0.16]


def test_what_was_measured_before_a_bad_row_is_shown(ask: Ask, service: Service, folder: Path) -> None:
    rows = [json.dumps({"timestamp": n, "input_length": 6, "output_length": 3}) for n in range(5)]
    (folder / "trace.jsonl").write_text("\n".join([*rows, "nonsense"]) + "\n")
    flags = ("--model", service.url, "--quiet", "--scrape", "off", "--workers", "1", "--out", "run")
    code, out, err = ask("load", *flags, "--workload", "trace.jsonl")
    assert code == 2 and "line 6: expected a JSON object" in err and "on_bad_row=skip" in err
    assert "the stage did not come to its end" in out and re.search(r"^requests +[1-5] ", out, re.M)
    assert Run.open("run").about["state"] == "stopped"


def test_a_service_that_is_not_there_costs_one_line(ask: Ask) -> None:
    code, _, err = ask("load", "--model", "http://127.0.0.1:9/v1", "model=x", *LITTLE, "--requests", "5")
    assert code in (1, 2) and "127.0.0.1:9" in err and len(err.splitlines()) <= 4, err


def test_keys_are_neither_stored_nor_shown(ask: Ask, service: Service, folder: Path) -> None:
    flags = ("--model", service.url, "api_key=s3cr3t-9", *LITTLE, "--requests", "3", "--out", "run")
    code, out, err = ask("load", *flags, "--html", "page.html")
    assert code == 0
    stored = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert not any(b"s3cr3t-9" in data for data in stored) and "s3cr3t-9" not in out + err
    assert "api_key=***" in " ".join(Run.open("run").about["command"])


def test_a_terminal_sees_how_it_goes(service: Service, folder: Path) -> None:
    flags = [flag for flag in LITTLE if flag != "--quiet"]
    command = [sys.executable, "-m", "steelyard", "load", "--model", service.url, *flags]
    command += ["--rate", "20", "--duration", "2s"]
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 70, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=slave, stdout=subprocess.PIPE, stderr=slave
    )
    os.close(slave)
    seen = read_all(master)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0 and b"TTFT" in out
    text = seen.decode()
    assert "20/s poisson" in text and "in flight" in text and " sent" in text and " of 0:02" in text
    # Lines are taken back before they are drawn anew, and none is wider than the terminal.
    assert "\033[4F\033[J" in text
    plain = re.sub(r"\033\[[0-9;]*[A-Za-z]|lengths are counted.*|stored in.*", "", text)
    assert [line for line in plain.replace("\r", "").split("\n") if len(line) > 70] == []


def read_all(file: int) -> bytes:
    seen = b""
    while select.select([file], [], [], 30)[0]:
        try:
            piece = os.read(file, 65536)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    os.close(file)
    return seen


def test_a_pipe_gets_a_line_a_stage(ask: Ask, service: Service) -> None:
    flags = [flag for flag in LITTLE if flag != "--quiet"]
    code, _, err = ask("load", "--model", service.url, *flags, "--stage", "concurrency=1 requests=3",
                       "--stage", "concurrency=2 requests=3")  # fmt: skip
    assert code == 0
    assert re.search(r"^synthetic · served: 1 client: .*3 done", err, re.M)
    assert re.search(r"^synthetic · served: 2 clients: .*3 done", err, re.M)


def test_values_that_are_no_stages() -> None:
    with pytest.raises(UsageError, match="says rate twice"):
        read_stages({"stage": [["rate=1 rate=2"]]})
    with pytest.raises(SteelyardError, match="no arrival"):
        read_stages({"stage": [["rate=1 arrival=never"]]})
