"""Turns of a chat as a PromptList, and back: HUMAN is the user, BOT the assistant.

[{"role": "user", "content": "Hello"}]    ⇄    PromptList([{"role": "HUMAN", "prompt": "Hello"}])
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Union

from ais_bench.benchmark.utils.prompt import PromptList, text_of
from steelyard.errors import UsageError
from steelyard.types import Part, Prompt
from steelyard.wire.turns import encode_prompt

PromptType = Union[PromptList, str]
"""What a model is asked: a text, or what was said by whom."""

THEIRS = {"user": "HUMAN", "assistant": "BOT", "system": "SYSTEM", "developer": "SYSTEM"}
OURS = {"HUMAN": "user", "BOT": "assistant", "SYSTEM": "system"}


def to_prompt(prompt: Prompt) -> Any:
    """A prompt of the engine as what was said by whom; a text, or an object of other kinds, as it is."""
    turns = prompt.get("messages") if isinstance(prompt, Mapping) else prompt
    if isinstance(prompt, str) or not isinstance(turns, (list, tuple)):
        return prompt
    return PromptList(
        {
            "role": THEIRS.get(turn["role"], turn["role"]),
            "prompt": _plain(turn.get("content")),
            **{key: value for key, value in turn.items() if key not in ("role", "content")},
        }
        for turn in turns
    )


def to_turns(prompt: Any) -> list[dict[str, Any]]:
    """What was said by whom as the turns of a chat; what one says in several pieces is joined."""
    return [
        {
            "role": OURS.get(item["role"], item["role"]),
            "content": item["prompt"],
            **{key: value for key, value in item.items() if key not in ("role", "prompt")},
        }
        for item in join_neighbours([prompt] if isinstance(prompt, (str, Mapping)) else prompt)
    ]


def to_text(prompt: Any) -> str:
    """A prompt as one text, a line for each who speaks."""
    items = [prompt] if isinstance(prompt, (str, Mapping)) else prompt
    if not all(map(is_text, items)):
        raise UsageError("a text has no place for pictures, sounds or films")
    return "\n".join(text for text in map(text_of, items) if text)


def show(prompt: Any) -> Any:
    """The same with its pictures read, as parts that can be sent: data: URLs in mappings."""
    if not isinstance(prompt, PromptList):
        return prompt
    contents = [{"content": item["prompt"]} for item in prompt]
    turns = encode_prompt(contents)["messages"]
    return PromptList({**item, "prompt": turn["content"]} for item, turn in zip(prompt, turns))


def join_neighbours(items: Iterable[Any], *, silent: str = "HUMAN") -> list[dict[str, Any]]:
    """What is said by whom, one item a turn; a text alone is said by `silent`, marks are left out."""
    joined: list[dict[str, Any]] = []
    for item in items:
        said = {"role": silent, "prompt": item} if isinstance(item, str) else {"prompt": "", **item}
        if "section" in said:
            continue
        last = joined[-1] if joined else {}
        if said.keys() == last.keys() == {"role", "prompt"} and last["role"] == said["role"]:
            joined[-1] = {**last, "prompt": _join(last["prompt"], said["prompt"])}
        else:
            joined.append(said)
    return joined


def is_text(item: Any) -> bool:
    """Whether a piece of a prompt has nothing but words."""
    said = item.get("prompt") if isinstance(item, Mapping) else item
    if not isinstance(said, (list, tuple)):
        return True
    return all(isinstance(part, Mapping) and part.get("type") == "text" for part in said)


def _plain(content: Any) -> Any:
    """What a turn says; a text where its parts are nothing else."""
    if not isinstance(content, (list, tuple)):
        return content or ""
    if all(isinstance(part, Part) and part.kind == "text" for part in content):
        return "".join(str(part.data) for part in content)
    return list(content)


def _join(before: Any, after: Any) -> Any:
    if isinstance(before, str) and isinstance(after, str):
        return "\n".join(text for text in (before, after) if text)
    return [*_parts(before), *_parts(after)]


def _parts(said: Any) -> list[Any]:
    return [{"type": "text", "text": said}] if isinstance(said, str) else list(said)
