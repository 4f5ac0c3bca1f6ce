"""How prompts are read: chat template, BOS, default system prompt, tokenizer, space at the ends.

The evidence is how many tokens more B reads than A, cell by cell:

    the same in every chat, and one          a BOS too many or too few
    the same in every chat, and more         the template begins or ends otherwise
    more with every turn                     the template marks turns otherwise
    gone, or other, with a system turn       a system prompt of one side's own
    other from text to text                  another tokenizer

Where a service counts nothing, what is left is which answers agree, and what a model of this process
would say with another BOS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from steelyard.parity.findings import BOS, SPACE, SYSTEM, TEMPLATE, TOKENIZER
from steelyard.parity.notes import add, agreed, explain_system, note_begin, note_template, retell_begin
from steelyard.parity.questions import CHAT, DOT, TEXT
from steelyard.parity.sides import Pair, Side, read_of
from steelyard.parity.survey import MOSTLY, RARELY, Survey, count, most_common, share, show_counts, show_pair
from steelyard.parity.uncounted import examine_uncounted


@dataclass
class Shifts:
    """How many tokens more B reads in one form, as far as it tells; `base` is common to all of it."""

    cells: dict[tuple[bool, int], int]
    odd: list[Pair]
    spaced: list[Pair]

    def of(self, system: bool, turns: int) -> int | None:
        """The shift of one cell."""
        return self.cells.get((system, turns))

    @property
    def turn(self) -> int:
        """By how much it grows from turn to turn."""
        for system in (False, True):
            one, two = self.of(system, 1), self.of(system, 2)
            if one is not None and two is not None:
                return two - one
        return 0

    @property
    def system(self) -> int:
        """By how much a system turn changes it."""
        without, with_it = self.of(False, 1), self.of(True, 1)
        return 0 if without is None or with_it is None else with_it - without

    @property
    def base(self) -> int:
        """What is left of it where a system prompt is given."""
        found = self.of(True, 1) if self.system else self.of(False, 1)
        return found or 0


def examine_prompts(survey: Survey) -> None:
    """Find how the prompts of both sides differ, and note which answers are bound to differ by it."""
    # Prompts of somebody's own may be of any kind; those that were cut tell of nothing else.
    pairs = [pair for pair in survey.pairs if pair.good and not pair.question.id.startswith("own")]
    pairs = [pair for pair in pairs if pair.question.id not in survey.explained]
    texts = [pair for pair in pairs if pair.question.form == TEXT]
    chats = [pair for pair in pairs if pair.question.form == CHAT]
    shifts = {TEXT: _shift(texts), CHAT: _shift(chats)}
    _examine_tokenizer(survey, shifts)
    if shifts[TEXT] is None and shifts[CHAT] is None:
        if survey.a.main != survey.b.main:
            _examine_template(survey, texts, chats, shifts, [])
        examine_uncounted(survey, texts, chats)
        return
    _examine_system(survey, chats, shifts[CHAT])
    begun = [
        form
        for form in (TEXT, CHAT)
        if _examine_begin(survey, texts if form == TEXT else chats, shifts[form])
    ]
    if not begun:
        add(survey, BOS, "same", f"both read as many tokens{_except_causes(survey)}")
    _examine_template(survey, texts, chats, shifts, begun)


def _shift(pairs: Sequence[Pair]) -> Shifts | None:
    """How many tokens more B reads; None where nobody tells."""
    counted = [pair for pair in pairs if pair.offset is not None]
    if not counted:
        return None
    cells: dict[tuple[bool, int], int] = {}
    plain = [pair for pair in counted if not pair.question.spaced]
    for cell in {pair.question.cell for pair in plain}:
        cells[cell] = most_common(pair.offset for pair in plain if pair.question.cell == cell) or 0
    odd = [pair for pair in counted if pair.offset != cells.get(pair.question.cell, pair.offset)]
    spaced = [pair for pair in odd if pair.question.spaced]
    return Shifts(cells, [pair for pair in odd if not pair.question.spaced], spaced)


def _examine_tokenizer(survey: Survey, shifts: dict[str, Shifts | None]) -> None:
    """Whether texts are cut into other tokens, or lose the space at their ends."""
    known = [one for one in shifts.values() if one is not None]
    odd = [pair for one in known for pair in one.odd]
    spaced = [pair for one in known for pair in one.spaced]
    if not known:
        add(survey, TOKENIZER, "unknown", "the services do not say how many tokens they read")
    elif odd:
        differing = {pair.offset for pair in odd}
        told = f"B reads {_range(differing)} tokens more than A in {count(len(odd), 'prompt')}"
        add(survey, TOKENIZER, "differs", f"{told}, unlike in the others", show_counts(odd[0]))
        forms = {pair.question.form for pair in odd}
        survey.explain([pair for pair in survey.pairs if pair.question.form in forms], TOKENIZER)
    else:
        add(survey, TOKENIZER, "same", "the tokens of different texts differ by nothing of their own")
    if spaced and not odd:
        offsets = _range({pair.offset for pair in spaced})
        told = f"B reads {offsets} tokens more than A in {count(len(spaced), 'prompt')} with space at an end"
        add(survey, SPACE, "differs", told, show_counts(spaced[0]))
        survey.explain(spaced, SPACE)


def _examine_system(survey: Survey, chats: Sequence[Pair], shift: Shifts | None) -> None:
    """Whether one side has a system prompt of its own where none is given."""
    if shift is None or shift.of(True, 1) is None or shift.of(False, 1) is None:
        known = "chats could not be asked with a system turn" if chats else "no chats were asked of both"
        add(survey, SYSTEM, "unknown", known)
        return
    own = {side.label: _has_own(chats, side, survey) for side in (survey.a, survey.b)}
    if shift.turn == 0 and shift.system == 0:
        add(survey, SYSTEM, "same", "a system turn changes nothing in how many tokens more are read")
        return
    if shift.turn and own["A"] == own["B"]:
        add(survey, SYSTEM, "same", "none that a system turn would take the place of shows on one side alone")
        return
    without, with_it = shift.of(False, 1) or 0, shift.of(True, 1) or 0
    adds = own["B"] if own["A"] != own["B"] else without > with_it
    side = "B" if adds else "A"
    told = f"without a system turn B reads {_more(without)} than A, with one {_more(with_it)}: "
    told += f"{side} adds its own"
    example = next(show_counts(pair) for pair in chats if pair.question.cell == (False, 1))
    add(survey, SYSTEM, "differs", told, example, side=side, tokens=abs(without - with_it))
    explain_system(survey)


def _has_own(chats: Sequence[Pair], side: Side, survey: Survey) -> bool:
    """Whether a chat of one side becomes no longer by a short system turn: it took the place of another."""
    read = {
        pair.question.id: read_of(pair.a if side is survey.a else pair.b)
        for pair in chats
        if pair.question.id in (DOT, "chat-1")
    }
    short, none = read.get(DOT), read.get("chat-1")
    return short is not None and none is not None and short <= none


def _examine_begin(survey: Survey, pairs: Sequence[Pair], shift: Shifts | None) -> bool:
    """Whether one token more or less is a BOS; a model of this process is asked what it would say with it."""
    if shift is None or shift.turn or abs(shift.base) != 1:
        return False
    alike = [pair for pair in pairs if pair.question.id not in survey.explained]
    told = retell_begin(survey, alike, more=shift.base > 0)
    if told and share(told) < MOSTLY and share(alike) < MOSTLY:
        # It says something else than with a BOS more or less: it is another token.
        return False
    side, other = ("B", "A") if shift.base > 0 else ("A", "B")
    form = "chats" if pairs[0].question.form == CHAT else "texts"
    evidence = f"{side} reads one token more than {other} in all {form}"
    if told:
        same = round(share(told) * len(told))
        evidence += f"; with it {same} of {len(told)} answers are the same, without {agreed(alike)}"
    note_begin(survey, pairs, told, evidence, side=side)
    return True


def _examine_template(
    survey: Survey,
    texts: Sequence[Pair],
    chats: Sequence[Pair],
    shifts: dict[str, Shifts | None],
    begun: Sequence[str],
) -> None:
    """Whether what stands around turns, or around texts, is another one."""
    if survey.a.main != survey.b.main:
        ways = {TEXT: "asked for a text", CHAT: "asked in the turns of a chat"}
        told = f"A is {ways[survey.a.main]}, B {ways[survey.b.main]}; the rest is of what both take"
        add(survey, TEMPLATE, "differs", told)
        if not set(survey.a.ways) & set(survey.b.ways):
            survey.explain(survey.pairs, TEMPLATE)
        return
    shift, flat = shifts[CHAT], shifts[TEXT]
    if shift is not None and shift.turn:
        told = (
            f"B reads {_more(shift.of(False, 1) or 0)} than A in a chat of one turn, and {_more(shift.turn)} "
        )
        told += "with every further question"
        example = show_counts(next(pair for pair in chats if pair.offset is not None))
        note_template(survey, chats, told, example)
    elif shift is not None and shift.base and CHAT not in begun:
        told = f"B reads {_more(shift.base)} than A in every chat, however long: the template begins or ends "
        told += "otherwise, or has a system text that is always there"
        note_template(survey, chats, told, show_counts(chats[0]))
    elif flat is not None and flat.base and TEXT not in begun:
        told = f"B reads {_more(flat.base)} than A in every text: something is put around them"
        note_template(survey, texts, told, show_counts(texts[0]))
    elif chats and not _are_known(survey, chats) and share(chats) <= RARELY and share(texts) >= MOSTLY:
        told = "texts are answered alike and chats are not, though both read as many tokens"
        note_template(survey, chats, told, show_pair(next(pair for pair in chats if not pair.equal)))
    elif shift is not None:
        add(
            survey,
            TEMPLATE,
            "same",
            f"as many tokens in every chat, of one turn or several{_except_causes(survey)}",
        )
    else:
        add(survey, TEMPLATE, "unknown", "no chats were asked of both")


def _are_known(survey: Survey, pairs: Sequence[Pair]) -> bool:
    return all(pair.question.id in survey.explained for pair in pairs)


def _except_causes(survey: Survey) -> str:
    named = [o.cause for o in survey.found if o.verdict == "differs" and o.cause in (BOS, SYSTEM, TEMPLATE)]
    return f", but for the {' and the '.join(named)}" if named else ""


def _more(number: int) -> str:
    return (
        f"{count(abs(number), 'token')} {'more' if number > 0 else 'fewer'}" if number else "as many tokens"
    )


def _range(numbers: set[int | None]) -> str:
    known = sorted(number for number in numbers if number is not None)
    return f"{known[0]}" if len(known) == 1 else f"{known[0]} to {known[-1]}"
