"""How numbers are written, and what they are worth.

>>> [(n.value, n.kind) for n in scan_numerals("1,234 of them at 9:30, 1 1/2 each")]
[(1234, 'plain'), (None, 'time'), (1.5, 'plain')]
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple


class Numeral(NamedTuple):
    """A number in a text; what only looks like one (a time, a date, a label) has no value."""

    value: int | float | None
    kind: str
    start: int
    end: int


_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?"
    r"|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_SEPARATOR = r"(?:,|\{,\}|\\!|,\\!|\\,|\u00a0|')"
_WHOLE = (
    rf"(?:\d{{1,3}}(?:{_SEPARATOR}\d{{3}})+(?!\d)|[1-9]\d?(?:,\d\d)+,\d{{3}}(?!\d)"
    r"|[1-9]\d{0,2}(?:[ ]\d{3})+(?![\d/])|\d+)"
)
_EURO = r"(?:\d{1,3}(?:[.\ \u00a0]\d{3})+,\d+|\d{1,3}(?:\.\d{3}){2,}|0,\d+|\d+,\d{1,2})(?!\d|,\d|\.\d)"
_FRAC = r"\\[dtc]?frac"
_SUPER = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_RAISED = str.maketrans(_SUPER, "0123456789")
_HALVES = "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
_SHARES = (
    1 / 2,
    1 / 3,
    2 / 3,
    1 / 4,
    3 / 4,
    1 / 5,
    2 / 5,
    3 / 5,
    4 / 5,
    1 / 6,
    5 / 6,
    1 / 8,
    3 / 8,
    5 / 8,
    7 / 8,
)
_SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}

_NUMERAL = re.compile(
    rf"""
    (?P<date> \d{{4}}-\d\d?-\d\d?(?!\d) | \d\d?/\d\d?/\d{{2,4}}(?!\d) | \d\d?\.\d\d?\.\d{{4}}(?!\d)
      | \b{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?\s+\d{{4}}\b)?
      | \b\d{{1,2}}(?:st|nd|rd|th)?\s+{_MONTH}(?:\s+\d{{4}})?\b )
  | (?P<time> (?<![\d:]) \d+:\d+(?::\d+)?(?:\s*[ap]\.?m\b\.?)? | \b\d{{1,2}}\s*[ap]\.?m\b\.? )
  | (?P<label> ^[ \t]*(?:\d+[.)])+(?=[ \t]+\S) | \[\d+\]
      | \b(?:step|question|problem|part|case|equation|method|scenario|section|chapter|example)s?\s*\#?\(?\d+ )
  | (?P<version> (?!\d{{1,3}}(?:\.\d{{3}})+(?![\d.]))\d+(?:\.\d+){{2,}} )
  | (?P<number>
      (?P<sign> (?<![\w)\]}}%])-(?:\\?\$|[€£¥₹])?(?=[\d.\\½-⅞¼-¾])
        | \bnegative\s+(?=\d) | (?<!\d[ ])\bminus\s+(?=\d) )?
      (?: (?:(?P<mixed_latex>\d+)\s*)?{_FRAC}\s*
            (?: \{{\s*(?P<top>-?\d[\d,]*)\s*\}}\s*\{{\s*(?P<bottom>\d[\d,]*)\s*\}}
            | (?P<tops>\d)(?P<bottoms>\d) )
        | (?P<mixed_half>\d+)?[ ]?(?P<half>[{_HALVES}])
        | (?P<mixed>\d+)(?:[ ]+(?:and[ ]+)?|-)(?P<mixed_top>\d+)/(?P<mixed_bottom>\d+)
        | (?P<ratio_top>{_WHOLE})/(?P<ratio_bottom>{_WHOLE})
        | (?<![\w^]) (?: (?P<mantissa>\d+(?:\.\d+)?)\s*(?:×|x|\*|·|\\times|\\cdot)\s*)? 10\s*
            (?: \^\s*\{{?(?P<power>-?\d{{1,3}})\}}? | (?P<super>⁻?[{_SUPER}]+) )
        | (?P<euro>(?<![(\[{{,\d]){_EURO})
        | (?P<plain> {_WHOLE}(?:\.\d+)? | \.\d+ ) (?: [eE](?P<exponent>[-+]?\d{{1,3}})(?!\d|\.\d) )?
      )
      (?: \s+(?P<scale>hundred|thousand|million|billion|trillion)\b )?
      (?P<percent> \s?\\?% | \s+per\s?cent\b )?
    )
    """,
    re.X | re.M | re.I,
)
# Digits that belong to a name, a power or an index (GPT-4, x2, a_1, 10^5) are no numbers of their own.
_JOINED = re.compile(r"(?:[A-Za-z^√]|[A-Za-z0-9][_-](?<!\d-)|[\^_]\{|\d\.)\Z")
_TERM = re.compile(
    r"\s*\\(?:sqrt|pi|theta|infty|circ\s*C)|[xyznab]\b(?!')|(?:\s?π|√)|!(?!\s|\Z)|\^(?!\{?\\circ)|\s?i\b(?!n)|e\b"
)
_ORDINAL = re.compile(r"(?:st|nd|rd|th)\b", re.I)

_UNITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"]
_UNITS += ["twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = {
    **{word: value for value, word in enumerate(_UNITS)},
    **{word: 10 * value for value, word in enumerate(_TENS, 2)},
}
_WORD = rf"(?:{'|'.join(sorted([*_WORDS, *_SCALES], key=len, reverse=True))})"
_SPELLED = re.compile(rf"(?:(minus|negative)\s+)?({_WORD}(?:(?:[\s-]+and)?[\s-]+{_WORD})*)\b", re.I)


def scan_numerals(text: str, start: int = 0, end: int | None = None) -> Iterator[Numeral]:
    """Every number between two places of a text, and what only looks like one."""
    stop = len(text) if end is None else end
    at = start
    while found := _NUMERAL.search(text, at, stop):
        at = max(found.end(), at + 1)
        kind = found.lastgroup or "number"
        if found["number"] is None:
            yield Numeral(None, kind, *found.span())
            continue
        if _JOINED.search(text[max(0, found.start() - 2) : found.start()]):
            yield Numeral(None, "label", *found.span())
            continue
        value = _worth(found)
        kind = "plain"
        if value is None or _TERM.match(text, found.end()):
            value, kind = None, "term"
        elif suffix := _ORDINAL.match(text, found.end()):
            kind, at = "ordinal", suffix.end()
        yield Numeral(value, kind, found.start(), found.end())


def read_spelled(text: str, start: int = 0) -> Numeral | None:
    """A number in words that begins exactly here: "twenty-four", "minus three hundred"."""
    found = _SPELLED.match(text, start)
    if found is None:
        return None
    total = group = 0
    for word in re.split(r"[\s-]+", found[2].lower()):
        scale = _SCALES.get(word)
        if word == "and":
            continue
        if scale is None:
            group += _WORDS[word]
        elif scale == 100:
            group = max(group, 1) * scale
        else:
            total, group = total + max(group, 1) * scale, 0
    value = total + group
    return Numeral(-value if found[1] else value, "plain", *found.span())


def _worth(found: re.Match[str]) -> int | float | None:
    """The value of a numeral; None where there is none (a division by zero, too large a power)."""
    value = _size(found)
    if value is None:
        return None
    if found["scale"]:
        value *= _SCALES[found["scale"].lower()]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        value = int(value) if value.is_integer() and abs(value) < 2**53 else value
    return -value if found["sign"] else value


def _size(found: re.Match[str]) -> int | float | None:
    if found["top"] or found["tops"]:
        top, bottom = found["top"] or found["tops"], found["bottom"] or found["bottoms"]
        return _share(found["mixed_latex"], top, bottom)
    if found["mixed"]:
        return _share(found["mixed"], found["mixed_top"], found["mixed_bottom"])
    if found["ratio_top"]:
        return _share(None, found["ratio_top"], found["ratio_bottom"])
    if found["half"]:
        return int(found["mixed_half"] or 0) + _SHARES[_HALVES.index(found["half"])]
    return _decimal(_digits(found))


def _digits(found: re.Match[str]) -> str:
    """A numeral as Python writes it."""
    if found["power"] or found["super"]:
        power = found["power"] or found["super"].replace("⁻", "-").translate(_RAISED)
        return f"{found['mantissa'] or 1}e{power}"
    if found["euro"]:
        return re.sub(r"[^\d,]", "", found["euro"]).replace(",", ".")
    plain = re.sub(r"[^\d.]", "", found["plain"])
    return f"{plain}e{found['exponent']}" if found["exponent"] else plain


def _share(whole: str | None, top: str, bottom: str) -> float | None:
    above, below = _decimal(re.sub(r"[^\d.-]", "", top)), _decimal(re.sub(r"[^\d.]", "", bottom))
    rest = _decimal(whole or "0")
    if above is None or rest is None or not below:
        return None
    return rest + above / below


def _decimal(digits: str) -> int | float | None:
    # Python refuses to read integers of thousands of digits; no answer has them.
    if len(digits) > 300:
        return None
    return int(digits) if digits.lstrip("-").isdigit() else float(digits)
