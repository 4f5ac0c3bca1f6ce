"""Where a reference becomes a Model: `open_model(ref, **options)`.

embedded                       a built-in name, or one that a package registers
./folder, org/name             a Hugging Face model, here or on the hub
./weights.gguf                 a GGUF file
./model.safetensors            a music reward model, or the folder of one with its config.yaml
http://host:8000               a service, which is asked what it speaks
http://host:8000/predict       a service of plain lists, or of wire=…
http://host:8000/v1            a service that speaks the OpenAI protocol
unix:///run/llm.sock:/v1       the same, on a socket of this machine
./file.py:Shout, pkg.mod:ask   a Model class, any class, a function, an object
./file.py:Mine                 a class that judges music: sr and score_batch(inputs, batch_size, max_dur)
pkg.mod                        a module with load_model()
"""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from steelyard.builtin import BUILTINS
from steelyard.errors import ModelError, SteelyardError, UsageError, describe
from steelyard.meter import Meter
from steelyard.models.base import Model
from steelyard.models.functions import FunctionModel
from steelyard.models.music.opening import is_reward_checkpoint
from steelyard.models.predictors import Predictor, is_predictor, name_after
from steelyard.models.scorers import Scorer, is_scorer, open_scorer
from steelyard.plugins import call_with, is_reference, resolve

_HUB = re.compile(r"[\w.-]+/[\w.-]+")
_HOST = re.compile(r"[\w.-]+:\d+(/.*)?")
_ENGINES = ("huggingface", "embedded")


def open_model(ref: Any, **options: Any) -> Model:
    """The model that `ref` names, or that it is; `options` are those of its kind.

    What it cost to open is its `load_cost`.
    """
    if isinstance(ref, Model):
        return _as_model(ref, options)
    with Meter() as meter:
        model = _open(ref, options)
    model.load_cost = meter.cost
    return model


def _open(ref: Any, options: Mapping[str, Any]) -> Model:
    if isinstance(ref, Path) or (isinstance(ref, str) and _is_path(ref)):
        return _from_path(Path(ref).expanduser(), options)
    if not isinstance(ref, str):
        return _as_model(ref, options)
    if _HOST.fullmatch(ref):
        raise UsageError(f"{ref!r} is no model", hint=f"http://{ref}, where a service is meant")
    if ref in BUILTINS["models"] or is_reference(ref):
        return _as_model(resolve("models", ref), options)
    if ref.startswith(("http://", "https://", "unix://")):
        return _as_model(resolve("models", "http"), {"url": ref, **options})
    if _HUB.fullmatch(ref):
        return _as_model(resolve("models", "huggingface"), {"path": ref, **options})
    if _is_module(ref):
        return _from_module(ref, options)
    return _as_model(resolve("models", ref), options)


def _is_path(ref: str) -> bool:
    path = Path(ref).expanduser()
    named = ref.startswith((".", "/", "~")) or ref.endswith((".gguf", ".safetensors"))
    if named and not is_reference(ref):
        return True
    return path.is_dir() and ((path / "config.json").is_file() or is_reward_checkpoint(path))


def _from_path(path: Path, options: Mapping[str, Any]) -> Model:
    if path.suffix == ".gguf":
        return _as_model(resolve("models", "gguf"), {"path": path, **options})
    if is_reward_checkpoint(path):
        return _as_model(resolve("models", "music-reward"), {"checkpoint": path, **options})
    if not path.is_dir():
        raise ModelError(
            f"there is no model folder {path}", hint="it needs config.json, tokenizer and weights"
        )
    options = dict(options)
    engine = options.pop("engine", None)
    if engine is None:
        engine = "huggingface" if importlib.util.find_spec("transformers") else "embedded"
    if engine not in _ENGINES:
        raise UsageError(f"there is no engine {engine!r}", hint=" or ".join(_ENGINES))
    return _as_model(resolve("models", engine), {"path": path, **options})


def _is_module(ref: str) -> bool:
    if not all(part.isidentifier() for part in ref.split(".")):
        return False
    try:
        return importlib.util.find_spec(ref) is not None
    except (ImportError, ValueError):
        return False


def _from_module(name: str, options: Mapping[str, Any]) -> Model:
    module: ModuleType = importlib.import_module(name)
    load = getattr(module, "load_model", None)
    if not callable(load):
        raise UsageError(f"the module {name} has no load_model()", hint=f"or name what you mean: {name}:NAME")
    # As documented for such modules: the path of the weights first, then the options by name.
    given, first = dict(options), next(iter(inspect.signature(load).parameters.values()), None)
    by_place = first is not None and first.kind in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD)
    if (
        first is not None
        and by_place
        and first.name not in given
        and ("path" in given or first.default is first.empty)
    ):
        loaded = _call(load, given, given.pop("path", None))
    else:
        loaded = _call(load, given)
    model = loaded if isinstance(loaded, Model) else _hang(loaded, batched=True)
    model.options = dict(options)
    return model


def _hang(thing: Any, *, batched: bool | None = None) -> Model:
    """A function, or an object that predicts or judges, as a model."""
    if is_scorer(thing):
        return Scorer(thing)
    return Predictor(thing) if is_predictor(thing) else FunctionModel(thing, batched=batched)


def _as_model(found: Any, options: Mapping[str, Any]) -> Model:
    if isinstance(found, Model):
        if options:
            raise UsageError(f"{found.name} is a model already", hint="options go to its class or function")
        return found
    if inspect.isclass(found) and is_scorer(found) and not issubclass(found, Model):
        scorer: Model = _opened(found.__name__, open_scorer, found, options)
        return scorer
    if inspect.isclass(found) or _makes_models(found):
        made = _call(found, name_after(found, options) if is_predictor(found) else options)
        if is_predictor(made) and not isinstance(made, Model):
            made = Predictor(made)
        elif is_scorer(made) and not isinstance(made, Model):
            made = Scorer(made)
        if not isinstance(made, Model):
            return FunctionModel(made)
        made.options = {name: value for name, value in options.items() if name not in ("path", "url")}
        return made
    kind = Scorer if is_scorer(found) else Predictor if is_predictor(found) else FunctionModel
    return _made(kind, found, options)


def _makes_models(found: Any) -> bool:
    """Whether a function is declared to return a Model, so that it is to be called for one."""
    declared = getattr(found, "__annotations__", {}).get("return")
    name = declared if isinstance(declared, str) else getattr(declared, "__name__", "")
    return inspect.isfunction(found) and str(name).rpartition(".")[2].endswith("Model")


def _made(make: Callable[..., Model], thing: Any, options: Mapping[str, Any]) -> Model:
    model: Model = _call(make, options, thing)
    model.options = dict(options)
    return model


def _call(make: Callable[..., Any], options: Mapping[str, Any], *arguments: Any) -> Any:
    """Call with options from outside; a failure says whose it is."""
    name = getattr(make, "__name__", str(make))
    return _opened(name, call_with, name, make, options, *arguments)


def _opened(name: str, open_it: Callable[..., Any], *arguments: Any) -> Any:
    """What is opened; a failure says what could not be."""
    try:
        return open_it(*arguments)
    except SteelyardError:
        raise
    except Exception as error:
        raise ModelError(f"{name} could not be opened: {describe(error)}") from error
