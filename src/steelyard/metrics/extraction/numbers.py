"""The number that a text gives as its answer.

>>> find_number("9 * 2 = 18. The answer is $18 every day at 9:30.")
Extraction(value=18, rule='answer is', start=27, end=29)
>>> find_number("I cannot say.")
Extraction(value=None, rule='nothing', start=0, end=0)
"""

from __future__ import annotations

import re

from steelyard.metrics.extraction.base import NOTHING, Extraction, Mark, find_marks, make_plain
from steelyard.metrics.extraction.numerals import Numeral, read_spelled, scan_numerals
from steelyard.types import Sample

_OPERATOR = r"(?:[-+*/×÷·^]|x(?=[\s\d(])|\\times|\\cdot|\\div|plus|minus|times|divided\s+by)"
_EXPRESSION = re.compile(rf"(?:\s*{_OPERATOR}|\s*[a-z]+\s*[+*×])\s*[($\\]*\s*(?:\d|\\[dt]?frac)", re.I)
_CHAIN = re.compile(
    r"(?:[\d\s.,+\-*/×÷·^()$€£¥%=≈{}\[\]]|\\(?:times|cdot|div|[dt]?frac|left|right|approx|[$,!])|x(?=\s*\d)"
    r"|(?<=[\d ])[a-z]+(?=\s*[=≈+*/×-]))+"
)
_JOIN = (
    r"(?:,\s*(?:and\s+|or\s+)?|;\s*|\s+(?:and|or|to)\s+(?:[a-z]\s*=\s*)?|\s*[-&]\s*"
    r"|\s*\\(?:text|mathrm)\{\s*(?:and|or)\s*\}\s*)"
)
_MORE = re.compile(rf"(?:\s*[a-z]+)?(?:\\?[$)\]]|\s)*?{_JOIN}(?:[($\\]*)(?=[-\d.])", re.I)
_LIST_END = re.compile(r"\s*(?:[a-z°]+\s*){0,2}[\s\\\])}.!$*]*\Z", re.I)
_EITHER = re.compile(r"\d\s+or\s+[$\\(]*\Z")
_NO_ANSWER = re.compile(
    r"can(?:not|'t| ?not)|unknown|undetermined|indeterminate|undefined|impossible"
    r"|not\s+(?:possible|enough|clear|sure)"
    r"|insufficient|no\s+(?:real\s+)?solutions?|infinit|unclear|unable|none\b|N/?A\b|null\b|does\s+not\s+exist",
    re.I,
)
_UNREAL = re.compile(
    r"\\sqrt|\\pi|\\pm|\\infty|\\theta|√|π|\^\{?[^{\\\s]|\d[a-z]\b|(?<![\w\\])[a-z](?![\w}'])", re.I
)
_WRAPPED = re.compile(
    r"\\(?:text|mathrm|textbf|mathbf|operatorname)\{[^}]*\}(?:\^\{?[23]\}?)?"
    r"|\^\{?\\circ\}?|(?<![\\a-z])[a-z]{2,}(?:\^[23])?",
    re.I,
)
_PROSE = re.compile(r"[A-Za-z']{2,}\s+[A-Za-z']+\s")
_LEAD = re.compile(r"[\s*_:$\"'(]*(?:(?:about|approximately|exactly|only|just|a total of)\s+)?", re.I)


def find_number(text: str, sample: Sample | None = None) -> Extraction:
    """The number after the last mark (answer is, ####, boxed, answer tag), else the last number."""
    plain = make_plain(text)
    for mark in reversed(find_marks(plain)):
        clause = plain[mark.start : mark.end]
        if mark.rule == "answer:" and _is_working(plain, mark):
            continue
        found = _in_box(plain, mark) if mark.rule == "boxed" else _in_clause(plain, mark)
        if found is not None:
            return found
        if _NO_ANSWER.search(clause) or mark.rule in ("boxed", "answer tag"):
            return NOTHING
    return _last(plain)


def _is_working(plain: str, mark: Mark) -> bool:
    """Whether "Answer:" opens a paragraph of working and not the answer itself."""
    lead = _LEAD.match(plain, mark.start, mark.end)
    start = lead.end() if lead else mark.start
    if not _PROSE.match(plain, start, mark.end) or read_spelled(plain, start):
        return False
    paragraph = plain.find("\n\n", mark.end)
    later = scan_numerals(plain, mark.end, paragraph if paragraph >= 0 else len(plain))
    return any(numeral.kind == "plain" for numeral in later)


def _in_clause(plain: str, mark: Mark) -> Extraction | None:
    """The first number that stands in a marked clause, or what an equation there comes to."""
    lead = _LEAD.match(plain, mark.start, mark.end)
    spelled = read_spelled(plain, lead.end() if lead else mark.start)
    if spelled is not None and spelled.end <= mark.end:
        return Extraction(spelled.value, mark.rule, spelled.start, spelled.end)
    numerals = list(scan_numerals(plain, mark.start, mark.end))
    first = next((n for n in numerals if n.kind == "plain"), None)
    first = first or next((n for n in numerals if n.kind == "ordinal"), None)
    if first is None:
        return _label(plain, numerals, mark)
    if _EXPRESSION.match(plain, first.end, mark.end):
        return _result(plain, numerals, first, mark)
    if _is_list(plain, first, mark.end):
        return Extraction(None, "ambiguous", first.start, mark.end)
    return Extraction(first.value, mark.rule, first.start, first.end)


def _in_box(plain: str, mark: Mark) -> Extraction | None:
    """What a box holds, where that is one number with at most a unit."""
    start = (
        max(plain.rfind("=", mark.start, mark.end), plain.rfind("≈", mark.start, mark.end)) + 1 or mark.start
    )
    inner = Mark(mark.rule, start, mark.end)
    if _UNREAL.search(_WRAPPED.sub("", plain[start : mark.end])):
        return None
    return _in_clause(plain, inner)


def _result(plain: str, numerals: list[Numeral], first: Numeral, mark: Mark) -> Extraction:
    """The number after the last equals sign of a calculation."""
    chain = _CHAIN.match(plain, first.start, mark.end)
    stop = chain.end() if chain else first.end
    equals = max(plain.rfind(sign, first.start, stop) for sign in "=≈")
    for numeral in numerals:
        if equals >= 0 and numeral.start > equals and numeral.kind == "plain":
            if _EXPRESSION.match(plain, numeral.end, mark.end):
                break
            return Extraction(numeral.value, mark.rule, numeral.start, numeral.end)
    return Extraction(None, "ambiguous", first.start, stop)


def _label(plain: str, numerals: list[Numeral], mark: Mark) -> Extraction | None:
    """A marked "[18]" is an answer after all, where elsewhere it would be a footnote."""
    for numeral in numerals:
        if numeral.kind == "label" and plain[numeral.start] == "[":
            inner = next(scan_numerals(plain, numeral.start + 1, numeral.end - 1))
            return Extraction(inner.value, mark.rule, inner.start, inner.end)
    return None


def _is_list(plain: str, first: Numeral, end: int) -> bool:
    """Whether a clause is a list or a range of numbers: "3, 4 and 5", "5-10"."""
    at, count = first.end, 1
    while more := _MORE.match(plain, at, end):
        following = next(scan_numerals(plain, more.end(), end), None)
        if following is None or following.start != more.end() or following.kind != "plain":
            break
        at, count = following.end, count + 1
    return count > 1 and _LIST_END.match(plain[at:end]) is not None


def _last(plain: str) -> Extraction:
    """The last number of a text without marks, or the whole of it where that is a number in words."""
    last = None
    for numeral in scan_numerals(plain):
        if numeral.kind == "plain":
            last = numeral
    if last is None:
        lead = _LEAD.match(plain)
        spelled = read_spelled(plain, lead.end() if lead else 0)
        if spelled is None or re.search(r"\w", plain[spelled.end :]):
            return NOTHING
        return Extraction(spelled.value, "spelled out", spelled.start, spelled.end)
    if _EITHER.search(plain, max(0, last.start - 12), last.start):
        return Extraction(None, "ambiguous", last.start, last.end)
    return Extraction(last.value, "last number", last.start, last.end)
