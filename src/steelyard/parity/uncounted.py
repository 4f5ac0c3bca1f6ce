"""How prompts are read where nobody says how many tokens that took: by which answers agree."""

from __future__ import annotations

from collections.abc import Sequence

from steelyard.parity.findings import BOS, TEMPLATE
from steelyard.parity.notes import (
    add,
    agreed,
    is_named,
    note_begin,
    note_template,
    note_turns,
    retell_begin,
)
from steelyard.parity.sides import Pair
from steelyard.parity.survey import MOSTLY, RARELY, Survey, share, show_pair
from steelyard.parity.system import examine_system_unsaid


def examine_uncounted(survey: Survey, texts: Sequence[Pair], chats: Sequence[Pair]) -> None:
    """What the answers alone tell, where nobody says how many tokens were read."""
    unsaid = "the services do not say how many tokens they read"
    begun = [_examine_begin_uncounted(survey, texts, texts)]
    given = [pair for pair in chats if pair.question.system]
    begun.append(
        _examine_begin_uncounted(survey, chats, given) or _examine_begin_uncounted(survey, chats, chats)
    )
    chats = [survey.adjusted.get(pair.question.id, pair) for pair in chats]
    alike = f"{agreed([*texts, *chats])} answers agree; {unsaid}"
    chats = examine_system_unsaid(survey, chats, alike, otherwise="unknown")
    if not any(begun):
        agreeing = share([*texts, *chats]) >= MOSTLY
        add(survey, BOS, "same" if agreeing else "unknown", alike)
    if note_turns(survey, chats) or is_named(survey, TEMPLATE):
        return
    if chats and share(chats) <= RARELY and share(texts) >= MOSTLY:
        told = (
            f"{agreed(texts)} texts are answered alike, and {agreed(chats)} chats: what is put around turns"
        )
        note_template(survey, chats, f"{told} differs", show_pair(chats[0]))
    else:
        add(survey, TEMPLATE, "same" if share(chats) >= MOSTLY else "unknown", alike)


def _examine_begin_uncounted(survey: Survey, pairs: Sequence[Pair], asked: Sequence[Pair]) -> bool:
    """Whether a model of this process says the same as the other side once it has a BOS more or fewer.

    Of all `pairs` those that are `asked` have no other cause to differ.
    """
    if not asked or share(asked) > RARELY:
        return False
    for more in (True, False):
        told = retell_begin(survey, asked, more=more)
        if told and share(told) >= MOSTLY:
            side, other = ("B", "A") if more else ("A", "B")
            evidence = f"with one BOS more in {side} than in {other} {agreed(told)} answers are the same"
            told = told if len(asked) == len(pairs) else retell_begin(survey, pairs, more=more)
            note_begin(survey, pairs, told, f"{evidence}, as they are {agreed(asked)}", side=side)
            return True
    return False
