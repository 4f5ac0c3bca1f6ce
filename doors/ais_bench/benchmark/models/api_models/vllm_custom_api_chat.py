"""VLLMCustomAPIChat: chat completions, as vLLM and every service like OpenAI's speaks them."""

from __future__ import annotations

from typing import Any

from ais_bench.benchmark.models.api_models.wired import WiredAPIModel


class VLLMCustomAPIChat(WiredAPIModel):
    """POST v1/chat/completions."""

    wire_name = "openai"
    chat = names_model = True

    def endpoint(self) -> str:
        """The path of chat completions."""
        return "v1/chat/completions"


class VLLMCustomAPIChatStream(VLLMCustomAPIChat):
    """The same in a stream."""

    def __init__(self, path: str = "", stream: bool = True, **options: Any) -> None:
        super().__init__(path, stream, **options)
