"""HuggingFace and HuggingFaceCausalLM: the older names of a causal language model that is told a text."""

from __future__ import annotations

from ais_bench.benchmark.models.local_models.huggingface_above_v4_33 import HuggingFaceBaseModel


class HuggingFace(HuggingFaceBaseModel):
    """A causal language model by transformers."""


class HuggingFaceCausalLM(HuggingFace):
    """The same."""
