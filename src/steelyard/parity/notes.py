"""What is noted of prompts that differ: findings, answers that are bound to differ, what would be said."""

from __future__ import annotations

from collections.abc import Sequence

from steelyard.parity.findings import BOS, SPACE, SYSTEM, TEMPLATE, TOKENIZER, Finding, Verdict
from steelyard.parity.questions import CHAT
from steelyard.parity.sides import Change, Pair
from steelyard.parity.survey import MOSTLY, RARELY, Survey, share, show_counts, show_pair

_MENDS = {
    TEMPLATE: "use one chat template on both sides (chat_template.jinja; --chat-template of servers)",
    BOS: "write the BOS once: in the template or by the tokenizer (add_bos_token), not both and not neither",
    SYSTEM: "send the system turn that you want with every chat, or take the default out of the template",
    TOKENIZER: "use the tokenizer files of the same version on both sides",
    SPACE: "send prompts without space at their ends, or find who strips them",
}


def add(
    survey: Survey, cause: str, verdict: Verdict, evidence: str, example: str = "", **numbers: object
) -> None:
    """Note a finding, with what mends it where something differs."""
    mend = _MENDS.get(cause, "") if verdict == "differs" else ""
    survey.found.append(Finding(cause, verdict, evidence, example, mend, numbers))


def note_begin(
    survey: Survey, pairs: Sequence[Pair], told: Sequence[Pair], evidence: str, *, side: str
) -> None:
    """Note a BOS too many or too few, and what the answers would be with it."""
    known = next((one for one in survey.found if one.cause == BOS), None)
    if known is not None:
        survey.found.remove(known)
        evidence = f"{known.evidence}; {evidence}"
    add(survey, BOS, "differs", evidence, show_counts(pairs[0]), side=side)
    form = pairs[0].question.form
    survey.explain([pair for pair in survey.pairs if pair.question.form == form], BOS)
    survey.adjusted.update((pair.question.id, pair) for pair in told)


def note_template(survey: Survey, pairs: Sequence[Pair], told: str, example: str) -> None:
    """Note another template, by which all answers of the form are bound to differ."""
    add(survey, TEMPLATE, "differs", told, example)
    form = pairs[0].question.form
    survey.explain([pair for pair in survey.pairs if pair.question.form == form], TEMPLATE)


def note_turns(survey: Survey, chats: Sequence[Pair]) -> bool:
    """Note that chats of several turns are other prompts, if they alone are answered otherwise."""
    chats = survey.left(chats)
    single = [pair for pair in chats if pair.question.turns == 1]
    several = [pair for pair in chats if pair.question.turns > 1]
    if not several or share(single) < MOSTLY or share(several) > RARELY:
        return False
    if not is_named(survey, TEMPLATE):
        told = f"{agreed(single)} chats of one turn are answered alike, and {agreed(several)} of several"
        add(survey, TEMPLATE, "differs", told, show_pair(several[0]))
    survey.explain(several, TEMPLATE)
    return True


def is_named(survey: Survey, cause: str) -> bool:
    """Whether a cause was looked at already and seen to differ."""
    return any(one.cause == cause and one.verdict == "differs" for one in survey.found)


def doubt_system(survey: Survey) -> None:
    """Note that a system prompt which is always there looks as another template does."""
    for place, one in enumerate(survey.found):
        if one.cause == SYSTEM and one.verdict == "same":
            told = "one that is added to every chat would look as the template does"
            survey.found[place] = Finding(SYSTEM, "unknown", told)


def explain_system(survey: Survey) -> None:
    """Note that chats without a system turn are other prompts to both sides, whatever is known of them."""
    for pair in survey.pairs:
        if pair.question.form == CHAT and not pair.question.system:
            survey.explained[pair.question.id] = SYSTEM
            survey.adjusted.pop(pair.question.id, None)


def retell_begin(survey: Survey, pairs: Sequence[Pair], *, more: bool) -> list[Pair]:
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


def agreed(pairs: Sequence[Pair]) -> str:
    """How many pairs agree, of how many."""
    return f"{round(share(pairs) * len(pairs))} of {len(pairs)}"
