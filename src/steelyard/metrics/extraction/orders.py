"""An order of pages that a text gives: their numbers, or single capital letters.

>>> find_order("The right order is: Page 3 → Page 1 → Page 2.")
Extraction(value='3, 1, 2', rule='last list', start=25, end=44)
>>> find_order("1. Page B\\n2. Page A").value
'B, A'
>>> find_order('{"1": 3, "2": 1, "3": 2}').rule
'ambiguous'
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from steelyard.metrics.extraction.base import NOTHING, Extraction, find_marks, make_plain
from steelyard.types import Sample

_NOUN = r"(?:(?:pages?|images?|pictures?|documents?|sheets?|scans?|photos?|slides?|figures?|nos?\.)[ \t]*)?"
_EDGE = r"[ \t*_`\"'()\[\]{}<#$\\]{0,9}"
_NAME = r"(?P<label>\d{1,3}|[A-Z])(?![\w%]|'\w|\.\d|,\d{3}(?!\d))"
_LABEL = re.compile(rf"(?i:\b{_NOUN})(?<![\w.$]){_NAME}")
_BETWEEN = re.compile(
    r"(?:(?P<pair>:)|,|;|/|\||&|→|⟶|➔|➜|=>|-+>|>|(?P<hyphen>-))?\s*"
    r"(?:\b(?:and|then|next|followed by|finally|lastly|last|after that)\b[\s,:]*)*\Z",
    re.I,
)
_STRIPPED = " \t\r*_`\"'()[]{}<#$\\"
_LINE = re.compile(
    r"^[ \t>]*(?:[-*•]|(?:\*\*)?(?:step |position )?(?P<number>\d{1,3}|[1-9](?:st|nd|rd|th))[.):])?"
    rf"{_EDGE}(?P<noun>(?i:{_NOUN})){_EDGE}(?<![\w.$]){_NAME}(?P<rest>.*)$",
    re.M,
)


class _Run(NamedTuple):
    """Labels one after the other."""

    labels: list[str]
    start: int
    end: int
    rule: str = "last list"


def find_order(text: str, sample: Sample | None = None) -> Extraction:
    """The order in the last place that the text calls its answer, else the last list or lines of labels."""
    plain = make_plain(text)
    for mark in reversed(find_marks(plain)):
        if runs := list(_lists(plain, mark.start, mark.end)):
            return _told(runs[-1]._replace(rule=mark.rule))
    runs = sorted([*_lists(plain, 0, len(plain)), *_columns(plain)], key=lambda run: (run.end, -run.start))
    if runs:
        return _told(runs[-1])
    only = re.fullmatch(rf"[\s.]*{_EDGE}{_LABEL.pattern}{_EDGE}[\s.]*", plain)
    if only is None:
        return NOTHING
    return Extraction(_name(only["label"]), "label alone", *only.span("label"))


def labels_of(order: str) -> list[str]:
    """The labels of an order as `find_order` writes it."""
    return order.split(", ") if order else []


def _told(run: _Run) -> Extraction:
    if not run.labels:
        return Extraction(None, "ambiguous", run.start, run.end)
    return Extraction(", ".join(run.labels), run.rule, run.start, run.end)


def _lists(plain: str, start: int, end: int) -> Iterator[_Run]:
    """Every list of labels of one kind; one without labels stands for pairs that may mean two things."""
    run: list[re.Match[str]] = []
    pairs, hyphens = 0, 0
    for found in _LABEL.finditer(plain, start, end):
        joint = _joint(plain, run[-1], found) if run else None
        if joint is None or (joint["pair"] and not pairs and len(run) > 1):
            yield from _closed(run, pairs, hyphens)
            run, pairs, hyphens = [found], 0, 0
            continue
        run.append(found)
        pairs += joint["pair"] is not None
        hyphens += joint["hyphen"] is not None
    yield from _closed(run, pairs, hyphens)


def _joint(plain: str, last: re.Match[str], found: re.Match[str]) -> re.Match[str] | None:
    """What joins two labels to a list; None where nothing does."""
    if last["label"].isdigit() != found["label"].isdigit():
        return None
    between = plain[last.end() : found.start()]
    stripped = re.sub(r"\s+", " ", between).strip(_STRIPPED)
    # A line of its own is no item of the list above it.
    if len(between) > 60 or ("\n" in between and not stripped):
        return None
    return _BETWEEN.match(stripped)


def _closed(run: list[re.Match[str]], pairs: int, hyphens: int) -> Iterator[_Run]:
    if len(run) < 2:
        return
    start, end = run[0].start("label"), run[-1].end("label")
    if pairs > 1:
        yield _Run([], start, end)
    elif pairs == 1:
        # "Order 1: 3, 2" names the list, not a page of it.
        yield from _closed(run[1:], 0, hyphens)
    elif len(run) > 2 or not hyphens:
        # "1-3" is a range of pages, "1-3-2" an order.
        yield _Run([_name(found["label"]) for found in run], start, end)


def _columns(plain: str) -> Iterator[_Run]:
    """Lines that are one label each, or that are numbered and begin with one."""
    column: list[re.Match[str]] = []
    for found in _LINE.finditer(plain):
        if not _is_item(found):
            continue
        if column and (plain[column[-1].end() : found.start()].strip() or not _follows(column[-1], found)):
            yield from _stacked(column)
            column = []
        column.append(found)
    yield from _stacked(column)


def _is_item(found: re.Match[str]) -> bool:
    return bool(found["noun"] and found["number"]) or not found["rest"].strip(" \t.,;*_`\"')]}")


def _follows(last: re.Match[str], found: re.Match[str]) -> bool:
    """Whether a line goes on with what the line before it began."""
    if bool(last["number"]) != bool(found["number"]):
        return False
    numbered = (found["number"] or "").isdigit() and (last["number"] or "").isdigit()
    if numbered and int(found["number"]) != int(last["number"]) + 1:
        return False
    return last["label"].isdigit() == found["label"].isdigit()


def _stacked(column: list[re.Match[str]]) -> Iterator[_Run]:
    if len(column) > 1:
        labels = [_name(found["label"]) for found in column]
        yield _Run(labels, column[0].start("label"), column[-1].end("label"), "lines")


def _name(label: str) -> str:
    return str(int(label)) if label.isdigit() else label
