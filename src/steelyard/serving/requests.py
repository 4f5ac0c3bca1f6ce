"""Requests as they come over a wire, made what a model takes.

A chat becomes a text for a model that knows no turns, and its pictures become Images. What shapes no
answer, or asks for what is so anyway (n=1, frequency_penalty=0), is left out for models in this process,
which refuse what they do not know; a service gets all that was asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from steelyard.errors import DataError
from steelyard.media.images import as_image
from steelyard.models.base import LocalModel, Model
from steelyard.types import TOKENS, Message, Part, Prompt, Request

# Of the call and not of the answer.
_MANNERS = frozenset(
    "stream stream_options user metadata store service_tier safety_identifier prompt_cache_key".split()
)
# What asks for nothing.
_NOTHING: Mapping[str, Sequence[Any]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "top_k": (-1,),
    "stop": ([], ""),
}


def fit(request: Request, model: Model) -> Request:
    """The request as the model takes it; a DataError where it takes no such request."""
    given = isinstance(request.prompt, Mapping) and TOKENS in request.prompt
    if given and not (model.known_tokens or model.elsewhere):
        raise DataError(f"prompt: {model.name} takes texts, no tokens")
    if request.choices is not None and request.params.get("echo") and not model.tells_tokens:
        raise DataError(f"echo: {model.name} does not tell how likely the tokens of a prompt are")
    params = {name: value for name, value in request.params.items() if name not in _MANNERS}
    if isinstance(model, LocalModel):
        tools = bool(params.get("tools"))
        params = {
            name: value
            for name, value in params.items()
            if value is not None and not _asks_nothing(name, value, tools=tools)
        }
        if "max_completion_tokens" in params:
            params.setdefault("max_tokens", params.pop("max_completion_tokens"))
    return replace(request, prompt=_fit_prompt(request.prompt, model), params=params)


def fit_all(requests: Sequence[Request], model: Model) -> list[Request]:
    """All requests of a call as the model takes them."""
    return [fit(request, model) for request in requests]


def _asks_nothing(name: str, value: Any, *, tools: bool) -> bool:
    if tools and name in ("tool_choice", "parallel_tool_calls"):
        return False
    # logprobs=0 asks for something, logprobs=False does not.
    is_flag = isinstance(value, bool)
    return any(
        value == nothing and is_flag == isinstance(nothing, bool) for nothing in _NOTHING.get(name, ())
    )


def _fit_prompt(prompt: Prompt, model: Model) -> Prompt:
    if isinstance(prompt, (str, Mapping)):
        return prompt
    prompt = [_open_pictures(turn) for turn in prompt]
    if model.chat:
        return prompt
    texts = [(turn["role"], _text_of(turn)) for turn in prompt]
    if any(text is None for _, text in texts):
        # Pictures go in turns to every model.
        return prompt
    said = [text or "" for _, text in texts]
    roles = [role for role, _ in texts]
    system = [text for role, text in zip(roles, said) if role in ("system", "developer")]
    turns = [(role, text) for role, text in zip(roles, said) if role not in ("system", "developer")]
    if len(turns) == 1:
        return "\n\n".join([*system, turns[0][1]])
    talk = [f"{role.capitalize()}: {text}" for role, text in turns]
    if turns and turns[-1][0] != "assistant":
        talk.append("Assistant:")
    return "\n\n".join([*system, "\n".join(talk)])


def _open_pictures(turn: Message) -> Message:
    """The turn with its pictures as Images, which have come within the call."""
    content = turn["content"]
    if isinstance(content, str) or not any(part.kind == "image" for part in content):
        return turn
    try:
        parts = [Part("image", as_image(part.data)) if part.kind == "image" else part for part in content]
    except DataError as error:
        # Nothing is fetched for whoever asks: this machine may reach what they do not.
        raise DataError(str(error.args[0]), hint="pictures are sent as data: URLs") from error
    return {**turn, "content": parts}


def _text_of(turn: Message) -> str | None:
    """What a turn says; None where it says more than text."""
    content = turn["content"]
    if isinstance(content, str):
        return content
    if any(part.kind != "text" for part in content):
        return None
    return "".join(str(part.data) for part in content)
