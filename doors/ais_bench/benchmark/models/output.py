"""Output and RequestOutput: what came of one request.

A backend's `get_request_body` may note in it what was asked, its `parse_…_response` write in it what was
answered. When each piece came is noted by whoever asks, not by them.
"""

from __future__ import annotations

from collections.abc import Generator
from itertools import pairwise
from typing import Any

from steelyard.models.base import clock
from steelyard.types import Timing

THOUGHT = "</think>"


class Output:
    """One answer, or how far it came.

    `time_points` are seconds on one clock: when the request was sent, then when each piece came; `timing`
    says the same in the engine's words. `exchange` is what a ready-made backend remembers of a stream.
    """

    def __init__(self, perf_mode: bool = False) -> None:
        self.perf_mode = perf_mode
        self.success = False
        self.error_info = ""
        self.time_points: list[float] = []
        self.content: Any = ""
        self.reasoning_content = ""
        self.input_tokens = 0
        self.output_tokens = 0
        self.extra_perf_data: dict[str, Any] = {}
        self.extra_details_data: dict[str, Any] = {}
        self.input: Any = None
        self.uuid = ""
        self.turn_id = 0
        self.timing: Timing | None = None
        self.exchange: Any = None

    def __repr__(self) -> str:
        told = "success" if self.success else self.error_info or "nothing yet"
        return f"{type(self).__name__}({told}, content={self.content!r})"

    def get_prediction(self) -> str:
        """What was answered, behind what was thought before it."""
        said = self.content if isinstance(self.content, str) else str(self.content or "")
        return f"{self.reasoning_content}{THOUGHT}{said}" if self.reasoning_content else said

    def to_dict(self) -> dict[str, Any]:
        """All fields by their names."""
        return {name: value for name, value in vars(self).items() if name not in ("timing", "exchange")}

    def get_metrics(self) -> dict[str, Any]:
        """All fields but those of a debugging kind."""
        hidden = ("perf_mode", "input", "extra_details_data")
        return {name: value for name, value in self.to_dict().items() if name not in hidden}

    def record_time_point(self) -> Recorded:
        """Note that a piece came at this moment; it can be awaited as well."""
        self.time_points.append(clock())
        return Recorded()


class RequestOutput(Output):
    """The answer to a request, which can say how fast it came."""

    def get_metrics(self) -> dict[str, Any]:
        """What came, and of a good answer its times: to its end, to its first piece, for each other."""
        told = super().get_metrics()
        points = told.pop("time_points")
        if not self.success or len(points) < 2:
            return told
        sent, *pieces = points
        told["latency"] = pieces[-1] - sent
        if len(pieces) > 1:
            told["ttft"] = pieces[0] - sent
            told["itl"] = [after - before for before, after in pairwise(pieces)]
            if self.output_tokens > 1:
                told["tpot"] = (pieces[-1] - pieces[0]) / (self.output_tokens - 1)
        return told


class Recorded:
    """A call that was made at once; to await it takes no time."""

    def __await__(self) -> Generator[Any, None, None]:
        yield from ()
