"""ModelFactory: vision-language models by name, from packages that need not know each other.

    ModelFactory.register_model("mine", "my_ml_models.module:MyModelClass")
    model = ModelFactory.get_model("mine", {"system_prompt": "You read invoices", "cache_dir": "weights"})

There from the start: hf-vl, vllm-vl, sglang-vl and openai-vl; their `model_name` says which model.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar

from model_interface.engine_models import READY
from steelyard.models.predictors import takes_option


class ModelFactory:
    """A register of model classes."""

    _models: ClassVar[dict[str, type[Any]]] = dict(READY)

    @classmethod
    def register_model(cls, model_name: str, model_path: str | type[Any]) -> None:
        """Take in a class, or the one that "package.module:Class" names; a name taken before is replaced."""
        cls._models[model_name] = _find(model_path) if isinstance(model_path, str) else model_path

    @classmethod
    def get_model(cls, model_name: str, model_init_params: Mapping[str, Any] | None = None) -> Any:
        """A new model; its `model_name` is the registered one where the parameters give no other."""
        if model_name not in cls._models:
            known = ", ".join(sorted(cls._models))
            raise ValueError(f"Model '{model_name}' is not registered. Registered: {known}.")
        made = cls._models[model_name]
        params = dict(model_init_params or {})
        if "model_name" not in params and takes_option(made, "model_name"):
            params["model_name"] = model_name
        return made(**params)


def _find(path: str) -> type[Any]:
    module, colon, name = path.partition(":")
    if not colon or not module or not name or ":" in name:
        raise ValueError(f"'{path}' is not of the form 'package.module:Class'.")
    found = importlib.import_module(module)
    if not hasattr(found, name):
        raise AttributeError(f"Module '{module}' has no class '{name}'.")
    made: type[Any] = getattr(found, name)
    return made
