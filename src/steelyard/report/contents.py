"""What a run folder holds, in one pass over its records and a few bytes an answer."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from steelyard.albums import pictures_of, sounds_of
from steelyard.builtin import BUILTINS
from steelyard.errors import StoreError, UnknownName, UsageError
from steelyard.metrics.base import Metric
from steelyard.metrics.choices import begins_otherwise, carried
from steelyard.metrics.extraction import Extractor, extractor
from steelyard.metrics.summary import Result, Summary
from steelyard.plugins import resolve
from steelyard.report.judgements import Judgements
from steelyard.report.prices import Price, stored_price
from steelyard.store import Run
from steelyard.types import Record, Response, Tokens

_KEPT_FAILED = 2000
# Of which tokens a service says more, where, and as a part of which.
_DETAILS = (
    ("cached", "prompt_tokens_details", "input"),
    ("reasoning", "completion_tokens_details", "output"),
)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass
class Contents:
    """A run read once: results, what failed and why, times, tokens and costs, and some of its records.

    Of `measured` answers the cost is known; `cpu` and `joules` are the sums over these. Of `known`
    answers a cache knew; of the others `counted` have a count of tokens, which `tokens` holds the sums
    of: input and output, and how many of these a service had cached and used for reasoning. `carried`
    is how much probability the choices have together, summed over `weighed` answers, of which `unsaid`
    begin with none of them. `judged` is what a reward model said beside what people said, `furthest`
    why some of the kept records are the furthest from it, by their indices. `reasons` are why answers
    failed, `remarks` what is odd about what was answered all the same.
    """

    run: Run
    results: list[Result]
    by: dict[str, dict[str, list[Result]]] = field(default_factory=dict)
    answers: int = 0
    failed: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    remarks: Counter[str] = field(default_factory=Counter)
    metric_errors: Counter[str] = field(default_factory=Counter)
    latency: array[float] = field(default_factory=lambda: array("d"))
    ttft: array[float] = field(default_factory=lambda: array("d"))
    pace: array[float] = field(default_factory=lambda: array("d"))
    known: int = 0
    counted: int = 0
    tokens: Counter[str] = field(default_factory=Counter)
    price: Price | None = None
    weighed: int = 0
    carried: float = 0.0
    unsaid: int = 0
    measured: int = 0
    cpu: float = 0.0
    joules: float = 0.0
    kept: list[Record] = field(default_factory=list)
    judged: Judgements = field(default_factory=Judgements)
    furthest: Mapping[int, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The task, the prompt where it has a name, and the model."""
        return title_of(self.run)

    @property
    def complete(self) -> bool:
        """Whether every question was answered and every metric worked."""
        return self.run.about.get("state") == "done" and not self.failed and not self.metric_errors


def read_contents(run: Run, *, by: Sequence[str] | None = None, keep: int = 0) -> Contents:
    """Read a run; `by` names columns to have results apart for, `keep` says how many records to keep.

    Without `by` the columns are those that the task names, as far as the data has them.
    """
    wanted_by, by = by, fields_of(run) if by is None else by
    summary = Summary(known_metrics(run), repeat=_repeat(run), extract=known_extractor(run), fields=by)
    contents = Contents(run, stored_results(run), price=stored_price(run.about))
    examples: dict[str, str] = {}
    columns: set[str] = set()
    kept_failed = 0
    for record in run.records():
        if by or not contents.results:
            summary.add(record)
        _measure(contents, record, examples)
        if keep:
            contents.judged.add(record)
        columns.update(name for name in by if name in record.sample.meta)
        wanted = record.response.error is not None and kept_failed < _KEPT_FAILED
        if record.index < keep or (keep and wanted):
            contents.kept.append(record)
            kept_failed += wanted
    if contents.answers and (missing := [name for name in wanted_by or () if name not in columns]):
        hint = "steelyard explain shows the columns of a sample"
        raise UsageError(f"no sample of {run.path} has a column {missing[0]!r}", hint=hint)
    for told in (contents.reasons, contents.remarks):
        counts = [(examples[reason], count) for reason, count in told.items()]
        told.clear()
        told.update(dict(counts))
    contents.results = contents.results or summary.results()
    contents.by = {name: summary.by(name) for name in by if name in columns}
    if keep:
        contents.furthest = contents.judged.furthest()
        _keep_furthest(contents)
    contents.kept.sort(key=lambda record: record.index)
    return contents


def _keep_furthest(contents: Contents) -> None:
    """Keep also the records that are the furthest off, which are known only in the end."""
    missing = contents.furthest.keys() - {record.index for record in contents.kept}
    if missing:
        contents.kept += [record for record in contents.run.records() if record.index in missing]


def title_of(run: Run) -> str:
    """The task, the prompt where it has a name, and the model."""
    about = run.about
    prompt = f"{about['prompt']} · " if about.get("prompt") else ""
    return f"{about.get('task', 'a task')} · {prompt}{about.get('model', 'a model')}"


def fields_of(run: Run) -> list[str]:
    """The columns of the data by which the task of a run wants its results apart."""
    return [str(name) for name in run.about.get("by") or []]


def stored_results(run: Run) -> list[Result]:
    """The results that a run ended with; none where it has not ended."""
    if run.about.get("state") != "done":
        return []
    try:
        return msgspec.convert(run.about.get("results", []), list[Result])
    except msgspec.ValidationError as error:
        raise StoreError(f"{run.path / 'run.json'} is damaged: results: {error}") from error


def known_metrics(run: Run) -> list[Metric]:
    """Those metrics of a run that are our own: what a folder names is not reason enough to run it."""
    found = []
    for ref in run.about.get("metrics") or []:
        if ref in BUILTINS["metrics"] or str(ref).startswith("steelyard.metrics."):
            try:
                found.append(resolve("metrics", ref))
            except UnknownName:
                # Of another version: the numbers in the records still stand.
                continue
    return found


def known_extractor(run: Run) -> Extractor | None:
    """How a run took answers out, where that is by a rule of ours."""
    ref = str(run.about.get("extract") or "")
    ours = ref in BUILTINS["extractors"] or ref.startswith(("regex:", "between:", "steelyard.metrics."))
    try:
        return extractor(ref) if ours else None
    except UsageError:
        # Of another version: the rule that was applied stands in each record.
        return None


def _measure(contents: Contents, record: Record, examples: dict[str, str]) -> None:
    response = record.response
    contents.answers += 1
    if response.error is not None:
        contents.failed += 1
        reason = _reason_of(record, response.error)
        examples.setdefault(reason, response.error)
        contents.reasons[reason] += 1
    for remark in response.raw.get("remarks", ()) if isinstance(response.raw, Mapping) else ():
        if remark and isinstance(remark, str):
            reason = _reason_of(record, remark)
            examples.setdefault(reason, remark)
            contents.remarks[reason] += 1
    for name, score in record.scores.items():
        if name.endswith(".error") and isinstance(score, str) and name[:-6] in record.scores:
            contents.metric_errors[f"{name[:-6]}: {score}"] += 1
    if record.request.choices is not None and response.scores is not None:
        contents.weighed += 1
        contents.carried += carried(response)
        contents.unsaid += begins_otherwise(response)
    if is_known(response):
        contents.known += 1
    elif response.tokens is not None:
        contents.counted += 1
        _count_tokens(contents.tokens, response, response.tokens)
    if response.timing is not None and response.error is None:
        contents.latency.append(response.timing.latency)
        if response.timing.ttft is not None:
            contents.ttft.append(response.timing.ttft)
        if (pace := pace_of(response)) is not None:
            contents.pace.append(pace)
    if response.cost is not None:
        contents.measured += 1
        contents.cpu += response.cost.cpu
        contents.joules += response.cost.gpu_energy_joules or 0.0


def is_known(response: Response) -> bool:
    """Whether an answer was given before and came out of a cache."""
    # A service may say the same word of itself; what was asked has its times.
    if response.timing is not None:
        return False
    return isinstance(response.raw, Mapping) and response.raw.get("cached") is True


def _count_tokens(counts: Counter[str], response: Response, tokens: Tokens) -> None:
    """Add the tokens of an answer by what they were for, as far as a service says."""
    most = {"input": tokens.input or 0, "output": tokens.output or 0}
    counts["input"] += most["input"]
    counts["output"] += most["output"]
    usage = response.raw.get("usage") if isinstance(response.raw, dict) else None
    if not isinstance(usage, dict):
        return
    for kind, of, within in _DETAILS:
        details = usage.get(of)
        count = details.get(f"{kind}_tokens") if isinstance(details, dict) else None
        if isinstance(count, int) and 0 <= count <= most[within]:
            counts[kind] += count


def _reason_of(record: Record, error: str) -> str:
    """An error without what differs from one failure to the next: files, addresses, durations, ids."""
    prompt = record.request.prompt
    for stored in (*pictures_of(prompt), *(sound for _, sound in sounds_of(prompt))):
        name = (stored.get("image") or stored.get("audio")) if isinstance(stored, Mapping) else None
        if name:
            error = error.replace(str(name), "#")
    return _NUMBER.sub("#", error)


def pace_of(response: Response) -> float | None:
    """How many tokens a second an answer was written with, from its first piece to its last."""
    timing = response.timing
    if timing is None:
        return None
    counted = response.tokens.output if response.tokens is not None else None
    each = timing.tpot(len(timing.chunks) if counted is None else counted)
    return 1 / each if each else None


def _repeat(run: Run) -> int:
    return int(sampling(run).get("repeat") or 1)


def sampling(run: Run) -> dict[str, Any]:
    """How often and how much of the data a run asked."""
    found: dict[str, Any] = run.about.get("identity", {}).get("sampling", {})
    return found
