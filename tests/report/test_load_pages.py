"""Pages, tables and exports of load runs, from folders of known requests."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import asdict, replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from load_runs import make_load_run, make_records
from pyarrow import parquet

from steelyard.errors import UsageError
from steelyard.loadtest.plan import Stage
from steelyard.report.load_charts import draw_over_time, stretch
from steelyard.report.load_comparison import compare_loads, tabulate_changes
from steelyard.report.load_contents import LoadContents, read_load
from steelyard.report.load_exports import FIELDS, as_load_document, write_parquet, write_rows
from steelyard.report.load_gauges import push_gauges, write_gauges
from steelyard.report.load_page import draw_load_comparison, draw_load_page
from steelyard.report.load_steady import keep_steady
from steelyard.report.load_tables import tabulate_levels, tabulate_measures, tabulate_server, tell_totals
from steelyard.report.load_words import doubt_load, judge_load, tabulate_stages, tell_outcome
from steelyard.store import Run
from steelyard.timings.columns import Columns
from steelyard.timings.steady import find_steady

HOSTILE = "<script>alert(1)</script>\"'&\x1b[2J"


def plan(name: str, rate: float) -> dict[str, Any]:
    return asdict(Stage(name=name, rate=rate, arrival="poisson", duration=10))


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> LoadContents:
    """A run of one stage whose sessions have three turns, and in which every fortieth request fails."""
    path = tmp_path_factory.mktemp("one") / "run"
    records = make_records(stage=0, start=0.2, rate=20, count=240, failed=40, turns=3)
    return read_load(make_load_run(path, [(plan("20/s", 20), records)], server=True, slo="ttft_p99=1s"))


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> LoadContents:
    """A sweep of three levels, the last of which is too much."""
    path, stages, start, first = tmp_path_factory.mktemp("three") / "run", [], 0.2, 0
    for number, rate in enumerate((5, 20, 60)):
        records = make_records(stage=number, start=start, rate=rate, count=rate * 8, first=first)
        stages.append((plan(f"{rate}/s", rate), records))
        start, first = start + 30, first + len(records)
    return read_load(make_load_run(path, stages, slo="ttft_p99=300ms"))


class Reader(HTMLParser):
    """What a page is made of: tags in balance, and what it would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wanted: list[str] = []
        self.charts = self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br", "input", "line", "path", "link", "img"):
            self.open.append(tag)
        self.wanted += [
            f"{tag} {name}" for name, _ in attrs if name in ("src", "href") or name.startswith("on")
        ]
        self.charts += tag == "svg"
        self.scripts += tag == "script"

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("line", "path"):
            assert self.open.pop() == tag


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def test_a_page_is_whole_and_fetches_nothing(one: LoadContents, three: LoadContents) -> None:
    for found in ([one], [three], [one, three]):
        page = draw_load_page(found)
        reader = read(page)
        assert reader.wanted == [] and reader.scripts == 1 and reader.charts > 10
        assert "default-src 'none'" in unescape(page)
        assert not re.search(r"\bnan\b", page, re.I)
    page = draw_load_page([one])
    for said in ("Over time", "Each request", "TTFT by percentile", "Distributions", "by turn", "The server",
                 "Why requests failed", "status 503: busy", "ttft_p99 &lt;= 1000 ms: kept", "KV cache used",
                 "How late the client sent", "Share of the time that its loop was busy"):  # fmt: skip
        assert said in page, said
    page = draw_load_page([three])
    assert "TTFT over throughput" in page and "missed ttft_p99" in page


def test_lines_over_time_break_where_there_was_a_pause(tmp_path: Path) -> None:
    stages = []
    for number, start in enumerate((0.2, 60.0)):
        records = make_records(stage=number, start=start, rate=20, count=200, first=200 * number)
        stages.append((plan(f"stage {number}", 20), records))
    columns = read_load(make_load_run(tmp_path / "run", stages)).columns
    for chart in draw_over_time(stretch(columns)):
        for shape in (one for one in chart.shapes if one.kind.endswith("line")):
            # In thousandths of the width the pause goes from about 150 to 850.
            parts = [
                [int(at) for at in re.findall(r"[ML](\d+) ", part)]
                for part in re.findall("M[^M]*", shape.path)
            ]
            assert {part[0] < 200 for part in parts} == {True, False}
            assert all(max(part) < 200 or min(part) > 800 for part in parts)


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    records = make_records(stage=0, start=0.2, rate=20, count=30, failed=3)
    bad = [r for r in records if r.response.error is not None]
    stage = {**plan(f"20/s {HOSTILE}", 20)}
    run = make_load_run(
        tmp_path / "run", [(stage, records)], model=HOSTILE, workload={"name": HOSTILE}, reason=HOSTILE,
        state="partial", command=["steelyard", "load", HOSTILE], environment={"python": HOSTILE},
    )  # fmt: skip
    contents = read_load(run)
    assert bad and contents.failed == len(bad)
    page = draw_load_page([contents])
    assert read(page).scripts == 1 and "<script>alert" not in page and "broken connection <b>" not in page
    gauges = write_gauges(contents)
    for line in gauges.splitlines():
        assert line.startswith("#") or re.fullmatch(r'\w+\{(\w+="([^"\\\n]|\\.)*",?)+\} [-+.e\d]+', line), (
            line
        )


def test_pages_of_many_requests_stay_small(tmp_path: Path) -> None:
    sizes = []
    for count in (500, 12_000):
        records = make_records(stage=0, start=0.2, rate=count / 20, count=count, slots=400, tokens=4)
        contents = read_load(make_load_run(tmp_path / str(count), [(plan("many", count / 20), records)]))
        page = draw_load_page([contents])
        sizes.append(len(page))
    assert "of 12,000 requests" in page and "12,000 requests; the darker, the more" in page
    assert sizes[1] < 3 * sizes[0] and sizes[1] < 250_000


def test_figures_are_those_of_the_requests(one: LoadContents) -> None:
    columns = Columns.read(one.run.path)
    performance = one.stages[0].performance
    table = tabulate_measures(performance)
    rows = {row[0]: row for row in table.rows}
    took = (columns.done - columns.sent)[columns.ok] * 1e3
    assert rows["E2EL"][2].value == pytest.approx(float(took.mean()))  # type: ignore[union-attr]
    assert rows["E2EL"][4].value == pytest.approx(float(took.max()))  # type: ignore[union-attr]
    assert rows["E2EL"][-1] == 234 and rows["our lag"][-1] == 240
    assert rows["input tokens"][1] == "" and "held by the cap" not in rows
    totals = dict(tell_totals(performance))
    assert totals["requests"] == "240 (234 answered, 6 failed)"
    assert totals["times taken by"] == "the kernel, as it arrived"
    assert tabulate_server([("20/s", one.stages[0].server)]).rows[0][0] == "requests"
    assert "6 of 240 requests failed" in " ".join(doubt_load(one))
    assert judge_load(one) is False
    assert any(line.endswith("× status 503: busy") for line in tell_outcome(one))


def test_failures_that_differ_in_a_number_are_one_and_none_is_left_out(one: LoadContents) -> None:
    failed = {f"HTTP {400 + n}: too long": 1 for n in range(9)}
    failed |= {f"HTTP 400: it needs {n} tokens": 3 for n in (7, 80, 900)}
    stage = replace(one.stages[0], performance=replace(one.stages[0].performance, errors=failed))
    told = list(tell_outcome(replace(one, stages=[stage])))[-9:]
    assert told[0] == "9 × HTTP 400: it needs 7 tokens"
    assert told[1] == "1 × HTTP 400: too long" and told[-1] == "2 × other reasons, of 2 kinds"


def test_the_steady_state_is_told_or_why_there_is_none(one: LoadContents, three: LoadContents) -> None:
    for contents in (one, three):
        for stage in contents.stages:
            found, said = keep_steady(contents, stage)
            steady = find_steady(contents.columns.of_stage(stage.number))
            if steady.window is None:
                assert found is stage and said == f"no steady state: {steady.why}; this is the whole stage"
            else:
                assert (
                    found.performance.window == steady.window
                    and f"{steady.concurrency} in flight or more" in said
                )
                share = (steady.window[1] - steady.window[0]) / stage.performance.duration
                assert f", {share:.0%} of the stage," in said
    assert "steady state" in draw_load_page([one])


def test_levels_stand_beside_each_other(three: LoadContents) -> None:
    shown = tabulate_stages(three).shown()
    assert [row[0] for row in shown] == ["stage", "5/s", "20/s", "60/s"]
    assert [row[-1] for row in shown] == ["objectives", "kept", "kept", "missed ttft_p99"]
    assert "good/s" not in tabulate_levels([(s.name, s.performance) for s in three.stages]).columns
    said = list(tell_outcome(three))
    assert said[0].startswith("the most was ") and said[0].endswith("at 60/s")
    assert any(line.startswith("60/s: ttft_p99 <= 300 ms: missed") for line in said)
    assert not judge_load(three)


def test_rows_hold_every_request(one: LoadContents, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.csv", one)
    rows = list(csv.DictReader((tmp_path / "rows.csv").read_text().splitlines()))
    assert list(rows[0]) == list(FIELDS) and len(rows) == 240
    failed = [row for row in rows if row["state"] == "failed"]
    assert len(failed) == 6 and all(
        row["error"] and not row["e2el"] and not row["first_token"] for row in failed
    )
    stored = {record.sample.id: record for record in one.run.records()}
    for row in rows:
        record = stored[row["id"]]
        timing = record.response.timing
        assert timing is not None and float(row["sent"]) == pytest.approx(timing.sent, abs=1e-6)
        assert (
            row["session"] == record.sample.meta["session"] and int(row["turn"]) == record.sample.meta["turn"]
        )
        if row["state"] == "ok":
            assert float(row["e2el"]) == pytest.approx(timing.latency, abs=2e-6)
            assert float(row["tpot"]) == pytest.approx((timing.latency - float(row["ttft"])) / 39, abs=1e-5)
    write_parquet(tmp_path / "rows.parquet", one)
    table = parquet.read_table(tmp_path / "rows.parquet")
    assert table.column_names == list(FIELDS) and table.num_rows == 240
    assert [row["id"] for row in table.to_pylist()] == [row["id"] for row in rows]


def test_one_document_says_it_all(one: LoadContents) -> None:
    document = json.loads(json.dumps(as_load_document(one)))
    (stage,) = document["stages"]
    assert document["requests"] == 240 and document["failed"] == 6
    assert stage["objectives"][0]["kept"] is True and stage["server"]["prefix_hit_rate"] == pytest.approx(
        0.45
    )
    assert stage["performance"]["statistics"]["ttft"]["n"] == 234


def test_a_run_that_was_killed_is_measured_from_its_shards(tmp_path: Path) -> None:
    records = make_records(stage=0, start=0.2, rate=20, count=50)
    path = tmp_path / "run"
    run = make_load_run(path, [(plan("20/s", 20), records)], state="running", goodput="ttft=10s")
    run.update(stages=[{**run.about["stages"][0], "state": "running"}])
    run.update(results=[{**read_load(run).stages[0].performance.to_dict(), "total": 3}])
    run.log.touch()
    contents = read_load(Run.open(path))
    # What an earlier sitting left is not all that there is.
    performance = contents.stages[0].performance
    assert (performance.total, performance.good, performance.partial) == (50, 50, True)
    killed = "this run is partial: 50 requests were measured (it was killed; --resume goes on with it)"
    assert contents.state == "partial" and next(iter(doubt_load(contents))) == killed
    assert not judge_load(contents)
    run.lock()
    alive = read_load(Run.open(path))
    assert next(iter(doubt_load(alive))) == "this run is running: 50 requests were measured"
    run.close()
    empty = make_load_run(tmp_path / "few", [(plan("20/s", 20), records[:1])], state="interrupted")
    assert "<svg" in draw_load_page([read_load(empty)])


def test_a_comparison_tells_what_changed(one: LoadContents, tmp_path: Path) -> None:
    slower = make_records(stage=0, start=0.2, rate=20, count=240, turns=3, ttft=0.2, seed=4)
    other = read_load(make_load_run(tmp_path / "run", [(plan("20/s", 20), slower)]))
    (pairing,) = compare_loads(one, other)
    verdicts = {change.name: change.verdict for change in pairing.changes}
    assert verdicts["ttft_median"] == "worse" and verdicts["itl_median"] != "better"
    rows = {row[0]: row for row in tabulate_changes(pairing).rows}
    assert str(rows["ttft_median"][3]).startswith("+")
    page = draw_load_comparison([pairing])
    assert read(page).charts == 6 and "What changed" in page
    more = make_records(stage=1, start=30, rate=20, count=20, first=500)
    again = read_load(make_load_run(tmp_path / "b", [(plan("x", 1), slower), (plan("y", 1), more)]))
    with pytest.raises(UsageError, match="no stage in common"):
        compare_loads(one, again)


def test_a_gateway_that_is_none(one: LoadContents) -> None:
    with pytest.raises(UsageError, match="no address of a push gateway"):
        push_gauges("localhost:9091", write_gauges(one))
