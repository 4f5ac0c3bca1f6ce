"""Prompts as configurations write them: a row's columns put into texts, rounds and labels.

"Question: {question}\\nAnswer:"                                     one text
{"begin": ["</E>"], "round": [{"role": "HUMAN", "prompt": "…"}]}     turns, examples where </E> stands
{"A": "{question} {A}", "B": "{question} {B}"}                       one for each label
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ais_bench.benchmark.models.turns import OURS
from ais_bench.benchmark.utils.prompt import safe_format
from steelyard.errors import UsageError
from steelyard.types import Message, Prompt

_SECTIONS = ("begin", "round", "end")


def is_labelled(template: Any) -> bool:
    """Whether a template holds one for each label."""
    return isinstance(template, Mapping) and not template.keys() <= set(_SECTIONS)


def render(
    template: Any, fields: Mapping[str, Any], *, examples: Sequence[Prompt] = (), mark: str = ""
) -> Prompt:
    """A text or turns with the fields filled in, and the examples where their mark stands."""
    if isinstance(template, str):
        shown = "".join(f"{flatten(example)}\n" for example in examples)
        return _fill(template, fields, shown, mark)
    if not isinstance(template, Mapping) or is_labelled(template):
        raise UsageError(
            f"{template!r} is no template", hint="a text, or dict(round=[dict(role=…, prompt=…)])"
        )
    turns: list[Message] = []
    for section in _SECTIONS:
        given = template.get(section) or []
        for item in [given] if isinstance(given, (str, Mapping)) else given:
            if mark and item == mark:
                turns += [turn for example in examples for turn in _turns_of(example)]
            else:
                turns.append(_turn(item, fields, examples, mark))
    return join(turns)


def cut_answer(prompt: Prompt) -> Prompt:
    """A prompt without the turns of the model at its end: they are what it is to write."""
    if isinstance(prompt, (str, Mapping)):
        return prompt
    turns = list(prompt)
    while turns and turns[-1]["role"] == "assistant":
        turns.pop()
    return turns


def compare(prompts: Sequence[Prompt]) -> tuple[Prompt, list[str]]:
    """What prompts of several labels have in common, and how each goes on."""
    turns = [list(_turns_of(prompt)) for prompt in prompts if not isinstance(prompt, str)]
    if len(turns) == len(prompts) and _differ_last(turns):
        return turns[0][:-1], [str(each[-1]["content"]) for each in turns]
    texts = [flatten(prompt) for prompt in prompts]
    same = beginning_of(texts)
    # What follows begins with its space, as tokens do.
    same = same[: max(same.rfind(" "), same.rfind("\n") + 1, 0)]
    if not same.strip():
        raise UsageError(
            "the templates of the labels have no beginning in common", hint="begin with the question"
        )
    return same, [text[len(same) :] for text in texts]


def flatten(prompt: Prompt) -> str:
    """A prompt as one text."""
    return (
        prompt if isinstance(prompt, str) else "\n".join(str(turn["content"]) for turn in _turns_of(prompt))
    )


def beginning_of(texts: Sequence[str]) -> str:
    """What texts have in common at their beginning."""
    first, last = min(texts), max(texts)
    # What these two have in common, all between them have.
    end = next((place for place, (a, b) in enumerate(zip(first, last)) if a != b), min(len(first), len(last)))
    return first[:end]


def join(turns: Sequence[Message]) -> list[Message]:
    """Turns with neighbours of one role as one."""
    joined: list[Message] = []
    for turn in turns:
        if joined and joined[-1]["role"] == turn["role"]:
            content = f"{joined[-1]['content']}\n{turn['content']}"
            joined[-1] = {"role": turn["role"], "content": content}
        else:
            joined.append(turn)
    return joined


def _turn(item: Any, fields: Mapping[str, Any], examples: Sequence[Prompt], mark: str) -> Message:
    if isinstance(item, str):
        item = {"role": "HUMAN", "prompt": item}
    if not isinstance(item, Mapping) or not isinstance(item.get("prompt", ""), str):
        raise UsageError(f"{item!r} is no turn of a template", hint="dict(role='HUMAN', prompt='{question}')")
    role = next((OURS[name] for name in _roles_of(item) if name in OURS), None)
    if role is None:
        raise UsageError(
            f"nobody is called {item.get('role')!r}", hint="HUMAN, BOT or SYSTEM, fallback_role is one"
        )
    shown = "".join(f"{flatten(example)}\n" for example in examples)
    return {"role": role, "content": _fill(item.get("prompt", ""), fields, shown, mark)}


def _roles_of(item: Mapping[str, Any]) -> tuple[Any, Any]:
    return item.get("role"), item.get("fallback_role")


def _fill(text: str, fields: Mapping[str, Any], shown: str, mark: str) -> str:
    # The examples go in last, so that braces in them stay what they are.
    parts = text.split(mark) if mark else [text]
    return shown.join(safe_format(part, **fields) for part in parts)


def _turns_of(prompt: Prompt) -> Sequence[Message]:
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    return prompt if not isinstance(prompt, Mapping) else []


def _differ_last(turns: Sequence[Sequence[Message]]) -> bool:
    """Whether only what the model says last is another."""
    if any(not each or each[-1]["role"] != "assistant" for each in turns):
        return False
    return all(each[:-1] == turns[0][:-1] for each in turns)
