"""What real servers said, or what their documents say that they say: `recorded("triton")["generate"]`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from steelyard.types import Request, Response
from steelyard.wire.base import Call, Exchange, Wire
from steelyard.wire.events import read_events

GOLDEN = Path(__file__).parent / "golden"


class Case(NamedTuple):
    """One question and its answer."""

    path: str
    request: Any
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def events(self) -> list[Any]:
        return [json.loads(data) for data, _ in read_events(self.body)]


def recorded(server: str) -> dict[str, Case]:
    """The questions and answers of one server, by their names."""
    cases = json.loads((GOLDEN / f"{server}.json").read_text())["cases"]
    return {name: read_case(case) for name, case in cases.items() if "path" in case}


def read_case(case: dict[str, Any]) -> Case:
    asked = case["request"]
    asked = json.loads(asked) if isinstance(asked, str) else asked
    return Case(case["path"], asked, case["status"], case["headers"], case["body"].encode())


def decoded(wire: Wire, case: Case, *, prompt: Any = "?", **params: Any) -> Response:
    """What a client makes of an answer."""
    (response,) = opened(wire, prompt, **params).decode_answer(case.body, case.headers)
    return response


def opened(wire: Wire, *prompts: Any, **params: Any) -> Exchange:
    return wire.open([Request(id=str(n), prompt=prompt, params=params) for n, prompt in enumerate(prompts)])


def accepted(wire: Wire, case: Case) -> Exchange:
    """What a server makes of a question."""
    return wire.accept(Call(case.path, {}, json.dumps(case.request).encode()))


def shape(value: Any) -> Any:
    """The keys and types of a value, lists by their first item."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def shapes(values: Sequence[Any]) -> list[Any]:
    return [shape(value) for value in values]
