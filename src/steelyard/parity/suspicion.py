"""Why scores differ from those that the same questions have alone: what fits all that was seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from steelyard.parity.company import Said, Unit
from steelyard.parity.findings import FAILURES, Finding

REPEAT = "asked twice"
BEFORE = "what came before"
ORDER = "order of answers"
REFERENCES = "references"
PADDING = "padding"
SIDES = "the other side"
BATCH = "the batch"

AGAIN, BACKWARDS = "asked again", "asked after another one"
WHOLE, THREES, TOGETHER = "beside what belongs to it", "in threes", "with all others"
SHUFFLED, REVERSED = "with all others in another order", "with all others in reverse order"
LIKE, UNLIKE = "beside others like it", "beside one with a reference, or one without"
_SINGLY = (AGAIN, BACKWARDS)

_LITTLE, _IN_HALVES = 1e-3, 0.05
_FEW = 3
_MENDS = {
    REPEAT: "model.eval() turns dropout off; what is drawn at random, as a crop, wants a seed of its own; "
    "nothing is to be kept from one call to the next",
    BEFORE: "nothing is to be kept from one call to the next: no running mean, no state, no list that grows",
    ORDER: "what was sorted, as by length, is to be put back into the order of the questions",
    REFERENCES: "where there is no reference none is to be looked at: mask it, do not fill it with another's",
    PADDING: "mask what short ones are filled up with: in attention, in means and maxima, in norms and "
    "convolutions",
    SIDES: "score each of them by itself; nothing is to be normalised over both",
    BATCH: "model.eval() keeps batch norm from looking at the batch; no mean, maximum or rank over it",
    FAILURES: "what has another length, or no reference, does not go through with the others",
}
_WHY = {
    REPEAT: "something is random, or is remembered",
    BEFORE: "each depends on the one that was asked before it",
    ORDER: "they are the right scores of other questions",
    REFERENCES: "only where some have a reference and some have none",
    PADDING: "only of those that are shorter than another one beside them",
    SIDES: "it depends on what else belongs to the question",
    BATCH: "it depends on who else is asked at the same time",
}


@dataclass(frozen=True, slots=True)
class Group:
    """Units that were asked together, and what was said of each."""

    company: str
    members: Sequence[int]
    said: Sequence[Said]


class Seen(NamedTuple):
    """A unit that was said something else of than alone."""

    group: Group
    member: int
    said: Said
    apart: float


@dataclass(frozen=True)
class Evidence:
    """All that was seen: what is said of each unit alone, and in companies."""

    units: Sequence[Unit]
    alone: Sequence[Said]
    groups: Sequence[Group]
    tolerance: float
    halves: bool = False

    @cached_property
    def failed(self) -> frozenset[int]:
        """The units that are not answered alone either."""
        return frozenset(n for n, said in enumerate(self.alone) if said.error is not None)

    @cached_property
    def every(self) -> Sequence[Seen]:
        """Each time that a unit was asked about in company."""
        return [
            Seen(group, member, said, self.alone[member].apart(said))
            for group in self.groups
            for member, said in zip(group.members, group.said)
            if member not in self.failed
        ]

    @cached_property
    def odd(self) -> Sequence[Seen]:
        """Those that were answered otherwise."""
        return [one for one in self.every if one.apart > self.tolerance and one.said.error is None]

    @cached_property
    def together(self) -> Sequence[Seen]:
        """Of those, the ones that were asked at the same time as others."""
        return [one for one in self.odd if one.group.company not in _SINGLY]

    @property
    def odd_groups(self) -> Sequence[Group]:
        """The groups in which somebody was answered otherwise."""
        return list({id(one.group): one.group for one in self.together}.values())

    def odd_in(self, company: str) -> Sequence[Seen]:
        """Those that were answered otherwise in one company."""
        return [one for one in self.odd if one.group.company == company]

    @property
    def largest(self) -> float | None:
        """How far anything was from what it is alone; None where no number tells."""
        apart = [one.apart for one in self.every if one.said.error is None]
        return max(apart, default=None) if all(map(math.isfinite, apart)) else None


def explain(seen: Evidence) -> list[Finding]:
    """What differs, and the cause that fits; nothing where nothing does."""
    if len(seen.failed) == len(seen.units):
        told = f"no question is answered, alone or not: {seen.alone[0].error}"
        return [Finding(FAILURES, "unknown", told)]
    found = list(_examine_failures(seen))
    if not seen.odd:
        return found
    causes: tuple[tuple[str, Callable[[Evidence], bool], Sequence[Seen]], ...] = (
        (REPEAT, _is_random, seen.odd_in(AGAIN)),
        (BEFORE, _is_remembered, [one for one in seen.odd if one.group.company in _SINGLY]),
        (ORDER, _is_order, seen.together),
        (SIDES, _is_sides, seen.together),
        (REFERENCES, _is_references, seen.together),
        (PADDING, _is_padding, seen.together),
        (SIDES, _is_alone_with_sides, seen.together),
    )
    for cause, fits, shown in causes:
        if fits(seen):
            return [_tell(seen, cause, shown), *found]
    return [_tell(seen, BATCH, seen.together), *found]


def _examine_failures(seen: Evidence) -> Iterator[Finding]:
    broken = [one for one in seen.every if one.said.error is not None]
    if broken:
        first = broken[0]
        told = f"{_count(seen, broken)} fail in company, which are answered alone"
        example = f"for example {seen.units[first.member].name}, {first.group.company}: {first.said.error}"
        yield Finding(FAILURES, "differs", told, example, _MENDS[FAILURES])
    if seen.failed:
        first_failed = min(seen.failed)
        told = f"{len(seen.failed)} of {len(seen.units)} fail alone too, and were left out"
        yield Finding(FAILURES, "unknown", told, str(seen.alone[first_failed].error))


def _is_random(seen: Evidence) -> bool:
    again = seen.odd_in(AGAIN)
    # The first one was asked after nothing, and then after the last one.
    return len(again) > 1 or (bool(again) and (again[0].member > 0 or len(seen.units) < _FEW))


def _is_remembered(seen: Evidence) -> bool:
    return bool(seen.odd_in(AGAIN) or seen.odd_in(BACKWARDS))


def _is_order(seen: Evidence) -> bool:
    return all(_are_swapped(seen, group) for group in seen.odd_groups)


def _are_swapped(seen: Evidence, group: Group) -> bool:
    """Whether what was said in a group are the members' own scores, each of another one."""
    left = list(group.members)
    for said in group.said:
        place = next((n for n, one in enumerate(left) if seen.alone[one].apart(said) <= seen.tolerance), None)
        if place is None:
            return False
        del left[place]
    return True


def _is_references(seen: Evidence) -> bool:
    """Whether others like itself do a unit no harm, and those with or without a reference do."""

    def is_mixed(group: Group) -> bool:
        return len({seen.units[member].has_reference for member in group.members}) > 1

    odd = seen.odd_groups
    unmixed = [group for group in seen.groups if len(group.members) > 1 and not is_mixed(group)]
    return bool(unmixed) and all(map(is_mixed, odd))


def _is_padding(seen: Evidence) -> bool:
    """Whether there is a length by which none of the longest of any company is harmed."""

    def fits(name: str) -> bool:
        def length(member: int) -> float:
            return seen.units[member].lengths.get(name, 0.0)

        return all(length(one.member) < max(map(length, one.group.members)) for one in seen.together)

    return any(map(fits, {name for unit in seen.units for name in unit.lengths}))


def _is_sides(seen: Evidence) -> bool:
    """Whether a unit is said the same of beside all others as beside what belongs to it."""
    whole = {one.member: one.said for one in seen.every if one.group.company == WHOLE}
    others = [one for one in seen.every if one.group.company not in (*_SINGLY, WHOLE)]
    odd = {one.member for one in seen.together}
    return bool(others) and all(
        one.member in whole and whole[one.member].apart(one.said) <= seen.tolerance
        for one in others
        if one.member in odd
    )


def _is_alone_with_sides(seen: Evidence) -> bool:
    """Whether nothing was asked beside it but what belongs to it."""
    return all(one.group.company == WHOLE for one in seen.together)


def _tell(seen: Evidence, cause: str, shown: Sequence[Seen]) -> Finding:
    worst = max(shown, key=lambda one: one.apart)
    unit, numbers = seen.units[worst.member], worst.apart
    alone, beside = seen.alone[worst.member].show(worst.said)
    far = f", by up to {numbers:.2g}" if math.isfinite(numbers) else ""
    told = f"{_count(seen, shown)} differ{far}: {_WHY[cause]}"
    verdict: Any = "differs"
    if cause in (REPEAT, BEFORE, ORDER):
        # The same question in the same batch is rounded the same.
        pass
    elif seen.halves and numbers <= _IN_HALVES:
        verdict, told = "noise", f"{told}; so little is the rounding of 16 bits"
    elif numbers <= _LITTLE:
        told = f"{told}; so little may be rounding (bf16, TF32)"
    example = f"for example {unit.name}: {alone} alone, {beside} {worst.group.company}"
    counted = {"differing": len({one.member for one in shown}), "of": len(seen.units) - len(seen.failed)}
    largest = numbers if math.isfinite(numbers) else None
    return Finding(cause, verdict, told, example, _MENDS[cause], {**counted, "largest": largest})


def _count(seen: Evidence, shown: Sequence[Seen]) -> str:
    what = "scores" if any(said.numbers for said in seen.alone) else "answers"
    return f"{len({one.member for one in shown})} of {len(seen.units) - len(seen.failed)} {what}"
