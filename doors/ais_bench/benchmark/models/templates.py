"""Templates of roles: how a model wants to be told who says what.

    meta_template = dict(
        begin="<s>",
        round=[
            dict(role="HUMAN", begin="[user] ", end="\\n"),
            dict(role="BOT", begin="[assistant] ", end="\\n", generate=True),
        ],
        reserved_roles=[dict(role="SYSTEM", begin="[system] ", end="\\n")],
    )

A model that takes a text gets one with the begin and the end of each role around what it says
(LMTemplateParser); one that takes turns gets them by the names in `api_role` (APITemplateParser). The
role with `generate` is the model's own: at its begin the text ends, unless an answer is given (mode "ppl").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ais_bench.benchmark.models.turns import is_text, join_neighbours, to_text
from ais_bench.benchmark.utils.prompt import PromptList, text_of
from steelyard.errors import UnknownName, UsageError


class _TemplateParser:
    """What both kinds know of a template."""

    def __init__(self, meta_template: Mapping[str, Any] | None = None) -> None:
        self.meta_template = dict(meta_template) if meta_template else None
        meta = self.meta_template or {}
        self._rounds = list(meta.get("round") or ())
        known = [*self._rounds, *(meta.get("reserved_roles") or ())]
        self.roles: dict[str, Mapping[str, Any]] = {}
        for role in known:
            if not isinstance(role, Mapping) or "role" not in role:
                raise UsageError(f"a role of a meta_template is a dict with 'role', this is {role!r}")
            if role["role"] in self.roles:
                raise UsageError(f"the role {role['role']!r} stands twice in a meta_template")
            self.roles[role["role"]] = role
        self._writer = next((role for role in known if role.get("generate")), None)
        self._speaker = next((r["role"] for r in self._rounds if not r.get("generate")), "HUMAN")

    def _find(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """A piece of a prompt with all that is known of its role."""
        name = item.get("role")
        role = self.roles.get(str(name)) or self.roles.get(str(item.get("fallback_role")))
        if role is None:
            raise UnknownName("role in the meta_template", str(name), self.roles)
        return {**role, **{key: value for key, value in item.items() if key not in ("role", "fallback_role")}}

    def _turns(self, prompt: Any, *, mode: str) -> list[dict[str, Any]]:
        """The turns of a prompt; the empty one of the model itself, which is to be written, is left out."""
        if mode not in ("gen", "ppl"):
            raise UsageError(f"a prompt is parsed for 'gen' or 'ppl', not for {mode!r}")
        items = [prompt] if isinstance(prompt, Mapping) else prompt
        turns = [self._find(item) for item in join_neighbours(items, silent=self._speaker)]
        while mode == "gen" and turns and turns[-1].get("generate") and not turns[-1]["prompt"]:
            turns.pop()
        return turns


class LMTemplateParser(_TemplateParser):
    """Makes one text of a prompt."""

    def parse_template(self, prompt_template: Any, mode: str = "gen") -> Any:
        """The text of a prompt, or of each of a list of prompts; without a template a line for each turn."""
        if isinstance(prompt_template, list) and not isinstance(prompt_template, PromptList):
            return [self.parse_template(one, mode) for one in prompt_template]
        if isinstance(prompt_template, str):
            return prompt_template
        if self.meta_template is None:
            return to_text(prompt_template)
        turns = self._turns(prompt_template, mode=mode)
        texts = [self._say(self.meta_template.get("begin"))]
        texts += [f"{turn.get('begin') or ''}{_text(turn)}{turn.get('end') or ''}" for turn in turns]
        if mode == "ppl":
            texts.append(self._say(self.meta_template.get("end")))
        elif turns and turns[-1].get("generate"):
            # The answer is begun already, and to be gone on with.
            texts[-1] = f"{turns[-1].get('begin') or ''}{_text(turns[-1])}"
        elif self._writer is not None:
            texts.append(str(self._writer.get("begin") or ""))
        return "".join(texts)

    def _say(self, words: Any) -> str:
        """What stands before or behind all turns: a text, or a list of texts and roles."""
        if not words or isinstance(words, str):
            return words or ""
        found = [{"prompt": one} if isinstance(one, str) else self._find(one) for one in words]
        return "".join(f"{one.get('begin') or ''}{_text(one)}{one.get('end') or ''}" for one in found)


class APITemplateParser(_TemplateParser):
    """Makes turns of a prompt, by the names that a service has for who says them."""

    def parse_template(self, prompt_template: Any, mode: str = "gen") -> Any:
        """The turns of a prompt, or of each of a list of prompts; without a template one text."""
        if isinstance(prompt_template, list) and not isinstance(prompt_template, PromptList):
            return [self.parse_template(one, mode) for one in prompt_template]
        if isinstance(prompt_template, str):
            return prompt_template
        if self.meta_template is None:
            return to_text(prompt_template)
        begun, ended = (self._found(self.meta_template.get(place)) for place in ("begin", "end"))
        turns = [*begun, *self._turns(prompt_template, mode=mode), *(ended if mode == "ppl" else ())]
        named = [
            {"role": turn.get("api_role") or turn["role"], "prompt": turn.get("prompt", "")} for turn in turns
        ]
        return PromptList(join_neighbours(named))

    def _found(self, words: Any) -> list[dict[str, Any]]:
        items = [words] if isinstance(words, (str, Mapping)) else words or ()
        return [self._find({"role": self._speaker, "prompt": i} if isinstance(i, str) else i) for i in items]


def _text(item: Mapping[str, Any]) -> str:
    if not is_text(item):
        raise UsageError("a text has no place for pictures, sounds or films")
    return text_of(item)
