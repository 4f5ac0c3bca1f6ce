"""A load that the client spoiled is marked so in whatever leaves a run: rows, gauges, tables."""

from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path

import pytest
from load_runs import make_load_run, make_records

from steelyard.loadtest.plan import Stage
from steelyard.report.load_contents import LoadContents, read_load
from steelyard.report.load_exports import write_rows
from steelyard.report.load_gauges import write_gauges
from steelyard.report.load_tables import tabulate_measures


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> LoadContents:
    """Two stages, in the second of which the client was late."""
    path, stages = tmp_path_factory.mktemp("late") / "run", []
    for number, lag in enumerate((0.00005, 0.05)):
        plan = asdict(Stage(name=f"stage {number}", rate=20, arrival="poisson", duration=10))
        records = make_records(
            stage=number, start=20 * number, rate=20, count=200, lag=lag, first=200 * number
        )
        stages.append((plan, records))
    return read_load(make_load_run(path, stages))


def test_rows_say_which_stage_was_spoiled(late: LoadContents, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.csv", late)
    rows = list(csv.DictReader((tmp_path / "rows.csv").read_text().splitlines()))
    assert {(row["stage"], row["spoiled"]) for row in rows} == {("stage 0", "0"), ("stage 1", "1")}


def test_gauges_say_what_was_spoiled_and_who_took_the_times(late: LoadContents) -> None:
    told = dict(line.rsplit(" ", 1) for line in write_gauges(late).splitlines() if line[0] != "#")
    fixed = 'model="tiny",workload="synthetic",stage="stage {}"'
    spoiled = [told[f"steelyard_load_spoiled{{{fixed.format(n)}}}"] for n in (0, 1)]
    doubts = [told[f"steelyard_load_doubts{{{fixed.format(n)}}}"] for n in (0, 1)]
    assert spoiled == ["0", "1"] and doubts == ["0", "1"]
    assert told[f'steelyard_load_times{{{fixed.format(0)},taken_by="kernel"}}'] == "200"


def test_numbers_in_full_are_no_longer_than_what_was_measured(late: LoadContents) -> None:
    rows = list(csv.reader(tabulate_measures(late.stages[0].performance).csv().splitlines()))
    assert all(len(cell.partition(".")[2]) <= 6 for row in rows for cell in row)
