"""The turns of a chat as one text, by the template that a model folder brings along.

    template = read_template(Path("Qwen2.5-0.5B-Instruct"))
    template.render([{"role": "user", "content": "Hello"}])     '<|im_start|>user\\nHello<|im_end|>\\n…'

Templates are foreign code: they run in jinja's sandbox and can change nothing outside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from steelyard.errors import ModelError, UsageError
from steelyard.types import Message

# Put behind a turn to find its end again; what comes after it is cut off.
_MARK = "=the turn ends here= "


class ChatTemplate:
    """A chat template with the special tokens that it writes."""

    def __init__(self, source: str, *, tokens: Mapping[str, Any] | None = None) -> None:
        self._tokens = dict(tokens or {})
        try:
            self._template = _environment().from_string(source)
        except TemplateError as error:
            raise ModelError(
                f"the chat template is broken: {error}", hint="chat=false does without it"
            ) from error

    def render(self, messages: Sequence[Message]) -> str:
        """The turns as one text, at the end of which the model answers.

        A last turn of the assistant is the beginning of its answer, to be continued.
        """
        turns = [{"role": turn["role"], "content": text_of(turn)} for turn in messages]
        begun = bool(turns) and turns[-1]["role"] == "assistant"
        if begun:
            turns[-1]["content"] += _MARK
        try:
            text = self._template.render(
                messages=turns, tools=None, documents=None, add_generation_prompt=not begun, **self._tokens
            )
        except TemplateError as error:
            raise UsageError(f"the chat template refuses these turns: {error}") from error
        if not begun:
            return text
        place = text.rfind(_MARK.strip())
        if place < 0:
            raise UsageError("the chat template does not show the last turn, which was to be continued")
        # A template that trims its turns has trimmed the mark too: so it wants the beginning.
        return text[:place] if _MARK in text else text[:place].rstrip()


def read_template(folder: Path) -> ChatTemplate | None:
    """The chat template of a model folder, if it has one."""
    settings = read_json(folder / "tokenizer_config.json")
    source: Any = settings.get("chat_template")
    file = folder / "chat_template.jinja"
    if file.is_file():
        source = file.read_text(encoding="utf-8")
    elif not source:
        source = read_json(folder / "chat_template.json").get("chat_template")
    if isinstance(source, list):
        named = {one["name"]: one["template"] for one in source}
        source = named.get("default")
    if not source:
        return None
    return ChatTemplate(source, tokens=special_tokens(folder))


def special_tokens(folder: Path) -> dict[str, str]:
    """The special tokens of a model folder by their names: bos_token, eos_token, …"""
    listed = {**read_json(folder / "special_tokens_map.json"), **read_json(folder / "tokenizer_config.json")}
    tokens = {}
    for name, value in listed.items():
        content = value.get("content") if isinstance(value, dict) else value
        if name.endswith("_token") and isinstance(content, str):
            tokens[name] = content
    return tokens


def read_json(file: Path) -> dict[str, Any]:
    """A JSON file of a model folder; empty where it is not there."""
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_bytes())
    except ValueError as error:
        raise ModelError(f"{file} is not JSON: {error}", hint="is the download complete?") from error
    if not isinstance(found, dict):
        raise ModelError(f"{file} does not hold an object", hint="is the download complete?")
    return found


def text_of(turn: Message) -> str:
    """What a turn says, its text parts put together."""
    content = turn["content"]
    if isinstance(content, str):
        return content
    if wrong := [part.kind for part in content if part.kind != "text"]:
        raise UsageError(f"a text model takes no {wrong[0]}")
    return "".join(str(part.data) for part in content)


class _Generation(Extension):
    """{% generation %} marks what the assistant said, for training; here it stands for its content."""

    tags = {"generation"}  # noqa: RUF012 - jinja2's own declaration

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, **options: Any) -> str:
    # Not jinja's own filter: that one escapes for HTML.
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **options)


def _refuse(message: str) -> None:
    raise TemplateError(message)
