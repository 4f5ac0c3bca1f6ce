"""What a server counts, in the text form that Prometheus reads.

steelyard_requests_total{wire="openai",route="/v1/chat/completions",model="m",status="200"} 17
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from steelyard import __version__
from steelyard.types import Tokens

KIND = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

Labels = tuple[tuple[str, str], ...]


@dataclass
class Histogram:
    """How many values were not above each of several bounds."""

    bounds: Sequence[float]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float, *, times: int = 1) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def lines(self, name: str, labels: Labels) -> Iterator[str]:
        """The histogram as it is told, its counts adding up."""
        below = 0
        for bound, count in zip([*map(_number, self.bounds), "+Inf"], self.counts):
            below += count
            yield _line(f"{name}_bucket", (*labels, ("le", bound)), below)
        yield _line(f"{name}_sum", labels, self.total)
        yield _line(f"{name}_count", labels, below)


@dataclass(frozen=True)
class Standing:
    """How a model stands now."""

    model: str
    taken: int
    waiting: int
    batch_sizes: Mapping[int, int]


class Metrics:
    """Counts of a server since it was begun."""

    def __init__(self) -> None:
        self.begun = time.time()
        self.calls: Counter[Labels] = Counter()
        self.given_up: Counter[Labels] = Counter()
        self.tokens_in: Counter[Labels] = Counter()
        self.tokens_out: Counter[Labels] = Counter()
        self.seconds: dict[Labels, Histogram] = {}
        self.first: dict[Labels, Histogram] = {}

    def count_call(self, *, wire: str, route: str, model: str, status: int, seconds: float) -> None:
        """Count a call that was answered; status 0 is one that nobody waited for any more."""
        labels: Labels = (("wire", wire), ("route", route), ("model", model))
        if status:
            told = (*labels, ("status", str(status)))
            self.calls[told] += 1
            if status < 400:
                self.seconds.setdefault(labels, Histogram(_SECONDS)).add(seconds)
        else:
            self.given_up[labels] += 1

    def count_first(self, model: str, seconds: float) -> None:
        """Count how long the first piece of a streamed answer took."""
        self.first.setdefault((("model", model),), Histogram(_SECONDS)).add(seconds)

    def count_tokens(self, model: str, tokens: Tokens | None) -> None:
        """Count the tokens of an answer, as far as the model tells."""
        labels = (("model", model),)
        if tokens is not None:
            self.tokens_in[labels] += tokens.input or 0
            self.tokens_out[labels] += tokens.output or 0

    def tell(self, standings: Iterable[Standing]) -> bytes:
        """All counts, and how the models stand."""
        standings = list(standings)
        gauges = [
            ("requests_in_flight", "requests a model is asked now", [(s.model, s.taken) for s in standings]),
            ("requests_waiting", "requests that wait for a place", [(s.model, s.waiting) for s in standings]),
        ]
        counters: list[tuple[str, str, Mapping[Labels, int]]] = [
            ("requests_total", "calls answered", self.calls),
            ("requests_abandoned_total", "calls whose caller hung up", self.given_up),
            ("tokens_in_total", "tokens of prompts", self.tokens_in),
            ("tokens_out_total", "tokens of answers", self.tokens_out),
        ]
        sizes: dict[Labels, Histogram] = {
            (("model", s.model),): _batches(s.batch_sizes) for s in standings if s.batch_sizes
        }
        histograms: list[tuple[str, str, Mapping[Labels, Histogram]]] = [
            ("request_seconds", "from a call to the end of its good answer", self.seconds),
            ("first_piece_seconds", "from a call to the first piece of its answer", self.first),
            ("batch_size", "requests answered together", sizes),
        ]
        lines: list[str] = []
        for name, about, told in gauges:
            lines += _head(name, about, "gauge")
            lines += [_line(f"steelyard_{name}", (("model", model),), value) for model, value in told]
        for name, about, counts in counters:
            lines += _head(name, about, "counter")
            lines += [_line(f"steelyard_{name}", labels, count) for labels, count in counts.items()]
        for name, about, found in histograms:
            lines += _head(name, about, "histogram")
            for labels, histogram in found.items():
                lines += histogram.lines(f"steelyard_{name}", labels)
        lines += _head("info", "the version that serves", "gauge")
        lines.append(_line("steelyard_info", (("version", __version__),), 1))
        lines += ["# TYPE process_cpu_seconds_total counter"]
        lines.append(_line("process_cpu_seconds_total", (), time.process_time()))
        lines += ["# TYPE process_start_time_seconds gauge"]
        lines.append(_line("process_start_time_seconds", (), self.begun))
        return ("\n".join(lines) + "\n").encode()


def _batches(sizes: Mapping[int, int]) -> Histogram:
    histogram = Histogram(_SIZES)
    for size, times in sizes.items():
        histogram.add(size, times=times)
    return histogram


def _head(name: str, about: str, kind: str) -> list[str]:
    return [f"# HELP steelyard_{name} {about}", f"# TYPE steelyard_{name} {kind}"]


def _line(name: str, labels: Labels, value: float) -> str:
    told = ",".join(f'{label}="{text.translate(_ESCAPES)}"' for label, text in labels)
    return f"{name}{{{told}}} {_number(value)}" if told else f"{name} {_number(value)}"


def _number(value: float) -> str:
    return repr(round(value, 6)) if isinstance(value, float) else str(value)
