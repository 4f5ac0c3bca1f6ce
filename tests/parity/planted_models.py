"""Models with something wrong about them, as servers that were set up otherwise have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from steelyard.errors import SteelyardError
from steelyard.models.base import LocalModel
from steelyard.models.tokenized import Asked, TokenModel
from steelyard.types import Prompt, Request, Response

Tokens = list[int]


class Planted(LocalModel):
    """Answers as the model within, but for what is planted.

    `tokens` changes prompts in tokens, `turns` chats, `params` is what no question may change,
    `defaults` what it may, `cap` the longest answer, `written` the text of an answer, and without `usage`
    nothing is said of tokens.
    """

    def __init__(
        self,
        inner: TokenModel,
        *,
        tokens: Callable[[Tokens, bool], Tokens] = lambda ids, chat: ids,
        turns: Callable[[Prompt], Prompt] = lambda prompt: prompt,
        params: Mapping[str, Any] | None = None,
        defaults: Mapping[str, Any] | None = None,
        cap: int | None = None,
        written: Callable[[str], str] = lambda text: text,
        usage: bool = True,
    ) -> None:
        self.inner, self.tokens, self.turns = inner, tokens, turns
        self.params, self.defaults, self.cap = dict(params or {}), dict(defaults or {}), cap
        self.written, self.usage = written, usage
        self.chat = inner.chat

    @property
    def name(self) -> str:
        return "planted"

    def batch(self, requests: Sequence[Request]) -> list[Response]:
        planted = [self._try(request) for request in requests]
        good = [one for one in planted if not isinstance(one, str)]
        answers = iter(self.inner.answer(good) if good else [])
        return [
            self.refuse(request, one) if isinstance(one, str) else self._tell(next(answers))
            for request, one in zip(requests, planted)
        ]

    def _try(self, request: Request) -> Asked | str:
        try:
            return self._plant(request)
        except SteelyardError as error:
            return str(error)

    def _tell(self, response: Response) -> Response:
        counted = response.tokens if self.usage else None
        return replace(response, text=self.written(response.text), tokens=counted)

    def _plant(self, request: Request) -> Asked:
        prompt = request.prompt if isinstance(request.prompt, str) else self.turns(request.prompt)
        params = {**self.defaults, **request.params, **self.params}
        if self.cap is not None:
            params["max_tokens"] = min(self.cap, params.get("max_tokens", self.cap))
        asked = self.inner.encode(replace(request, prompt=prompt, params=params))
        return replace(asked, prompt=self.tokens(list(asked.prompt), not isinstance(prompt, str)))


def add_system(turns: Any) -> Prompt:
    """A chat with a system prompt, where it has none."""
    if turns[0]["role"] == "system":
        return list(turns)
    return [{"role": "system", "content": "You are a helpful assistant."}, *turns]


def rename_roles(turns: Any) -> Prompt:
    """A chat whose turns are all marked otherwise."""
    return [{**turn, "role": turn["role"].capitalize()} for turn in turns]


def rename_model(turns: Any) -> Prompt:
    """A chat in which what was answered is marked otherwise."""
    return [{**turn, "role": {"assistant": "model"}.get(turn["role"], turn["role"])} for turn in turns]


def drop_system(turns: Any) -> Prompt:
    """A chat without its system turn."""
    return [turn for turn in turns if turn["role"] != "system"]


def merge_system(turns: Any) -> Prompt:
    """A chat whose system turn is the beginning of the user's, as some templates have it."""
    first, *rest = turns
    if first["role"] != "system":
        return list(turns)
    return [{**rest[0], "content": f"{first['content']}\n{rest[0]['content']}"}, *rest[1:]]


def rename_system(turns: Any) -> Prompt:
    """A chat whose system turn is marked with as many tokens, but others."""
    return [{**turn, "role": {"system": "sistem"}.get(turn["role"], turn["role"])} for turn in turns]


def take_last(turns: Any) -> Prompt:
    """The last turn of a chat."""
    return list(turns[-1:])


def cut_begin(ids: Tokens, chat: bool) -> Tokens:
    """The last tokens of a prompt."""
    return ids[-128:]


def cut_middle(ids: Tokens, chat: bool) -> Tokens:
    """The first and the last tokens of a prompt."""
    return ids if len(ids) <= 128 else ids[:64] + ids[-64:]


_BEGIN: dict[str, Any] = {"tokens": lambda ids, chat: [0, *ids]}
_STOP: dict[str, Any] = {"params": {"stop": ["e"]}}
_WARM: dict[str, Any] = {"defaults": {"temperature": 0.9}}
_SHORT: dict[str, Any] = {"defaults": {"max_tokens": 16}}
PLANTS: dict[str, dict[str, Any]] = {
    "equal": {},
    "template": {"turns": rename_roles},
    "template-of-answers": {"turns": rename_model},
    "double-bos": _BEGIN,
    "no-bos": {"tokens": lambda ids, chat: ids[1:]},
    "double-bos-in-chats": {"tokens": lambda ids, chat: [0, *ids] if chat else ids},
    "system": {"turns": add_system},
    "system-unread": {"turns": drop_system},
    "system-merged": {"turns": merge_system},
    "system-marked": {"turns": rename_system},
    "last-turn": {"turns": take_last},
    "stop": _STOP,
    "cut-begin": {"tokens": cut_begin},
    "cut-middle": {"tokens": cut_middle},
    "temperature": _WARM,
    "penalty": {"defaults": {"repetition_penalty": 1.3}},
    "restless": {"params": {"temperature": 0.9}},
    "short": _SHORT,
    "cap": {"cap": 10},
    "stripped": {"written": str.strip},
    "double-bos+stop": {**_BEGIN, **_STOP},
    "double-bos+temperature": {**_BEGIN, **_WARM},
    "system+stop": {"turns": add_system, **_STOP},
    "system+short": {"turns": add_system, **_SHORT},
    "system+double-bos": {"turns": add_system, "tokens": lambda ids, chat: [0, *ids] if chat else ids},
    "system+cut": {"turns": add_system, "tokens": cut_begin},
    "short+temperature": {"defaults": {"max_tokens": 16, "temperature": 0.9}},
}
