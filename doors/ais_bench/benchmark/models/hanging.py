"""hang(config) -> Model: an entry of `models = [dict(…)]` as a model of the engine.

    hang(dict(attr="service", type=MyCustomAPI, abbr="mine", host_port=8000, max_out_len=512, batch_size=8))

Keys that are not the class's are kept from its constructor; what else the constructor does not take is
set as an attribute afterwards; `max_out_len` always is.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from ais_bench.benchmark.models.api_models.base_api import BaseAPIModel
from ais_bench.benchmark.models.api_models.hung import ServiceModel
from ais_bench.benchmark.models.api_models.transport import TRANSPORT
from ais_bench.benchmark.models.api_models.wired import WiredAPIModel
from ais_bench.benchmark.models.calls import pick
from ais_bench.benchmark.models.found import is_ours
from ais_bench.benchmark.models.local_models.base import BaseModel
from ais_bench.benchmark.models.local_models.engine import EngineBackedModel
from ais_bench.benchmark.models.local_models.hung import BatchedModel
from ais_bench.benchmark.models.rendering import Rendered
from steelyard.errors import UnknownName, UsageError
from steelyard.models.base import Model
from steelyard.models.http import HttpModel
from steelyard.plugins import resolve

TAKEN = frozenset(
    {
        *("attr", "abbr", "type", "batch_size", "request_rate", "traffic_cfg", "run_cfg", "use_timestamp"),
        *("pred_postprocessor", "summarizer_abbr", "returns_tool_calls", "response_anomaly", "min_out_len"),
    }
)
"""Keys of a configuration that no constructor is given."""

_ATTRS = ("service", "local")
# What a model is called, how it is reached and how fast, shapes no answer.
_MANNERS = frozenset({"host_ip", "host_port", "url", "retry", "verbose", "timeout"}) | TRANSPORT
_COUNTS = {"batch_size": 1, "max_out_len": 1, "retry": 0}


def hang(config: Mapping[str, Any]) -> Model:
    """The model of a configuration, made and ready to be asked."""
    made = make_model(config)
    name = str(config.get("abbr") or type(made).__name__)
    if isinstance(made, EngineBackedModel):
        return made.hang()
    shaping = {key: value for key, value in config.items() if key not in TAKEN | _MANNERS}
    if isinstance(made, BaseModel):
        return BatchedModel(made, name=name, options=shaping)
    if isinstance(made, WiredAPIModel) and made.is_ready():
        return _hang_ready(made, name)
    return ServiceModel(made, name=name, options=shaping)


def make_model(config: Mapping[str, Any]) -> BaseAPIModel | BaseModel:
    """The object of the class that a configuration names, made with all that it says."""
    cls = find_class(config.get("type"))
    name = str(config.get("abbr") or cls.__name__)
    if config.get("attr", "service") not in _ATTRS:
        raise UsageError(f"{name}: attr is {config['attr']!r}", hint=" or ".join(_ATTRS))
    check_values(config)
    options = {key: value for key, value in config.items() if key not in TAKEN}
    taken = pick(cls.__init__, options)
    made: BaseAPIModel | BaseModel = cls(**taken)
    others = {key: value for key, value in options.items() if key not in taken}
    for key in ("batch_size", "request_rate", "max_out_len"):
        if config.get(key) is not None:
            others[key] = config[key]
    for key, value in others.items():
        if callable(getattr(cls, key, None)):
            raise UsageError(f"{name}: {key!r} is a method of {cls.__name__}, no option")
        setattr(made, key, value)
    return made


def check_values(config: Mapping[str, Any]) -> None:
    """Refuse numbers of a configuration that cannot be."""
    name = str(config.get("abbr") or find_class(config.get("type")).__name__)
    for key, least in _COUNTS.items():
        value = config.get(key)
        if value is not None and not (type(value) in (int, float) and value >= least and value % 1 == 0):
            raise UsageError(f"{name}: {key} is {value!r}", hint=f"a whole number, at least {least}")
    rate = config.get("request_rate")
    if rate is not None and not (type(rate) in (int, float) and 0 <= rate < math.inf):
        raise UsageError(f"{name}: request_rate is {rate!r}", hint="a number, at least 0")
    # Any word would be true.
    if not isinstance(config.get("stream", False), (bool, int)):
        raise UsageError(f"{name}: stream is {config['stream']!r}", hint="true or false")


def check_fields(config: Mapping[str, Any], fields: Iterable[str]) -> None:
    """Refuse fields that neither a configuration has nor its class knows, so that no slip goes unseen."""
    cls = find_class(config.get("type"))
    known = known_fields(cls)
    for field in fields:
        if known is not None and field not in known | config.keys():
            raise UnknownName(f"field of {cls.__name__}", field, known | config.keys())


def known_fields(cls: type) -> set[str] | None:
    """The fields that a class of a model names; None where one of one's own takes any."""
    names = set(TAKEN | _MANNERS)
    for base in cls.__mro__[:-1]:
        names |= {name for name, value in vars(base).items() if name[0] != "_" and not callable(value)}
        if "__init__" in vars(base):
            parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
            if not is_ours(base) and any(p.kind is p.VAR_KEYWORD for p in parameters):
                return None
            names |= {p.name for p in parameters}
    return names


def find_class(named: Any) -> Any:
    """The class of a model: itself, or found by "package.module.Class" or the name of one of ours."""
    found = named
    if isinstance(named, str):
        module, _, attribute = named.replace(":", ".").rpartition(".")
        if module:
            found = resolve("models", f"{module}:{attribute}")
        else:
            found = getattr(import_module(__package__), named, None)
    if isinstance(found, type) and issubclass(found, (BaseAPIModel, BaseModel)):
        return found
    hint = "type=… is a class that derives from BaseAPIModel (a service) or BaseModel (a local model)"
    raise UsageError(f"{named!r} is no class of a model", hint=hint)


def _hang_ready(made: WiredAPIModel, name: str) -> Model:
    """A ready-made backend whose every step is the engine's own."""
    wire = made.wire(max_out_len=made.max_out_len)
    model = HttpModel(made.address(), wire=wire, name=name, **made.transport())
    if made.chat and made.meta_template is None:
        return model
    return Rendered(model, made.render, template=made.meta_template)
