"""VLLMCustomAPI: completions of a text, as vLLM and services like it speak them."""

from __future__ import annotations

from typing import Any

from ais_bench.benchmark.models.api_models.wired import WiredAPIModel


class VLLMCustomAPI(WiredAPIModel):
    """POST v1/completions."""

    wire_name = "openai-completions"
    names_model = True

    def endpoint(self) -> str:
        """The path of completions."""
        return "v1/completions"


class VLLMCustomAPIStream(VLLMCustomAPI):
    """The same in a stream."""

    def __init__(self, path: str = "", stream: bool = True, **options: Any) -> None:
        super().__init__(path, stream, **options)
