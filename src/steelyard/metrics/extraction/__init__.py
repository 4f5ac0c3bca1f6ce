"""How the final answer is taken out of free text, always with the rule that found it.

    >>> extractor("number")("16 - 7 = 9, times 2 is 18. #### 18", Sample("1", ""))
    Extraction(value=18, rule='####', start=32, end=34)
    >>> extractor(r"regex:Capital: (\\w+)")("Capital: Paris", Sample("1", ""))
    Extraction(value='Paris', rule='regex', start=9, end=14)

Reasoning between <think> tags is never searched. Where there is no answer, the value is None and
the rule "nothing"; where there are several, "ambiguous". Nothing is guessed silently.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from steelyard.builtin import BUILTINS
from steelyard.errors import UsageError
from steelyard.metrics.extraction.base import (
    NOTHING,
    Answer,
    Extraction,
    Extractor,
    cut_reasoning,
    find_boxes,
    find_marks,
    make_plain,
)
from steelyard.metrics.extraction.letters import find_letter
from steelyard.metrics.extraction.numbers import find_number
from steelyard.metrics.extraction.phrases import LETTERS
from steelyard.plugins import resolve, source_digest
from steelyard.types import Sample

__all__ = [
    "LETTERS",
    "NOTHING",
    "Answer",
    "Extraction",
    "Extractor",
    "Regex",
    "extractor",
    "find_box",
    "find_last_line",
    "find_letter",
    "find_marks",
    "find_number",
    "find_text",
]


def find_text(text: str, sample: Sample | None = None) -> Extraction:
    """The whole text, without reasoning and outer white space."""
    plain = make_plain(text)
    return _span(text, plain, 0, len(plain), rule="text")


def find_last_line(text: str, sample: Sample | None = None) -> Extraction:
    """The last line that is not blank."""
    plain = make_plain(text)
    end = len(plain.rstrip())
    start = max(plain.rfind("\n", 0, end), plain.rfind("\r", 0, end)) + 1
    return _span(text, plain, start, end, rule="last line")


def find_box(text: str, sample: Sample | None = None) -> Extraction:
    """What the last \\boxed{…} holds."""
    plain = make_plain(text)
    boxes = find_boxes(plain)
    return _span(text, plain, *boxes[-1], rule="boxed") if boxes else NOTHING


class Regex:
    """The last match of a pattern: its group 1 where it has groups, else all of it."""

    def __init__(self, pattern: str, *, rule: str = "regex") -> None:
        self.name = f"regex:{pattern}"
        self.rule = rule
        try:
            self.pattern = re.compile(pattern, re.M)
        except re.error as error:
            raise UsageError(f"{pattern!r} is no regular expression: {error}") from error

    @property
    def ref(self) -> str:
        """The reference that `extractor` makes this of."""
        return self.name

    def __call__(self, text: str, sample: Sample | None = None) -> Extraction:
        plain = make_plain(text)
        matches = list(self.pattern.finditer(plain))
        if not matches:
            return NOTHING
        start, end = matches[-1].span(1 if self.pattern.groups else 0)
        return _span(text, plain, start, end, rule=self.rule) if start >= 0 else NOTHING


def extractor(ref: str) -> Extractor:
    """The extractor of a name: text, number, letter, boxed, last_line, regex:PATTERN, between:START…END.

    A reference to a function of (text, sample) will do too; it gives an Extraction, a value, or None.
    """
    kind, colon, rest = ref.partition(":")
    if colon and kind == "regex":
        return Regex(rest)
    if colon and kind == "between":
        start, dots, end = rest.partition("…") if "…" in rest else rest.partition("...")
        if not (start and dots):
            raise UsageError(f"{ref!r} names no two ends", hint="as in between:<answer>…</answer>")
        found = Regex(
            rf"{re.escape(start)}\s*((?s:.*?))\s*{re.escape(end) if end else chr(92) + 'Z'}", rule="between"
        )
        found.name = ref
        return found
    found = resolve("extractors", ref)
    return found if ref in BUILTINS["extractors"] else _Own(ref, found)


class _Own:
    """Somebody's own function, whose plain values become Extractions."""

    def __init__(self, ref: str, find: Callable[[str, Sample | None], Extraction | Answer]) -> None:
        self.name = self.ref = ref
        self._find = find

    @property
    def identity(self) -> str | None:
        """Where it is written."""
        return source_digest(self._find)

    def __call__(self, text: str, sample: Sample | None = None) -> Extraction:
        found = self._find(text, sample)
        if isinstance(found, Extraction):
            return found
        return NOTHING if found is None else Extraction(found, self.name.rpartition(":")[2])


def _span(text: str, plain: str, start: int, end: int, *, rule: str) -> Extraction:
    """A part of the text without outer white space; nothing where that is empty."""
    inner = plain[start:end]
    start += len(inner) - len(inner.lstrip())
    end = start + len(inner.strip())
    return Extraction(cut_reasoning(text[start:end]), rule, start, end) if end > start else NOTHING
