"""What a formula says, as a tree: `read("\\\\frac{x}{2} + 1")`.

Numbers are exact. Collections are lists (without brackets), tuples and intervals (with theirs), sets,
unions and matrices; relations are equations and inequalities.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Union


@dataclass(frozen=True, slots=True)
class Number:
    """An exact number, and how many decimals it was written with."""

    value: Fraction
    places: int = 0
    digits: int = 0


@dataclass(frozen=True, slots=True)
class Name:
    """A variable or a constant."""

    name: str


@dataclass(frozen=True, slots=True)
class Words:
    """A text: an answer in words, or a unit."""

    text: str


@dataclass(frozen=True, slots=True)
class Operation:
    """Something done with other terms: +, *, /, ^, a function."""

    kind: str
    parts: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Collection:
    """Several terms: a list, tuple, set, union, matrix, row of a matrix, ratio or number of some base."""

    kind: str
    parts: tuple[Term, ...]
    brackets: str = ""


@dataclass(frozen=True, slots=True)
class Relation:
    """Terms with signs between them: =, <, ≤ (as <=), ≠ (as !=)."""

    signs: tuple[str, ...]
    parts: tuple[Term, ...]


Term = Union[Number, Name, Words, Operation, Collection, Relation]
