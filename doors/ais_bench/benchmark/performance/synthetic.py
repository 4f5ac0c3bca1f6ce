"""The configuration of made prompts, as users of such tools write it, in the engine's words.

{"Type": "string", "RequestCount": 10, "StringConfig": {
    "Input": {"Method": "uniform", "Params": {"MinValue": 1, "MaxValue": 200}},
    "Output": {"Method": "gaussian", "Params": {"Mean": 100, "Var": 200, "MinValue": 1, "MaxValue": 100}}}}
{"Type": "tokenid", "RequestCount": 10, "TokenIdConfig": {"RequestSize": 10, "PrefixLen": 0}}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from steelyard.errors import UnknownName, UsageError

_TOP = ("Type", "RequestCount", "TrustRemoteCode", "StringConfig", "TokenIdConfig", "Seed")
_METHODS: Mapping[str, tuple[str, ...]] = {
    "uniform": ("MinValue", "MaxValue"),
    "gaussian": ("Mean", "Var", "MinValue", "MaxValue"),
    "zipf": ("Alpha", "MinValue", "MaxValue"),
}


def read_synthetic(config: Mapping[str, Any], name: str) -> tuple[dict[str, Any], bool]:
    """The options of the workload, and whether its lengths have to be those of tokens."""
    _check(config, _TOP, f"key in the config of {name}")
    kind = config.get("Type", "string")
    options: dict[str, Any] = {"name": name}
    if (count := config.get("RequestCount")) is not None:
        options["limit"] = _number(count, f"RequestCount of {name}", least=1)
    if "Seed" in config:
        options["seed"] = config["Seed"]
    if kind == "string":
        lengths = _part(config, "StringConfig", name)
        _check(lengths, ("Input", "Output"), f"key in StringConfig of {name}")
        for side in ("Input", "Output"):
            if side in lengths:
                options[side.lower()] = _read_lengths(_part(lengths, side, name), f"{side} of {name}")
        return options, False
    if kind != "tokenid":
        raise UnknownName(f"Type in the config of {name}", str(kind), ("string", "tokenid"))
    sizes = _part(config, "TokenIdConfig", name)
    _check(sizes, ("RequestSize", "PrefixLen"), f"key in TokenIdConfig of {name}")
    size = _number(sizes.get("RequestSize", 10), f"RequestSize of {name}", least=1)
    shared = sizes.get("PrefixLen") or 0
    # A share of the request, or so many tokens of it.
    shared = round(size * shared) if isinstance(shared, float) and shared <= 1 else shared
    prefix = _number(shared, f"PrefixLen of {name}", least=0)
    if prefix >= size:
        raise UsageError(
            f"PrefixLen of {name} is {prefix}, all of its {size} tokens", hint="less than RequestSize"
        )
    # How long answers are is the model's configuration to say.
    return {**options, "input": size - prefix, "prefix": prefix, "output": None}, True


def _read_lengths(told: Mapping[str, Any], what: str) -> str:
    method, params = str(told.get("Method", "uniform")), _part(told, "Params", what)
    if method not in _METHODS:
        raise UnknownName(f"Method of {what}", method, _METHODS)
    _check(params, _METHODS[method], f"key in Params of {what}")
    numbers = [_number(params.get(key), f"{key} of {what}", least=0) for key in _METHODS[method]]
    if method == "gaussian":
        mean, variance, low, high = numbers
        return f"normal:{mean:g}:{math.sqrt(variance):.9g}:{low:g}:{high:g}"
    return ":".join([method, *(f"{number:g}" for number in numbers)])


def _check(given: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
    for key in given:
        if key not in known:
            raise UnknownName(what, str(key), known)


def _part(given: Mapping[str, Any], key: str, name: str) -> Mapping[str, Any]:
    part = given.get(key) or {}
    if not isinstance(part, Mapping):
        raise UsageError(f"{key} of {name} is {part!r}", hint="a mapping")
    return part


def _number(value: Any, what: str, *, least: int) -> Any:
    if type(value) not in (int, float) or not value >= least or value == math.inf:
        raise UsageError(f"{what} is {value!r}", hint=f"a number, at least {least}")
    return int(value) if value == int(value) else value
