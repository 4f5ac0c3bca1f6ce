"""WiredAPIModel: a service whose protocol the engine speaks. What a class of one's own says goes before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ais_bench.benchmark.models.api_models.addresses import join_path
from ais_bench.benchmark.models.api_models.base_api import BaseAPIModel
from ais_bench.benchmark.models.output import Output
from ais_bench.benchmark.models.templates import LMTemplateParser
from ais_bench.benchmark.models.turns import is_text, to_text, to_turns
from steelyard.plugins import resolve
from steelyard.types import Request, Response
from steelyard.wire.base import Exchange, Wire
from steelyard.wire.reading import Answer

_LENGTHS = ("max_tokens", "max_completion_tokens", "max_new_tokens")
_THOUGHTS = ("reasoning", "reasoning_content")
_DOCUMENTED = ("get_request_body", "parse_text_response", "parse_stream_response", "generate", "_get_url")


class WiredAPIModel(BaseAPIModel):
    """A ready-made backend. It says the name of its wire and the path of its service."""

    wire_name = ""
    chat = False
    """Whether it is told turns; else one text."""
    names_model = False
    """Whether a request names the model."""

    def __init__(self, path: str = "", stream: bool = False, *, model: str = "", **options: Any) -> None:
        super().__init__(path=path, stream=stream, **options)
        self.model = model
        if not self.chat:
            self.template_parser = LMTemplateParser(self.meta_template)

    @classmethod
    def is_ready(cls) -> bool:
        """Whether all that a class of one's own may write is as it stands here."""
        return all(getattr(cls, name) is getattr(WiredAPIModel, name) for name in _DOCUMENTED)

    def endpoint(self) -> str:
        """The path of the service."""
        raise NotImplementedError

    def wire(self, *, max_out_len: int | None = None) -> Wire:
        """The protocol, with all that goes with every request."""
        params = dict(self.generation_kwargs)
        if max_out_len is not None and not any(name in params for name in _LENGTHS):
            params["max_tokens"] = max_out_len
        options: dict[str, Any] = {"params": params, "stream": self.stream}
        if self.names_model:
            self.model = self.model or self._get_service_model_path()
            options["model"] = self.model
        made: Wire = resolve("wires", self.wire_name)(**options)
        return made

    def render(self, prompt: Any) -> Any:
        """A prompt by the template of roles, as the service is told it."""
        return self.shape(prompt if self.meta_template is None else self.parse_template(prompt))

    def shape(self, told: Any) -> Any:
        """What was said by whom as the service is told it: turns, or one text."""
        if isinstance(told, Mapping):
            return told
        # Some protocols of texts have a way to show pictures in them.
        return to_turns(told) if self.chat or not all(map(is_text, told)) else to_text(told)

    def read_failure(self, body: bytes) -> str:
        """What the service says that refuses a request."""
        # Not by `wire()`, which may have to ask for the model's name, and be refused just then.
        options = {"model": self.model or "model"} if self.names_model else {}
        said: str = resolve("wires", self.wire_name)(**options).read_failure(body)
        return said

    def _get_url(self) -> str:
        """The address with the path of the service behind it."""
        return join_path(self.base_url, self.endpoint())

    async def get_request_body(self, input: Any, max_out_len: int, output: Output, **args: Any) -> Any:  # noqa: A002
        """The body of a request, as a mapping."""
        output.input = input
        request = Request("0", self.shape(input), params=args)
        return msgspec.json.decode(self.wire(max_out_len=max_out_len).open([request]).encode_request())

    async def parse_text_response(self, data: Any, output: Output) -> None:
        """Write in `output` what an answer says."""
        (response,) = self._open().decode_whole(msgspec.json.encode(data), {})
        write(response, output)

    async def parse_stream_response(self, data: Any, output: Output) -> None:
        """Write in `output` what one event of an answer says, behind what the others said."""
        output.exchange = output.exchange or self._open()
        piece = output.exchange.decode_event(msgspec.json.encode(data))
        if piece is not None:
            delta = piece.raw.get("delta", {}) if isinstance(piece.raw, Mapping) else {}
            thoughts = [delta.get(name) for name in _THOUGHTS]
            output.content += piece.text
            output.reasoning_content += next((t for t in thoughts if isinstance(t, str)), "")
            output.record_time_point()

    async def read_answer(self, answer: Answer, output: Output) -> list[float]:
        """Write in `output` what an answer says; event by event only for a class that reads these itself."""
        if self._reads_itself():
            stamps = await super().read_answer(answer, output)
            if output.exchange is not None:
                if answer.body.rstrip().endswith(b"[DONE]"):
                    output.exchange.decode_event(b"[DONE]")
                (response,) = output.exchange.decode_end()
                write(response, output, content=output.content)
            return stamps
        exchange = self._open()
        (response,) = exchange.decode_answer(answer.body, answer.headers)
        write(response, output)
        return answer.when(exchange.ends)

    def _reads_itself(self) -> bool:
        names = ("parse_text_response", "parse_stream_response", "find_error")
        return any(getattr(type(self), name) is not getattr(WiredAPIModel, name) for name in names)

    def _open(self) -> Exchange:
        return self.wire().open([Request("0", "")])


def write(response: Response, output: Output, *, content: str | None = None) -> None:
    """Write a response of the engine in `output`; what it says is `content`, if that is known better."""
    raw = dict(response.raw) if isinstance(response.raw, Mapping) else {}
    output.content = response.text if content is None else content
    thoughts = [raw.pop(name, None) for name in _THOUGHTS]
    output.reasoning_content = next(filter(None, thoughts), "")
    counts = response.tokens or (None, None)
    output.input_tokens, output.output_tokens = counts[0] or 0, counts[1] or 0
    output.extra_details_data.update(raw)
    output.error_info = response.error or ""
