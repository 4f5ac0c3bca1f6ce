"""`ais_bench --mode perf`: what is measured and how it is shown, against what the service itself recorded."""

from __future__ import annotations

import csv
import json
import re
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ais_project import API_BODIES, API_CLASS, API_COMMAND, API_CONFIG, DEMO, HOME, Project, fill
from streaming import Telling, telling

from ais_bench.benchmark.outcome.performance_tables import collect_metrics
from steelyard.timings.performance import Performance
from steelyard.timings.statistics import Statistics


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Project:
    return Project(tmp_path, capsys)


def words(telling: Telling, *more: str, tokens: int = 4, batch: int = 4, data: str = DEMO) -> list[str]:
    """A command that measures a ready-made backend at a service."""
    model = ["vllm_api_general_chat", "abbr=chat", f"host_port={telling.service.port}", "host_ip=127.0.0.1"]
    options = [f"max_out_len={tokens}", f"batch_size={batch}"]
    return ["--mode", "perf", "--models", *model, *options, "--datasets", *data.split(), *more]


def spread(home: Path, model: str, name: str) -> dict[str, dict[str, str]]:
    """The table of a load test by the names of its rows."""
    with (home / "performances" / model / f"{name}.csv").open() as file:
        return {row["Performance Parameters"]: row for row in csv.DictReader(file)}


def common(home: Path, model: str, name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, Any] = json.loads((home / "performances" / model / f"{name}.json").read_text())
    return found


def details(home: Path, model: str, name: str) -> list[dict[str, Any]]:
    text = (home / "performances" / model / f"{name}_details.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def number(cell: str) -> float:
    return float(cell.split()[0])


def test_the_documents_own_class(project: Project) -> None:
    with telling() as service:
        bodies = list(API_BODIES)
        bodies[2] = bodies[2].replace(
            "max_tokens=max_out_len,", "max_tokens=max_out_len, stream=self.stream,"
        )
        project.write(HOME / "models/api_models/my_custom_api.py", fill(API_CLASS, bodies))
        config = API_CONFIG.replace("host_port=8080", f"host_port={service.service.port}").replace(
            "=512", "=5"
        )
        assert "stream=False" in config
        project.write(HOME / "configs/models/my_custom_api.py", config)
        _, *command = API_COMMAND.split()
        out, err = project.run("--mode", "perf", *command)
    (home,) = project.outputs()
    assert re.search(r"^TTFT +total +[\d.]+ ms ", out, re.M)
    assert re.search(r"^OutputTokens +total +5\.0 .* 8$", out, re.M)
    # The class reads no usage: its pieces are counted, which is said.
    assert re.search(r"^Tokens Counted By +total +events$", out, re.M)
    assert re.search(r"^Doubt +total +output tokens were counted as events", out, re.M)
    found = details(home, "my_custom_api", "demo_gsm8k")
    assert [len(one["itl"]) for one in found] == [4] * 8
    # One more to warm up, asked before.
    assert len(service.told) == 9
    assert service.most == 1
    assert {told.body["stream"] for told in service.told} == {True}
    assert f"kept in {home.relative_to(project.folder)}" in err


def test_the_numbers_are_those_of_the_service(project: Project) -> None:
    with telling(wait=0.05, pause=0.01) as service:
        project.call(*words(service, "--num-warmups", "0", tokens=12))
    (home,) = project.outputs()
    table, told = spread(home, "chat", "demo_gsm8k"), service.told
    assert len(told) == 8
    assert (table["ITL"]["N"], table["TTFT"]["N"], table["E2EL"]["N"]) == (str(8 * 11), "8", "8")
    assert table["OutputTokens"]["Average"] == "12.0"
    # It was asked after we sent, and a piece came after it was begun to be sent: no number can be less.
    ours = sorted(one["ttft"] for one in details(home, "chat", "demo_gsm8k"))
    theirs = sorted(one.ttft for one in told)
    assert all(mine > its - 0.001 for mine, its in zip(ours, theirs))
    median = statistics.median(theirs)
    assert number(table["TTFT"]["Median"]) == pytest.approx(1e3 * median, abs=20)
    gaps = statistics.median(gap for one in told for gap in one.gaps)
    assert number(table["ITL"]["Median"]) == pytest.approx(1e3 * gaps, abs=5)
    took = statistics.median(one.ended - one.asked for one in told)
    assert number(table["E2EL"]["Median"]) == pytest.approx(1e3 * took, abs=40)
    for one in details(home, "chat", "demo_gsm8k"):
        assert one["tpot"] == pytest.approx((one["latency"] - one["ttft"]) / 11, abs=1e-6)
        assert sum(one["itl"]) == pytest.approx(one["latency"] - one["ttft"], abs=0.05)
    whole = common(home, "chat", "demo_gsm8k")
    assert whole["Total Requests"] == {"total": 8}
    assert whole["Total generated tokens"] == {"total": 96}
    duration = number(whole["Benchmark Duration"]["total"]) / 1e3
    assert number(whole["Output Token Throughput"]["total"]) == pytest.approx(96 / duration, rel=1e-3)
    assert number(whole["Request Throughput"]["total"]) == pytest.approx(8 / duration, rel=1e-3)


def test_all_at_once_is_all_at_once(project: Project) -> None:
    synthetic = "synthetic_gen config.RequestCount=120 config.StringConfig.Output.Params.MaxValue=3"
    synthetic += " config.StringConfig.Output.Params.Mean=2 config.StringConfig.Output.Params.Var=1"
    with telling(wait=1.0) as service:
        project.call(*words(service, "--num-warmups", "0", batch=120, data=synthetic))
    (home,) = project.outputs()
    assert service.most == 120
    assert common(home, "chat", "synthetic")["Max Concurrency"] == {"total": 120}


def test_what_lies_where(project: Project) -> None:
    with telling() as service:
        out, _ = project.call(*words(service))
        (home,) = project.outputs()
        found = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
        assert {
            f"performances/chat/demo_gsm8k{suffix}"
            for suffix in (".csv", ".json", "_details.jsonl", "_plot.html")
        } <= found
        assert {f"summary/summary_{home.name}{suffix}" for suffix in (".txt", ".csv", ".md")} <= found
        assert (home / f"summary/summary_{home.name}.txt").read_text() == out
        page = home / "performances/chat/demo_gsm8k_plot.html"
        assert "<svg" in page.read_text()
        asked = len(service.told)
        # Drawn again from the run alone, with the service away or not.
        page.unlink()
        assert project.call("--mode", "perf_viz")[0] == out
        assert page.exists()
        stable, _ = project.call("--mode", "perf_viz", "--summarizer", "stable_stage")
        assert re.search(r"^TTFT +stable |there is no steady state \(", stable, re.M)
        # What is whole is not measured again.
        assert project.call("--mode", "perf", "--reuse")[0] == out
        assert len(service.told) == asked
    for mode in ("eval", "viz", "infer"):
        _, err = project.call("--mode", mode, "--reuse", code=2)
        assert "chat/demo_gsm8k was a load test in this sitting" in err


def test_the_tokens_of_a_part_are_those_that_came_in_it() -> None:
    counts = {"input_tokens": Statistics(n=2, average=50.0), "output_tokens": Statistics(n=2, average=30.0)}
    whole = Performance(duration=4.0, input_rate=25.0, output_rate=15.0, statistics=counts)
    part = replace(whole, duration=2.0, window=(1.0, 3.0), input_rate=40.0, output_rate=20.0)
    found = collect_metrics({"total": whole, "stable": part})
    assert found["Total Input Tokens"] == {"total": 100, "stable": 80}
    assert found["Total generated tokens"] == {"total": 60, "stable": 40}
