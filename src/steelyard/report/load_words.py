"""A load run in words: why it may not be believed, and what came of what was to be kept."""

from __future__ import annotations

from collections.abc import Iterator

from steelyard.report.load_contents import LoadContents


def doubt_load(contents: LoadContents) -> Iterator[str]:
    """Why a reader should not lean on a run, its state first."""
    reason = contents.run.about.get("reason")
    if contents.state != "done":
        why = f" ({reason})" if reason else ""
        yield f"this run is {contents.state}: {contents.requests:,} requests were measured{why}"
    for stage in contents.stages:
        before = f"{stage.name}: " if len(contents.stages) > 1 else ""
        for doubt in stage.performance.doubts:
            yield before + doubt


def tell_outcome(contents: LoadContents) -> Iterator[str]:
    """Whether each stage kept what was to be kept, and why requests failed."""
    several = len(contents.stages) > 1
    for stage in contents.stages:
        for verdict in contents.verdicts(stage):
            if not several or not verdict.kept:
                yield f"{stage.name}: {verdict}" if several else str(verdict)
    for reason, count in contents.reasons.items():
        yield f"{count:,} × {reason}"
