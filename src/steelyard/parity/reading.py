"""How prompts are read: chat template, BOS, default system prompt, tokenizer, space at the ends.

The evidence is how many tokens more B reads than A, cell by cell:

    the same in every chat, and one          a BOS too many or too few
    the same in every chat, and more         the template begins or ends otherwise
    more with every turn                     the template marks turns otherwise
    gone, or other, with a system turn       a system prompt of one side's own
    only with a system turn                  the template puts it otherwise, or a side reads none
    other from text to text                  another tokenizer

Where a service counts nothing, what is left is which answers agree, and what a model of this process
would say with another BOS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from steelyard.parity.findings import BOS, SPACE, SYSTEM, TEMPLATE, TOKENIZER
from steelyard.parity.notes import (
    add,
    agreed,
    doubt_system,
    is_named,
    note_begin,
    note_template,
    note_turns,
    retell_begin,
)
from steelyard.parity.questions import CHAT, TEXT
from steelyard.parity.shifts import Shifts, measure_shifts, tell_more
from steelyard.parity.sides import Pair
from steelyard.parity.survey import MOSTLY, RARELY, Survey, count, share, show_counts, show_pair
from steelyard.parity.system import examine_system, leave_unread
from steelyard.parity.uncounted import examine_uncounted


def examine_prompts(survey: Survey) -> None:
    """Find how the prompts of both sides differ, and note which answers are bound to differ by it."""
    # Prompts of somebody's own may be of any kind; those that were cut tell of nothing else.
    pairs = [pair for pair in survey.pairs if pair.good and not pair.question.id.startswith("own")]
    pairs = [pair for pair in pairs if pair.question.id not in survey.explained]
    texts = [pair for pair in pairs if pair.question.form == TEXT]
    chats = [pair for pair in pairs if pair.question.form == CHAT]
    if all(pair.offset is None for pair in pairs):
        add(survey, TOKENIZER, "unknown", "the services do not say how many tokens they read")
        if survey.a.main != survey.b.main:
            _examine_template(survey, texts, chats, {TEXT: None, CHAT: None}, [])
        examine_uncounted(survey, texts, chats)
        return
    chats = leave_unread(survey, chats)
    shifts = {TEXT: measure_shifts(texts), CHAT: measure_shifts(chats)}
    _examine_tokenizer(survey, shifts)
    if is_named(survey, TOKENIZER):
        for cause in (SYSTEM, BOS, TEMPLATE):
            if not is_named(survey, cause):
                add(survey, cause, "unknown", "the tokens of the same texts differ already")
        return
    chats = examine_system(survey, chats, shifts[CHAT])
    shifts[CHAT] = measure_shifts(chats)
    begun = [
        form
        for form in (TEXT, CHAT)
        if _examine_begin(survey, texts if form == TEXT else chats, shifts[form])
    ]
    if not begun:
        add(survey, BOS, "same", f"both read as many tokens{_except_causes(survey)}")
    _examine_template(survey, texts, chats, shifts, begun)


def _examine_tokenizer(survey: Survey, shifts: Mapping[str, Shifts | None]) -> None:
    """Whether texts are cut into other tokens, or lose the space at their ends."""
    known = [one for one in shifts.values() if one is not None]
    odd = [pair for one in known for pair in one.odd]
    spaced = [pair for one in known for pair in one.spaced]
    texts = shifts[TEXT]
    if odd and texts is not None and not texts.odd:
        told = f"B reads {_range({pair.offset for pair in odd})} in {count(len(odd), 'chat')}, unlike in the "
        told += "others and in texts: what turns say is changed"
        note_template(survey, odd, told, show_counts(odd[0]))
        add(survey, TOKENIZER, "same", "the tokens of different texts differ by nothing of their own")
    elif odd:
        differing = {pair.offset for pair in odd}
        told = f"B reads {_range(differing)} in {count(len(odd), 'prompt')}"
        add(survey, TOKENIZER, "differs", f"{told}, unlike in the others", show_counts(odd[0]))
        forms = {pair.question.form for pair in odd}
        survey.explain([pair for pair in survey.pairs if pair.question.form in forms], TOKENIZER)
    else:
        add(survey, TOKENIZER, "same", "the tokens of different texts differ by nothing of their own")
    if spaced and not odd:
        offsets = _range({pair.offset for pair in spaced})
        told = f"B reads {offsets} in {count(len(spaced), 'prompt')} with space at an end"
        add(survey, SPACE, "differs", told, show_counts(spaced[0]))
        survey.explain(spaced, SPACE)


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
    shifts: Mapping[str, Shifts | None],
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
    if is_named(survey, TEMPLATE):
        note_turns(survey, chats)
        return
    shift, flat = shifts[CHAT], shifts[TEXT]
    if shift is not None and shift.turn:
        told = f"B reads {tell_more(shift.of(False, 1) or 0)} in a chat of one turn, and "
        told += f"{tell_more(shift.turn)} with every further question"
        example = show_counts(next(pair for pair in chats if pair.offset is not None))
        note_template(survey, chats, told, example)
    elif shift is not None and shift.base and CHAT not in begun:
        told = f"B reads {tell_more(shift.base)} in every chat, however long: the template begins or ends "
        told += "otherwise, or has a system text that is always there"
        note_template(survey, chats, told, show_counts(chats[0]))
        doubt_system(survey)
    elif flat is not None and flat.base and TEXT not in begun:
        told = f"B reads {tell_more(flat.base)} in every text: something is put around them"
        note_template(survey, texts, told, show_counts(texts[0]))
    elif chats and not _are_known(survey, chats) and share(chats) <= RARELY and share(texts) >= MOSTLY:
        told = "texts are answered alike and chats are not, though both read as many tokens"
        note_template(survey, chats, told, show_pair(next(pair for pair in chats if not pair.equal)))
    elif shift is not None:
        alike = f"as many tokens in every chat, of one turn or several{_except_causes(survey)}"
        if not note_turns(survey, chats):
            add(survey, TEMPLATE, "same", alike)
    else:
        add(survey, TEMPLATE, "unknown", "no chats were asked of both")


def _are_known(survey: Survey, pairs: Sequence[Pair]) -> bool:
    return all(pair.question.id in survey.explained for pair in pairs)


def _except_causes(survey: Survey) -> str:
    named = [o.cause for o in survey.found if o.verdict == "differs" and o.cause in (BOS, SYSTEM, TEMPLATE)]
    return f", but for the {' and the '.join(named)}" if named else ""


def _range(numbers: set[int | None]) -> str:
    known = sorted(number for number in numbers if number is not None)
    low, high = known[0], known[-1]
    if low == high:
        return tell_more(low)
    if low < 0 < high:
        return f"{-low} tokens fewer to {high} more than A"
    return f"{low} to {high} tokens more than A" if high > 0 else f"{-high} to {-low} tokens fewer than A"
