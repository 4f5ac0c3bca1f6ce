"""MindieStreamApi: a MindIE server."""

from __future__ import annotations

from typing import Any

from ais_bench.benchmark.models.api_models.wired import WiredAPIModel


class MindieStreamApi(WiredAPIModel):
    """POST infer, in a stream unless `stream` says otherwise."""

    wire_name = "mindie"

    def __init__(self, path: str = "", stream: bool = True, **options: Any) -> None:
        super().__init__(path, stream, **options)

    def endpoint(self) -> str:
        """The path of inference."""
        return "infer"
