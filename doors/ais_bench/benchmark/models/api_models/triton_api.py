"""TritonCustomAPI: a model of a Triton server, by the generate extension."""

from __future__ import annotations

from typing import Any

from ais_bench.benchmark.models.api_models.wired import WiredAPIModel


class TritonCustomAPI(WiredAPIModel):
    """POST v2/models/NAME/generate, or …/generate_stream; the name is `model` or `model_name`."""

    wire_name = "triton"
    names_model = True

    def __init__(
        self, path: str = "", stream: bool = False, *, model: str = "", model_name: str = "", **options: Any
    ) -> None:
        super().__init__(path, stream, model=model or model_name, **options)

    def endpoint(self) -> str:
        """The path of the model, which is another for streams."""
        self.model = self.model or self._get_service_model_path()
        return f"v2/models/{self.model}/{'generate_stream' if self.stream else 'generate'}"


class TritonCustomAPIStream(TritonCustomAPI):
    """The same in a stream."""

    def __init__(self, path: str = "", stream: bool = True, **options: Any) -> None:
        super().__init__(path, stream, **options)
