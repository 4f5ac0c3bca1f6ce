"""Where answers end: stop words, end tokens, a cap on their length, the default of max_tokens.

A text that is the beginning of the other side's ended early. Its finish reason and its tokens say whether
it was cut at a length; else what the other side says next names the stop word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from steelyard.parity.findings import MAX_TOKENS, SPACE, STOP, SYSTEM, Finding
from steelyard.parity.questions import COUNTS, in_form, with_system
from steelyard.parity.sides import CUT, Pair, finish_of, written_of
from steelyard.parity.survey import BROKEN, MOSTLY, Survey, count, most_common, quote, show_pair
from steelyard.types import Response

MOST = 1000
"""How far an answer without a limit is heard."""
_End = tuple["str | None", "int | None"]
_TRIED = 6
_LEAST = 3
_LONGEST_STOP = 12
_MENDS = {
    MAX_TOKENS: "give max_tokens on both sides: --max-tokens of eval, or max_tokens=… of the model",
    STOP: "give the same stop on both sides, and compare their generation_config and end tokens",
    SPACE: "strip answers before they are scored, or compare with a metric that does",
}


@dataclass(frozen=True)
class _Ended:
    """A pair of which one side ended early; `rest` is what the other one goes on with."""

    pair: Pair
    side: str
    short: Response
    long: Response

    @property
    def rest(self) -> str:
        return self.long.text[len(self.short.text) :]

    @property
    def at_length(self) -> bool:
        """Whether it was cut at a number of tokens, as far as its service says."""
        return finish_of(self.short) == "length"


def examine_ends(survey: Survey) -> None:
    """Find stop words and caps in what was answered with one and the same limit."""
    pairs = survey.comparable()
    _examine_space(survey, pairs)
    ended = list(_find_ended(survey, pairs))
    limit = int(survey.params["max_tokens"])
    full = [one for one in ended if one.at_length and written_of(one.short) == limit]
    capped = [one for one in ended if one.at_length and one not in full]
    stopped = [one for one in ended if not one.at_length]
    if over := [one for one in full if (written_of(one.long) or limit + 1) > limit]:
        _note_disobeyed(survey, over, pairs, limit)
    if stopped and (length := _length_unsaid(survey, stopped)):
        told = f"{stopped[0].side} ends {count(len(stopped), 'answer')} after about {length} tokens each, "
        told += f"though {limit} were allowed, and does not say why"
        _add(survey, MAX_TOKENS, told, show_pair(stopped[0].pair), side=stopped[0].side)
        survey.explain([one.pair for one in stopped], MAX_TOKENS)
        stopped = []
    if capped:
        lengths = sorted({written for one in capped if (written := written_of(one.short)) is not None})
        told = f"{capped[0].side} cuts {count(len(capped), 'answer')} at a length of its own"
        told += f", {_listed(lengths)} tokens" if lengths else ""
        told += f", though {limit} were allowed"
        _add(survey, MAX_TOKENS, told, show_pair(capped[0].pair), side=capped[0].side)
        survey.explain([one.pair for one in capped], MAX_TOKENS)
    if stopped:
        told, word = _name_stop(survey, stopped)
        _add(survey, STOP, told, show_pair(stopped[0].pair), side=stopped[0].side, stop=word)
        survey.explain([one.pair for one in stopped], STOP)
    elif not pairs:
        told = "no two answers are left that should be the same: mend the rest first"
        survey.found.append(Finding(STOP, "unknown", told))
    else:
        told = f"no answer of {len(pairs)} ends where the other side goes on"
        survey.found.append(Finding(STOP, "same", told))


def _find_ended(survey: Survey, pairs: Sequence[Pair]) -> Iterator[_Ended]:
    """Pairs of which one text is the beginning of the other."""
    for pair in pairs:
        a, b = pair.a, pair.b
        if a.text == b.text or a.text.split() == b.text.split():
            continue
        for side, short, long in ((survey.a, a, b), (survey.b, b, a)):
            if long.text.startswith(short.text) and _is_whole(short):
                yield _Ended(pair, side.label, short, long)


def _is_whole(response: Response) -> bool:
    # A character that is cut in two is written by some and kept back by others.
    return not response.text.endswith(BROKEN)


def _note_disobeyed(survey: Survey, over: Sequence[_Ended], pairs: Sequence[Pair], limit: int) -> None:
    """Note that one side writes more than it is allowed."""
    side = "B" if over[0].side == "A" else "A"
    told = f"{side} goes on past the {limit} tokens that were allowed, in {count(len(over), 'answer')}"
    mend = f"have {side} obey max_tokens: it may know it by another name, or not be sent it"
    survey.found.append(Finding(MAX_TOKENS, "differs", told, show_pair(over[0].pair), mend, {"side": side}))
    survey.explain(
        [one for one in pairs if one.of(side).text.startswith(one.of(over[0].side).text.rstrip(BROKEN))],
        MAX_TOKENS,
    )


def _length_unsaid(survey: Survey, stopped: Sequence[_Ended]) -> int | None:
    """How many tokens most answers have that ended early, where nobody says why they did."""
    model = survey.a.tokens or survey.b.tokens
    if model is None or len(stopped) < _LEAST or any(finish_of(one.short) for one in stopped):
        return None
    lengths = [len(model.tokens(one.short.text, special=False)) for one in stopped]
    usual = most_common(lengths)
    # The same text may be cut into a token more or fewer than it was written in.
    near = [length for length in lengths if usual is not None and abs(length - usual) <= 1]
    return usual if len(near) >= MOSTLY * len(lengths) else None


def _name_stop(survey: Survey, stopped: Sequence[_Ended]) -> tuple[str, str]:
    """What ends the answers of one side early; the words that are named are tried on the other."""
    side = stopped[0].side
    words = _stops_in([one.rest for one in stopped if one.side == side])
    told = f"{side} ends {count(len(stopped), 'answer')} where the other side goes on"
    if not words:
        told += f", each with something else: an end token that only {side} knows"
        return told if finish_of(stopped[0].short) else f"{told}, or a limit; it does not say", ""
    other = survey.b if side == "A" else survey.a
    tried = [one for one in stopped if one.side == side and one.pair.question.id not in survey.adjusted][
        :_TRIED
    ]
    told += f", before {', '.join(map(quote, words))}"
    if tried:
        params = {**survey.params, "stop": words}
        asked = [replace(one.pair.question, id=f"{one.pair.question.id}-stop") for one in tried]
        agreed = sum(said.text == one.short.text for said, one in zip(other.ask(asked, params), tried))
        told += f"; told to stop there, the other side ends as it does in {agreed} of {len(tried)}"
    return told, words[0]


def _stops_in(rests: Sequence[str]) -> list[str]:
    """The texts that the rests of answers begin with; none where they have nothing in common."""
    shared = _common(rests)
    if shared:
        # What one answer alone goes on with is longer than what it stopped at, which nobody knows.
        return [shared[:_LONGEST_STOP]] if len(rests) > 1 else [_first_word(shared)]
    by_first: dict[str, list[str]] = {}
    for rest in rests:
        by_first.setdefault(rest[:1], []).append(rest)
    if len(by_first) > 4 or len(by_first) > len(rests) / 2:
        return []
    return [_common(some)[:_LONGEST_STOP] for some in by_first.values()]


def _common(texts: Sequence[str]) -> str:
    """The longest beginning that all texts have: that of the first and the last of them."""
    low, high = min(texts), max(texts)
    return low[: next((n for n, (a, b) in enumerate(zip(low, high)) if a != b), len(low))]


def _first_word(text: str) -> str:
    """What stands before the first space behind a word, with the space before it."""
    bare = text.lstrip()
    space = text[: len(text) - len(bare)]
    return (space + bare.split(maxsplit=1)[0] if bare else text)[:_LONGEST_STOP]


def _examine_space(survey: Survey, pairs: Sequence[Pair]) -> None:
    """Whether answers differ by nothing but space."""
    spaced = [pair for pair in pairs if not pair.equal and pair.a.text.split() == pair.b.text.split()]
    spaced = [pair for pair in spaced if pair.a.text.strip()]
    known = next((one for one in survey.found if one.cause == SPACE), None)
    if spaced:
        bare = "A" if len(spaced[0].a.text) < len(spaced[0].b.text) else "B"
        told = f"{count(len(spaced), 'answer')} differ by nothing but space, of which {bare} has less"
        if known is not None:
            survey.found.remove(known)
            told = f"{known.evidence}; {told}"
        _add(survey, SPACE, told, show_pair(spaced[0]))
        survey.explain(spaced, SPACE)
    elif known is None:
        survey.found.append(Finding(SPACE, "same", "no answer differs by space alone"))


def examine_limits(survey: Survey, form: str) -> None:
    """Find how long answers become where nobody says how long they may."""
    questions = [in_form(f"count-{n}", text, form) for n, text in enumerate(COUNTS, 1)]
    if survey.cause_of(form) == SYSTEM:
        # With a system turn both sides are asked the same.
        questions = [with_system(one) for one in questions]
    heard = [
        [side.listen(one, {"temperature": 0}, most=MOST) for one in questions]
        for side in (survey.a, survey.b)
    ]
    known = next((one for one in survey.found if one.cause == MAX_TOKENS), None)
    verdict, told, numbers = _compare_limits(survey, heard[0], heard[1])
    if known is not None:
        # A cap on every answer is one where nobody asks for a length, too.
        survey.found.remove(known)
        survey.found.append(replace(known, evidence=f"{known.evidence}; without a limit: {told}"))
    elif verdict == "differs":
        _add(survey, MAX_TOKENS, told, "", **numbers)
    else:
        survey.found.append(Finding(MAX_TOKENS, "same" if verdict == "same" else "unknown", told))


def _compare_limits(
    survey: Survey, heard_a: Sequence[Response], heard_b: Sequence[Response]
) -> tuple[str, str, dict[str, Any]]:
    """Whether the limits of both sides are the same, and what was seen of them."""
    ends = {
        side.label: [_end_of(one) for one in heard]
        for side, heard in ((survey.a, heard_a), (survey.b, heard_b))
    }
    if failed := [one.error for one in (*heard_a, *heard_b) if one.error]:
        return "unknown", f"a question without a limit failed: {failed[0][:80]}", {}
    shown = "; ".join(
        f"{label} {', '.join(dict.fromkeys(_show_end(*end) for end in ends[label]))}" for label in ends
    )
    numbers = {label: [length for _, length in ends[label]] for label in ends}
    stopped = any(one.cause == STOP and one.verdict == "differs" for one in survey.found)
    seen_equal = 0
    for a, b, said_a, said_b in zip(ends["A"], ends["B"], heard_a, heard_b):
        cut = _is_cut_before(a, b, said_a, said_b, stopped=stopped)
        if cut or _is_cut_before(b, a, said_b, said_a, stopped=stopped):
            return "differs", shown, numbers
        alike = a == b if a[1] is not None else said_a.text == said_b.text
        seen_equal += a[0] == b[0] and (a[0] == CUT or (a[0] == "length" and alike))
    if seen_equal:
        return "same", shown, numbers
    if all(a.text == b.text for a, b in zip(heard_a, heard_b)):
        return "same", f"{shown}: the same answers", numbers
    if any(finish is None for end in ends.values() for finish, _ in end):
        return "unknown", f"{shown}: whether at the same length does not show", numbers
    return "unknown", f"{shown}: no limit was reached", numbers


def _is_cut_before(end: _End, other: _End, said: Response, told: Response, *, stopped: bool) -> bool:
    """Whether an answer was cut at a length that the other side went past."""
    if end[1] is not None and other[1] is not None and end[0] is not None:
        return end[0] == "length" and end[1] < other[1] and not _is_room(said, told)
    begins = len(said.text) < len(told.text) and told.text.startswith(said.text)
    if end[0] is None:
        return begins and not stopped
    # Where nobody counts, an answer of less than half the characters was cut at fewer tokens.
    return end[0] == "length" and (begins or 2 * len(said.text) < len(told.text))


def _is_room(said: Response, told: Response) -> bool:
    """Whether both answers filled the positions that their prompts left them."""
    whole = [sum(part or 0 for part in one.tokens) if one.tokens else 0 for one in (said, told)]
    return whole[0] == whole[1] and finish_of(told) == "length"


def _end_of(response: Response) -> _End:
    return finish_of(response), written_of(response)


def _show_end(finish: str | None, written: int | None) -> str:
    tokens = "an unknown number of tokens" if written is None else f"{written:,} tokens"
    if finish == CUT:
        return f"goes on past {MOST:,} pieces"
    if finish is None:
        return f"ends after {tokens} and does not say why"
    return f"is cut at {tokens}" if finish == "length" else f"ends by itself after {tokens}"


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:3])) + (" …" if len(numbers) > 3 else "")


def _add(survey: Survey, cause: str, evidence: str, example: str, **numbers: object) -> None:
    survey.found.append(Finding(cause, "differs", evidence, example, _MENDS[cause], numbers))
