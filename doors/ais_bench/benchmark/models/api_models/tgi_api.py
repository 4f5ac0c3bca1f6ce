"""TGICustomAPI: a text generation inference server."""

from __future__ import annotations

from typing import Any

from ais_bench.benchmark.models.api_models.wired import WiredAPIModel


class TGICustomAPI(WiredAPIModel):
    """POST generate, or generate_stream."""

    wire_name = "tgi"

    def endpoint(self) -> str:
        """The path of generation, which is another for streams."""
        return "generate_stream" if self.stream else "generate"


class TGICustomAPIStream(TGICustomAPI):
    """The same in a stream."""

    def __init__(self, path: str = "", stream: bool = True, **options: Any) -> None:
        super().__init__(path, stream, **options)
