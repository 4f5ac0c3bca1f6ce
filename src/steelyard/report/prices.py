"""What tokens cost: a table of prices for a million tokens that the user gives.

    currency: USD
    models:
      gpt-4o-mini: {input: 0.15, cached: 0.075, output: 0.60}
      "Qwen/*":    {input: 0.20, output: 0.60, reasoning: 0.60}

`cached` are tokens of the prompt that the service had computed before, `reasoning` those of the answer
that were thought and not said; where they have no price of their own they cost as the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from steelyard.errors import DataError, UsageError

_KINDS = ("input", "output", "cached", "reasoning")
_EXAMPLE = "currency: USD, and models: {NAME: {input: 0.15, output: 0.60}}"
_MILLION = 1_000_000


@dataclass(frozen=True)
class Price:
    """What a million tokens of each kind cost."""

    currency: str
    input: float
    output: float
    cached: float
    reasoning: float

    def cost(self, tokens: Mapping[str, int]) -> float:
        """The price of tokens: `input` and `output`, of which some may be `cached` and `reasoning`."""
        cached, reasoning = tokens.get("cached", 0), tokens.get("reasoning", 0)
        spent = (tokens["input"] - cached) * self.input + cached * self.cached
        spent += (tokens["output"] - reasoning) * self.output + reasoning * self.reasoning
        return spent / _MILLION


@dataclass(frozen=True)
class Prices:
    """The prices of models by their names, or by patterns of names."""

    path: Path
    models: Mapping[str, Price]

    def find(self, model: str) -> Price | None:
        """The price of a model: under its name, else under the first pattern that fits it."""
        if model in self.models:
            return self.models[model]
        return next((price for name, price in self.models.items() if fnmatchcase(model, name)), None)


def read_prices(path: str | Path) -> Prices:
    """The prices in a YAML or JSON file."""
    # YAML is loaded only where there are prices to be read.
    import yaml

    path = Path(path).expanduser()
    try:
        told = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"the prices {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise DataError(f"the prices {path} are neither YAML nor JSON: {said}", hint=_EXAMPLE) from error
    models = told.get("models") if isinstance(told, dict) else None
    if not isinstance(models, dict) or not models:
        raise DataError(f"the prices {path} name no models", hint=_EXAMPLE)
    currency = str(told.get("currency") or "USD")
    return Prices(
        path, {str(name): _read_price(path, name, price, currency) for name, price in models.items()}
    )


def stored_price(about: Mapping[str, Any]) -> Price | None:
    """The price that a run was stored with."""
    told = about.get("price")
    try:
        return Price(**told) if isinstance(told, dict) else None
    except TypeError:
        return None


def describe_price(price: Price) -> dict[str, Any]:
    """A price as a run is stored with it."""
    return asdict(price)


def _read_price(path: Path, name: Any, told: Any, currency: str) -> Price:
    where = f"the price of {name} in {path}"
    if not isinstance(told, dict) or "input" not in told or "output" not in told:
        raise DataError(f"{where} says not what input and output cost", hint="{input: 0.15, output: 0.60}")
    if unknown := [kind for kind in told if kind not in _KINDS]:
        raise DataError(f"{where} has a kind of tokens called {unknown[0]!r}", hint=", ".join(_KINDS))
    for kind, value in told.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
            raise DataError(f"{where}: {kind} is {value!r}", hint="a number for a million tokens")
    asked, answered = float(told["input"]), float(told["output"])
    cached, reasoning = told.get("cached"), told.get("reasoning")
    return Price(
        currency=currency,
        input=asked,
        output=answered,
        cached=asked if cached is None else float(cached),
        reasoning=answered if reasoning is None else float(reasoning),
    )
