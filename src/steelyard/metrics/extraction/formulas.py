"""The mathematical answer that a text gives.

>>> find_formula("So $x^2 = 4$, and the answer is $x = \\\\pm 2$.")
Extraction(value='x = \\\\pm 2', rule='answer is', start=33, end=42)
>>> find_formula("Hence \\\\boxed{1} and \\\\boxed{2}.").value
'1, 2'
"""

from __future__ import annotations

import re

from steelyard.metrics.extraction.base import NOTHING, Extraction, find_boxes, find_marks, make_plain
from steelyard.metrics.extraction.numbers import find_number
from steelyard.types import Sample

_MATH = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.S)
_BETWEEN = re.compile(
    r"[\s$,;&\\()}]*(?:(?:\\text\{)?\s*(?:and|or)\s*\}?)?[\s$,;&\\()]*(?:\\boxed|\\fbox)\s*\{"
)
_TEXT = re.compile(r"\\(?:text(?:bf|it|rm)?|math(?:rm|bf)|mbox|begin|end|left|right)\s*(?:\{[^{}]*\})?")
_PROSE = re.compile(r"[^\W\d_]{2,}[,;:]?\s+[^\W\d_]{2,}|[.!?]\s+\w")
_EDGE = " \t\n\r*_`$"
_LONGEST = 200


def find_formula(text: str, sample: Sample | None = None) -> Extraction:
    """What the last box holds or mark names; else the whole of a formula, the last formula or number."""
    plain = make_plain(text)
    boxes = find_boxes(plain)
    if boxes:
        return _boxed(text, plain, boxes)
    for mark in reversed(find_marks(plain)):
        inner = _MATH.search(plain, mark.start, mark.end)
        found = _span(text, *(_inside(inner) if inner else (mark.start, mark.end)), rule=mark.rule)
        if found.value is not None:
            return found
    if is_formula(plain):
        return _span(text, 0, len(plain), rule="text")
    formulas = list(_MATH.finditer(plain))
    if formulas:
        return _span(text, *_inside(formulas[-1]), rule="last formula")
    number = find_number(text)
    return _span(text, number.start, number.end, rule=number.rule) if number.value is not None else number


def is_formula(text: str) -> bool:
    """Whether a text is one short line without sentences."""
    line = text.strip()
    return (
        bool(line) and len(line) <= _LONGEST and "\n" not in line and not _PROSE.search(_TEXT.sub(" ", line))
    )


def _boxed(text: str, plain: str, boxes: list[tuple[int, int]]) -> Extraction:
    """The last box, with those right before it that it goes on from."""
    outer = [box for box in boxes if not any(a < box[0] and box[1] < b for a, b in boxes)]
    run = [outer[-1]]
    for box in reversed(outer[:-1]):
        joint = _BETWEEN.match(plain, box[1] + 1)
        if joint is None or joint.end() != run[0][0]:
            break
        run.insert(0, box)
    pieces = [text[start:end].strip() for start, end in run]
    if not any(pieces):
        return NOTHING
    if len(run) == 1:
        return _span(text, *run[0], rule="boxed")
    return Extraction(", ".join(pieces), "boxed", run[0][0], run[-1][1])


def _inside(found: re.Match[str]) -> tuple[int, int]:
    return found.span(found.lastindex or 0)


def _span(text: str, start: int, end: int, *, rule: str) -> Extraction:
    """A part of the text without what stands around it; nothing where that is empty."""
    inner = text[start:end]
    start += len(inner) - len(inner.lstrip(_EDGE))
    end = start + len(text[start:end].rstrip(_EDGE + ".,;"))
    return Extraction(text[start:end], rule, start, end) if end > start else NOTHING
