"""What makes a result, a run or a comparison hard to trust, one line each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from steelyard.metrics.base import name_of
from steelyard.metrics.summary import Result
from steelyard.report.asking import goes_by_letters
from steelyard.report.contents import Contents, known_metrics
from steelyard.report.scores import EXTRACTION, NO_ANSWER, numbers_of

_SHOWN_REASONS = 5
_FEW = 30
_WIDE = 0.2
_UNEXTRACTED = 0.05
_LEAST_CARRIED = 0.25


def doubt_run(contents: Contents) -> list[str]:
    """All that keeps a run from being complete or its scores from being sure."""
    about = contents.run.about
    lines = []
    if about.get("state") != "done":
        why = f" ({about['reason']})" if about.get("reason") else ""
        lines.append(f"this run is not finished: {contents.answers:,} answers so far{why}")
    lines += list(_doubt_failures(contents)) + doubt_results(contents.results)
    lines += [f"{count:,} × {reason}" for reason, count in contents.reasons.most_common(_SHOWN_REASONS)]
    remarks = contents.remarks.most_common(_SHOWN_REASONS)
    lines += [f"answered all the same, {count:,} × {remark}" for remark, count in remarks]
    errors = contents.metric_errors.most_common(_SHOWN_REASONS)
    lines += [f"the metric failed, {count:,} × {reason}" for reason, count in errors]
    if contents.weighed and goes_by_letters(contents):
        lines += _doubt_letters(contents.carried / contents.weighed)
    if broken := (about.get("cache") or {}).get("broken"):
        lines.append(f"answers were kept no more: {broken}")
    lines += _doubt_scales(contents)
    lines += doubt_independence(about.get("independence") or {})
    if skipped := about.get("skipped_rows"):
        lines.append(f"{skipped:,} bad rows were passed over; the first: {about['bad_rows'][0]}")
    return lines


def _doubt_failures(contents: Contents) -> Iterator[str]:
    if not contents.failed:
        return
    aside = {name_of(one) for one in known_metrics(contents.run) if getattr(one, "answered_only", False)}
    hit = {result.metric for result in numbers_of(contents.results) if result.failed}
    worth = " and count as 0"
    if hit and hit <= aside:
        worth = ", left out of every score"
    elif hit & aside:
        worth += f", but are left out of {', '.join(sorted(hit & aside))}"
    yield f"{contents.failed:,} of {contents.answers:,} requests failed{worth}"


def doubt_independence(found: Mapping[str, Any]) -> Iterator[str]:
    """What was seen to differ when questions were asked alone and in company."""
    for one in found.get("findings", ()):
        if one["verdict"] == "differs":
            yield f"answers depend on what is asked beside them ({one['cause']}): {one['evidence']}"


def _doubt_scales(contents: Contents) -> Iterator[str]:
    """Which metrics are over numbers that people gave on several scales."""
    mixed: dict[tuple[str, ...], list[str]] = {}
    for metric in known_metrics(contents.run):
        column, name = getattr(metric, "scale", ""), name_of(metric)
        parts = contents.by.get(column, {})
        sets = [part for part, found in parts.items() if any(one.metric == name and one.n for one in found)]
        if len(sets) > 1:
            mixed.setdefault((column, *sets), []).append(name)
    for (column, *sets), names in mixed.items():
        what = ", ".join(names) + (" is" if len(names) == 1 else " are")
        yield f"{what} over {' and '.join(sets)}, whose ratings may be of other scales: look at each {column}"


def _doubt_letters(share: float) -> Iterator[str]:
    if share < _LEAST_CARRIED:
        yield (
            f"the letters carry {100 * share:.2g} % of what the model would say: "
            "which of them is the likeliest may say little"
        )


def doubt_results(results: Sequence[Result]) -> list[str]:
    """Why a reader should not lean on these scores."""
    every = numbers_of(results)
    numbers = [result for result in every if result.n]
    found = list(_doubt_extraction(results))
    if numbers and (fewest := min(result.n for result in numbers)) < _FEW:
        found.append(f"{fewest} answer{'s are' if fewest > 1 else ' is'} too few to tell much")
    return found + [line for result in every for line in _doubt_number(result)]


def _doubt_extraction(results: Sequence[Result]) -> Iterator[str]:
    for result in results:
        if result.metric == EXTRACTION and result.labels:
            total = sum(result.labels.values())
            none = sum(result.labels.get(rule, 0) for rule in NO_ANSWER)
            if none > _UNEXTRACTED * total:
                share = f"{100 * none / total:.0f} %"
                yield f"{none:,} of {total:,} answers ({share}) hold none that could be taken out"


def _doubt_number(result: Result) -> Iterator[str]:
    if result.undefined:
        answers = f"{result.undefined:,} answer{'s' if result.undefined > 1 else ''}"
        yield f"{result.metric} is undefined for {answers}, which it leaves out"
    low, high = result.low, result.high
    if low is None or high is None or result.n < _FEW:
        return
    if 0 <= low <= high - _WIDE and high <= 1:
        yield f"{result.metric} lies anywhere from {low:.2f} to {high:.2f}: ask more samples"
