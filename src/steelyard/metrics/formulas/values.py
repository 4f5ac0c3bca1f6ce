"""What a term comes to: `evaluate(read("\\\\frac{1}{2} + 1"))` is the Fraction 3/2.

Rational numbers stay exact as long as they are short; all else is a complex number. Variables have the
same made-up values everywhere, others at each point. What is undefined or too large is an Undefined.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from fractions import Fraction
from hashlib import blake2b
from typing import Union

from steelyard.metrics.formulas.terms import Name, Number, Operation, Relation, Term, Words

Value = Union[Fraction, complex]

_BITS = 8_000
_FACTORIAL = 1000
_CONSTANTS: dict[str, complex] = {"pi": math.pi, "e": math.e, "i": 1j}


class Undefined(Exception):
    """A term without a value here."""


def evaluate(term: Term, *, point: int = 0) -> Value:
    """The value of a term at a point."""
    try:
        value = _value(term, point)
    except (ZeroDivisionError, OverflowError, ValueError) as error:
        raise Undefined(str(error)) from error
    if isinstance(value, complex) and not cmath.isfinite(value):
        raise Undefined("not finite")
    return value


def names_in(term: Term) -> set[str]:
    """The variables of a term."""
    if isinstance(term, Name):
        return set() if term.name in _CONSTANTS else {term.name}
    if isinstance(term, (Number, Words)):
        return set()
    return set().union(*map(names_in, term.parts))


def is_close(one: Value, other: Value) -> bool:
    """Whether two values are equal, but for what floats lose."""
    if isinstance(one, Fraction) and isinstance(other, Fraction):
        return one == other
    try:
        return cmath.isclose(_complex(one), _complex(other), rel_tol=1e-9, abs_tol=1e-11)
    except OverflowError:
        return False


def _value(term: Term, point: int) -> Value:
    if isinstance(term, Number):
        return term.value
    if isinstance(term, Name):
        return _CONSTANTS[term.name] if term.name in _CONSTANTS else _made_up(term.name, point)
    if not isinstance(term, Operation):
        raise Undefined("a relation" if isinstance(term, Relation) else "no number")
    if term.kind in _BINARY:
        left, right = (_value(part, point) for part in term.parts)
        return _BINARY[term.kind](left, right)
    if term.kind in _ANGLED:
        return _ANGLED[term.kind](_angle(term.parts[0], point))
    values = [_value(part, point) for part in term.parts]
    if term.kind in _UNARY:
        return _UNARY[term.kind](values[0])
    if term.kind == "log":
        return cmath.log(_complex(values[0])) / cmath.log(_complex(values[1]) if values[1:] else 10)
    raise Undefined(term.kind)


def _made_up(name: str, point: int) -> complex:
    digest = blake2b(f"{point}:{name}".encode(), digest_size=6).digest()
    return complex(0.4 + 2.2 * int.from_bytes(digest, "big") / (1 << 48))


def _complex(value: Value) -> complex:
    return complex(float(value)) if isinstance(value, Fraction) else value


def _exactly(operate: Callable[[Value, Value], Value]) -> Callable[[Value, Value], Value]:
    """An operation on two values that is exact where both are."""

    def apply(left: Value, right: Value) -> Value:
        if isinstance(left, Fraction) and isinstance(right, Fraction):
            _check(_bits(left) + _bits(right))
            return operate(left, right)
        return operate(_complex(left), _complex(right))

    return apply


def _power(base: Value, exponent: Value) -> Value:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        if _bits(base) * abs(exponent) <= _BITS:
            return base ** int(exponent)
        if base in (0, 1):
            return base
    if (
        isinstance(base, Fraction)
        and isinstance(exponent, Fraction)
        and base < 0
        and exponent.denominator % 2
    ):
        # The cube root of -8 is -2, not one of the two beside it.
        size = _power(-base, exponent)
        return size if exponent.numerator % 2 == 0 else -size
    return _complex(base) ** _complex(exponent)


def _root(value: Value, degree: Value) -> Value:
    if isinstance(value, Fraction) and value >= 0 and degree == 2:
        top, bottom = math.isqrt(value.numerator), math.isqrt(value.denominator)
        if top * top == value.numerator and bottom * bottom == value.denominator:
            return Fraction(top, bottom)
    if not isinstance(degree, Fraction):
        return _complex(value) ** (1 / degree)
    return _power(value, 1 / degree)


def _binomial(above: Value, below: Value) -> Value:
    if not 0 <= _whole(below) <= _FACTORIAL or not 0 <= _whole(above) <= _FACTORIAL:
        raise Undefined("too large")
    return Fraction(math.comb(_whole(above), _whole(below)))


def _factorial(value: Value) -> Value:
    if not 0 <= _whole(value) <= _FACTORIAL:
        raise Undefined("too large")
    return Fraction(math.factorial(_whole(value)))


def _whole(value: Value) -> int:
    if not isinstance(value, Fraction) or value.denominator != 1:
        raise Undefined("not whole")
    return int(value)


def _real(value: Value) -> Fraction | float:
    if isinstance(value, Fraction):
        return value
    if abs(value.imag) > 1e-12:
        raise Undefined("not real")
    return value.real


def _angle(term: Term, point: int) -> complex:
    """An angle in radians, whether it is written so or in degrees."""
    if isinstance(term, Operation) and term.kind == "degree":
        return _complex(_value(term.parts[0], point)) * math.pi / 180
    return _complex(_value(term, point))


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _check(bits: int) -> None:
    if bits > 2 * _BITS:
        raise Undefined("too large")


_BINARY: dict[str, Callable[[Value, Value], Value]] = {
    "+": _exactly(lambda left, right: left + right),
    "*": _exactly(lambda left, right: left * right),
    "/": _exactly(lambda left, right: left / right),
    "^": _power,
    "root": _root,
    "binom": _binomial,
}
_UNARY: dict[str, Callable[[Value], Value]] = {
    "neg": lambda value: -value,
    "percent": lambda value: value / 100,
    "degree": lambda value: value,
    "abs": lambda value: abs(value) if isinstance(value, Fraction) else complex(abs(value)),
    "factorial": _factorial,
    "floor": lambda value: Fraction(math.floor(_real(value))),
    "ceil": lambda value: Fraction(math.ceil(_real(value))),
    "ln": lambda value: cmath.log(_complex(value)),
    "lg": lambda value: cmath.log10(_complex(value)),
    "exp": lambda value: cmath.exp(_complex(value)),
    "arcsin": lambda value: cmath.asin(_complex(value)),
    "arccos": lambda value: cmath.acos(_complex(value)),
    "arctan": lambda value: cmath.atan(_complex(value)),
}
_ANGLED: dict[str, Callable[[complex], Value]] = {
    "sin": cmath.sin,
    "cos": cmath.cos,
    "tan": cmath.tan,
    "cot": lambda angle: 1 / cmath.tan(angle),
    "sec": lambda angle: 1 / cmath.cos(angle),
    "csc": lambda angle: 1 / cmath.sin(angle),
    "sinh": cmath.sinh,
    "cosh": cmath.cosh,
    "tanh": cmath.tanh,
}
