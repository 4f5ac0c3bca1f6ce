"""What becomes of the system turn: one is added, none is read, or it is marked otherwise.

A side that adds a system prompt of its own where none is given reads more tokens, until it is given one that
is shorter. A side that reads none reads as many tokens whatever the system turn says.
"""

from __future__ import annotations

from collections.abc import Sequence

from steelyard.parity.findings import SYSTEM, TEMPLATE, Finding, Verdict
from steelyard.parity.notes import add, agreed, explain_system, is_named, note_template
from steelyard.parity.questions import DOT, LONG
from steelyard.parity.shifts import Shifts, tell_more
from steelyard.parity.sides import Pair, Side, read_of
from steelyard.parity.survey import MOSTLY, RARELY, Survey, share, show_counts, show_pair

_PLAIN = "chat-1"
_MEND_UNREAD = "put what a system turn says into the user's, or use a template that has system turns"


def leave_unread(survey: Survey, chats: Sequence[Pair]) -> list[Pair]:
    """Note that one side reads no system turn, by what was counted; the chats that are left."""
    unread = {side.label: _reads_none(chats, side) for side in (survey.a, survey.b)}
    if unread["A"] == unread["B"]:
        return list(chats)
    side = "A" if unread["A"] else "B"
    pair = next(pair for pair in chats if pair.question.id == LONG)
    told = f"{side} reads no system turn: as many tokens whatever it says"
    return _note_unread(survey, chats, told, show_counts(pair), side)


def examine_system(survey: Survey, chats: Sequence[Pair], shift: Shifts | None) -> list[Pair]:
    """Look at system turns by what was counted; the chats that are left to be looked at."""
    if is_named(survey, SYSTEM):
        return list(chats)
    if shift is None or shift.of(True, 1) is None or shift.of(False, 1) is None:
        known = "chats could not be asked with a system turn" if chats else "no chats were asked of both"
        add(survey, SYSTEM, "unknown", known)
        return list(chats)
    own = {side.label: _has_own(chats, side) for side in (survey.a, survey.b)}
    if shift.turn == 0 and shift.system == 0:
        alike = "a system turn changes nothing in how many tokens more are read"
        return examine_system_unsaid(survey, chats, alike, otherwise="same")
    none = "none that a system turn would take the place of shows on one side alone"
    if own["A"] == own["B"] and shift.turn:
        add(survey, SYSTEM, "same", none)
        return list(chats)
    without, with_it = shift.of(False, 1) or 0, shift.of(True, 1) or 0
    told = f"without a system turn B reads {tell_more(without)}, with a system turn {tell_more(with_it)}"
    if own["A"] == own["B"] and (not without or abs(with_it) > 1):
        add(survey, SYSTEM, "same", none)
        return _note_marked(survey, chats, f"{told}: it is put otherwise", whole=bool(without))
    side = "B" if (own["B"] if own["A"] != own["B"] else without > with_it) else "A"
    example = next(show_counts(pair) for pair in chats if pair.question.cell == (False, 1))
    tokens = abs(without - with_it)
    whose = "both add their own, and not the same" if own["A"] and own["B"] else f"{side} adds its own"
    add(survey, SYSTEM, "differs", f"{told}: {whose}", example, side=side, tokens=tokens)
    explain_system(survey)
    return list(chats)


def examine_system_unsaid(
    survey: Survey, chats: Sequence[Pair], alike: str, *, otherwise: Verdict
) -> list[Pair]:
    """The same by which answers agree; the chats that are left to be looked at."""
    given = [pair for pair in chats if pair.question.system]
    without = [pair for pair in chats if not pair.question.system]
    plain = [pair for pair in without if pair.question.turns == 1]
    if without and share(given) >= MOSTLY and share(without) <= RARELY:
        told = f"{agreed(given)} chats with a system turn are answered alike, of those without "
        add(survey, SYSTEM, "differs", f"{told}{agreed(without)}", show_pair(without[0]))
        explain_system(survey)
        return given
    if given and plain and share(plain) >= MOSTLY and share(given) <= RARELY:
        told = f"{agreed(plain)} chats without a system turn are answered alike, of those with one "
        told += agreed(given)
        unmoved = {label: _says_the_same(chats, label) for label in "AB"}
        if unmoved["A"] != unmoved["B"]:
            side = "A" if unmoved["A"] else "B"
            told += f": {side} reads none, what it says is the same whatever a system turn says"
            return _note_unread(survey, chats, told, show_pair(given[0]), side)
        add(survey, SYSTEM, otherwise, alike)
        return _note_marked(survey, chats, f"{told}: it is put otherwise", whole=False)
    add(survey, SYSTEM, "same" if share(chats) >= MOSTLY else otherwise, alike)
    return list(chats)


def _note_unread(survey: Survey, chats: Sequence[Pair], told: str, example: str, side: str) -> list[Pair]:
    survey.found.append(Finding(SYSTEM, "differs", told, example, _MEND_UNREAD, {"side": side}))
    survey.explain([pair for pair in survey.pairs if pair.question.system], SYSTEM)
    return [pair for pair in chats if not pair.question.system]


def _note_marked(survey: Survey, chats: Sequence[Pair], told: str, *, whole: bool) -> list[Pair]:
    given = [pair for pair in chats if pair.question.system]
    example = show_counts(given[0]) if given[0].offset is not None else show_pair(given[0])
    if whole:
        note_template(survey, chats, told, example)
        return list(chats)
    add(survey, TEMPLATE, "differs", told, example)
    survey.explain([pair for pair in survey.pairs if pair.question.system], TEMPLATE)
    return [pair for pair in chats if not pair.question.system]


def _has_own(chats: Sequence[Pair], side: Side) -> bool:
    """Whether a chat of one side becomes no longer by a short system turn: it took the place of another."""
    short, none = _read(chats, side, DOT), _read(chats, side, _PLAIN)
    return short is not None and none is not None and short <= none


def _reads_none(chats: Sequence[Pair], side: Side) -> bool:
    """Whether a long system turn makes a chat no longer than a short one."""
    short, long = _read(chats, side, DOT), _read(chats, side, LONG)
    return short is not None and short == long


def _read(chats: Sequence[Pair], side: Side, name: str) -> int | None:
    return next((read_of(pair.of(side.label)) for pair in chats if pair.question.id == name), None)


def _says_the_same(chats: Sequence[Pair], label: str) -> bool:
    """Whether the same question is answered alike with either system turn and with none."""
    said = {pair.of(label).text for pair in chats if pair.question.id in (_PLAIN, DOT, LONG)}
    return len(said) == 1
