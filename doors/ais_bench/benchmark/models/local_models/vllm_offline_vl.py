"""VLLMOfflineVLModel: a vision-language model in an engine of vLLM, in this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ais_bench.benchmark.models.local_models.engine import EngineBackedModel, translate
from ais_bench.benchmark.models.local_models.huggingface_vl import read_vision
from ais_bench.benchmark.models.templates import APITemplateParser
from steelyard.models.base import LocalModel
from steelyard.models.vllm import Vllm


class VLLMOfflineVLModel(EngineBackedModel):
    """`model_kwargs` are the engine's own, `sample_kwargs` those of its sampling."""

    def __init__(
        self,
        path: str,
        model_kwargs: Mapping[str, Any] | None = None,
        sample_kwargs: Mapping[str, Any] | None = None,
        vision_kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(path, **options)
        self.template_parser = APITemplateParser(self.meta_template)
        self.model_kwargs, self.sample_kwargs = dict(model_kwargs or {}), dict(sample_kwargs or {})
        self.vision_kwargs = dict(vision_kwargs or {})

    def load(self) -> LocalModel:
        """The engine with the weights."""
        return Vllm(self.path, params=self.params(), **read_vision(self.vision_kwargs), **self.model_kwargs)

    def params(self) -> dict[str, Any]:
        """What shapes every answer."""
        return {**super().params(), **translate(self.sample_kwargs)}


vllmOfflineVL = VLLMOfflineVLModel  # noqa: N816 - as documented
