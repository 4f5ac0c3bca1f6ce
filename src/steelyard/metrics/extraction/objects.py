"""The JSON object that a text holds.

>>> find_object("{'total': 3,}")
Extraction(value='{"total": 3}', rule='mended', start=0, end=13)
>>> find_object("{'shop': 'Joe's'}")
Extraction(value=None, rule='nothing', start=0, end=0)

What is no JSON but can be read in one way only is mended: commas before a closing bracket, single or
curly quotes, Python's True, False and None. An object that breaks off is not there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from steelyard.metrics.extraction.base import NOTHING, Extraction, blank_reasoning, make_plain
from steelyard.types import Sample

_FENCE = re.compile(r"```[\w-]*[ \t]*\n(.*?)(?:```|\Z)", re.S)
_OPEN = re.compile(r"\{(?=\s*[\"'“”‘’}])")
_TOKEN = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<comma>,)(?=\s*[}\]])"""
    r"|(?P<word>\b(?:True|False|None)\b)|(?P<open>[{\[])|(?P<close>[}\]])",
    re.S,
)
_WORDS = {"True": "true", "False": "false", "None": "null"}
_ESCAPED = {"\\'": "'", '"': '\\"'}
_ESCAPE = re.compile(r"\\.|\"", re.S)
# A model that writes NaN means that there is no value; line ends in a text are let pass.
_DECODER = json.JSONDecoder(strict=False, parse_constant=lambda name: None)


def find_object(text: str, sample: Sample | None = None) -> Extraction:
    """The JSON object in a text, as JSON: in the last fence that has one, alone, or the last among words."""
    seen = blank_reasoning(text)
    plain = make_plain(text)
    for fence in reversed(list(_FENCE.finditer(seen))):
        if found := list(_objects(seen, plain, *fence.span(1))):
            return _last(seen, found, "fenced")
    found = list(_objects(seen, plain, 0, len(seen)))
    if not found:
        return NOTHING
    around = (seen[: found[0].start] + seen[found[-1].end :]).strip()
    rule = "last object" if len(found) > 1 else "among words" if around else "object alone"
    return _last(seen, found, rule)


def read_object(text: str) -> dict[str, Any] | None:
    """The object that `find_object` finds, read; None where there is none."""
    value = find_object(text).value
    found: dict[str, Any] | None = None if value is None else json.loads(str(value))
    return found


def _last(text: str, found: list[Extraction], rule: str) -> Extraction:
    """The last object; a list of several is ambiguous."""
    last = found[-1]
    if len(found) > 1 and text[found[-2].end : last.start].strip() == ",":
        return Extraction(None, "ambiguous", found[0].start, last.end)
    return replace(last, rule=last.rule or rule)


def _objects(text: str, plain: str, start: int, end: int) -> Iterator[Extraction]:
    """Every outermost object between two places; its rule is "mended" or not told yet.

    What stands in an object that is broken is no object of its own.
    """
    while opening := _OPEN.search(text, start, end):
        found = _object_at(text, plain, opening.start(), end)
        if found is None:
            return
        if found.value is not None:
            yield found
        start = found.end


def _object_at(text: str, plain: str, start: int, end: int) -> Extraction | None:
    """The object that begins here, without a value where it cannot be read; None if it breaks off."""
    try:
        read, after = _DECODER.raw_decode(text, start)
        if after <= end:
            return Extraction(_write(read), "", start, after)
    except (ValueError, RecursionError):
        pass
    closed = None
    # Curly quotes may stand in a text that is quoted as it should be: they are the last thing to mend.
    for given in (text, plain):
        mended = _mend(given, start, end)
        if mended is None:
            continue
        closed = mended[1]
        try:
            return Extraction(_write(_DECODER.decode(mended[0])), "mended", start, closed)
        except (ValueError, RecursionError):
            continue
    return None if closed is None else Extraction(None, "nothing", start, closed)


def _mend(text: str, start: int, end: int) -> tuple[str, int] | None:
    """The object that begins here as JSON would have it, and its end; None where it does not end."""
    pieces, depth, at = [], 0, start
    for token in _TOKEN.finditer(text, start, end):
        pieces += [text[at : token.start()], _mended(token)]
        at = token.end()
        depth += {"open": 1, "close": -1}.get(token.lastgroup or "", 0)
        if depth == 0:
            return "".join(pieces), at
    return None


def _mended(token: re.Match[str]) -> str:
    if token.lastgroup == "comma":
        return ""
    if token.lastgroup == "text" and token[0][0] == "'":
        inner = _ESCAPE.sub(lambda found: _ESCAPED.get(found[0], found[0]), token[0][1:-1])
        return f'"{inner}"'
    return _WORDS.get(token[0], token[0])


def _write(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
