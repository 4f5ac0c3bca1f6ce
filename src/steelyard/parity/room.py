"""What becomes of long prompts: read whole, refused, or cut, and at which end.

Each length is asked four times: as it is, and with another beginning, middle or end. A side that says the
same of two prompts of which only the beginning differs, where the other side does not, has not seen it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from steelyard.parity.findings import TRUNCATION, Finding
from steelyard.parity.questions import PARTS, long_prompts
from steelyard.parity.sides import Pair, Side, read_of
from steelyard.parity.survey import MOSTLY, Survey, agree, count, most_common, share
from steelyard.types import Response

_MEND = "give both sides the same room (max_model_len, n_ctx, max_input_tokens), and refuse what is longer"


@dataclass(frozen=True)
class _Long:
    """One length, asked as it is, and with each of its parts another one."""

    length: int
    plain: Pair
    changed: Sequence[Pair]

    def unseen(self, side: str) -> set[str]:
        """Which parts of the prompt made no difference to one side."""
        first, *others = [pair.of(side).text for pair in (self.plain, *self.changed)]
        return {part for part, text in zip(PARTS, others) if text == first}


def examine_room(survey: Survey, form: str, *, longest: int) -> None:
    """Ask prompts of three lengths, the longest of about so many tokens."""
    lengths = sorted({max(16, longest // 16), max(16, longest // 4), longest})
    questions = [long_prompts(length, form) for length in lengths]
    pairs = survey.ask([one for same in questions for one in same])
    each = 1 + len(PARTS)
    found = [
        _Long(length, pairs[n], pairs[n + 1 : n + each])
        for n, length in zip(range(0, len(pairs), each), lengths)
    ]
    expected = _expected(survey, form)
    refused = [one for one in found if (one.plain.a.error is None) != (one.plain.b.error is None)]
    good = [one for one in found if one.plain.good]
    cut = [one for one in good if expected is not None and one.plain.offset not in (None, expected)]
    cut = cut or _find_unseen(survey, good, form)
    if refused or cut:
        _add(survey, refused, cut, expected)
    elif expected is None and _is_counted(survey, form):
        told = "the tokens of short prompts differ already, and by different numbers"
        survey.found.append(Finding(TRUNCATION, "unknown", told))
    elif not any(one.plain.good for one in found):
        survey.found.append(Finding(TRUNCATION, "unknown", "no long prompt was answered by both sides"))
    else:
        survey.found.append(Finding(TRUNCATION, "same", _tell_alike(found)))
    whole = [one.plain for one in found if one.plain.good and one not in cut]
    if cut:
        _explain(survey, whole, cut)
    survey.pairs += whole


def _explain(survey: Survey, whole: Sequence[Pair], cut: Sequence[_Long]) -> None:
    """Note which of the other prompts are so long that they were cut, too."""
    least = min(one.plain.question.size for one in cut)
    known = [pair.question.size for pair in whole if pair.question.size < least]
    beyond = max(known, default=least // 2)
    for pair in survey.pairs:
        usual = most_common(
            one.offset
            for one in survey.pairs
            if (one.question.form, one.question.cell) == (pair.question.form, pair.question.cell)
        )
        odd = pair.offset != usual if pair.offset is not None else not agree(pair)
        if pair.good and pair.question.size > beyond and odd:
            survey.explain([pair], TRUNCATION)


def _expected(survey: Survey, form: str) -> int | None:
    """How many tokens more B reads of short prompts of the form; None where that is not one number."""
    offsets = {pair.offset for pair in survey.short(form)}
    return offsets.pop() if len(offsets) == 1 else None


def _find_unseen(survey: Survey, good: Sequence[_Long], form: str) -> list[_Long]:
    """The prompts of which one side has not seen what the other has, by what they say."""
    found = [one for one in good if _differs_by_part(one)]
    if share(survey.short(form)) >= MOSTLY:
        return found
    # Where short prompts are answered otherwise already, that a change makes no difference may be chance.
    return found if len(found) > 1 and not _is_counted(survey, form) else []


def _is_counted(survey: Survey, form: str) -> bool:
    """Whether both sides say how many tokens they read."""
    return any(pair.offset is not None for pair in survey.short(form))


def _differs_by_part(one: _Long) -> bool:
    # What ends early has said too little to differ by its prompt.
    a, b = one.plain.a.text, one.plain.b.text
    ends_early = a.startswith(b) or b.startswith(a)
    return not ends_early and one.unseen("A") != one.unseen("B")


def _add(survey: Survey, refused: Sequence[_Long], cut: Sequence[_Long], expected: int | None) -> None:
    told, numbers = [], {}  # type: list[str], dict[str, object]
    if refused:
        first = refused[0].plain
        side, other = ("A", "B") if first.a.error is not None else ("B", "A")
        why = first.of(side).error or ""
        told.append(
            f"{side} refuses a prompt of about {refused[0].length:,} tokens that {other} answers ({why[:80]})"
        )
        numbers["side"] = other
    example = ""
    if cut:
        side, what = _name_cut(survey, cut[0], expected)
        told.append(f"{side} {what}")
        example = (
            f"{cut[0].plain.question.id}: A read {_read(cut[0].plain.a)} tokens, B {_read(cut[0].plain.b)}"
        )
        numbers.update(side=side, read=read_of(cut[0].plain.of(side)))
    survey.found.append(Finding(TRUNCATION, "differs", "; ".join(told), example, _MEND, numbers))


def _name_cut(survey: Survey, one: _Long, expected: int | None) -> tuple[str, str]:
    """Which side cuts, how much, and at which end as far as that shows."""
    offset = one.plain.offset
    missing = None if offset is None or expected is None else offset - expected
    if missing:
        label = "B" if missing < 0 else "A"
        told = f"reads {count(abs(missing), 'token')} fewer than there are in a prompt of {_size(one)}"
    else:
        label = "B" if len(one.unseen("B")) > len(one.unseen("A")) else "A"
        told = f"does not see all of a prompt of {_size(one)}"
    side, other = (survey.b, survey.a) if label == "B" else (survey.a, survey.b)
    unseen = one.unseen(label) - one.unseen("A" if label == "B" else "B")
    lost = _retold_end(survey, side, other, one) or (next(iter(unseen)) if len(unseen) == 1 else "")
    return label, f"{told}: its {lost} is cut off" if lost else told


def _retold_end(survey: Survey, side: Side, other: Side, one: _Long) -> str:
    """Which end has to go for a model of this process to say what the other side says."""
    said = one.plain.of(side.label)
    kept = read_of(said)
    if other.tokens is None or not kept or not said.text:
        return ""
    changes = {"beginning": lambda ids: ids[-kept:], "end": lambda ids: ids[:kept]}
    for lost, change in changes.items():
        told = other.retell([one.plain.question], survey.params, change)
        if told and told[0].error is None and told[0].text == said.text:
            return lost
    return ""


def _tell_alike(found: Sequence[_Long]) -> str:
    answered = [one for one in found if one.plain.good]
    told = f"both read prompts of about {answered[-1].length:,} tokens alike"
    refused = [one for one in found if one.plain.a.error and one.plain.b.error]
    return told + (f", and refuse those of about {refused[0].length:,}" if refused else "")


def _size(one: _Long) -> str:
    """How long a prompt is: as it was counted, else about."""
    read = [known for known in map(read_of, (one.plain.a, one.plain.b)) if known is not None]
    return f"{max(read):,} tokens" if read else f"about {one.length:,} tokens"


def _read(response: Response) -> str:
    read = read_of(response)
    return "an unknown number of" if read is None else f"{read:,}"
