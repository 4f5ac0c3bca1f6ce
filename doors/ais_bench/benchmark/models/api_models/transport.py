"""How a service is asked: the options of the engine's client that a configuration says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from steelyard.engine import run
from steelyard.errors import ModelError
from steelyard.models.client import Client

if TYPE_CHECKING:
    from ais_bench.benchmark.models.api_models.base_api import BaseAPIModel

TRANSPORT = frozenset(
    {
        *("verify", "cert", "proxy", "backoff", "patience", "retry_budget", "retry_statuses"),
        *("connect_timeout", "first_byte_timeout", "tokens_per_minute", "connections"),
    }
)
"""Options of the engine's client that a configuration may name as well."""

LEAST_RATE = 0.1
"""A lower rate means none."""


def transport_of(model: BaseAPIModel) -> dict[str, Any]:
    """What a service says of how it is asked."""
    return {
        "headers": {name: str(value) for name, value in model.headers.items()},
        "timeout": None,
        "first_byte_timeout": model.timeout,
        "idle_timeout": model.timeout,
        "retries": max(int(model.retry), 1) - 1,
        "rate_limit": model.request_rate if model.request_rate >= LEAST_RATE else None,
        "concurrency": max(int(model.batch_size), 1),
        **{name: getattr(model, name) for name in TRANSPORT if hasattr(model, name)},
    }


def find_served(client: Client) -> str:
    """The name of the first model that a service lists."""
    try:
        answer = run(client.fetch(client.credentials.target))
        return str(msgspec.json.decode(answer.body)["data"][0]["id"])
    except (ModelError, msgspec.DecodeError, UnicodeDecodeError, LookupError, TypeError) as odd:
        said = odd if isinstance(odd, ModelError) else "its answer is no list of models"
        raise ModelError(
            f"no model is named, and {client.where} lists none: {said}", hint="model=NAME"
        ) from odd
    finally:
        # Its connection is of a loop that is over.
        client.close()
