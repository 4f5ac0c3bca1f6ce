"""What a service answered, handed to a class's own parsers, with the times that nobody can disturb.

An answer is collected first, each block of it with the moment when it came. Only then it is parsed: what
a class does in its parser takes no time from the answers that come meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ais_bench.benchmark.models.calls import settle
from ais_bench.benchmark.models.output import Output
from steelyard.errors import DataError, SteelyardError, describe
from steelyard.models.client import Delivery
from steelyard.wire.base import CutShort
from steelyard.wire.events import are_events, read_events
from steelyard.wire.reading import Answer

if TYPE_CHECKING:
    from ais_bench.benchmark.models.api_models.base_api import BaseAPIModel

_DONE = b"[DONE]"
_LINE = re.compile(rb"[^\r\n]+")


async def collect(model: BaseAPIModel, body: Any, output: Output) -> None:
    """Send a body, and write in `output` what came of it; each try begins with the output as it is now."""
    begun, tried = _copy(output), False

    async def read(answer: Answer) -> list[float]:
        nonlocal tried
        if tried:
            _restore(output, begun)
        tried = True
        return await model.read_answer(answer, output)

    sent = body if isinstance(body, bytes) else msgspec.json.encode(body)
    client = model.client()
    own = None if model.headers == model.sent_headers else {k: str(v) for k, v in model.headers.items()}
    delivery: Delivery[list[float]] = await client.deliver(sent, read=read, headers=own)
    if delivery.value is None:
        _restore(output, begun)
        output.error_info = delivery.failure
    output.success = not output.error_info
    pieces = delivery.value or []
    output.timing = delivery.timing(delivery.begun, pieces)
    output.time_points = [output.timing.sent, *(pieces or [delivery.done])]


async def read_answer(model: BaseAPIModel, answer: Answer, output: Output) -> list[float]:
    """Have a class parse an answer, whole or event by event; gives when what it says came, piece by piece."""
    body = answer.body
    if not are_events(body) and (data := _decode_whole(body, streamed=model.stream)) is not None:
        model.find_error(data[0])
        await _parse(model, model.parse_text_response, data[0], output)
        return []
    ends: list[int] = []
    empty = True
    for data, end in _read_events(body):
        model.find_error(data)
        empty, before = False, (output.content, output.reasoning_content)
        await _parse(model, model.parse_stream_response, data, output)
        # What only names a role, counts tokens or ends the answer is no piece of it.
        if before != (output.content, output.reasoning_content):
            ends.append(end)
    if empty:
        raise CutShort("the answer had no event")
    return answer.when(ends)


async def _parse(model: BaseAPIModel, parse: Any, data: Any, output: Output) -> None:
    try:
        await settle(parse(data, output))
    except SteelyardError:
        raise
    except Exception as error:
        told = msgspec.json.encode(data)[:120].decode("utf-8", "replace")
        raise DataError(
            f"{type(model).__name__}.{parse.__name__}: {describe(error)}; it was given {told}"
        ) from error


def _decode_whole(body: bytes, *, streamed: bool) -> tuple[Any] | None:
    """An answer in one piece; None where it is lines of JSON, as some services stream."""
    try:
        return (msgspec.json.decode(body),)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if streamed and len(_LINE.findall(body)) > 1:
            return None
        seen = body[:80].decode("utf-8", "replace")
        raise DataError(f"the answer is not JSON: {error}; it begins with {seen!r}") from error


def _read_events(body: bytes) -> Iterator[tuple[Any, int]]:
    """What each event says, and where in the body it ends."""
    found = (
        read_events(body + b"\n\n") if are_events(body) else ((m[0], m.end()) for m in _LINE.finditer(body))
    )
    for data, end in found:
        if data.strip() == _DONE:
            return
        try:
            yield msgspec.json.decode(data), end
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if end > len(body):
                # The last event has no end of its own: some services leave that out, others broke off.
                raise CutShort("the stream of the answer ended within an event") from error
            seen = data[:80].decode("utf-8", "replace")
            raise DataError(
                f"an event of the answer is not JSON: {error}; it begins with {seen!r}"
            ) from error


def _copy(output: Output) -> dict[str, Any]:
    return {name: _own(value) for name, value in vars(output).items()}


def _restore(output: Output, fields: Mapping[str, Any]) -> None:
    vars(output).clear()
    vars(output).update({name: _own(value) for name, value in fields.items()})


def _own(value: Any) -> Any:
    """The value itself, or a list or mapping of its own: parsers add to these."""
    return value.copy() if type(value) in (list, dict) else value
