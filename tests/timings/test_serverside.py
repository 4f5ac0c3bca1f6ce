"""What real servers told of themselves (expositions/), under one name each, and over time."""

from __future__ import annotations

import gzip
import json
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.timings.gauges import COUNTERS, Taken, merge, take_values
from steelyard.timings.serverside import Look, read_server, series_of, summarize
from steelyard.wire.expositions import read_exposition

RECORDED = Path(__file__).parent / "expositions"


def take(name: str) -> Taken:
    """What stands in a recorded exposition."""
    return take_values(read_exposition(gzip.decompress((RECORDED / f"{name}.txt.gz").read_bytes())))


def looks(server: str, *moments: str) -> list[Look]:
    """The recorded expositions of a server, ten seconds apart."""
    took = [take(f"{server}_{moment}") for moment in moments]
    return [Look(10.0 * n, one.values, one.histograms) for n, one in enumerate(took)]


def test_every_line_of_a_real_server_is_read() -> None:
    for file in RECORDED.iterdir():
        text = gzip.decompress(file.read_bytes()).decode()
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        assert len(list(read_exposition(text))) == len(lines) > 40, file


def test_vllm() -> None:
    # Between the first and the last look twelve answers of 96 tokens were written, four at a time.
    told = summarize(looks("vllm", "before", "during", "after"), 0.0, 20.0)
    assert (told["requests"], told["tokens_in"], told["tokens_out"]) == (12, 12 * 240, 12 * 96)
    assert told["prefix_hit_rate"] == pytest.approx(1536 / 2880)
    assert told["acceptance_rate"] == pytest.approx(306 / 1344)
    assert told["acceptance_length"] == pytest.approx(1 + 306 / 468)
    assert (told["running_max"], told["waiting_max"], told["preemptions"]) == (4, 8, 0)
    assert told["kv_cache_max"] == pytest.approx(0.0011, abs=1e-4)
    assert told["ttft_n"] == 12 and told["ttft_average"] == pytest.approx((6.0289 - 1.7818) / 12, rel=1e-3)
    assert 0.25 <= told["ttft_p50"] <= 0.5 < told["ttft_p99"] <= 0.75
    assert (told["restarts"], told["looks"], told["unanswered"]) == (0, 3, 0)


def test_sglang() -> None:
    told = summarize(looks("sglang", "before", "after"), 0.0, 10.0)
    assert (told["requests"], told["tokens_in"], told["tokens_out"]) == (12, 12 * 240, 12 * 96)
    assert (
        told["prefix_hit_rate"] == pytest.approx(told["prefix_hits"] / (12 * 240))
        and told["prefix_hits"] > 2500
    )
    assert told["e2el_n"] == told["ttft_n"] == 12


def test_triton() -> None:
    told = summarize(looks("triton", "before", "after"), 0.0, 10.0)
    assert (told["requests"], told["failures"], told["inferences"]) == (18, 0, 18)
    assert told["batch_average"] == pytest.approx(18 / 11)
    assert told["queue_average"] == pytest.approx(told["queue_seconds"] / 18) and told["queue_seconds"] > 0.1


def test_an_old_and_a_new_name_are_one_thing() -> None:
    text = "vllm:gpu_cache_usage_perc 0.5\nvllm:kv_cache_usage_perc 0.25\nvllm:num_requests_running 3"
    assert take_values(read_exposition(text)).values == {"kv_cache": 0.25, "running": 3.0}


def test_models_are_added_up_and_shares_averaged() -> None:
    text = 'vllm:num_requests_running{engine="0"} 3\nvllm:num_requests_running{engine="1"} 5\n'
    text += 'vllm:kv_cache_usage_perc{engine="0"} 0.2\nvllm:kv_cache_usage_perc{engine="1"} 0.4\n'
    text += 'nv_trt_llm_request_metrics{request_type="active"} 7\nnv_gpu_utilization{gpu="0"} nan\n'
    took = take_values(read_exposition(text))
    assert took.values == {"running": 8.0, "kv_cache": pytest.approx(0.3)}
    both = merge([took, took])
    assert both.values == {"running": 16.0, "kv_cache": pytest.approx(0.3)}


@given(st.lists(st.integers(0, 50), min_size=2, max_size=12), st.sets(st.integers(1, 10)))
def test_a_counter_grows_by_what_it_counted_whatever_restarts(steps: list[int], restarts: set[int]) -> None:
    counts, seen, processes = 0, [], 0.0
    for number, step in enumerate(steps):
        if number in restarts:
            counts, processes = 0, processes + 100
        counts += step
        seen.append(Look(float(number), {"tokens_out": float(counts), "started": processes}))
    told = summarize(seen, 0.0, float(len(steps)))
    assert told["tokens_out"] == sum(steps[1:])
    assert told["restarts"] == sum(1 for number in restarts if number < len(steps))


def test_a_restart_is_noticed_by_counts_that_fall() -> None:
    told = summarize([Look(0.0, {"requests": 90.0}), Look(1.0, {"requests": 4.0})], 0.0, 1.0)
    assert (told["requests"], told["restarts"]) == (4, 1)


def test_a_stage_has_what_lies_within_it() -> None:
    counts = list(accumulate(range(10)))
    seen = [Look(float(t), {"tokens_out": float(counts[t]), "running": float(t)}) for t in range(10)]
    told = summarize(seen, 2.5, 5.0)
    assert told["tokens_out"] == counts[5] - counts[2]
    assert (told["running_max"], told["running_average"], told["looks"]) == (5, 4, 3)
    short = summarize(seen, 2.5, 2.9)
    # What was seen at rest before and behind it says nothing of what ran meanwhile.
    assert (short["tokens_out"], short["looks"]) == (counts[3] - counts[2], 0)
    assert not any(name.startswith("running") for name in short)
    assert [rate for _, rate in series_of(seen, "tokens_out")] == list(range(1, 10))
    assert series_of(seen, "running")[3] == (3.0, 3.0)


def test_a_run_is_read_whatever_was_torn(tmp_path: Path) -> None:
    lines: list[object] = [
        {"t": 1.0, "values": {"running": 2}, "histograms": {"ttft": {"1": 3, "inf": 4, "sum": 2.5}}},
        {"t": 2.0, "error": "nobody listens"},
        {"t": 3.0, "values": {"running": 4}},
    ]
    (tmp_path / "server.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"t": 4.0, "val')
    seen = read_server(tmp_path)
    assert [(look.t, look.error) for look in seen] == [(1.0, None), (2.0, "nobody listens"), (3.0, None)]
    assert seen[2].histograms == {"ttft": {"1": 3, "inf": 4, "sum": 2.5}}
    assert summarize(seen, 0.0, 9.0)["unanswered"] == 1
    assert read_server(tmp_path / "nothing") == [] and summarize([], 0.0, 1.0) == {}


def test_what_only_grows_is_told_by_its_growth_alone() -> None:
    told = summarize(
        [Look(0.0, dict.fromkeys(COUNTERS, 7.0)), Look(1.0, dict.fromkeys(COUNTERS, 7.0))], 0.0, 1.0
    )
    assert {name: told[name] for name in COUNTERS} == dict.fromkeys(COUNTERS, 0.0)
    assert "prefix_hit_rate" not in told and "acceptance_rate" not in told
