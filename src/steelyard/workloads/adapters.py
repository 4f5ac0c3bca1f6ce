"""Which of several adapters a session asks: in turn, at random, or some more often than others.

    adapters="math,poems"  adapter_weights="zipf:1.2"     the k-th as likely as 1 / k ** 1.2
    adapters="math,,poems"                                the second asks the model itself

What names an adapter differs from service to service: the `model` of the OpenAI protocol (vLLM, SGLang),
`adapter_id` of TGI. One that is a mapping is put into the parameters as it is (llama.cpp: {"lora": […]}).
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from steelyard.errors import UsageError
from steelyard.workloads.base import Session
from steelyard.workloads.sources import draw

ROUND_ROBIN, UNIFORM = "round-robin", "uniform"


def read_adapters(
    *, adapters: Any = None, weights: Any = ROUND_ROBIN, key: str = "model", seed: int = 0
) -> tuple[Callable[[int, Session], Session], Mapping[str, Any]]:
    """What gives each session its adapter, and what makes it do so."""
    named = [name.strip() for name in adapters.split(",")] if isinstance(adapters, str) else adapters
    if not isinstance(named, (list, tuple)) or not any(named):
        raise UsageError(f"adapters={adapters!r}", hint="their names: adapters=math,poems")
    params = [_params(one, key) for one in named]
    shares = _shares(weights, len(named))

    def change(number: int, session: Session) -> Session:
        if shares is None:
            chosen = number % len(named)
        else:
            chance: random.Random = draw(seed, "adapter", number)
            chosen = min(bisect_left(shares, chance.random() * shares[-1]), len(named) - 1)
        turns = [replace(turn, params={**turn.params, **params[chosen]}) for turn in session.turns]
        return replace(session, turns=turns, meta={**session.meta, "adapter": str(named[chosen] or "")})

    told = weights if isinstance(weights, str) else list(weights)
    return change, {"adapters": list(named), "adapter_weights": told, "adapter_key": key}


def _params(adapter: Any, key: str) -> Mapping[str, Any]:
    if isinstance(adapter, Mapping):
        return adapter
    if adapter is not None and not isinstance(adapter, str):
        raise UsageError(f"an adapter is {adapter!r}", hint="a name, or parameters that choose it")
    return {key: adapter} if adapter else {}


def _shares(weights: Any, count: int) -> Sequence[float] | None:
    """The added up weights of so many adapters; None where they take turns."""
    if weights == ROUND_ROBIN:
        return None
    if weights == UNIFORM:
        return list(accumulate([1.0] * count))
    parts = weights.split(",") if isinstance(weights, str) else weights
    try:
        if isinstance(weights, str) and weights.startswith("zipf:"):
            power = float(weights.removeprefix("zipf:"))
            return list(accumulate(k**-power for k in range(1, count + 1)))
        found = [float(part) for part in parts]
    except (TypeError, ValueError):
        found = []
    if len(found) != count or min(found) < 0 or not sum(found) > 0:
        hint = f"{ROUND_ROBIN}, {UNIFORM}, zipf:1.2, or {count} weights: {','.join('1' * count)}"
        raise UsageError(f"adapter_weights={weights}", hint=hint)
    return list(accumulate(found))
