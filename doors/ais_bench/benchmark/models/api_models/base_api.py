"""BaseAPIModel: a service that a class of one's own knows how to ask.

    class MyCustomAPI(BaseAPIModel):
        def _get_url(self): ...                                               where to ask
        async def get_request_body(self, input, max_out_len, output): ...     what to send
        async def parse_text_response(self, data, output): ...                what came, in one piece
        async def parse_stream_response(self, data, output): ...              what came, in one of many

How it is sent, tried again, timed and collected is not the class's to know.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from copy import copy
from typing import Any

import msgspec

from ais_bench.benchmark.models.api_models.addresses import find_base, join_path
from ais_bench.benchmark.models.api_models.answers import collect, read_answer
from ais_bench.benchmark.models.api_models.transport import find_served, transport_of
from ais_bench.benchmark.models.calls import pick, settle
from ais_bench.benchmark.models.output import Output
from ais_bench.benchmark.models.templates import APITemplateParser, LMTemplateParser
from steelyard.errors import DataError, UsageError
from steelyard.models.client import Client
from steelyard.models.credentials import read_secret
from steelyard.wire.openai import OpenAI
from steelyard.wire.reading import Answer

__all__ = ["APITemplateParser", "BaseAPIModel"]


class BaseAPIModel:
    """What all services share: address, headers, templates of roles, and how one request goes."""

    is_api: bool = True
    timeout: float = 600.0
    """How many seconds a service may be silent."""
    request_rate: float = 0.0
    """How many requests are sent in a second; as fast as they are wanted where it is less than 0.1."""
    batch_size: int = 1
    """How many requests are under way at a time."""
    _under_load = False

    def __init__(  # noqa: PLR0917 - in the documented order
        self,
        path: str = "",
        stream: bool = False,
        max_out_len: int = 4096,
        retry: int = 2,
        host_ip: str = "localhost",
        host_port: int = 8080,
        url: str = "",
        meta_template: Mapping[str, Any] | None = None,
        generation_kwargs: Mapping[str, Any] | None = None,
        enable_ssl: bool = False,
        verbose: bool = False,
        api_key: str = "",
        **others: Any,
    ) -> None:
        """`others` are kept under their names: a configuration may say more than a service needs."""
        vars(self).update(others)
        self.path, self.stream, self.max_out_len, self.retry = path, stream, max_out_len, retry
        self.host_ip, self.host_port, self.enable_ssl = host_ip, host_port, enable_ssl
        self.url = url
        self.meta_template = meta_template
        self.template_parser: APITemplateParser | LMTemplateParser = APITemplateParser(meta_template)
        self.generation_kwargs = dict(generation_kwargs or {})
        self.verbose, self.api_key = verbose, read_secret(api_key)
        self.logger = logging.getLogger("ais_bench")
        self.base_url = find_base(url, host=host_ip, port=host_port, tls=enable_ssl)
        self.headers = {"Content-Type": "application/json"}
        if self.api_key:
            self.headers["Authorization"] = f"Bearer {self.api_key}"
        self._given_url = url
        self.sent_headers: Mapping[str, str] = {}
        self._clients: dict[str, Client] = {}
        self._service_model: str | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"

    def _get_url(self) -> str:
        """Where requests are sent; a class of one's own says it."""
        return self.base_url

    def _get_service_model_path(self) -> str:
        """The name of the first model that the service lists, which is asked for it once."""
        if self._service_model is None:
            self._service_model = find_served(self._connect(join_path(self.base_url, "v1/models")))
        return self._service_model

    async def get_request_body(self, input: Any, max_out_len: int, output: Output, **args: Any) -> Any:  # noqa: A002
        """What is sent to ask `input`, as a mapping; what helps to understand it may be noted in `output`."""
        raise NotImplementedError(f"{type(self).__name__} has no get_request_body()")

    async def parse_text_response(self, data: Any, output: Output) -> None:
        """Write in `output` what an answer says that came in one piece."""
        raise NotImplementedError(
            f"{type(self).__name__} has no parse_text_response(): it takes streams only"
        )

    async def parse_stream_response(self, data: Any, output: Output) -> None:
        """Write in `output` what one event of an answer says, behind what the others said."""
        raise NotImplementedError(
            f"{type(self).__name__} has no parse_stream_response(): it takes no streams"
        )

    async def generate(
        self,
        input: Any,  # noqa: A002
        max_out_len: int,
        output: Output,
        session: Any = None,
        **args: Any,
    ) -> None:
        """Ask one thing, and write in `output` what came of it."""
        taken = pick(self.get_request_body, args)
        body = await settle(self.get_request_body(input, max_out_len, output, **taken))
        if output.input is None:
            output.input = input
        await collect(self, body, output)

    def parse_template(self, prompt_template: Any, mode: str = "gen") -> Any:
        """A prompt as the service wants to be told it."""
        return self.template_parser.parse_template(prompt_template, mode)

    def address(self) -> str:
        """Where requests are sent: what the class set `url` to, else what `_get_url` says."""
        found: Any = self.url if self.url != self._given_url else self._get_url()
        if not isinstance(found, str):
            hint = 'return self.base_url + "v1/chat/completions", as it may be'
            raise UsageError(f"_get_url() of {type(self).__name__} gives {found!r}, no address", hint=hint)
        return found

    def read_failure(self, body: bytes) -> str:
        """What a service says that refuses a request."""
        return OpenAI().read_failure(body)

    async def read_answer(self, answer: Answer, output: Output) -> list[float]:
        """Write in `output` what an answer says; gives when each of its pieces came, if it came in pieces."""
        return await read_answer(self, answer, output)

    def find_error(self, data: Any) -> None:
        """Raise what an answer, or an event of one, says went wrong."""
        if isinstance(data, Mapping) and data.get("error"):
            said = self.read_failure(msgspec.json.encode(data))
            raise DataError(f"the service reports an error: {said[:500]}")

    def client(self) -> Client:
        """The connections to where requests are sent."""
        return self._connect(self.address())

    def under_load(self) -> BaseAPIModel:
        """The same service as a load test asks it: over connections of its own, each question once."""
        other = copy(self)
        other._clients, other._under_load = {}, True
        return other

    def close(self) -> None:
        """Close the connections kept open."""
        for client in self._clients.values():
            client.close()

    def transport(self) -> dict[str, Any]:
        """How the service is asked, as options of the engine's client."""
        return transport_of(self)

    def _connect(self, url: str) -> Client:
        if url not in self._clients:
            self.sent_headers = dict(self.headers)
            client = Client(url, read_failure=self.read_failure, **self.transport())
            self._clients[url] = client.under_load() if self._under_load else client
        return self._clients[url]
