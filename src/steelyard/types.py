"""The nouns: Part, Sample, Request, Chunk, Timing, Cost, Response, Record.

A Sample becomes a Request; a Model answers in Chunks; the Response, with its Timing, is
stored as a Record; every result that anyone wants is a function of Records.

    >>> sample = Sample(id="7", input="2 + 2 =", target="4")
    >>> request = Request(id="7", prompt="2 + 2 =", params={"max_tokens": 4})
    >>> response = Response(text=" 4")
    >>> Record(index=0, sample=sample, request=request, response=response, scores={"exact": True})
    ... # doctest: +ELLIPSIS
    Record(index=0, sample=Sample(id='7', ...
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypedDict, Union

__all__ = [
    "Chunk",
    "Cost",
    "Message",
    "Part",
    "Prompt",
    "Record",
    "Request",
    "Response",
    "Sample",
    "Score",
    "Timing",
    "Tokens",
]


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a prompt: a text, an image or an audio."""

    kind: Literal["text", "image", "audio"]
    data: Any


class Message(TypedDict):
    """One turn of a chat; its content is a text or a list of Parts."""

    role: str
    content: str | Sequence[Part]


Prompt = Union[str, Sequence[Message], Mapping[str, Any]]
"""A text, the turns of a chat, or (for models with inputs of their own) a mapping."""

TOKENS = "prompt_token_ids"
"""The key of a mapping that is a prompt in tokens, for models that have some."""

Score = Union[bool, int, float, str, Sequence[Any], None]
"""What a metric says of one answer: pass or fail, a number, a label, the statistics that a metric
over a whole set combines, or (None) that it is undefined."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of a data set."""

    id: str
    input: Any
    target: Any = None
    choices: Sequence[str] | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """One question for a model.

    With `choices` the model is asked how likely each of them is as the continuation of the
    prompt; its Response then carries one log-probability a choice in `scores`.
    `params` holds what shapes the answer: max_tokens, temperature, top_p, top_k, stop, seed, …
    """

    id: str
    prompt: Prompt
    choices: Sequence[str] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


class Tokens(NamedTuple):
    """How many tokens went in and came out, as far as the model says."""

    input: int | None = None
    output: int | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """One piece of an answer, as it arrived."""

    text: str = ""
    scores: Mapping[str, float] | Sequence[float] | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    raw: Any = None


@dataclass(frozen=True, slots=True)
class Timing:
    """When things happened, in seconds on one monotonic clock.

    `due` is when the schedule wanted the request out, `sent` when it went, `chunks` when each
    piece of the answer came, `done` when the last of it was in. A local model that is fed tokens
    has a chunk a token; its `done` is when the answer was handed over, which is the end of the
    batch that it was answered in, so the speed of writing is (n - 1) / (last - first) of its chunks.

    `sent` is when the question was handed to an open connection; `connecting` says how long opening
    that took before, `held` how long before that a limit of requests in flight kept it back.
    `first_byte` is when anything came of the answer, its head too. `taken_by` says who took the times
    of what came: the "kernel" as it arrived, the "reader" when it was read, or a "model" here by itself.
    """

    due: float
    sent: float
    chunks: Sequence[float] = ()
    done: float = 0.0
    first_byte: float | None = None
    connecting: float = 0.0
    held: float = 0.0
    taken_by: str | None = None

    @property
    def latency(self) -> float:
        """From sending to the end of the answer."""
        return self.done - self.sent

    @property
    def lag(self) -> float:
        """How late we were in sending, but for what a limit or a connection cost."""
        return self.sent - self.due - self.held - self.connecting

    @property
    def ttft(self) -> float | None:
        """From sending to the first piece of the answer."""
        return self.chunks[0] - self.sent if self.chunks else None

    @property
    def itl(self) -> list[float]:
        """The gaps between the pieces of the answer."""
        return [b - a for a, b in zip(self.chunks, self.chunks[1:])]

    def tpot(self, tokens_out: int) -> float | None:
        """Time for each output token after the first; None where the answer came in one piece."""
        if len(self.chunks) < 2 or tokens_out < 2:
            return None
        return (self.chunks[-1] - self.chunks[0]) / (tokens_out - 1)


@dataclass(frozen=True, slots=True)
class Cost:
    """What was spent; memory in bytes, energy in joules, None where it cannot be known.

    `rss_idle_bytes` is the memory of the process before, `rss_peak_bytes` the most of it during.
    Of answers given together, `shared` of them, each carries its part of the CPU time and of the
    energy; wall and memory are those of them all.
    """

    wall: float
    cpu: float
    rss_idle_bytes: int
    rss_peak_bytes: int
    gpu_peak_bytes: int | None = None
    gpu_energy_joules: float | None = None
    shared: int = 1


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a Request. A failure is an answer with `error`.

    `scores` is a sequence with one log-probability a choice where the request had choices,
    else a mapping from names to numbers (labels of a classifier, scores of a reward model).
    """

    text: str = ""
    scores: Mapping[str, float] | Sequence[float] | None = None
    tokens: Tokens | None = None
    timing: Timing | None = None
    error: str | None = None
    raw: Any = None
    cost: Cost | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What is stored of one question: enough to score it again without the model.

    `index` is its place in the run: the sample's place in the data, times the number of
    times each sample is asked, plus which of these this is.
    """

    index: int
    sample: Sample
    request: Request
    response: Response
    scores: Mapping[str, Score] = field(default_factory=dict)
