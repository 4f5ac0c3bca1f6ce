"""How likely choices are, as services of the OpenAI protocol tell it.

choices      a service of ours: {"prompt": …, "choices": [" A", " B"]}, each with its log-probability
echo         echo and logprobs: every token of the prompt with each choice behind it, all in one call
prompt       prompt_logprobs: the same, one choice a call
echo-each    echo and logprobs, one choice a call
first-token  logprobs and top_logprobs: the likeliest tokens that an answer may begin with

Which tokens of a text belong to a choice is decided as our own models do: those behind as many as the
prompt alone takes. So the prompt is asked too, without a choice behind it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from steelyard.errors import DataError
from steelyard.types import Response, Tokens

CHOICES, PROMPT, ECHO, EACH, FIRST = "choices", "prompt", "echo", "echo-each", "first-token"
# How many of the likeliest tokens nearly every service tells, in a chat and in completions.
TOP_OF_CHAT, TOP = 10, 5
_SHOWN = 3
# What our own models say of each choice beside its log-probability.
_TOLD = ("tokens", "greedy")
_SHAPING = {
    *("max_tokens", "max_completion_tokens", "min_tokens", "temperature", "top_p", "top_k", "min_p", "seed"),
    *("stop", "n", "logprobs", "top_logprobs", "repetition_penalty", "frequency_penalty", "presence_penalty"),
    *("stream_options", "echo", "response_format"),
}


class Odds(NamedTuple):
    """A token of a text: how it is written, its log-probability, and whether none was likelier.

    `top` are the likeliest tokens in its place and itself, as far as they are known.
    """

    token: str
    logprob: float | None
    first: bool
    top: Mapping[str, float] | None = None


def plain_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters without those that shape how an answer is written."""
    return {name: value for name, value in params.items() if name not in _SHAPING}


def read_prompt(entries: Any) -> list[Odds]:
    """The tokens of a prompt as prompt_logprobs has them."""
    if not isinstance(entries, list):
        raise DataError("the service gives no prompt_logprobs")
    odds = []
    for entry in entries:
        # The token itself stands first; there are others only where more were asked for.
        key, told = next(iter(entry.items())) if entry else ("", {})
        odds.append(Odds(key, told.get("logprob"), told.get("rank") == 1))
    return odds


def read_echo(choice: Mapping[str, Any], *, written: int = 0) -> list[Odds]:
    """The tokens of a prompt that was echoed, without those that were written behind it."""
    told = choice.get("logprobs")
    tokens = told.get("tokens") if isinstance(told, dict) else None
    numbers = told.get("token_logprobs") if isinstance(told, dict) else None
    if not isinstance(tokens, list) or not isinstance(numbers, list) or len(tokens) != len(numbers):
        raise DataError("the service gives no log-probabilities of an echoed prompt")
    tops = told.get("top_logprobs") or [None] * len(tokens) if isinstance(told, dict) else []
    end = len(tokens) - written
    return [
        Odds(token, number, bool(number is not None and top and number >= max(top.values())), top)
        for token, number, top in zip(tokens[:end], numbers[:end], tops)
    ]


def compare(prompt: Sequence[Odds], wholes: Sequence[Sequence[Odds]], tokens: Tokens | None) -> Response:
    """How likely each choice is, of the prompt alone and of the prompt with each choice behind it."""
    scores, greedy, counts = [], [], []
    for whole in wholes:
        # The last token of the prompt may be another one with a choice behind it, those before it not.
        if [one.token for one in whole[: len(prompt) - 1]] != [one.token for one in prompt[:-1]]:
            raise DataError("the prompt with a choice behind it does not begin as the prompt alone does")
        # Whatever of a choice melts into the prompt's last token, its own tokens are never none.
        own = whole[len(prompt) :] or whole[-1:]
        numbers = [one.logprob for one in own if one.logprob is not None]
        if len(numbers) < len(own) or not own:
            raise DataError("the service gives no log-probability of the first token of a text")
        scores.append(math.fsum(numbers))
        greedy.append(all(one.first for one in own))
        counts.append(len(own))
    return Response(scores=tuple(scores), tokens=tokens, raw={"tokens": counts, "greedy": greedy})


def read_first(choices: Sequence[str], top: Sequence[tuple[str, float]], tokens: Tokens | None) -> Response:
    """How likely it is that an answer begins with each choice, of the likeliest first tokens.

    A token counts with or without a space before it. A choice that is not among them gets what it can have
    at the most; `mass` says how likely it is that the answer begins with any of the choices. Where none is
    among them all are alike, and `first` says what the answer begins with.
    """
    if not top:
        raise DataError("the service gives no top_logprobs")
    said: dict[str, float] = {}
    for token, logprob in top:
        said[_bare(token)] = said.get(_bare(token), 0.0) + math.exp(logprob)
    seen = [said.get(_bare(choice), 0.0) for choice in choices]
    mass, likeliest = math.fsum(seen), max(top, key=lambda one: one[1])
    rest = max(1.0 - math.fsum(math.exp(logprob) for _, logprob in top), 1e-9)
    bound = min(math.log(rest), *(logprob for _, logprob in top))
    scores = tuple(math.log(odds) if odds else bound for odds in seen)
    greedy = [_bare(choice) == _bare(likeliest[0]) for choice in choices]
    first = {} if mass else {"first": [token for token, _ in top[:_SHOWN]]}
    return Response(scores=scores, tokens=tokens, raw={"greedy": greedy, "mass": mass, **first})


def _bare(token: str) -> str:
    """A token without the space before it, which some services show as tokenizers write it."""
    return token.strip(" \t\r\nĠ▁")


def read_choices(choices: Sequence[Mapping[str, Any]], count: int, tokens: Tokens | None) -> Response:
    """How likely each choice is, as a service of ours says it."""
    told = [number for choice in choices if isinstance(number := choice.get("logprob"), (int, float))]
    if len(told) != count or len(choices) != count:
        raise DataError("the service does not say how likely choices are")
    raw = {name: [choice.get(name) for choice in choices] for name in _TOLD}
    return Response(
        scores=tuple(map(float, told)),
        tokens=tokens,
        raw={name: values for name, values in raw.items() if None not in values},
    )


def write_choices(response: Response, choices: Sequence[str], *, chat: bool) -> list[dict[str, Any]]:
    """How likely each choice is, for a client of ours."""
    scores = response.scores
    if not isinstance(scores, (list, tuple)) or len(scores) != len(choices):
        raise DataError("the model does not say how likely choices are")
    raw = response.raw if isinstance(response.raw, Mapping) else {}
    more = {name: raw[name] for name in _TOLD if len(raw.get(name) or ()) == len(choices)}
    return [
        {
            "index": place,
            **({"message": {"role": "assistant", "content": text}} if chat else {"text": text}),
            "logprob": score,
            **{name: values[place] for name, values in more.items()},
            "logprobs": None,
            "finish_reason": "stop",
        }
        for place, (text, score) in enumerate(zip(choices, scores))
    ]


def write_echo(odds: Sequence[Odds]) -> dict[str, list[Any]]:
    """The tokens of a text as completions echo them."""
    ends = list(accumulate((len(one.token) for one in odds), initial=0))
    return {
        "tokens": [one.token for one in odds],
        "token_logprobs": [one.logprob for one in odds],
        "top_logprobs": [one.top for one in odds],
        "text_offset": ends[:-1],
    }
