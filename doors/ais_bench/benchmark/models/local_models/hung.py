"""BatchedModel: a class of one's own, hung on the beam as any other local model is."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from ais_bench.benchmark.models.calls import identify, pick
from ais_bench.benchmark.models.local_models.base import BaseModel
from ais_bench.benchmark.models.turns import is_text, show, to_prompt, to_text
from ais_bench.benchmark.utils.prompt import PromptList
from steelyard.errors import ModelError, UsageError
from steelyard.models.base import LocalModel
from steelyard.models.folders import fingerprint
from steelyard.types import Request, Response

_SINGLE = ("input", "prompt")


class BatchedModel(LocalModel):
    """Asks a BaseModel: its `generate`, with a list of prompts, or with one where it takes one."""

    likelihoods = ()

    def __init__(self, made: BaseModel, *, name: str, options: Mapping[str, Any]) -> None:
        """`options` are those of its configuration that shape answers."""
        self.made, self._name, self.options = made, name, options
        self.batch_size = max(int(made.batch_size), 1)
        self.chat = bool(made.meta_template)
        # A parameter in the singular may mean one prompt or all: the first answers tell.
        self._single: bool | None = None if _first_name(made.generate) in _SINGLE else False

    @property
    def name(self) -> str:
        """What its configuration calls it."""
        return self._name

    def identity(self) -> Mapping[str, Any]:
        """The class and its source, and the options."""
        path = Path(str(self.made.path))
        weights = fingerprint(path) if self.made.path and path.exists() else None
        return {**identify(self.made, self.options), "weights": weights}

    def batch(self, requests: Sequence[Request]) -> list[Response]:
        """Answer several prompts, together those that are asked alike."""
        texts: list[str] = []
        for arguments, group in groupby(requests, key=self._arguments):
            texts += self._answer([self._tell(request) for request in group], arguments)
        return [Response(text=text) for text in texts]

    def close(self) -> None:
        """End the thread, and close the model."""
        super().close()
        self.made.close()

    def _arguments(self, request: Request) -> dict[str, Any]:
        if request.choices is not None:
            hint = "ask it for a letter instead"
            raise UsageError(f"{self.name} does not tell how likely choices are", hint=hint)
        params = dict(request.params)
        limit = params.pop("max_tokens", self.made.max_out_len)
        return {"max_out_len": limit, **pick(self.made.generate, params)}

    def _tell(self, request: Request) -> Any:
        """The prompt as the class is given it: a text, where there is nothing else and no template."""
        prompt = to_prompt(request.prompt)
        if not isinstance(prompt, PromptList):
            return prompt
        if self.made.meta_template is not None:
            return self.made.parse_template(show(prompt))
        return to_text(prompt) if all(map(is_text, prompt)) else show(prompt)

    def _answer(self, prompts: list[Any], arguments: Mapping[str, Any]) -> list[str]:
        known = self._find_out(prompts[0], arguments) if self._single is None else []
        rest = prompts[len(known) :]
        if self._single:
            return [*known, *(text for prompt in rest for text in self._ask(prompt, 1, arguments))]
        return [*known, *(self._ask(rest, len(rest), arguments) if rest else ())]

    def _find_out(self, prompt: Any, arguments: Mapping[str, Any]) -> list[str]:
        """The answer to a first prompt, and with it whether the class takes one prompt or a list."""
        try:
            answer = self._ask(prompt, 1, arguments)
            self._single = True
        except Exception as error:  # noqa: BLE001 - raised below, unless a list is what it takes
            try:
                answer = self._ask([prompt], 1, arguments)
            except Exception:  # noqa: BLE001 - what went wrong first is told
                raise error from None
            self._single = False
        return answer

    def _ask(self, given: Any, count: int, arguments: Mapping[str, Any]) -> list[str]:
        """So many texts as there are prompts."""
        cls = type(self.made).__name__
        found: Any = self.made.generate(given, **arguments)
        texts: list[Any] = [found] if isinstance(found, str) else list(found)
        if len(texts) != count:
            raise ModelError(f"{cls}.generate() gave {len(texts)} answers to {count} prompts")
        if odd := [text for text in texts if not isinstance(text, str)]:
            raise ModelError(f"{cls}.generate() gave a {type(odd[0]).__name__}, not a text")
        return texts


def _first_name(call: Any) -> str:
    return next(iter(inspect.signature(call).parameters), "")
