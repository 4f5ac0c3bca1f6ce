"""What differs though the prompts do not: the noise of number formats, other weights, or the unknown.

Likelihoods of the same choices tell how far the numbers of both sides are apart. An answer that parts from
the other where two tokens were nearly as likely parted by noise; one that does not, for a reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from steelyard.parity.findings import NOISE, UNEXPLAINED, WEIGHTS, Finding
from steelyard.parity.questions import CHAT, TEXT, likely_choices
from steelyard.parity.sampling import try_plain
from steelyard.parity.sides import Pair, Side
from steelyard.parity.survey import (
    MOSTLY,
    Survey,
    agree,
    count,
    is_clear,
    most_common,
    place_of,
    share,
    show_pair,
)
from steelyard.types import Request, Response

_NOTHING = 1e-4
"""Log-probabilities of a token that are no further apart are the same."""
_NOISE = 0.05
"""Those that are no further apart on average differ by noise."""
_CLOSE, _CLOSEST = 0.1, 0.05
"""Two tokens whose log-probabilities are no further apart are nearly as likely."""
_TRIED = 6
_MEND = "compare checksums of the weights, and their quantisation and dtype"
_LOOK = "run both at the same dtype and batch size, and look at the records of the question"


def examine_numbers(survey: Survey, form: str) -> None:
    """Find out how far the numbers are apart, and name what is left that differs."""
    if TEXT in survey.a.ways and TEXT in survey.b.ways and survey.cause_of(TEXT) is None:
        # Services tell more of texts than of chats.
        form = TEXT
    differing = survey.cause_of(form) is not None
    apart = None if differing else _compare_likelihoods(survey, form)
    left = [
        pair for pair in survey.comparable() if not pair.equal and pair.question.id not in survey.explained
    ]
    # Tokens that were no whole characters are not found again in a text.
    clear = [pair for pair in left if is_clear(pair, place_of(pair) + 1)]
    gaps = [_gap(survey, pair) for pair in clear[:_TRIED]]
    known = [gap for gap in gaps if gap is not None]
    close = _CLOSE if apart is None else max(_CLOSEST, 10 * apart)
    parted = bool(known) and len(known) == len(gaps) and max(known) <= close
    noisy = apart is not None and _NOTHING < apart <= _NOISE
    others = apart is not None and apart > _NOISE
    if left and not (parted and noisy) and not others and try_plain(survey, left):
        left = []
    sure = others and _same_prompts(survey, form)
    _note_weights(survey, apart, others=others, sure=sure, differing=differing)
    explained = not left or parted or (noisy and not known)
    _note_noise(survey, left if explained and not others else [], known, apart, noisy=noisy)
    if (explained and not others) or sure:
        survey.found.append(_tell_rest(survey))
    else:
        survey.found.append(_tell_left(survey, left, known, apart if others else None))


def _same_prompts(survey: Survey, form: str) -> bool:
    """Whether both sides surely read the same: they count as many tokens, or mostly say the same."""
    short = survey.short(form)
    return most_common(pair.offset for pair in short) == 0 or share(short) >= MOSTLY


def _compare_likelihoods(survey: Survey, form: str) -> float | None:
    """How far log-probabilities of a token are apart on average; None where not both sides tell."""
    questions = likely_choices(form)
    told = [side.find_likelihoods(questions) for side in (survey.a, survey.b)]
    if not all(told):
        return None
    apart = []
    for a, b, question in zip(*told, questions):
        tokens = _tokens_of(a) or _tokens_of(b) or [1] * len(question.choices or ())
        apart += [abs(x - y) / max(n, 1) for x, y, n in zip(a.scores or (), b.scores or (), tokens)]
    return float(sum(apart)) / len(apart)


def _tokens_of(response: Response) -> Sequence[int]:
    raw = response.raw if isinstance(response.raw, Mapping) else {}
    return raw.get("tokens") or ()


def _gap(survey: Survey, pair: Pair) -> float | None:
    """How much likelier one of the two tokens was at which the answers part, as far as a side tells."""
    if agree(pair) and not (pair.a.text and pair.b.text):
        return None
    for side, own, other in ((survey.a, pair.a, pair.b), (survey.b, pair.b, pair.a)):
        gap = _gap_in_process(side, pair, own, other)
        gap = _gap_of_service(side, pair, survey.params) if gap is None else gap
        if gap is not None:
            return gap
    return None


def _gap_in_process(side: Side, pair: Pair, own: Response, other: Response) -> float | None:
    """The same of a model in this process, which is asked for both tokens."""
    model = side.tokens
    if model is None:
        return None
    said, told = [model.tokens(one.text, special=False) for one in (own, other)]
    place = next((n for n, (x, y) in enumerate(zip(said, told)) if x != y), None)
    if place is None:
        return None
    begun, choices = said[:place], [[said[place]], [told[place]]]
    (scored,) = side.reask(
        [Request("gap", pair.question.prompt)],
        lambda asked: replace(asked, prompt=[*asked.prompt, *begun], choices=choices, sampling=None),
    )
    scores = scored.scores
    return abs(scores[0] - scores[1]) if isinstance(scores, (list, tuple)) else None


def _gap_of_service(side: Side, pair: Pair, params: Mapping[str, Any]) -> float | None:
    """The same of a service that tells the likeliest tokens of its answers."""
    told = {"logprobs": True, "top_logprobs": 5} if pair.question.form == CHAT else {"logprobs": 5}
    (response,) = side.ask([replace(pair.question, id=f"{pair.question.id}-odds")], {**params, **told})
    place = place_of(pair)
    said = 0
    for text, tops in _tops_of(response):
        said += len(text)
        if said > place:
            best = sorted(tops, reverse=True)[:2]
            return best[0] - best[1] if len(best) == 2 else None
    return None


def _tops_of(response: Response) -> list[tuple[str, list[float]]]:
    """The tokens of an answer, each with the log-probabilities of the likeliest in its place."""
    raw = response.raw if response.error is None and isinstance(response.raw, Mapping) else {}
    told = raw.get("logprobs")
    if not isinstance(told, Mapping):
        return []
    if isinstance(told.get("content"), list):
        return [
            (one["token"], [top["logprob"] for top in one.get("top_logprobs") or ()])
            for one in told["content"]
        ]
    tops = told.get("top_logprobs") or ()
    return [(token, list((top or {}).values())) for token, top in zip(told.get("tokens") or (), tops)]


def _note_weights(survey: Survey, apart: float | None, *, others: bool, sure: bool, differing: bool) -> None:
    if apart is None:
        why = "the prompts differ already" if differing else "not both sides tell how likely choices are"
        survey.found.append(Finding(WEIGHTS, "unknown", why))
        return
    told = f"log-probabilities of the same choices are {apart:.2g} a token apart"
    numbers = {"apart": apart}
    if sure:
        told += ", far more than by rounding"
        survey.found.append(Finding(WEIGHTS, "differs", told, "", _MEND, numbers))
    elif others:
        survey.found.append(
            Finding(WEIGHTS, "unknown", f"{told}, but so may the prompts be", numbers=numbers)
        )
    else:
        survey.found.append(Finding(WEIGHTS, "same", told, numbers=numbers))


def _note_noise(
    survey: Survey, left: Sequence[Pair], gaps: Sequence[float], apart: float | None, *, noisy: bool
) -> None:
    """Say how much noise there is, which is no fault."""
    told = []
    if noisy and apart is not None:
        told.append(f"log-probabilities are {apart:.2g} a token apart")
    if left:
        at = f", at tokens that were as likely to {max(gaps):.2g}" if gaps else ""
        told.append(f"{count(len(left), 'answer')} of {len(survey.comparable())} part late{at}")
    if told:
        example = show_pair(left[0]) if left else ""
        survey.found.append(Finding(NOISE, "noise", "; ".join(told), example, "", {"apart": apart}))
    elif apart is None and not survey.comparable():
        told = ["no two answers are left that should be the same: mend the rest first"]
        survey.found.append(Finding(NOISE, "unknown", told[0]))
    else:
        survey.found.append(Finding(NOISE, "same", "none is seen"))


def _tell_left(survey: Survey, left: Sequence[Pair], gaps: Sequence[float], apart: float | None) -> Finding:
    """What differs without a cause that shows."""
    told = f"{count(len(left), 'answer')} of {len(survey.comparable())} differ"
    if gaps:
        told += f", where one token was likelier than the other by {max(gaps):.2g} in its log-probability"
    if apart is not None:
        told += (
            f"; log-probabilities are {apart:.2g} a token apart: other weights, or prompts that nobody counts"
        )
    return Finding(UNEXPLAINED, "differs", told, show_pair(left[0]) if left else "", _LOOK)


def _tell_rest(survey: Survey) -> Finding:
    """What is said where nothing is left to be explained."""
    equal = sum(pair.equal for pair in survey.pairs)
    told = f"{equal} of {len(survey.pairs)} greedy answers are the same"
    differing = len(survey.pairs) - equal
    return Finding(UNEXPLAINED, "same", told + (", the others have the causes above" if differing else ""))
