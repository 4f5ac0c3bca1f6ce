"""Whether two mathematical answers are the same.

>>> are_equal("x = \\\\dfrac{1}{2}", "0.5"), are_equal("(1, 2]", "1 < x \\\\le 2")
(True, True)
>>> are_equal("2.82843", "2\\\\sqrt{2}"), are_equal("2.83", "2\\\\sqrt{2}")
(True, False)

Texts that are equal in one spelling are; else both are read and compared by value, with variables at
several points. A decimal stands for what it is rounded from where it has five digits or more. Units,
and who is equal to the answer ("x = 5"), are passed over; a list is in any order, a tuple is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import TypeGuard

from steelyard.metrics.formulas.reading import read
from steelyard.metrics.formulas.terms import (
    Collection,
    Name,
    Number,
    Operation,
    Relation,
    Term,
    Words,
)
from steelyard.metrics.formulas.tokens import LIMIT, Unreadable, clean
from steelyard.metrics.formulas.values import Undefined, Value, evaluate, is_close, names_in

_POINTS = 4
_MOST = 50
_DIGITS = 5
_TEXT = re.compile(r"\\(?:text(?:bf|it|rm)?|math(?:rm|bf|it|sf)|mbox)\s*\{([^{}]*)\}")
_UNIT = re.compile(
    r"(?<=[\d})])\s*(?:\\?(?:text|mathrm)\{)?\s*(?:square |cubic |sq\.? ?)?"
    r"(?:[kcm]?m|[kmg]|mg|L|s|h|km/h|m/s|mph)(?:\^\{?[23]\}?|\^2|\^3)?\s*\}?(?:\^\{?[23]\}?)?\s*\Z"
)
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}


def are_equal(answer: str, target: str) -> bool:
    """Whether an answer is the target, however both are written."""
    if max(len(answer), len(target)) > LIMIT:
        return answer.split() == target.split()
    if _one_spelling(answer) == _one_spelling(target):
        return True
    try:
        return any(_match(one, other) for other in _readings(target) for one in _readings(answer))
    except RecursionError:
        # Some hundred signs in a row: no answer that anyone asks for.
        return False


@lru_cache(maxsize=256)
def _readings(text: str) -> tuple[Term, ...]:
    """What a text may mean: with 1,234 as a number or as two, with a unit of one letter or a variable."""
    found: dict[Term, None] = {}
    for form in dict.fromkeys((text, _UNIT.sub("", text))):
        for grouped in (True, False):
            with suppress(Unreadable):
                found[_plain(read(form, grouped=grouped))] = None
    return tuple(found)


@lru_cache(maxsize=256)
def _one_spelling(text: str) -> str:
    """A text without what makes no difference: spacing, \\text, kinds of fractions, the case of words."""
    # The blank in "1 1/2" does make a difference.
    plain = re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", clean(_TEXT.sub(r"\1", text)))
    if len(plain) == 3 and plain[0] == "(" and plain[-1] == ")":
        plain = plain[1]
    return plain.casefold() if re.search(r"[A-Za-z]{3}", plain) and "\\" not in plain else plain


def _plain(term: Term) -> Term:
    """A term with ± written out, inequalities as intervals, and what is only about equal left out."""
    if isinstance(term, Relation):
        term = _exact_part(term)
    if isinstance(term, Relation):
        related = Relation(term.signs, tuple(_plain(part) for part in term.parts))
        return _as_interval(related) or related
    if isinstance(term, Collection):
        parts = tuple(_plain(part) for part in term.parts)
        if term.kind in ("list", "set"):
            inner = [part.parts if _is(part, "list") else (part,) for part in parts]
            parts = tuple(one for several in inner for one in several)
        return Collection(term.kind, parts, term.brackets)
    both = _signed(term, plus=True), _signed(term, plus=False)
    return term if both[0] == both[1] else Collection("list", both)


def _exact_part(term: Relation) -> Term:
    """What stands before the first ≈, or after it where nothing or only a name does."""
    if "~" not in term.signs:
        return term
    at = term.signs.index("~")
    signs, parts = term.signs[:at], term.parts[: at + 1]
    if parts == (Words(""),) or (len(parts) == 1 and isinstance(parts[0], Name) and names_in(parts[0])):
        signs, parts = term.signs[at + 1 :], term.parts[at + 1 :]
    return Relation(signs, parts) if signs else parts[0]


def _signed(term: Term, *, plus: bool) -> Term:
    """A term with one of the signs in the place of each ±."""
    if not isinstance(term, Operation):
        return term
    parts = tuple(_signed(part, plus=plus) for part in term.parts)
    if term.kind == "pm":
        return parts[0] if plus else Operation("neg", parts)
    return Operation(term.kind, parts)


def _as_interval(term: Relation) -> Term | None:
    """The interval of the numbers that an inequality lets be; None where it has not one name and numbers."""
    signs, parts = term.signs, term.parts
    if set(signs) <= {">", ">="} and len(parts) == 3:
        signs, parts = tuple(_FLIPPED[sign] for sign in reversed(signs)), tuple(reversed(parts))
    if len(parts) == 2 and not isinstance(parts[0], Name):
        signs, parts = (_FLIPPED.get(signs[0], ""),), tuple(reversed(parts))
    numbers = [part for part in parts if not isinstance(part, Name)]
    if len(numbers) + 1 != len(parts) or any(names_in(part) for part in numbers):
        return None
    infinity = Name("infty")
    if len(parts) == 2 and signs[0] in ("<", "<="):
        return Collection(
            "tuple", (Operation("neg", (infinity,)), parts[1]), "()" if signs[0] == "<" else "(]"
        )
    if len(parts) == 2 and signs[0] in (">", ">="):
        return Collection("tuple", (parts[1], infinity), "()" if signs[0] == ">" else "[)")
    if len(parts) == 3 and set(signs) <= {"<", "<="} and isinstance(parts[1], Name):
        brackets = ("(" if signs[0] == "<" else "[") + (")" if signs[1] == "<" else "]")
        return Collection("tuple", (parts[0], parts[2]), brackets)
    return None


def _match(one: Term, other: Term) -> bool:
    """Whether two terms mean the same."""
    if isinstance(one, Relation) and isinstance(other, Relation):
        return _match_relations(one, other)
    one, other = _unnamed(one), _unnamed(other)
    if isinstance(one, Relation) or isinstance(other, Relation):
        return False
    if isinstance(one, Collection) and isinstance(other, Collection):
        return _match_collections(one, other)
    if isinstance(one, Collection) or isinstance(other, Collection):
        return _match_alone(one, other)
    if isinstance(one, Words) or isinstance(other, Words):
        return isinstance(one, Words) and isinstance(other, Words) and _fold(one) == _fold(other)
    return _have_one_value(one, other)


def _match_relations(one: Relation, other: Relation) -> bool:
    mine, yours = _unnamed(one), _unnamed(other)
    if not isinstance(mine, Relation) and not isinstance(yours, Relation):
        called = one.parts[0], other.parts[0]
        # "x = 3" is not "y = 3", but "f(x) = 3" may be.
        if called[0] == called[1] or not all(isinstance(name, Name) for name in called):
            return _match(mine, yours)
    if len(one.parts) != 2 or len(other.parts) != 2:
        same = one.signs == other.signs and len(one.parts) == len(other.parts)
        return same and all(_match(*pair) for pair in zip(one.parts, other.parts))
    return _are_one_equation(one, other)


def _are_one_equation(one: Relation, other: Relation) -> bool:
    """Whether the differences of the sides of two relations are always in the same proportion."""
    first, second = one.signs[0], other.signs[0]
    if second not in (first, _FLIPPED.get(first)):
        return False
    ratios: list[Value] = []
    for point in range(_POINTS):
        try:
            mine, yours = (
                evaluate(Operation("+", (sides.parts[0], Operation("neg", (sides.parts[1],)))), point=point)
                for sides in (one, other)
            )
            ratios.append(mine / yours)
        except (Undefined, ZeroDivisionError):
            continue
    if len(ratios) < 2 or not all(is_close(ratio, ratios[0]) for ratio in ratios):
        return False
    ratio = complex(ratios[0])
    if first in ("=", "!="):
        return abs(ratio) > 1e-9
    return ratio.real > 0 if first == second else ratio.real < 0


def _match_collections(one: Collection, other: Collection) -> bool:
    if max(len(one.parts), len(other.parts)) > _MOST:
        return False
    kinds = {one.kind, other.kind}
    if kinds <= {"list", "set", "union"}:
        return _match_in_any_order(one.parts, other.parts)
    if kinds == {"list", "tuple"}:
        whole = "()" in (one.brackets, other.brackets)
        return whole and _match_in_order(one.parts, other.parts)
    if kinds == {"based"}:
        return _match_in_order(one.parts, other.parts) or _in_base(one) == _in_base(other) is not None
    same = len(kinds) == 1 and one.brackets == other.brackets
    return same and _match_in_order(one.parts, other.parts)


def _match_alone(one: Term, other: Term) -> bool:
    """Whether a collection of one is what another term is."""
    several, alone = (one, other) if isinstance(one, Collection) else (other, one)
    if not isinstance(several, Collection):
        return False
    if several.kind == "based":
        return _match(several.parts[0], alone)
    return several.kind in ("set", "list") and len(several.parts) == 1 and _match(several.parts[0], alone)


def _match_in_order(one: Sequence[Term], other: Sequence[Term]) -> bool:
    return len(one) == len(other) and all(_match(*pair) for pair in zip(one, other))


def _match_in_any_order(one: Sequence[Term], other: Sequence[Term]) -> bool:
    left = list(other)
    if len(one) != len(left):
        return False
    for term in one:
        place = next((n for n, candidate in enumerate(left) if _match(term, candidate)), None)
        if place is None:
            return False
        del left[place]
    return True


def _have_one_value(one: Term, other: Term) -> bool:
    """Whether two terms have the same value, at every point where they have one."""
    for mine, yours in _percentages(one, other):
        points = range(_POINTS) if names_in(mine) or names_in(yours) else range(1)
        agreed = 0
        for point in points:
            try:
                values = evaluate(mine, point=point), evaluate(yours, point=point)
            except Undefined:
                continue
            if not (is_close(*values) or _is_rounded(mine, yours, *values)):
                agreed = 0
                break
            agreed += 1
        if agreed * 2 >= len(points):
            return True
    return False


def _percentages(one: Term, other: Term) -> Iterator[tuple[Term, Term]]:
    """Both terms; where only one is a percentage, also without its sign."""
    yield one, other
    mine, yours = (isinstance(term, Operation) and term.kind == "percent" for term in (one, other))
    if mine != yours:
        yield (one.parts[0], other) if isinstance(one, Operation) and mine else (one, _inner(other))


def _inner(term: Term) -> Term:
    return term.parts[0] if isinstance(term, Operation) else term


def _is_rounded(one: Term, other: Term, mine: Value, yours: Value) -> bool:
    """Whether one is a decimal that the other, which is written in another way, rounds to."""
    for decimal, rest in ((one, other), (other, one)):
        number = _inner(decimal) if _is_negative(decimal) else decimal
        if not isinstance(number, Number) or not number.places or number.digits < _DIGITS:
            continue
        beside = _inner(rest) if _is_negative(rest) else rest
        if isinstance(beside, Number) and beside.places and beside.places <= number.places:
            continue
        with suppress(OverflowError):
            return abs(complex(mine) - complex(yours)) <= 0.5000001 * 10.0**-number.places
    return False


def _is_negative(term: Term) -> bool:
    return isinstance(term, Operation) and term.kind == "neg"


def _unnamed(term: Term) -> Term:
    """What an equation says that something is: the 5 of "x = 5", "f(x) = 5", "2 + 3 = 5"."""
    if not isinstance(term, Relation) or not set(term.signs) <= {"=", "in"}:
        return term
    first, last = term.parts[0], term.parts[-1]
    return last if _is_called(first) or not names_in(first) or len(term.parts) > 2 else term


def _is_called(term: Term) -> bool:
    """Whether a term is what something is called: a name, f(x), some words, (x, y), |AB|."""
    if isinstance(term, (Name, Words)):
        return True
    if isinstance(term, (Operation, Collection)):
        return term.kind in ("*", "abs", "tuple") and all(map(_is_called, term.parts))
    return False


def _in_base(term: Collection) -> int | None:
    digits, base = term.parts
    if not isinstance(digits, Number) or not isinstance(base, Number) or not 2 <= base.value <= 36:
        return None
    with suppress(ValueError):
        return int(str(digits.value), int(base.value))
    return None


def _is(term: Term, kind: str) -> TypeGuard[Collection]:
    return isinstance(term, Collection) and term.kind == kind


def _fold(words: Words) -> str:
    return " ".join(words.text.casefold().split()).strip(" .")
