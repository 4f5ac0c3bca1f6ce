"""When two values of a document are the same: texts, numbers, amounts and dates.

>>> same_value("1,250.00", 1250), same_value("EUR 1.250,00", "1250 €")
(True, True)
>>> same_value("2024-03-01", "1 March 2024"), same_value("2024-01-03", "01/03/2024")
(True, False)

A text that can be read in two ways (01/03/2024, 01.03.24) is not read at all: it is compared as text.
"""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import date
from functools import cached_property
from typing import Any, NamedTuple

from steelyard.metrics.extraction.base import make_plain
from steelyard.metrics.extraction.numerals import scan_numerals
from steelyard.metrics.text import fold

_SIGNS = {"$": "usd", "€": "eur", "£": "gbp", "¥": "jpy", "₹": "inr"}
_CODES = "usd|eur|gbp|jpy|inr|chf|cny|cad|aud|nzd|sek|nok|dkk|pln|czk|huf|ron|brl|mxn|zar|krw|sgd|hkd"
_UNIT = re.compile(rf"[$€£¥₹]|(?<![a-z])(?:{_CODES})(?![a-z])", re.I)
_PERCENT = re.compile(r"\s?%\Z|\s+per\s?cent\Z", re.I)
# A number that keeps its zeros in front is a code: a postcode, a telephone, an article.
_CODE = re.compile(r"0\d+\Z")
_BRACKETS = re.compile(r"\((?P<inner>[^()]*\d[^()]*)\)\Z")
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_MONTH = (
    r"(?P<name>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_WEEKDAY = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s+)?"
_DATES = [
    re.compile(pattern, re.I)
    for pattern in (
        r"(?P<year>\d{4})([-/.])(?P<month>\d{1,2})\2(?P<day>\d{1,2})(?:[T ]00:00(?::00(?:\.0+)?)?Z?)?\Z",
        rf"{_WEEKDAY}(?P<day>\d{{1,2}})(?:st|nd|rd|th)?[\s.-]\s*(?:of\s+)?{_MONTH}[\s,-]\s*(?P<year>\d{{4}})\Z",
        rf"{_WEEKDAY}{_MONTH}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>\d{{4}})\Z",
        r"(?P<day>\d{1,2})\.\s?(?P<month>\d{1,2})\.\s?(?P<year>\d{4})\Z",
    )
]
# With slashes and dashes some write the day first and some the month.
_EITHER = re.compile(r"(?P<one>\d{1,2})([-/])(?P<other>\d{1,2})\2(?P<year>\d{4})\Z")

_FLAGS = {"true": True, "yes": True, "false": False, "no": False}


class Quantity(NamedTuple):
    """A number and what it counts: a currency, "%", or nothing."""

    value: int | float
    unit: str = ""


class Value:
    """A value that is compared with many, read once: as text, as a number, as a day."""

    def __init__(self, value: Any) -> None:
        self.given = value
        self.text = fold_value(value)

    @cached_property
    def quantity(self) -> Quantity | None:
        """The number that it is."""
        return read_quantity(self.given)

    @cached_property
    def day(self) -> date | None:
        """The day that it is."""
        return read_date(self.text)

    @property
    def flag(self) -> bool | None:
        """Whether it says yes or no."""
        return _FLAGS.get(self.text)


def same_value(one: Any, other: Any) -> bool:
    """Whether two values (or Values) are equal: as folded texts, as numbers, or as dates."""
    one, other = (value if isinstance(value, Value) else Value(value) for value in (one, other))
    if isinstance(one.given, bool) or isinstance(other.given, bool):
        return one.flag is not None and one.flag == other.flag
    if one.text == other.text:
        return True
    if one.quantity is not None and other.quantity is not None:
        # Where only one of the two names what it counts, the other leaves it out.
        return same_number(one.quantity.value, other.quantity.value) and (
            one.quantity.unit == other.quantity.unit or not (one.quantity.unit and other.quantity.unit)
        )
    return one.day is not None and one.day == other.day


def fold_value(value: Any) -> str:
    """A value as text, without case, its white space single blanks and its signs plain."""
    return fold(make_plain(unicodedata.normalize("NFKC", str(value))))


def same_number(one: float, other: float) -> bool:
    """Whether two numbers are equal, up to the rounding of computers."""
    if isinstance(one, int) and isinstance(other, int):
        return one == other
    try:
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    except OverflowError:
        return False


def read_quantity(value: Any, *, codes: bool = False) -> Quantity | None:
    """The number that a whole value is, with at most a currency or a percent sign around it.

    A point is a decimal point and a comma before three digits parts thousands, unless both are there
    and tell otherwise. A whole number with zeros in front is a code and is read only with `codes`.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Quantity(value) if math.isfinite(value) else None
    text = fold_value(value)
    if bracketed := _BRACKETS.match(text):
        # Bookkeepers put what is owed in brackets.
        text = f"-{bracketed['inner']}"
    units = _UNIT.findall(text)
    bare = _UNIT.sub(" ", text).strip()
    bare = re.sub(r"\A([-+])\s+", r"\1", bare).removeprefix("+").rstrip(" .")
    if len(units) > 1 or not bare or (_CODE.match(bare) and not codes):
        return None
    percent = _PERCENT.search(bare)
    found = next(scan_numerals(bare), None)
    if found is None or found.kind != "plain" or found.value is None or found.start or found.end != len(bare):
        return None
    unit = _SIGNS.get(units[0], units[0]) if units else "%" if percent else ""
    return Quantity(found.value, unit)


def read_date(value: Any) -> date | None:
    """The day that a whole value is; None where it is none, or may be two."""
    text = fold_value(value)
    for pattern in _DATES:
        if found := pattern.match(text):
            parts = found.groupdict()
            month = _MONTHS.index(parts["name"][:3]) + 1 if parts.get("name") else int(parts["month"])
            return _day(int(parts["year"]), month, int(parts["day"]))
    if found := _EITHER.match(text):
        one, other, year = int(found["one"]), int(found["other"]), int(found["year"])
        days = {_day(year, one, other), _day(year, other, one)} - {None}
        return days.pop() if len(days) == 1 else None
    return None


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
