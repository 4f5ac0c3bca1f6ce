"""What a wire is: how one kind of service spells questions and answers, in both directions.

A client opens an Exchange for the requests of one HTTP call; a server accepts one from the body
of a call. The Exchange lives as long as the call and may remember what it has seen.

    exchange = wire.open(requests)                      exchange = wire.accept(body)
    body = exchange.encode_request()       ── POST ──▶  responses = answer(exchange.requests)
    exchange.decode_answer(answer)         ◀───────     answer = exchange.encode_answer(responses)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.types import Request, Response


class Exchange(ABC):
    """One HTTP call and its answer: the requests it carries, and what was seen of it so far."""

    ends: Sequence[int] = ()
    """Where in the decoded body each piece of the answer ended, where it came in pieces."""
    slow: bool = False
    """Whether encoding takes so long that it is done on a thread, so that others are not kept waiting."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self.requests = requests

    @abstractmethod
    def encode_request(self) -> bytes:
        """The body that asks the requests."""

    @abstractmethod
    def decode_answer(self, body: bytes) -> Sequence[Response]:
        """The responses in an answer's body, one a request; a DataError where it is not one."""

    @abstractmethod
    def encode_answer(self, responses: Sequence[Response]) -> bytes:
        """The body that gives the responses."""


class Wire(ABC):
    """One protocol. `headers` go with every call; `together` says that a call may carry several requests.

    `chat` says that prompts are best the turns of a chat.
    """

    headers: Mapping[str, str] = {"Content-Type": "application/json"}
    together: bool = False
    chat: bool = False

    def locate(self, url: str) -> str:
        """Where the protocol is spoken at a service's address."""
        return url

    def identity(self) -> Mapping[str, Any]:
        """The protocol, and whatever else of it shapes the answers."""
        return {"wire": f"{type(self).__module__}.{type(self).__qualname__}"}

    def read_failure(self, body: bytes) -> str:
        """What a service says that refuses a call."""
        return body.decode("utf-8", "replace")

    @abstractmethod
    def open(self, requests: Sequence[Request]) -> Exchange:
        """The client's side of a call."""

    @abstractmethod
    def accept(self, body: bytes) -> Exchange:
        """The server's side of a call; a DataError where the body is not one."""
