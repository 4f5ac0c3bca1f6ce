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

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from steelyard.parity.findings import BOS, SPACE, SYSTEM, TEMPLATE, TOKENIZER, Finding, Verdict
from steelyard.parity.questions import CHAT, DOT, TEXT
from steelyard.parity.sides import Change, Pair, Side, read_of
from steelyard.parity.survey import Survey, count, share, show_counts, show_pair

_MOST = 0.8
"""The share of answers that is taken for all: some may differ by noise or for a cause of their own."""
_FEW = 0.2
_MENDS = {
    TEMPLATE: "use one chat template on both sides (chat_template.jinja; --chat-template of servers)",
    BOS: "write the BOS once: in the template or by the tokenizer (add_bos_token), not both and not neither",
    SYSTEM: "send the system turn that you want with every chat, or take the default out of the template",
    TOKENIZER: "use the tokenizer files of the same version on both sides",
    SPACE: "send prompts without space at their ends, or find who strips them",
}


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
        _examine_uncounted(survey, texts, chats)
        return
    _examine_system(survey, chats, shifts[CHAT])
    begun = [
        form
        for form in (TEXT, CHAT)
        if _examine_begin(survey, texts if form == TEXT else chats, shifts[form])
    ]
    if not begun:
        _add(survey, BOS, "same", f"both read as many tokens{_except_causes(survey)}")
    _examine_template(survey, texts, chats, shifts, begun)


def _shift(pairs: Sequence[Pair]) -> Shifts | None:
    """How many tokens more B reads; None where nobody tells."""
    counted = [pair for pair in pairs if pair.offset is not None]
    if not counted:
        return None
    cells: dict[tuple[bool, int], int] = {}
    plain = [pair for pair in counted if not pair.question.spaced]
    for cell in {pair.question.cell for pair in plain}:
        offsets = [pair.offset for pair in plain if pair.question.cell == cell]
        cells[cell] = Counter(offset for offset in offsets if offset is not None).most_common(1)[0][0]
    odd = [pair for pair in counted if pair.offset != cells.get(pair.question.cell, pair.offset)]
    spaced = [pair for pair in odd if pair.question.spaced]
    return Shifts(cells, [pair for pair in odd if not pair.question.spaced], spaced)


def _examine_tokenizer(survey: Survey, shifts: dict[str, Shifts | None]) -> None:
    """Whether texts are cut into other tokens, or lose the space at their ends."""
    known = [one for one in shifts.values() if one is not None]
    odd = [pair for one in known for pair in one.odd]
    spaced = [pair for one in known for pair in one.spaced]
    if not known:
        _add(survey, TOKENIZER, "unknown", "the services do not say how many tokens they read")
    elif odd:
        differing = {pair.offset for pair in odd}
        told = f"B reads {_range(differing)} tokens more than A in {count(len(odd), 'prompt')}"
        _add(survey, TOKENIZER, "differs", f"{told}, unlike in the others", show_counts(odd[0]))
        forms = {pair.question.form for pair in odd}
        survey.explain([pair for pair in survey.pairs if pair.question.form in forms], TOKENIZER)
    else:
        _add(survey, TOKENIZER, "same", "the tokens of different texts differ by nothing of their own")
    if spaced and not odd:
        offsets = _range({pair.offset for pair in spaced})
        told = f"B reads {offsets} tokens more than A in {count(len(spaced), 'prompt')} with space at an end"
        _add(survey, SPACE, "differs", told, show_counts(spaced[0]))
        survey.explain(spaced, SPACE)


def _examine_system(survey: Survey, chats: Sequence[Pair], shift: Shifts | None) -> None:
    """Whether one side has a system prompt of its own where none is given."""
    if shift is None or shift.of(True, 1) is None or shift.of(False, 1) is None:
        known = "chats could not be asked with a system turn" if chats else "no chats were asked of both"
        _add(survey, SYSTEM, "unknown", known)
        return
    own = {side.label: _has_own(chats, side, survey) for side in (survey.a, survey.b)}
    if shift.turn == 0 and shift.system == 0:
        _add(survey, SYSTEM, "same", "a system turn changes nothing in how many tokens more are read")
        return
    if shift.turn and own["A"] == own["B"]:
        _add(
            survey, SYSTEM, "same", "none that a system turn would take the place of shows on one side alone"
        )
        return
    without, with_it = shift.of(False, 1) or 0, shift.of(True, 1) or 0
    adds = own["B"] if own["A"] != own["B"] else without > with_it
    side = "B" if adds else "A"
    told = f"without a system turn B reads {_more(without)} than A, with one {_more(with_it)}: "
    told += f"{side} adds its own"
    affected = [pair for pair in survey.pairs if pair.question.form == CHAT and not pair.question.system]
    example = next((show_counts(pair) for pair in affected if pair.offset == without), "")
    _add(survey, SYSTEM, "differs", told, example, side=side, tokens=abs(without - with_it))
    survey.explain(affected, SYSTEM)


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
    told = _retell(survey, alike, more=shift.base > 0)
    if told and share(told) < _MOST and share(alike) < _MOST:
        # It says something else than with a BOS more or less: it is another token.
        return False
    side, other = ("B", "A") if shift.base > 0 else ("A", "B")
    form = "chats" if pairs[0].question.form == CHAT else "texts"
    evidence = f"{side} reads one token more than {other} in all {form}"
    if told:
        agreed = round(share(told) * len(told))
        evidence += f"; with it {agreed} of {len(told)} answers are the same, without {_agreed(alike)}"
    _note_begin(survey, pairs, told, evidence, side=side)
    return True


def _note_begin(
    survey: Survey, pairs: Sequence[Pair], told: Sequence[Pair], evidence: str, *, side: str
) -> None:
    known = next((one for one in survey.found if one.cause == BOS), None)
    if known is not None:
        survey.found.remove(known)
        evidence = f"{known.evidence}; {evidence}"
    _add(survey, BOS, "differs", evidence, show_counts(pairs[0]), side=side)
    form = pairs[0].question.form
    survey.explain([pair for pair in survey.pairs if pair.question.form == form], BOS)
    survey.adjusted.update((pair.question.id, pair) for pair in told)


def _retell(survey: Survey, pairs: Sequence[Pair], *, more: bool) -> list[Pair]:
    """The pairs with a BOS more, or fewer, on A's side: as a model of this process tells."""
    add, drop = _changes(survey)
    return survey.retell(pairs, *((add, drop) if more else (drop, add)))


def _changes(survey: Survey) -> tuple[Change, Change]:
    """A BOS more before a prompt in tokens, and one fewer."""
    model = survey.a.tokens or survey.b.tokens
    begin = model.tokens("", special=True)[:1] if model is not None else []

    def add(ids: list[int]) -> list[int]:
        return [*begin, *ids]

    def drop(ids: list[int]) -> list[int]:
        return ids[1:] if begin and ids[:1] == begin and len(ids) > 1 else ids

    return add, drop


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
        told = f"A is {ways[survey.a.main]}, B {ways[survey.b.main]}; what follows is of what both take"
        _add(survey, TEMPLATE, "differs", told)
        survey.explain(
            [p for p in survey.pairs if p.question.form == survey.b.main != survey.a.main], TEMPLATE
        )
        return
    shift, flat = shifts[CHAT], shifts[TEXT]
    if shift is not None and shift.turn:
        told = (
            f"B reads {_more(shift.of(False, 1) or 0)} than A in a chat of one turn, and {_more(shift.turn)} "
        )
        told += "with every further question"
        example = show_counts(next(pair for pair in chats if pair.offset is not None))
        _note_template(survey, chats, told, example)
    elif shift is not None and shift.base and CHAT not in begun:
        told = f"B reads {_more(shift.base)} than A in every chat, however long: the template begins or ends "
        told += "otherwise, or has a system text that is always there"
        _note_template(survey, chats, told, show_counts(chats[0]))
    elif flat is not None and flat.base and TEXT not in begun:
        told = f"B reads {_more(flat.base)} than A in every text: something is put around them"
        _note_template(survey, texts, told, show_counts(texts[0]))
    elif chats and not _are_known(survey, chats) and share(chats) <= _FEW and share(texts) >= _MOST:
        told = "texts are answered alike and chats are not, though both read as many tokens"
        _note_template(survey, chats, told, show_pair(next(pair for pair in chats if not pair.equal)))
    elif shift is not None:
        _add(
            survey,
            TEMPLATE,
            "same",
            f"as many tokens in every chat, of one turn or several{_except_causes(survey)}",
        )
    else:
        _add(survey, TEMPLATE, "unknown", "no chats were asked of both")


def _note_template(survey: Survey, pairs: Sequence[Pair], told: str, example: str) -> None:
    _add(survey, TEMPLATE, "differs", told, example)
    form = pairs[0].question.form
    survey.explain([pair for pair in survey.pairs if pair.question.form == form], TEMPLATE)


def _examine_uncounted(survey: Survey, texts: Sequence[Pair], chats: Sequence[Pair]) -> None:
    """What the answers alone tell, where nobody says how many tokens were read."""
    if survey.a.main != survey.b.main:
        _examine_template(survey, texts, chats, {TEXT: None, CHAT: None}, [])
    with_system = [pair for pair in chats if pair.question.system]
    without = [pair for pair in chats if not pair.question.system]
    unsaid = "the services do not say how many tokens they read"
    alike = f"{_agreed([*texts, *chats])} answers agree; {unsaid}"
    if without and share(with_system) >= _MOST and share(without) <= _FEW:
        told = f"{_agreed(with_system)} chats with a system turn are answered alike, of those without "
        _add(survey, SYSTEM, "differs", f"{told}{_agreed(without)}", show_pair(without[0]))
        affected = [pair for pair in survey.pairs if pair.question.form == CHAT and not pair.question.system]
        survey.explain(affected, SYSTEM)
        without = []
    else:
        _add(survey, SYSTEM, "same" if share(chats) >= _MOST else "unknown", alike)
    begun = [pairs for pairs in (texts, chats) if _examine_begin_uncounted(survey, pairs)]
    agreeing = share([*texts, *with_system, *without]) >= _MOST
    if not begun:
        _add(survey, BOS, "same" if agreeing else "unknown", alike)
    if any(one.cause == TEMPLATE for one in survey.found):
        return
    if chats and chats not in begun and share(chats) <= _FEW and share(texts) >= _MOST:
        told = f"{_agreed(texts)} texts are answered alike, and {_agreed(chats)} chats"
        _note_template(survey, chats, told, show_pair(chats[0]))
    else:
        _add(survey, TEMPLATE, "same" if share([*with_system, *without]) >= _MOST else "unknown", alike)


def _examine_begin_uncounted(survey: Survey, pairs: Sequence[Pair]) -> bool:
    """Whether a model of this process says the same as the other side once it has a BOS more or fewer."""
    alike = [pair for pair in pairs if pair.question.id not in survey.explained]
    if not alike or share(alike) > _FEW:
        return False
    for more in (True, False):
        told = _retell(survey, alike, more=more)
        if told and share(told) >= _MOST:
            side, other = ("B", "A") if more else ("A", "B")
            evidence = f"with one BOS more in {side} than in {other} {_agreed(told)} answers are the same"
            _note_begin(survey, alike, told, f"{evidence}, as they are {_agreed(alike)}", side=side)
            return True
    return False


def _are_known(survey: Survey, pairs: Sequence[Pair]) -> bool:
    return all(pair.question.id in survey.explained for pair in pairs)


def _except_causes(survey: Survey) -> str:
    named = [one.cause for one in survey.found if one.verdict == "differs"]
    return f", but for the {' and the '.join(named)}" if named else ""


def _add(
    survey: Survey, cause: str, verdict: Verdict, evidence: str, example: str = "", **numbers: object
) -> None:
    mend = _MENDS.get(cause, "") if verdict == "differs" else ""
    survey.found.append(Finding(cause, verdict, evidence, example, mend, numbers))


def _agreed(pairs: Sequence[Pair]) -> str:
    return f"{round(share(pairs) * len(pairs))} of {len(pairs)}"


def _more(number: int) -> str:
    return "as many tokens" if not number else f"{abs(number)} tokens {'more' if number > 0 else 'fewer'}"


def _range(numbers: set[int | None]) -> str:
    known = sorted(number for number in numbers if number is not None)
    return f"{known[0]}" if len(known) == 1 else f"{known[0]} to {known[-1]}"
