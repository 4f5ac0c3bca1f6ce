"""How the questions of a run were asked, where that was found out and not said; what was known before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from steelyard.report.contents import Contents
from steelyard.tasks.choice import AUTO, LETTER, LETTER_LIKELIHOOD, LIKELIHOOD, describe_way, name_likelihood


def way_of(contents: Contents) -> str:
    """How options were picked; empty where there were none."""
    told = _told(contents)
    return describe_way(told) if told else ""


def tell_asking(contents: Contents) -> Iterator[tuple[str, str]]:
    """How options were picked and what else was tried, and how much a cache knew, each with its name."""
    told = _told(contents)
    if told:
        best = " (the best way that it offers)" if told.get("asked") == AUTO else ""
        yield "choices", describe_way(told) + best
        if contents.weighed and told["by"] == LETTER_LIKELIHOOD:
            yield "letters carry", f"{100 * contents.carried / contents.weighed:.3g} % of what it would say"
        for way, why in told.get("tried", {}).items():
            yield "not by", f"{name_likelihood(way)}: {why}"
    if contents.known:
        answers = "answer" if contents.known == 1 else "answers"
        yield "cache", f"{contents.known:,} {answers} of {contents.answers:,} given before, not asked again"


def _told(contents: Contents) -> dict[str, Any]:
    about = contents.run.about
    found = about.get("choices")
    if isinstance(found, dict):
        return found
    by = about.get("identity", {}).get("task", {}).get("by")
    return {"by": by, "likelihood": "own"} if by in (LETTER, LETTER_LIKELIHOOD, LIKELIHOOD) else {}
