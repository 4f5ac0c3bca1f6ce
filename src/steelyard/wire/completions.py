"""Completions of texts in the OpenAI protocol, as base models are asked.

    POST /v1/completions                                 200
    {"model": "m", "max_tokens": 8, "prompt": "2 + 2 ="}  →   {"choices": [{"text": " 4"}], "usage": {…}}

A call may carry several prompts, and a prompt may be a list of tokens. `likelihood` is one of the ways in
which services tell how likely the choices of a request are; see `likelihoods`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from steelyard.errors import DataError, UsageError
from steelyard.types import TOKENS, Prompt, Request, Response, Tokens
from steelyard.wire import likelihoods
from steelyard.wire.base import Call, Exchange
from steelyard.wire.openai_choices import group_choices, read_usage
from steelyard.wire.openai_parameters import Parameters, check_texts, read_call, read_parameters, repeat
from steelyard.wire.openai_service import OpenAIExchange, OpenAIService, odds_response


class Completions(OpenAIService):
    """Completions of texts by one model of a service; `params` go with every request that has no other."""

    together = True
    path = "/completions"
    routes = ("/v1/completions", "/completions")
    likelihoods = (
        *(likelihoods.CHOICES, likelihoods.ECHO, likelihoods.PROMPT, likelihoods.EACH),
        likelihoods.FIRST,
    )

    @property
    def asks_each(self) -> bool:
        """Whether each choice goes in a call of its own: a list of prompts is the end of some services."""
        return self.likelihood in (likelihoods.PROMPT, likelihoods.EACH)

    def open(self, requests: Sequence[Request]) -> Exchange:
        """The client's side of a call with one or more prompts."""
        return CompletionExchange(self, requests)

    def accept(self, call: Call) -> Exchange:
        """The server's side of a call with one or more prompts."""
        asked = read_call(call.body, wanted="prompt")
        prompts = _read_prompts(asked["prompt"])
        parameters = read_parameters(asked, own=("prompt", "choices", "echo", "suffix", "best_of"))
        echo, count = bool(asked.get("echo")), parameters.answers
        if asked.get("suffix"):
            raise DataError("suffix: texts are completed at their end only")
        if (asked.get("best_of") or count) != count:
            raise DataError("best_of: no more answers are written than are given")
        if asked.get("choices") is not None:
            if len(prompts) > 1 or not isinstance(prompts[0], str):
                raise DataError("prompt: choices stand behind one text")
            scored = Request("0", prompts[0], tuple(asked["choices"]), parameters.params)
            return CompletionExchange(self, [scored], parameters._replace(stream=False, answers=1))
        if echo and asked.get("logprobs") is not None and asked["logprobs"] is not False:
            return self._accept_echo(asked, prompts, parameters)
        if echo and not all(isinstance(prompt, str) for prompt in prompts):
            raise DataError("echo: tokens come back with logprobs only")
        requests = [
            replace(one, id=f"{place}")
            for place, one in enumerate(
                one
                for prompt in prompts
                for one in repeat(Request("", prompt, params=parameters.params), count)
            )
        ]
        return CompletionExchange(self, requests, parameters, echo=echo)

    def _accept_echo(
        self, asked: Mapping[str, Any], prompts: list[Prompt], parameters: Parameters
    ) -> Exchange:
        """A call that asks how likely each token of its prompts is, and for at most one token behind them."""
        limit, told = asked.get("max_tokens"), asked["logprobs"]
        if limit not in (0, 1):
            raise DataError("max_tokens: with echo and logprobs no more than 1 is written")
        if told not in (0, 1):
            raise DataError("logprobs: of a prompt 1 is told at the most")
        if parameters.stream or parameters.answers != 1:
            raise DataError("echo: log-probabilities of a prompt come once, and whole")
        params = {name: value for name, value in parameters.params.items() if name != "logprobs"}
        written = [Request(f"{place}", prompt, None, params) for place, prompt in enumerate(prompts)]
        requests = [replace(one, choices=(), params={**params, "echo": True}) for one in written]
        written = written if limit else []
        return EchoExchange(self, [*requests, *written], parameters, echo=True)


class CompletionExchange(OpenAIExchange):
    """One call for completions."""

    chat = False
    kinds = ("text_completion", "text_completion")
    letters = "cmpl"

    def __init__(
        self,
        wire: Completions,
        requests: Sequence[Request],
        asked: Parameters | None = None,
        *,
        echo: bool = False,
    ) -> None:
        super().__init__(wire, requests, asked)
        self.echo = echo

    def encode_prompts(self) -> dict[str, Any]:
        """The prompts; one that is an object is (the rest of) the body itself."""
        (first, *others) = [request.prompt for request in self.requests]
        told = [one[TOKENS] for one in (first, *others) if isinstance(one, Mapping) and TOKENS in one]
        if len(told) == 1 + len(others):
            return {"prompt": told if others else told[0]}
        if isinstance(first, Mapping) and not others:
            if "prompt" not in first:
                keys = ", ".join(map(str, first)) or "none"
                raise UsageError(f"completions take a text, or an object with a prompt (its keys: {keys})")
            return dict(first)
        if not all(isinstance(prompt, str) for prompt in (first, *others)):
            raise UsageError("completions take a text, no turns of a chat", hint="wire=openai takes turns")
        return {"prompt": [first, *others] if others else first}

    def encode_scored(self, request: Request) -> dict[str, Any]:
        """The prompt alone and with each choice behind it; or what else tells how likely they are."""
        way, choices = self.wire.likelihood, request.choices or ()
        prompt = self.encode_prompts()["prompt"]
        if not isinstance(prompt, str) or not prompt:
            raise UsageError("choices are to stand behind a text", hint="the prompt is empty")
        if way == likelihoods.CHOICES:
            return {"prompt": prompt, "choices": list(choices), "max_tokens": 1}
        # Tokens mostly begin with a space, not end with one: it goes with what follows.
        context = prompt.rstrip()
        if way == likelihoods.FIRST:
            return {"prompt": context, "max_tokens": 1, "logprobs": likelihoods.TOP}
        if way == likelihoods.ECHO:
            wholes = [context, *(prompt + choice for choice in choices)]
            return {"prompt": wholes, "max_tokens": 0, "echo": True, "logprobs": 1}
        # Some take 0 for no limit.
        whole = {"prompt": prompt + choices[0] if choices else context, "max_tokens": 1}
        if way == likelihoods.EACH:
            return {**whole, "echo": True, "logprobs": 1}
        if way == likelihoods.PROMPT:
            return {**whole, "prompt_logprobs": 0}
        raise UsageError(
            "completions are not asked how likely choices are", hint=f"likelihood={likelihoods.ECHO}"
        )

    def read_scored(self, answer: Mapping[str, Any], choices: Sequence[dict[str, Any]]) -> Response:
        """How likely the choices of the one request are, or what a call of several tells of one of them."""
        way, wanted = self.wire.likelihood, self.requests[0].choices or ()
        tokens = read_usage(answer.get("usage"))
        if way == likelihoods.CHOICES:
            return likelihoods.read_choices(choices, len(wanted), tokens)
        if way == likelihoods.FIRST:
            top = ((choices[0].get("logprobs") or {}).get("top_logprobs") or [None])[0] or {}
            return likelihoods.read_first(wanted, list(top.items()), tokens)
        if way == likelihoods.EACH:
            written = 1 if tokens is None or tokens.output is None else tokens.output
            return odds_response(likelihoods.read_echo(choices[0], written=written), answer)
        if way == likelihoods.PROMPT:
            return odds_response(likelihoods.read_prompt(choices[0].get("prompt_logprobs")), answer)
        groups = group_choices(answer, len(wanted) + 1)
        prompt, *wholes = [likelihoods.read_echo(one) for one, *_ in groups]
        return likelihoods.compare(prompt, wholes, tokens)

    def echoed(self, request: Request) -> str:
        """The prompt, where it is wanted back."""
        return str(request.prompt) if self.echo else ""


class EchoExchange(CompletionExchange):
    """The server's side of a call for the tokens of prompts; what is written behind them comes after them."""

    def encode_answer(self, responses: Sequence[Response]) -> bytes:
        """Each prompt with the log-probabilities of its tokens, and what is written behind it."""
        count = sum(request.choices is not None for request in self.requests)
        written: Sequence[Response | None] = responses[count:] or [None] * count
        answers = []
        for echoed, behind in zip(responses[:count], written):
            odds = echoed.raw.get("odds") if isinstance(echoed.raw, Mapping) else None
            if odds is None:
                raise UsageError("the model does not tell how likely the tokens of a prompt are")
            # How likely it was to be written nobody has said.
            more = [likelihoods.Odds(behind.text, None, False)] if behind is not None else []
            tokens = Tokens(echoed.tokens.input if echoed.tokens else None, len(more))
            raw = {"logprobs": likelihoods.write_echo([*odds, *more]), "finish_reason": "length"}
            text = behind.text if behind is not None else ""
            answers.append(Response(text, tokens=tokens, raw=raw))
        self.requests = [
            replace(request, choices=None, prompt=_read_back(request.prompt, echoed))
            for request, echoed in zip(self.requests, responses[:count])
        ]
        return super().encode_answer(answers)


def _read_prompts(prompt: Any) -> list[Prompt]:
    """One text or several, one prompt in tokens or several."""
    if isinstance(prompt, str):
        return [prompt]
    listed = prompt if isinstance(prompt, list) else []
    several = [listed] if listed and isinstance(listed[0], int) else listed
    if several and isinstance(several[0], list):
        for ids in several:
            if not isinstance(ids, list) or not ids or any(type(token) is not int for token in ids):
                raise DataError("prompt: tokens are whole numbers, one prompt a list of them")
        return [{TOKENS: ids} for ids in several]
    check_texts(prompt, name="prompt")
    return list(prompt)


def _read_back(prompt: Prompt, echoed: Response) -> Prompt:
    """The prompt as a text."""
    return prompt if isinstance(prompt, str) else "".join(one.token for one in echoed.raw["odds"])
