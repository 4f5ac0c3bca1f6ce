"""Functions to be written, which are tried by their tests.

humaneval    a signature and what the function shall do; a chat answers with all of it, else it is gone on
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from steelyard.metrics.code import code_passes
from steelyard.metrics.extraction.programs import find_program
from steelyard.tasks.base import Task
from steelyard.types import Prompt, Request, Sample

_SPOKEN = (
    "Complete this Python function. Answer with the whole function, with the imports that it needs, in one "
    "block of code.\n\n```python\n{input}\n```"
)
_STOP = ["\ndef ", "\nclass ", "\nif __name__", "\nprint(", "\n#", "\n```"]


@dataclass(frozen=True, kw_only=True)
class Completions(Task):
    """A task whose samples a text goes on from; a chat is asked in the words of `spoken`."""

    spoken: str = _SPOKEN

    def prompt(self, sample: Sample, *, chat: bool) -> Prompt:
        """The beginning of the program, or what is said of it."""
        asked = replace(self, template=self.spoken) if chat and self.template == "{input}" else self
        return Task.prompt(asked, sample, chat=chat)

    def request(self, sample: Sample, *, chat: bool) -> Request:
        """The question; a text that goes on ends where the function does."""
        request = super().request(sample, chat=chat)
        if chat or "stop" in request.params:
            return request
        return replace(request, params={**request.params, "stop": _STOP})


def humaneval(*, data: Any, name: str = "humaneval", **options: Any) -> Completions:
    """HumanEval: the share of functions that pass their tests, run in a sandbox; pass@k with --repeat."""
    if "metrics" not in options:
        # Here and not at the first answer: where programs cannot be run, nothing is to be asked for.
        code_passes.require()
    preset: dict[str, Any] = {
        "extract": find_program,
        "metrics": (code_passes,),
        "params": {"max_tokens": 1024},
    }
    return Completions(name=name, data=data, **{**preset, **options})
