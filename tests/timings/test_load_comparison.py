"""Two runs: a difference is told where there is one, and seldom where there is none."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from shard_maker import make_record, write_shard

from steelyard.timings.columns import Columns
from steelyard.timings.comparison import compare
from steelyard.timings.performance import Performance, measure


def run(seed: int, *, slower: float = 1.0, failing: float = 0.0, count: int = 300) -> Performance:
    """A stage of requests that come at random, and whose answers take random times."""
    rng = np.random.default_rng(seed)
    sent = np.cumsum(rng.exponential(0.02, count))
    records = []
    for n, at in enumerate(sent.tolist()):
        chunks = (at + slower * np.cumsum(rng.gamma(4, 0.01, 6))).tolist()
        error = "status 500" if rng.random() < failing else None
        records.append(make_record(n, sent=at, chunks=chunks, tokens=(5, 6), error=error))
    with tempfile.TemporaryDirectory() as name:
        write_shard(Path(name), records)
        return measure(Columns.read(name), limits={"ttft": 0.05})


def test_what_is_slower_is_worse_and_the_other_way_round_better() -> None:
    before, after = run(1, count=600), run(2, slower=1.5, count=600)
    there = {change.name: change for change in compare(before, after)}
    back = {change.name: change for change in compare(after, before)}
    for name in ("ttft_median", "tpot_median", "itl_median", "itl_p99", "e2el_median", "e2el_p99"):
        assert there[name].verdict == "worse"
        assert back[name].verdict == "better"
        assert there[name].difference > 0
    assert there["goodput"].verdict == "worse"
    assert back["goodput"].verdict == "better"
    assert there["request_rate"].verdict == "no difference can be told"
    change = there["itl_median"]
    assert change.low is not None
    assert change.high is not None
    assert 0 < change.low < change.difference < change.high
    assert change.ratio == pytest.approx(0.5, abs=0.1)
    assert str(change).startswith("itl_median: ")
    assert str(change).endswith("], worse")
    assert change.to_dict()["verdict"] == "worse"


def test_more_failures_are_worse() -> None:
    changes = compare(run(1), run(2, failing=0.1), what=[("error", None)])
    assert [(change.name, change.verdict) for change in changes] == [("error", "worse")]


def test_runs_that_are_alike_are_seldom_told_apart() -> None:
    accused = sum(
        any(
            change.verdict != "no difference can be told"
            for change in compare(run(2 * n, count=150), run(2 * n + 1, count=150))
        )
        for n in range(25)
    )
    # One is expected of 25 pairs; more than four would come in one of a hundred such sets.
    assert accused <= 4


def test_what_only_one_of_them_has_is_left_out() -> None:
    names = {change.name for change in compare(run(1), Performance(total=3, failed=3))}
    assert names == {"error"}


def test_where_a_side_is_unknown_nothing_is_told() -> None:
    (change,) = compare(run(1, count=20), run(2, slower=3, count=20), what=[("ttft", "p99")])
    assert change.high is None
    assert change.low is not None or change.verdict == "no difference can be told"


def test_what_is_all_but_certain_has_a_small_chance_and_not_none() -> None:
    changes = compare(run(1), run(2, slower=3.0))
    (change,) = (one for one in changes if one.name == "e2el_median")
    assert change.p is not None and 0 < change.p < 1e-16
