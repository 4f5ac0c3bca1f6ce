"""What a wire is: how one kind of service spells questions and answers, in both directions.

A client opens an Exchange for the requests of one HTTP call; a server accepts one from a call. The
Exchange lives as long as the call and may remember what it has seen.

    exchange = wire.open(requests)                      exchange = wire.accept(call)
    body = exchange.encode_request()       ── POST ──▶  responses = answer(exchange.requests)
    exchange.decode_answer(body, headers)  ◀───────     body = exchange.encode_answer(responses)

An answer may also come in events, one a piece:

    chunk = exchange.decode_event(data)    ◀── each ──  exchange.encode_chunk(place, chunk)
    responses = exchange.decode_end()      ◀── last ──  exchange.encode_end(responses)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple

from steelyard.errors import DataError
from steelyard.types import Chunk, Request, Response
from steelyard.wire.events import are_events, read_events

NO_HEADERS: Mapping[str, str] = {}


class CutShort(DataError):
    """An answer ended before it was whole: the connection broke, or the service gave up."""


class Call(NamedTuple):
    """What came to a server: where to, with which headers (names in lower case), and the body."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class Exchange(ABC):
    """One HTTP call and its answer: the requests it carries, and what was seen of it so far."""

    ends: Sequence[int] = ()
    """Where in the decoded body each piece of the answer ended, where it came in pieces."""
    slow: bool = False
    """Whether encoding takes so long that it is done on a thread, so that others are not kept waiting."""
    stream: bool = False
    """Whether the answer is wanted in events, one a piece."""
    model: str | None = None
    """Which model is asked, as the call names it."""
    keeps: bool = True
    """Whether anybody will look at the text of an answer; else a piece of it is enough."""
    partial: bool = False
    """Whether an answer can say of single requests that they failed; else one failure is that of all."""
    embeds: bool = False
    """Whether vectors are asked for, one a request, in the `raw` of its response."""
    headers: Mapping[str, str] = NO_HEADERS
    """Headers that this one question (at a client) or answer (at a server) has beside the wire's own."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self.requests = requests

    @abstractmethod
    def encode_request(self) -> bytes:
        """The body that asks the requests."""

    @abstractmethod
    def decode_whole(self, body: bytes, headers: Mapping[str, str]) -> Sequence[Response]:
        """The responses in an answer that came in one piece, one a request; a DataError where it is none."""

    def decode_event(self, data: bytes) -> Chunk | None:
        """The piece of the answer in the data of one event; None where the event says nothing of it."""
        raise DataError(f"events were not expected: {data[:80].decode('utf-8', 'replace')!r}")

    def decode_events(self, events: Sequence[tuple[bytes, int]]) -> list[int]:
        """Take events, each with its end; the ends of those that say something of the answer."""
        return [end for data, end in events if self.decode_event(data) is not None]

    def decode_end(self) -> Sequence[Response]:
        """The responses that the events made together; CutShort where the answer is not whole."""
        raise CutShort("the answer had no event")

    def decode_answer(self, body: bytes, headers: Mapping[str, str] = NO_HEADERS) -> Sequence[Response]:
        """The responses in an answer's body, whole or in events; a DataError where it is not one."""
        if body.startswith(b"{"):
            # Whatever is said of it: no line of events begins so.
            return self.decode_whole(body, headers)
        kind = headers.get("content-type", "")
        if not kind.startswith("text/event-stream") and not are_events(body):
            return self.decode_whole(body, headers)
        self.ends = self.decode_events(read_events(body))
        return self.decode_end()

    @abstractmethod
    def encode_answer(self, responses: Sequence[Response]) -> bytes:
        """The body that gives the responses, none of which failed."""

    def encode_chunk(self, place: int, chunk: Chunk) -> bytes:
        """The event with a piece of the answer to the request at this place; may be empty."""
        raise DataError("this protocol does not answer in pieces")

    def encode_end(self, responses: Sequence[Response]) -> bytes:
        """The events that end an answer whose pieces were sent."""
        raise DataError("this protocol does not answer in pieces")


class Wire(ABC):
    """One protocol. `headers` go with every call; `together` says that a call may carry several requests.

    `chat` says that prompts are best the turns of a chat; `streams` that answers can come in events,
    `stream` that they are asked for so. A server accepts what is posted to the `routes`, in which
    {model} stands for a name.
    """

    headers: Mapping[str, str] = {"Content-Type": "application/json"}
    together: bool = False
    chat: bool = False
    stream: bool = False
    streams: bool = False
    routes: Sequence[str] = ()
    embeds: bool = False
    """Whether its answers are vectors."""
    likelihoods: Sequence[str] = ()
    """The ways in which services of the protocol may tell how likely choices are, the best first."""
    likelihood: str | None = None
    """The one of these ways that requests with choices are asked in; without one they are refused."""

    def locate(self, url: str) -> str:
        """Where the protocol is spoken at a service's address."""
        return url

    def streamed(self) -> Wire | None:
        """The same protocol, asking for answers in events; None where it knows none."""
        if not self.streams or self.stream:
            return self if self.stream else None
        other = copy(self)
        other.stream = True
        return other

    def asking(self, likelihood: str | None) -> Wire:
        """The same protocol, asking how likely choices are in one of its ways."""
        other = copy(self)
        other.likelihood = likelihood
        return other

    def identity(self) -> Mapping[str, Any]:
        """The protocol, and whatever else of it shapes the answers."""
        own = {"wire": f"{type(self).__module__}.{type(self).__qualname__}"}
        return own if self.likelihood is None else {**own, "likelihood": self.likelihood}

    def read_failure(self, body: bytes) -> str:
        """What a service says that refuses a call."""
        return body.decode("utf-8", "replace")

    def split(self, request: Request) -> Sequence[Request]:
        """What a request is asked as, where one call cannot hold it: several, each in a call of its own."""
        return (request,)

    def join(self, request: Request, responses: Sequence[Response]) -> Response:
        """The answer to a request, of those to what it was split into; none of them failed."""
        (response,) = responses
        return response

    @abstractmethod
    def open(self, requests: Sequence[Request]) -> Exchange:
        """The client's side of a call."""

    @abstractmethod
    def accept(self, call: Call) -> Exchange:
        """The server's side of a call; a DataError where it is not one."""

    def encode_failure(self, status: int, message: str) -> bytes:
        """The body of an answer with an HTTP status that says what went wrong."""
        return message.encode()

    def encode_broken(self, message: str) -> bytes:
        """The event that says what went wrong after the first piece of an answer was sent."""
        return b""

    def describe(self, path: str, models: Sequence[str]) -> Any:
        """What a server answers to a GET of a path of the protocol, as JSON; None where it has none."""
        return None
