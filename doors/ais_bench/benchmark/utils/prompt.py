"""PromptList: a prompt in pieces, as configurations write it.

    PromptList([
        {"section": "round", "pos": "begin"},
        {"role": "HUMAN", "prompt": "Question: {question}"},
        {"role": "BOT", "prompt": ""},
        {"section": "round", "pos": "end"},
    ]).format(question="2 + 2?")

Its items are texts, what somebody says, and marks of where a section begins and ends. What somebody says
is a text or a list of content parts: {"type": "text", …}, {"type": "image_url", …} and the like.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Union

_FIELD = re.compile(r"\{(\w+)\}")


def safe_format(text: str, /, **fields: Any) -> str:
    """A text with its fields filled in; a name in braces that is no field stays as it is."""
    return _FIELD.sub(lambda found: str(fields.get(found[1], found[0])), text)


class PromptList(list[Any]):
    """A prompt in pieces; adding, formatting and replacing make a new one."""

    def format(self, /, **fields: Any) -> PromptList:
        """All texts with their fields filled in; unknown names stay."""
        return self._map(lambda text: safe_format(text, **fields))

    def replace(self, src: str, dst: Union[str, PromptList]) -> PromptList:
        """All texts with `dst` in the place of `src`; pieces take the place within a text of their own."""
        if isinstance(dst, str):
            return self._map(lambda text: text.replace(src, dst))
        made = PromptList()
        for item in self:
            if isinstance(item, str):
                first, *others = item.split(src)
                made += [first] * bool(first)
                for text in others:
                    made += [*dst, *[text] * bool(text)]
            elif src in text_of(item):
                raise TypeError(f"{src!r} stands in what {item.get('role')} says: pieces do not go there")
            else:
                made.append(item)
        return made

    def __add__(self, other: Any) -> PromptList:
        return PromptList([*self, *_pieces(other)])

    def __radd__(self, other: Any) -> PromptList:
        return PromptList([*_pieces(other), *self])

    def __iadd__(self, other: Any) -> PromptList:
        self.extend(_pieces(other))
        return self

    def __str__(self) -> str:
        return "".join(map(text_of, self))

    def _map(self, change: Callable[[str], str]) -> PromptList:
        return PromptList(_change(item, change) for item in self)


def text_of(item: Any) -> str:
    """The text of one piece; none of a mark, nor of what is no text."""
    if isinstance(item, str):
        return item
    if not isinstance(item, Mapping):
        raise TypeError(f"a piece of a prompt is a text or a mapping, this is a {type(item).__name__}")
    said = item.get("prompt", "")
    if isinstance(said, (list, tuple)):
        return "".join(str(part.get("text", "")) for part in said if isinstance(part, Mapping))
    return str(said)


def _pieces(other: Any) -> list[Any]:
    if not other:
        return []
    return [other] if isinstance(other, (str, Mapping)) else list(other)


def _change(item: Any, change: Callable[[str], str]) -> Any:
    if isinstance(item, str):
        return change(item)
    if not isinstance(item, Mapping) or "prompt" not in item:
        return item
    said = item["prompt"]
    if isinstance(said, (list, tuple)):
        return {**item, "prompt": [_change_part(part, change) for part in said]}
    return {**item, "prompt": change(said) if isinstance(said, str) else said}


def _change_part(part: Any, change: Callable[[str], str]) -> Any:
    if isinstance(part, Mapping):
        return {key: part[key] if key == "type" else _change_part(part[key], change) for key in part}
    return change(part) if isinstance(part, str) else part
