"""LocalModel: a function, or a model kept in a file."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.evaluation.interface import Hung, ModelInterface
from bench.evaluation.wording import Item
from steelyard.errors import need
from steelyard.models.folders import fingerprint
from steelyard.models.functions import FunctionModel

_TORCH = {".pt", ".pth", ".bin", ".ckpt"}
_PICKLE = {".pkl", ".pickle"}


class LocalModel(ModelInterface):
    """A model in this process, loaded when it is first asked.

    `predict_fn(inputs)`, or `predict_fn(model, inputs)` with what was loaded from `model_path` by
    `loader(model_path)`, or by what the file is: .joblib, or torch's .pt, .pth, .bin, .ckpt.
    Without `predict_fn` the loaded model's own `predict` is called, or the model itself. Loading a
    pickle runs whatever code it holds: `allow_pickle=True` says that the file is trusted.
    """

    def __init__(
        self,
        model_path: str | Path | None = None,
        *,
        predict_fn: Callable[..., Any] | None = None,
        loader: Callable[[Any], Any] | None = None,
        model_id: str | None = None,
        allow_pickle: bool = False,
    ) -> None:
        if model_path is None and predict_fn is None and loader is None:
            raise ValueError("LocalModel needs a 'model_path', a 'predict_fn' or a 'loader'.")
        self._path = model_path
        self._predict_fn = predict_fn
        self._loader = loader
        self._allow_pickle = allow_pickle
        named = getattr(predict_fn or loader, "__name__", "local")
        self._model_id = model_id or (named if model_path is None else Path(model_path).name)

    @property
    def model_id(self) -> str:
        """The name it was given, else that of its file or function."""
        return self._model_id

    @property
    def metadata(self) -> Item:
        """Where it comes from."""
        return {"type": "local", "path": None if self._path is None else str(self._path)}

    @cached_property
    def hung(self) -> Hung:
        """The model on the beam, loaded."""
        model = FunctionModel(self._function(), batched=True)
        return Hung(self, model, lambda: self.metadata, identity=lambda: known_by(model, self._path))

    def predict(self, inputs: list[Item]) -> list[Item]:
        """One answer an input, in their order."""
        return self.hung.run(inputs, batch_size=max(1, len(inputs)), given={})

    def _function(self) -> Callable[[list[Item]], Any]:
        predict = self._predict_fn
        if self._path is None and self._loader is None:
            return predict  # type: ignore[return-value]
        model = self._load()
        if predict is not None:
            return (lambda inputs: predict(model, inputs)) if _takes_two(predict) else predict
        found = getattr(model, "predict", model)
        if not callable(found):
            raise ValueError(
                f"{self._path} holds a {type(model).__name__}; say with 'predict_fn' how it answers."
            )
        return found  # type: ignore[no-any-return]

    def _load(self) -> Any:
        if self._loader is not None:
            return self._loader(self._path)
        path = Path(str(self._path))
        if not path.is_file():
            raise FileNotFoundError(f"There is no model file {path}.")
        if path.suffix == ".joblib":
            need("joblib", extra="joblib")
            import joblib

            return joblib.load(path)
        if path.suffix in _TORCH:
            need("torch", extra="hf")
            return _load_torch(path, allow_pickle=self._allow_pickle)
        if path.suffix in _PICKLE:
            if not self._allow_pickle:
                raise ValueError(
                    f"{path} is a pickle: loading it runs code. Pass allow_pickle=True if you trust it."
                )
            with path.open("rb") as file:
                return pickle.load(file)  # noqa: S301 - asked for by name
        raise ValueError(f"It is not known how to load {path}; pass 'loader'.")


def known_by(model: FunctionModel, path: Any, **more: Any) -> Item:
    """What a function and the weights beside it are known by."""
    weights = fingerprint(Path(path)) if path is not None and Path(path).exists() else path
    return {**model.identity(), "weights": weights, **more}


def _load_torch(path: Path, *, allow_pickle: bool) -> Any:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=not allow_pickle)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} holds more than weights: loading it runs code. Pass allow_pickle=True if you trust it."
        ) from error


def _takes_two(function: Callable[..., Any]) -> bool:
    """Whether a function wants the loaded model before the inputs."""
    places = [
        p
        for p in inspect.signature(function).parameters.values()
        if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}
    ]
    return len([p for p in places if p.default is p.empty]) >= 2
