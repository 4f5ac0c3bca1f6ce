"""HuggingFaceVL: any vision-language folder, by transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ais_bench.benchmark.models.local_models.huggingface_above_v4_33 import (
    HuggingFacewithChatTemplate,
    read_loading,
)
from steelyard.errors import UsageError
from steelyard.models.base import LocalModel
from steelyard.models.huggingface import load_huggingface

_OF_FILMS = ("fps", "nframe", "nframes")


class HuggingFaceQwen2VLwithChatTemplate(HuggingFacewithChatTemplate):
    """A vision-language model; `vision_kwargs` says how large pictures are shown to it."""

    def __init__(
        self, path: str, *positional: Any, vision_kwargs: Mapping[str, Any] | None = None, **options: Any
    ):
        super().__init__(path, *positional, **options)
        self.vision_kwargs = dict(vision_kwargs or {})

    def load(self) -> LocalModel:
        """The network with its processor."""
        return load_huggingface(
            self.path,
            task="vision",
            adapter=self.peft_path or None,
            tokenizer_kwargs=self._words(),
            batch_size=self.batch_size,
            params=self.params(),
            **read_vision(self.vision_kwargs),
            **read_loading(self.model_kwargs, trusted=self.trusts()),
        )


HuggingFaceVL = HuggingFaceQwen2VLwithChatTemplate


def read_vision(vision_kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """How large pictures are shown; what is said of films is for films, which the engine does not show."""
    told = {name: value for name, value in vision_kwargs.items() if name not in _OF_FILMS}
    if others := told.keys() - {"min_pixels", "max_pixels"}:
        raise UsageError(
            f"vision_kwargs has {', '.join(sorted(others))}", hint="it takes min_pixels, max_pixels"
        )
    return told
