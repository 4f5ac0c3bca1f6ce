"""EngineBackedModel: a ready-made local model, which is one of the engine's own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from ais_bench.benchmark.models.local_models.base import BaseModel
from ais_bench.benchmark.models.rendering import Rendered
from ais_bench.benchmark.models.turns import to_text, to_turns
from steelyard.engine import answer
from steelyard.errors import ModelError, UsageError
from steelyard.media.images import as_image
from steelyard.models.base import LocalModel, Model
from steelyard.types import Part, Request

_OURS = {"max_new_tokens": "max_tokens", "max_length": "max_tokens", "stop_strings": "stop"}


class EngineBackedModel(BaseModel):
    """Loads a model of the engine when it is first asked."""

    @abstractmethod
    def load(self) -> LocalModel:
        """The model of the engine."""

    @cached_property
    def engine(self) -> LocalModel:
        """The model of the engine, loaded."""
        return self.load()

    def params(self) -> dict[str, Any]:
        """What shapes every answer, in the engine's words."""
        return {"max_tokens": self.max_out_len, **translate(self.generation_kwargs)}

    def render(self, prompt: Any) -> Any:
        """A prompt by the template of roles, as the engine is told it."""
        told = self.parse_template(prompt)
        return told if isinstance(told, str) else to_turns(told)

    def hang(self) -> Model:
        """The model on the beam."""
        if self.engine.chat and self.meta_template is None:
            return self.engine
        return Rendered(self.engine, self.render, template=self.meta_template)

    def generate(self, inputs: list[Any], max_out_len: int, **kwargs: Any) -> list[str]:
        """The answers to prompts, one each, in their order; where one fails, that is raised."""
        params = {**translate(kwargs), "max_tokens": max_out_len}
        requests = [Request(str(place), self._tell(one), params=params) for place, one in enumerate(inputs)]
        responses = answer(self.engine, requests)
        if failed := [response.error for response in responses if response.error is not None]:
            raise ModelError(f"{len(failed)} of {len(responses)} prompts failed: {failed[0]}")
        return [response.text for response in responses]

    def close(self) -> None:
        """Close the model of the engine, if it was loaded."""
        if "engine" in vars(self):
            self.engine.close()

    def _tell(self, prompt: Any) -> Any:
        if self.meta_template is not None:
            return self.render(prompt)
        if not self.engine.chat:
            return to_text(prompt)
        return [{**turn, "content": _parts(turn["content"])} for turn in to_turns(prompt)]


def translate(generation: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of transformers' generate as parameters of a request; what is None says nothing."""
    params = {_OURS.get(name, name): value for name, value in generation.items() if value is not None}
    samples = params.pop("do_sample", None)
    if samples is True:
        params.setdefault("temperature", 1.0)
    if samples is False:
        params["temperature"] = 0.0
    return params


def _parts(content: Any) -> Any:
    """What a turn says, as the engine takes it."""
    if not isinstance(content, list):
        return content
    return [part if isinstance(part, Part) else _part(part) for part in content]


def _part(part: Mapping[str, Any]) -> Part:
    if part.get("type") == "text":
        return Part("text", part.get("text", ""))
    if part.get("type") in ("image", "image_url"):
        return Part("image", as_image(part))
    raise UsageError(f"a part of the type {part.get('type')!r} is neither a text nor a picture")
