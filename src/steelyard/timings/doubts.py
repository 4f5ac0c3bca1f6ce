"""Why the numbers of a stage may not say what they seem to, each reason in a sentence with its number.

What is doubted: a client that was late or busy, or had fewer in flight than it was to; times that were not
taken as bytes arrived, or that tokens share; tokens that nobody counted; too few requests; requests that
failed or were cut off; a service that did not keep up; rates over a time of waiting for the last few; a
stage that did not come to its end; clocks that were set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from steelyard.metrics.distributions import normal_cdf
from steelyard.timings.clients import Client
from steelyard.timings.columns import Columns
from steelyard.timings.concurrency import Staircase
from steelyard.timings.objectives import tell_seconds
from steelyard.timings.performance import Performance

MOST_LAG = 0.05
"""Which share of the median TTFT our own lag may be before it spoils a run."""
MOST_BUSY = 0.8
"""Which share of the time our own loop may be at work before it spoils a run."""
SPOILED = "the client spoiled this run"
"""How the doubts begin that say that the load was not what was asked for."""

_LATE = f"{SPOILED}: it sent requests late"
_MOST_SHARED = 0.01
_MOST_FAILED = 0.01
_BUSY_SECONDS = 0.9
_FEWEST_CLIENTS = 0.9
_MANY = 10
_FEWEST = 100
_LAST = 0.99
_LONG_WAIT = 0.2
_WAIT_REQUESTS = 50
_TREND_BATCHES = 12
_TREND_REQUESTS = 10 * _TREND_BATCHES
_TREND_GROWTH = 1.5
_TREND_CHANCE = 0.001
_STEP = 1.0


def find_doubts(performance: Performance, columns: Columns, client: Client) -> list[str]:
    """What is to be doubted in a performance, the gravest first."""
    return [
        *_doubt_client(performance, client),
        *_doubt_clients(columns),
        *_doubt_end(performance, columns, client),
        *_doubt_answers(performance),
        *_doubt_pace(columns),
        *_doubt_rates(columns),
        *_doubt_times(performance, columns),
        *_doubt_tokens(performance),
        *_doubt_number(performance),
        *_doubt_turns(performance, columns),
    ]


def is_spoiled(performance: Performance) -> bool:
    """Whether the client was the limit, and not the service."""
    return any(doubt.startswith(SPOILED) for doubt in performance.doubts)


def find_limiting(performance: Performance) -> str | None:
    """The doubt by which a load was another than was asked for; a few late requests do not make it one."""
    lag, ttft = performance.statistics["lag"].average, _typical_time(performance)
    is_late = lag is not None and ttft is not None and lag > MOST_LAG * ttft
    spoiling = (doubt for doubt in performance.doubts if doubt.startswith(SPOILED))
    return next((doubt for doubt in spoiling if is_late or not doubt.startswith(_LATE)), None)


def _doubt_client(performance: Performance, client: Client) -> Iterator[str]:
    lag, ttft = performance.statistics["lag"].p99, _typical_time(performance)
    if lag is not None and ttft and lag > MOST_LAG * ttft:
        share = f"{lag / ttft:.0%} of" if lag < _MANY * ttft else f"{lag / ttft:,.0f} times"
        yield f"{_LATE} by {tell_seconds(lag)} (p99), {share} the median time to the first token"
    if len(client):
        busy = float(np.quantile(client.busy, _BUSY_SECONDS, method="higher"))
        if busy > MOST_BUSY:
            mend = "more workers have less to do each"
            yield f"{SPOILED}: its loop was busy for {busy:.0%} of the time ({mend})"


def _doubt_clients(columns: Columns) -> Iterator[str]:
    """Whether as many requests were in flight as there were clients, while there was more to ask."""
    plans, asked = _plans(columns), columns.sent - columns.connecting
    # Who waits before the next turn, or behind a failure, is not in flight.
    if len(plans) != 1 or len(columns.spans) != 1 or columns.turn.any() or columns.failed.any():
        return
    clients = plans[0].get("concurrency")
    if not clients or plans[0].get("arrival") or plans[0].get("joining") or len(columns) < 2 * clients:
        return
    begin = float(np.partition(asked, clients - 1)[clients - 1])
    end = min(float(np.nanmax(asked[columns.worker == worker])) for worker in np.unique(columns.worker))
    mean = Staircase.of(asked, columns.done).mean(begin, end)
    if end > begin and mean < _FEWEST_CLIENTS * clients:
        yield f"{SPOILED}: of {clients:,} clients {mean:,.1f} had a request in flight with more to ask"


def _typical_time(performance: Performance) -> float | None:
    """What our own lag is held against."""
    return performance.statistics["ttft"].median or performance.statistics["e2el"].median


def _doubt_end(performance: Performance, columns: Columns, client: Client) -> Iterator[str]:
    about = columns.about or {}
    if performance.partial:
        reason = about.get("reason")
        yield f"the stage did not come to its end{f': {reason}' if reason else ''}"
    if left := client.left_in_flight:
        many = f"{_count(left, 'request')} {'was' if left == 1 else 'were'} under way when it was stopped"
        yield f"{many}: the times leave out how long these took"
    if columns.repeated:
        turns = _count(columns.repeated, "request")
        yield f"{turns} of sessions that were stopped, and then asked from the first turn again, are left out"
    if columns.lost:
        yield f"the token events of {_count(columns.lost, 'request')} are missing: they are left out"
    if len(columns) and _is_set_back(columns):
        yield "the calendar clock was set between two sittings: their order in time is not known"


def _doubt_answers(performance: Performance) -> Iterator[str]:
    total = performance.total
    if total and performance.failed > _MOST_FAILED * total:
        yield f"{performance.failed:,} of {total:,} requests failed: the times are of the others alone"
    if performance.cut:
        many = _count(performance.cut, "request")
        yield f"{many} cut off at the end of the stage: the times leave out what would have been the longest"


def _doubt_pace(columns: Columns) -> Iterator[str]:
    """Whether latencies from due grow with the length of the test, as they do where a queue does."""
    if _is_rising(columns):
        return
    answered = columns.answered
    # Later turns have more to read.
    first = answered.of_turn(0) if answered.turn.any() else answered
    took_each = first.done - first.due - first.lag
    if len(first) < _TREND_REQUESTS or np.ptp(first.due) < np.median(took_each):
        return
    # What is due at one time is in the order of its ends otherwise.
    order = np.lexsort((first.index, first.due))
    took = np.array_split(took_each[order], _TREND_BATCHES)
    medians = np.array([np.median(part) for part in took])
    early, late = (float(np.median(part)) for part in np.split(medians, [_TREND_BATCHES // 2]))
    if late > _TREND_GROWTH * early and _chance_of_trend(medians) < _TREND_CHANCE:
        grew = f"from {tell_seconds(float(medians[0]))} to {tell_seconds(float(medians[-1]))}"
        yield f"the service did not keep up: latencies grew with the length of the test, {grew} (medians)"


def _doubt_rates(columns: Columns) -> Iterator[str]:
    """Whether much of the time was spent on waiting for the last few, as a limit on it would have."""
    if len(columns) < _WAIT_REQUESTS:
        return
    begin, end = max(columns.spans, key=lambda span: span[1])
    ended = columns.done[(columns.done >= begin) & (columns.done <= end)]
    waited = end - float(np.quantile(ended, _LAST, method="lower"))
    if waited > _LONG_WAIT * columns.duration:
        part = f"{tell_seconds(waited)} of {tell_seconds(columns.duration)}"
        yield f"the last {part} went by waiting for the last few requests: that is in the rates"


def _doubt_times(performance: Performance, columns: Columns) -> Iterator[str]:
    by_reader, of = performance.taken_by.get("reader", 0), sum(performance.taken_by.values())
    if by_reader:
        share = "" if by_reader == of else f" of {by_reader:,} of {of:,} answers"
        yield f"the times{share} were taken as the client read, not as bytes arrived: our load is in them"
    answered = columns.answered
    if whole := int(np.count_nonzero(answered.events == 0)):
        which = "answers" if whole == len(answered) else f"{whole:,} of {len(answered):,} answers"
        yield f"{which} came whole, not in pieces: they are not in TTFT, TPOT and ITL"
    counts = answered.gap_counts
    if counts.n and (shared := counts.count_of(0)) > _MOST_SHARED * counts.n:
        part = shared / counts.n
        yield f"{part:.0%} of token events came at the same time as the one before: ITL is partly of packets"


def _doubt_tokens(performance: Performance) -> Iterator[str]:
    of = performance.ok
    for by, said in (
        ("events", "were counted as events, since the service told no usage"),
        ("tokenizer", "were counted by a tokenizer here, since the service told no usage"),
        ("unknown", "were counted by nobody"),
    ):
        if count := performance.counted_by.get(by, 0):
            share = "" if count == of else f" of {count:,} of {of:,} answers"
            yield f"output tokens{share} {said}"
    if count := performance.input_counted_by.get("workload", 0):
        share = "" if count == of else f" of {count:,} of {of:,} answers"
        made = "the workload, as it made them, since the service told no usage"
        yield f"input tokens{share} were counted by {made}: what a template adds is not among them"
    if 0 < (count := performance.input_counted_by.get("unknown", 0)) < of:
        missing = f"input tokens of {count:,} of {of:,} answers"
        yield f"{missing} were counted by nobody: they are not in the figures"


def _doubt_number(performance: Performance) -> Iterator[str]:
    n = performance.ok
    if not n:
        yield "nothing was answered"
    elif n < _FEWEST:
        yield f"with {_count(n, 'answer')} a p99 is hardly more than the slowest of them"


def _doubt_turns(performance: Performance, columns: Columns) -> Iterator[str]:
    turns = int(columns.turn.max(initial=0)) + 1
    if 0 < len(performance.turns) < turns:
        told = len(performance.turns)
        yield f"sessions had up to {turns:,} turns: only the first {told} are told one by one"


def _is_set_back(columns: Columns) -> bool:
    """Whether a sitting seems to have begun before the one before it ended."""
    ends: float | None = None
    for sitting in np.unique(columns.sitting):
        own = columns.sitting == sitting
        begin, end = np.nanmin(columns.sent[own]), np.nanmax(columns.done[own])
        if ends is not None and begin < ends - _STEP:
            return True
        ends = float(end)
    return False


def _is_rising(columns: Columns) -> bool:
    """Whether the load itself was to grow, so that latencies may."""
    plans = _plans(columns)
    if len(plans) > 1:
        return True
    return any(plan.get("arrival") in ("ramp", "trace") or plan.get("joining") for plan in plans)


def _plans(columns: Columns) -> list[Mapping[str, Any]]:
    """What was planned of the stages."""
    planned: Sequence[Mapping[str, Any]] = (columns.about or {}).get("stages", [])
    return [planned[n] for n in np.unique(columns.stage).tolist() if 0 <= n < len(planned)]


def _chance_of_trend(values: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """How likely values without a trend rise as much (Mann and Kendall)."""
    n = len(values)
    rises = sum(int(np.sign(values[place + 1 :] - values[place]).sum()) for place in range(n - 1))
    deviation = (n * (n - 1) * (2 * n + 5) / 18) ** 0.5
    return 1 - normal_cdf((rises - 1) / deviation) if rises > 0 else 1.0


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
