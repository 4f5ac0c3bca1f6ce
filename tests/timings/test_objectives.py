"""Objectives: what may be written, and what is said of each."""

from __future__ import annotations

import pytest

from steelyard.errors import UsageError
from steelyard.timings.objectives import read_limits, read_objectives, tell_seconds
from steelyard.timings.performance import Performance
from steelyard.timings.statistics import Statistics


def test_what_is_written_is_what_is_meant() -> None:
    found = read_objectives(
        "ttft_p99=500ms, itl_p50<=0.05s,e2el_mean<2s,error=0.1%,request_rate=300/m,output_speed_min=20,"
        "e2el_due_p99.9=1m,input_tokens_max=4096,tpot_median>1us,latency_p95=2s"
    )
    assert [(one.name, one.least, one.limit) for one in found] == [
        ("ttft_p99", False, 0.5),
        ("itl_median", False, 0.05),
        ("e2el_average", False, 2.0),
        ("error", False, 0.001),
        ("request_rate", True, 5.0),
        ("output_speed_min", True, 20.0),
        ("e2el_due_p999", False, 60.0),
        ("input_tokens_max", False, 4096.0),
        ("tpot_median", True, 1e-6),
        ("e2el_p95", False, 2.0),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ttft_p99=500", "write 500ms or 0.5s"),
        ("ttft_p99=5%", "no limit for ttft"),
        ("ttft=500ms", "which of its values"),
        ("ttfd_p99=500ms", "did you mean ttft_p99"),
        ("ttft_p98=500ms", "no statistic 'p98'"),
        ("errors=1%", "did you mean error"),
        ("error=3", "write 0.1% or 0.001"),
        ("error=200%", "write 0.1% or 0.001"),
        ("request_rate=5ms", "write 5, 5/s or 300/m"),
        ("input_tokens_max=5ms", "write a number"),
        ("ttft_p99", "is no objective"),
        (" , ", "there is no objective"),
    ],
)
def test_what_is_not_an_objective_is_told(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_objectives(text)


def test_limits_of_goodput() -> None:
    assert read_limits("ttft=500ms, tpot<=50ms,e2el_due=3s") == {"ttft": 0.5, "tpot": 0.05, "e2el_due": 3.0}
    for text, said in (("itl=5ms", "mean time between"), ("tfft=5ms", "did you mean ttft"), ("", "no limit"),
                       ("ttft>5ms", "the most that ttft may be")):  # fmt: skip
        with pytest.raises(UsageError, match=said):
            read_limits(text)


def performance(value: float, low: float | None, high: float | None) -> Performance:
    spread = Statistics(n=100, p99=value, intervals={"p99": (low, high)})
    return Performance(
        total=100,
        ok=100,
        request_rate=value,
        statistics={"ttft": spread},
        intervals={"request_rate": (low, high)},
    )


@pytest.mark.parametrize(
    ("ends", "kept", "sure"),
    [
        ((0.3, 0.35, 0.45), True, True),
        ((0.3, 0.45, 0.55), True, False),
        ((0.3, 0.45, None), True, False),
        ((0.45, 0.55, 0.65), False, False),
        ((0.51, 0.55, 0.65), False, True),
        ((None, 0.55, 0.65), False, False),
    ],
)
def test_a_verdict_is_sure_where_its_interval_says_the_same(
    ends: tuple[float | None, float, float | None], kept: bool, sure: bool
) -> None:
    low, value, high = ends
    (verdict,) = read_objectives("ttft_p99=500ms").check(performance(value, low, high))
    assert (verdict.kept, verdict.sure) == (kept, sure)
    # What is to be at least so much is the same the other way round.
    (verdict,) = read_objectives("request_rate=0.5").check(
        performance(1 - value, None if high is None else 1 - high, None if low is None else 1 - low)
    )
    assert (verdict.kept, verdict.sure) == (kept, sure)
    assert ("chance" in str(verdict)) != sure


def test_where_nothing_was_answered_nothing_is_kept() -> None:
    failed = Performance(total=10, failed=10)
    verdicts = read_objectives("ttft_p99=500ms,error=1%").check(failed)
    assert [verdict.kept for verdict in verdicts] == [False, False]
    assert str(verdicts[0]) == "ttft_p99 <= 500 ms: missed, nothing was measured"
    assert verdicts[1].value == 1.0


@pytest.mark.parametrize(
    ("value", "said"),
    [(12.3456, "12.35 s"), (1.5, "1500 ms"), (0.0421, "42.1 ms"), (2.5e-5, "25 µs"), (0, "0 s")],
)
def test_times_are_told_with_their_unit(value: float, said: str) -> None:
    assert tell_seconds(value) == said
