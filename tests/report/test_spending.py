"""What a run spent: load, run and answers apart, in the text, the JSON and the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from steelyard import Record, Request, Response, Run, Sample, Timing, Tokens
from steelyard.report.contents import pace_of, read_contents
from steelyard.report.overview import Overview
from steelyard.report.pages import draw_page
from steelyard.report.samples import figures_of
from steelyard.report.spending import seconds, size, spending_of, tell_cost, tell_times
from steelyard.types import Cost

MIB = 2**20
LOAD = {"wall": 2.5, "cpu": 2.0, "rss_idle_bytes": 50 * MIB, "rss_peak_bytes": 900 * MIB, "shared": 1}
COSTS = [
    {
        "wall": 4.0,
        "cpu": 3.0,
        "rss_idle_bytes": 800 * MIB,
        "rss_peak_bytes": 1000 * MIB,
        "gpu_peak_bytes": 2**30,
        "answers": 2,
    },
    {
        "wall": 1.0,
        "cpu": 0.5,
        "rss_idle_bytes": 700 * MIB,
        "rss_peak_bytes": 1500 * MIB,
        "gpu_energy_joules": 40.0,
        "answers": 1,
    },
]


def answered(n: int) -> Response:
    # Eleven tokens, the first after n / 10 s, the others 10 ms apart.
    first = n / 10
    stamps = [first + token / 100 for token in range(11)]
    timing = Timing(due=0.0, sent=0.0, chunks=stamps, done=stamps[-1] + 5)
    cost = Cost(1.0, 0.25 * n, 800 * MIB, 900 * MIB, gpu_energy_joules=2.0 * n, shared=4)
    return Response("ok", tokens=Tokens(7, 11), timing=timing, cost=cost)


def records() -> Iterator[Record]:
    for n in range(1, 4):
        yield Record(n - 1, Sample(str(n), "?", "ok"), Request(str(n), "?"), answered(n), {"exact": True})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = Run.create(
        tmp_path / "r", {"task": "t", "model": "m", "load": LOAD, "cost": COSTS, "state": "done"}
    )
    for record in records():
        made.add(record)
    made.close()
    return Run.open(made.path)


def test_load_run_and_answers_are_told_apart(run: Run) -> None:
    spent = spending_of(read_contents(run))
    assert spent.load == LOAD
    assert spent.cost == {
        "sittings": 2,
        "answers": 3,
        "wall": 5.0,
        "cpu": 3.5,
        "rss_idle_bytes": 800 * MIB,
        "rss_peak_bytes": 1500 * MIB,
        "gpu_peak_bytes": 2**30,
        "gpu_energy_joules": 40.0,
    }
    assert spent.ttft == pytest.approx({"median": 0.2, "p90": 0.28, "p99": 0.298, "most": 0.3})
    assert spent.pace is not None and spent.pace["median"] == pytest.approx(100.0)
    assert spent.cpu_each == pytest.approx(0.5) and spent.joules_each == pytest.approx(4.0)
    assert spent.answers_per_second == pytest.approx(0.6) and spent.tokens_per_second == pytest.approx(6.6)


def test_all_of_it_is_said(run: Run) -> None:
    contents = read_contents(run)
    assert dict(tell_cost(contents)) == {
        "loading the model": "wall 2.5 s, CPU 2 s, memory before 50 MiB, memory peak 900 MiB",
        "wall": "5 s",
        "CPU": "3.5 s",
        "memory before": "800 MiB",
        "memory peak": "1.46 GiB",
        "GPU memory peak": "1.00 GiB",
        "GPU energy": "40 J",
        "CPU an answer": "500 ms",
        "GPU energy an answer": "4 J",
        "sittings": "2",
    }
    times = dict(tell_times(contents))
    assert times["first piece"].startswith("median 200 ms · 90 % 280 ms")
    assert times["writing"] == "median 100 tokens a second in an answer"
    assert times["rate"] == "0.6 answers a second, 6.6 tokens a second"
    page = draw_page([contents])
    for text in ("loading the model", "GPU energy an answer", "median 100 tokens a second"):
        assert text in page


def test_what_a_model_computes_elsewhere_is_said_not_to_be_counted(run: Run) -> None:
    run.update(elsewhere=True)
    assert "computes in others" in dict(tell_cost(read_contents(run)))["counted"]


def test_there_is_no_rate_where_a_sitting_left_no_cost(run: Run) -> None:
    run.update(cost=COSTS[1:])
    spent = spending_of(read_contents(run))
    assert spent.cost is not None and spent.cost["wall"] == 1.0
    assert spent.answers_per_second is None and spent.tokens_per_second is None


def test_one_answer_shows_its_own(run: Run) -> None:
    assert dict(figures_of(answered(2))) == {
        "tokens in": "7",
        "tokens out": "11",
        "latency": "5.3 s",
        "first piece after": "200 ms",
        "tokens a second": "100",
        "CPU": "500 ms",
        "memory before": "800 MiB",
        "memory peak": "900 MiB",
        "GPU energy": "4 J",
        "answered together": "4",
    }


def test_pace_is_from_the_first_piece_to_the_last() -> None:
    timing = Timing(0.0, 0.0, [1.0, 1.5, 2.0], 9.0)
    assert pace_of(Response(timing=timing)) == pytest.approx(2.0)
    assert pace_of(Response(timing=timing, tokens=Tokens(1, 11))) == pytest.approx(10.0)
    assert pace_of(Response(timing=Timing(0.0, 0.0, [1.0], 2.0), tokens=Tokens(1, 11))) is None
    assert pace_of(Response(timing=Timing(0.0, 0.0, [1.0, 1.0], 2.0))) is None
    assert pace_of(Response()) is None


def test_side_by_side_only_what_is_known_has_a_column(run: Run, tmp_path: Path) -> None:
    bare = Run.create(tmp_path / "bare", {"task": "t", "model": "other", "state": "done"})
    bare.close()
    table = Overview([read_contents(run), read_contents(Run.open(bare.path))]).spending()
    columns, first, second = table.shown()
    assert columns[:3] == ["task", "model", "load s"] and "GPU MiB" in columns and "J" in columns
    assert dict(zip(columns, first))["first piece ms"] == "200.0"
    assert set(second[2:]) == {"–"}
    alone = Overview([read_contents(Run.open(bare.path))]).spending()
    assert list(alone.columns) == ["task", "model"]


def test_runs_that_are_called_alike_are_told_by_their_folders(run: Run, tmp_path: Path) -> None:
    twin = Run.create(tmp_path / "twin", {"task": "t", "model": "m", "state": "done"})
    twin.close()
    overview = Overview([read_contents(run), read_contents(Run.open(twin.path))])
    assert overview.columns == ["task", "model", "run"]
    assert len(set(overview.titles())) == 2


def test_results_are_apart_by_the_columns_that_the_task_names(tmp_path: Path) -> None:
    made = Run.create(tmp_path / "r", {"task": "t", "model": "m", "by": ["kind", "absent"]})
    for record in records():
        sample = Sample(record.sample.id, "?", "ok", meta={"kind": "ab"[record.index % 2]})
        made.add(Record(record.index, sample, record.request, record.response, record.scores))
    made.close()
    contents = read_contents(Run.open(made.path))
    assert {field: list(parts) for field, parts in contents.by.items()} == {"kind": ["a", "b"]}
    assert read_contents(Run.open(made.path), by=[]).by == {}


@pytest.mark.parametrize(
    ("value", "text"), [(5e-7, "0 µs"), (2e-5, "20 µs"), (0.25, "250 ms"), (3.0, "3 s"), (1234.0, "1,234 s")]
)
def test_durations(value: float, text: str) -> None:
    assert seconds(value) == text


def test_sizes() -> None:
    assert (size(3 * MIB), size(3 * 2**30)) == ("3 MiB", "3.00 GiB")


def test_a_sitting_that_was_killed_is_missing_from_the_cost(run: Run) -> None:
    assert "of these" not in dict(tell_cost(read_contents(run)))
    run.update(cost=[{**COSTS[0], "answers": 1}])
    told = dict(tell_cost(read_contents(Run.open(run.path))))
    assert told["of these"] == "1 answer: a sitting that was killed left no cost"
