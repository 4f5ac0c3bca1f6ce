"""What real servers of the OpenAI protocol have said, as it stands in golden/openai_*.json.

All were asked with the same weights (tests/models/service_models.py); `openai_documented.json` is written
by hand, in the forms that the protocol's reference documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recorded import Case, recorded

from steelyard.types import Request, Response
from steelyard.wire.base import Exchange
from steelyard.wire.completions import Completions
from steelyard.wire.openai import OpenAI

SERVERS = ("vllm", "llamacpp", "mlx", "transformers")


def load(server: str) -> dict[str, Case]:
    """The calls and answers of a server by their names."""
    return recorded(f"openai_{server}")


def find(name: str) -> list[tuple[str, Case]]:
    """What each server said that was asked this."""
    return [(server, load(server)[name]) for server in SERVERS if name in load(server)]


def open_exchange(case: Case) -> Exchange:
    """The client's side of a recorded call."""
    chat = case.path.endswith("chat/completions")
    prompts = "?" if chat else case.request.get("prompt", "?")
    wire: Any = (OpenAI if chat else Completions)(stream=bool(case.request.get("stream")))
    requests = [Request("0", prompt) for prompt in ([prompts] if isinstance(prompts, str) else prompts)]
    return wire.open(requests)  # type: ignore[no-any-return]


def decode(case: Case) -> tuple[Sequence[Response], Exchange]:
    """What a client makes of a recorded answer."""
    exchange = open_exchange(case)
    return exchange.decode_answer(case.body, case.headers), exchange
