"""ModelRunner: load models of four kinds under a name, run them on lists of dictionaries.

    runner = ModelRunner()
    runner.load_model("triage", model_type="local", module_path="bench.examples.mypkg.mylocal")
    runner.run_model("triage", [{"text": "Chest pain since morning"}], batch_size=8)

One answer an input, in their order, always: what fails is {"input": …, "error": …}.
"""

from __future__ import annotations

import gc
import importlib
import logging
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Generic, TypeVar

from bench.evaluation.api import APIModel
from bench.evaluation.huggingface import HuggingFaceModel
from bench.evaluation.interface import Hung, ModelInterface, hang
from bench.evaluation.local import known_by
from bench.evaluation.wording import Item
from steelyard.models.credentials import is_secret
from steelyard.models.functions import FunctionModel

_log = logging.getLogger("bench")

ModelT = TypeVar("ModelT")
InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")


class ModelRunner(Generic[ModelT, InputT, OutputT]):
    """Models by name: load, run, describe, unload."""

    def __init__(self) -> None:
        self._hung: dict[str, Hung] = {}
        self._loaders: dict[str, Callable[..., Hung]] = {
            "huggingface": _hang_huggingface,
            "local": _hang_local,
            "api": _hang_api,
            "interface": _hang_interface,
        }

    def load_model(
        self, model_name: str, model_type: str = "local", model_path: str | None = None, **kwargs: Any
    ) -> Any:
        """Load a model under a name; a name that is loaded already keeps its model."""
        if model_name in self._hung:
            _log.warning("Model %s is already loaded; unload_model() it first to load another.", model_name)
            return self._hung[model_name].thing
        load = self._loaders.get(model_type)
        if load is None:
            raise ValueError(f"Unsupported model type: {model_type}")
        hung = load(model_name, model_path, **kwargs)
        self._hung[model_name] = hung
        if model_type == "interface":
            self._hung.setdefault(hung.thing.model_id, hung)
        return hung.thing

    def register_interface_model(self, model: ModelInterface) -> Any:
        """Take a model under its own `model_id`."""
        return self.load_model(model.model_id, model_type="interface", model=model)

    def run_model(self, model_id: str, inputs: list[Item], batch_size: int = 8, **kwargs: Any) -> list[Item]:
        """One answer an input, in their order."""
        hung = self._check(model_id, inputs, batch_size)
        return hung.run(inputs, batch_size=batch_size, given=kwargs) if inputs else []

    async def run_model_async(
        self, model_id: str, inputs: list[Item], batch_size: int = 8, **kwargs: Any
    ) -> list[Item]:
        """The same, awaited."""
        hung = self._check(model_id, inputs, batch_size)
        return await hung.run_async(inputs, batch_size=batch_size, given=kwargs) if inputs else []

    def model_metadata(self, model_name: str) -> Item:
        """What is known of a loaded model."""
        return self.hung(model_name).about()

    def unload_model(self, model_name: str) -> None:
        """Let go of a model, under all its names, and of the device memory that it held."""
        hung = self._hung.get(model_name)
        if hung is None:
            return
        self._hung = {name: other for name, other in self._hung.items() if other is not hung}
        hung.model.close()
        # An interface model can be loaded again: it is its user's.
        getattr(hung.thing, "__dict__", {}).pop("hung", None)
        del hung
        torch = sys.modules.get("torch")
        if torch is not None:
            # Networks hold themselves in cycles.
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def is_loaded(self, model_id: str) -> bool:
        """Whether a model goes by this name."""
        return model_id in self._hung

    def hung(self, model_id: str) -> Hung:
        """A loaded model as the engine asks it."""
        if model_id not in self._hung:
            raise ValueError(f"Model {model_id} not loaded. Call load_model() first.")
        return self._hung[model_id]

    def _check(self, model_id: str, inputs: Any, batch_size: int) -> Hung:
        hung = self.hung(model_id)
        if not isinstance(inputs, list) or not all(isinstance(item, dict) for item in inputs):
            raise ValueError("Inputs must be a list of dictionaries.")
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"batch_size must be a whole number of at least 1, not {batch_size!r}.")
        return hung


def _hang_huggingface(
    name: str, path: str | None, *, hf_task: str | None = None, task: str | None = None, **options: Any
) -> Hung:
    model = HuggingFaceModel(
        path or name, hf_task=hf_task or task or "text-classification", model_id=name, **options
    )
    return model.hung


def _hang_local(
    name: str,
    path: str | None,
    *,
    module_path: str | None = None,
    load_func: str = "load_model",
    **options: Any,
) -> Hung:
    if not module_path:
        raise ValueError(f"Model {name} of type 'local' needs 'module_path'.")
    load = getattr(_import(module_path), load_func, None)
    if not callable(load):
        raise ValueError(f"Module {module_path} has no callable '{load_func}' function")
    model = load(path, **options)
    shown = {key: value for key, value in options.items() if not is_secret(key)}
    about = {"type": "local", "path": path, "module_path": module_path, "load_func": load_func}
    if not callable(model) and not callable(getattr(model, "predict", None)):
        raise ValueError(
            f"{module_path}.{load_func}() returned a {type(model).__name__}, which cannot be called."
        )
    function = model if not callable(model) or hasattr(model, "__name__") else model.__call__
    asked = FunctionModel(function, batched=True, all_params=True)
    return Hung(
        model, asked, lambda: about, identity=lambda: known_by(asked, path, about=about, options=shown)
    )


def _hang_api(name: str, path: str | None, *, endpoint: str | None = None, **options: Any) -> Hung:
    if not endpoint:
        raise ValueError(f"Model {name} of type 'api' needs 'endpoint'.")
    defaults = {"timeout": 30.0, "max_retries": 0, "backoff_factor": 0.5, "retry_statuses": None}
    return APIModel(endpoint, model_id=name, **{**defaults, **options}).hung


def _hang_interface(name: str, path: str | None, *, model: Any = None, **_: Any) -> Hung:
    if model is None:
        raise ValueError(f"Model {name} of type 'interface' needs 'model'.")
    if not callable(getattr(model, "predict", None)) or not hasattr(model, "model_id"):
        raise ValueError(f"A {type(model).__name__} is no ModelInterface: it needs predict() and model_id.")
    return hang(model)


def _import(module_path: str) -> ModuleType:
    try:
        return importlib.import_module(module_path)
    except ImportError as error:
        raise ImportError(f"Cannot import module '{module_path}': {error}") from error
