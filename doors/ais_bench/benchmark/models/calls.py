"""Calling what people wrote, and telling what it is: plain or async, with the arguments that it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from steelyard.masking import mask_url
from steelyard.models.credentials import is_secret
from steelyard.plugins import source_digest

_PLAIN = (int, float, bool, type(None))


async def settle(value: Any) -> Any:
    """What a call gives, awaited where it is to be."""
    return await value if inspect.isawaitable(value) else value


def pick(call: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Of the arguments given those that a function takes by name."""
    if not given:
        return {}
    names = _named(getattr(call, "__func__", call))
    return dict(given) if names is None else {name: given[name] for name in given if name in names}


@lru_cache(maxsize=256)
def _named(function: Callable[..., Any]) -> frozenset[str] | None:
    """The names of a function's parameters; None where it takes any."""
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return frozenset(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))


def identify(made: object, options: Mapping[str, Any]) -> dict[str, Any]:
    """What tells an object from another that answers otherwise: its class, the source of it, its options."""
    cls = type(made)
    return {
        "class": f"{cls.__module__}.{cls.__qualname__}",
        "source": source_digest(cls),
        "options": plain(options),
    }


def plain(value: Any) -> Any:
    """A value as it can be stored, without what is secret, and alike in every process where it is."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, str):
        return mask_url(value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items() if not is_secret(str(key))}
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}"
