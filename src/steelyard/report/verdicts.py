"""A comparison as rows of a table and in words: better, worse or noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from steelyard.report.comparison import Measured, Pairing
from steelyard.report.tables import Cell, Figure, decimals_of

COLUMNS = ("metric", "base", "other", "difference", "95 % low", "high", "p", "p (Holm)", "verdict")
_P_DECIMALS = 4


def row_of(measured: Measured) -> list[Cell]:
    """The cells of one metric."""
    one = measured.comparison
    digits = decimals_of(one.difference, one.stderr)
    figures = [Figure(x, digits) for x in (one.before, one.after, one.difference, one.low, one.high)]
    return [measured.name, *figures, *(Figure(p, _P_DECIMALS) for p in (one.p, one.adjusted)), one.verdict]


def tell_verdicts(pairing: Pairing) -> Iterator[str]:
    """What each metric says, and which samples changed."""
    for measured in pairing.measured:
        one = measured.comparison
        if one.difference == 0 and not (one.gained or one.lost or one.stderr):
            line = f"{measured.name}: no difference at all"
        elif one.verdict == "noise":
            line = f"{measured.name}: noise, the difference may well be chance ({one.test})"
        else:
            line = f"{measured.name}: the other run is {one.verdict} ({one.test})"
        if one.detectable:
            line += f"; the smallest difference that {one.n:,} answers show is about {one.detectable:.2g}"
        yield line
        if one.gained or one.lost:
            yield f"  {len(one.gained):,} better{_listed(measured.gained, len(one.gained))}"
            yield f"  {len(one.lost):,} worse{_listed(measured.lost, len(one.lost))}"
        if measured.undefined:
            answers = "answer, which is" if measured.undefined == 1 else "answers, which are"
            yield f"  undefined for {measured.undefined:,} {answers} left out"


def doubt_pairing(pairing: Pairing) -> Iterator[str]:
    """What makes the two runs hard to compare."""
    for count, run, ids in (
        (pairing.missing, pairing.base, pairing.missing_ids),
        (pairing.extra, pairing.other, pairing.extra_ids),
    ):
        if count:
            yield f"{count:,} answers only in {run.path}{_listed(ids, count)}"
    yield from pairing.remarks
    if any(pairing.failed):
        yield f"failed requests, which count as 0: base {pairing.failed[0]:,}, other {pairing.failed[1]:,}"


def _listed(ids: Sequence[str], count: int) -> str:
    return ": " + ", ".join(ids) + (", …" if count > len(ids) else "") if ids else ""
