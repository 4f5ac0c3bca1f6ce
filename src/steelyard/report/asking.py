"""How the questions of a run were asked, where that was found out and not said; what was known before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from steelyard.report.contents import Contents
from steelyard.tasks.choice import AUTO, LETTER, LETTER_LIKELIHOOD, LIKELIHOOD, describe_way, name_likelihood

_SHORT = {"own": "own odds", "choices": "service's odds", "prompt": "prompt odds", "prefill": "prefill odds",
          "echo": "echoed odds", "echo-each": "echoed odds", "first-token": "first token"}  # fmt: skip


def way_of(contents: Contents) -> str:
    """How options were picked, in a word or two; empty where there were none."""
    told = _told(contents)
    if not told:
        return ""
    return _SHORT.get(told["likelihood"], told["likelihood"]) if told["likelihood"] else "written"


def goes_by_letters(contents: Contents) -> bool:
    """Whether the likelihoods of letters were compared."""
    return bool(_told(contents).get("by") == LETTER_LIKELIHOOD)


def tell_asking(contents: Contents) -> Iterator[tuple[str, str]]:
    """How options were picked and what else was tried, and how much a cache knew, each with its name."""
    told = _told(contents)
    if told:
        best = " (the best way that it offers)" if told.get("asked") == AUTO else ""
        yield "choices", describe_way(told) + best
        if contents.weighed and goes_by_letters(contents):
            yield "letters carry", _tell_letters(contents)
        for way, why in told.get("tried", {}).items():
            yield "not by", f"{name_likelihood(way)} ({way}): {why}"
    if contents.known:
        answers = "answer" if contents.known == 1 else "answers"
        yield "cache", f"{contents.known:,} {answers} of {contents.answers:,} given before, not asked again"


def _tell_letters(contents: Contents) -> str:
    said = f"{100 * contents.carried / contents.weighed:.3g} % of what it would say"
    if contents.unsaid == 1:
        said += "; 1 begins with none and counts as wrong"
    elif contents.unsaid:
        said += f"; {contents.unsaid:,} begin with none and count as wrong"
    return said


def _told(contents: Contents) -> dict[str, Any]:
    about = contents.run.about
    found = about.get("choices")
    if isinstance(found, dict):
        return found
    by = about.get("identity", {}).get("task", {}).get("by")
    if by not in (LETTER, LETTER_LIKELIHOOD, LIKELIHOOD):
        return {}
    return {"by": by, "likelihood": None if by == LETTER else "own"}
