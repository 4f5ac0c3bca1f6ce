"""ServiceModel: a class of one's own, hung on the beam as any other model is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from typing import Any
from uuid import uuid4

from ais_bench.benchmark.models.api_models.base_api import BaseAPIModel
from ais_bench.benchmark.models.api_models.wired import WiredAPIModel
from ais_bench.benchmark.models.calls import identify, pick, plain, settle
from ais_bench.benchmark.models.output import Output, RequestOutput
from ais_bench.benchmark.models.turns import is_text, show, to_prompt, to_text
from ais_bench.benchmark.utils.prompt import PromptList
from steelyard.errors import SteelyardError, UsageError, describe
from steelyard.models.base import Model, clock
from steelyard.models.client import Client
from steelyard.types import Request, Response, Timing, Tokens


class ServiceModel(Model):
    """Asks a BaseAPIModel: its `generate`, which calls what a class of one's own writes."""

    elsewhere = True
    likelihoods = ()
    _keep = True

    def __init__(self, made: BaseAPIModel, *, name: str, options: Mapping[str, Any]) -> None:
        """`options` are those of its configuration that shape answers."""
        self.made, self._name, self.options = made, name, options
        self.concurrency = max(int(made.batch_size), 1)
        self.chat = bool(made.meta_template) or (isinstance(made, WiredAPIModel) and made.chat)

    @property
    def name(self) -> str:
        """What its configuration calls it."""
        return self._name

    @property
    def client(self) -> Client:
        """The connections to where requests are sent."""
        return self.made.client()

    def identity(self) -> Mapping[str, Any]:
        """The class and its source, the options, the model, and where it is asked with which headers."""
        if isinstance(self.made, WiredAPIModel):
            # What the service calls its model may have to be asked for.
            self.made.wire()
        told, client = identify(self.made, self.options), self.made.client()
        where = {"url": client.url, "headers": client.credentials.shown_headers}
        return {**told, "model": plain(getattr(self.made, "model", None)), **where}

    def under_load(self, *, keep: bool = True) -> ServiceModel:
        """The same class, asked over connections of its own: nothing is tried again or held back."""
        check_streams(type(self.made))
        other = copy(self)
        other.made, other._keep = self.made.under_load(), keep
        # A `generate` of one's own sends when it likes.
        other.punctual = type(self.made).generate is BaseAPIModel.generate
        return other

    async def warm(self, connections: int) -> None:
        """Open so many connections ahead."""
        await self.made.client().warm(connections)

    async def ask(self, request: Request) -> Response:
        """Ask one thing; whatever the class raises is a failed answer."""
        asked, made = clock(), self.made
        output: Output = RequestOutput()
        output.uuid = uuid4().hex
        try:
            if request.choices is not None:
                hint = "ask it for a letter instead"
                raise UsageError(f"{self.name} does not tell how likely choices are", hint=hint)
            params = dict(request.params)
            limit = params.pop("max_tokens", made.max_out_len)
            prompt = await self._tell(request)
            returned = await settle(made.generate(prompt, limit, output, **pick(made.generate, params)))
        except Exception as error:  # noqa: BLE001 - the model boundary: a failure is an answer
            output = RequestOutput()
            output.error_info = str(error) if isinstance(error, SteelyardError) else describe(error)
            returned = None
        if isinstance(returned, Output):
            output = returned
        elif isinstance(returned, str) and not output.content:
            output.content = returned
        return self._read(output, asked)

    def close(self) -> None:
        """Close the connections kept open."""
        self.made.close()

    async def _tell(self, request: Request) -> Any:
        """The prompt as the class is given it: a text, where there is nothing else and no template."""
        prompt = to_prompt(request.prompt)
        if not isinstance(prompt, PromptList):
            return prompt
        if seen := not all(map(is_text, prompt)):
            # Pictures are read from files, or from far away.
            prompt = await asyncio.to_thread(show, prompt)
        if self.made.meta_template is not None:
            return self.made.parse_template(prompt)
        return prompt if self.chat or seen else to_text(prompt)

    def _read(self, output: Output, asked: float) -> Response:
        """What came of it, as the engine stores it."""
        timing = _time(output, asked)
        said = output.content if isinstance(output.content, str) else str(output.content or "")
        # Some that write their own `generate` do not say that it went well.
        if not output.success and (output.error_info or not (said or output.reasoning_content)):
            why = output.error_info or f"{type(self.made).__name__} wrote nothing in its output"
            return Response(error=self._mask(str(why)), timing=timing)
        counts = Tokens(output.input_tokens or None, output.output_tokens or None)
        told = {"reasoning": output.reasoning_content, **output.extra_details_data, "uuid": output.uuid}
        # Of what only a reader of answers wants, a load test would store much.
        told = told if self._keep else {}
        return Response(
            text=said,
            tokens=counts if any(counts) else None,
            timing=timing,
            raw={name: value for name, value in told.items() if value},
        )

    def _mask(self, text: str) -> str:
        return self.made.client().mask(text)


def _time(output: Output, asked: float) -> Timing:
    """When it was sent and when its pieces came; of a `generate` of one's own what it noted itself."""
    if output.timing is not None:
        return replace(output.timing, due=asked)
    done = clock()
    return Timing(
        due=asked, sent=asked, chunks=[p for p in output.time_points[1:] if asked <= p <= done], done=done
    )


def check_streams(cls: type[BaseAPIModel]) -> None:
    """Refuse a class that cannot be load-tested: nothing in it reads an answer as it comes."""
    if (
        cls.parse_stream_response is BaseAPIModel.parse_stream_response
        and cls.generate is BaseAPIModel.generate
    ):
        hint = "a load test needs the pieces of an answer: write parse_stream_response(data, output)"
        raise UsageError(f"{cls.__name__} has no parse_stream_response()", hint=hint)
