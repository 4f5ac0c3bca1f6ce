"""HuggingFaceModel: a folder or a name on the hub, asked with dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from typing import Any

from bench.evaluation.interface import Hung, ModelInterface
from bench.evaluation.wording import Item, classified, embedded, read_text, summarized, translate, written
from steelyard.errors import MissingExtra
from steelyard.models.huggingface import load_huggingface

TASKS = {
    "text-classification": "classify",
    "sentiment-analysis": "classify",
    "summarization": "seq2seq",
    "text2text-generation": "seq2seq",
    "text-generation": "causal",
    "fill-mask": "mask",
    "feature-extraction": "embed",
}
_NETWORK = ("vocab_size", "max_position_embeddings", "num_hidden_layers", "hidden_size")


class HuggingFaceModel(ModelInterface):
    """A Hugging Face model, loaded when it is first asked.

    Options, named as transformers names them: device (-1 is the CPU), device_map, torch_dtype or
    dtype, low_cpu_mem_usage, revision, trust_remote_code, num_labels, label_map, model_kwargs,
    tokenizer_kwargs, pipeline_kwargs, and generation_kwargs for every answer.
    """

    def __init__(
        self,
        model_name: str,
        *,
        hf_task: str = "text-classification",
        model_id: str | None = None,
        generation_kwargs: Mapping[str, Any] | None = None,
        pipeline_kwargs: Mapping[str, Any] | None = None,
        label_map: Mapping[Any, str] | None = None,
        num_labels: int | None = None,
        **options: Any,
    ) -> None:
        self._path = model_name
        self._model_id = model_id or model_name
        self._task = hf_task
        self._generation = {**(generation_kwargs or {})}
        self._label_map = {**(label_map or {})}
        self._num_labels = num_labels
        # There is no pipeline any more: what it was given at its making is an option like the others.
        self._options = {**(pipeline_kwargs or {}), **options}

    def __repr__(self) -> str:
        return f"HuggingFaceModel({self._path!r}, hf_task={self._task!r})"

    @property
    def model_id(self) -> str:
        """The name it was given, else that of its weights."""
        return self._model_id

    @property
    def metadata(self) -> Item:
        """What is asked for, and once it is loaded what was found."""
        options = self._options
        about = {
            "type": "huggingface",
            "path": self._path,
            "hf_task": self._task,
            "generation_kwargs": dict(self._generation),
            "device": options.get("device", -1),
            "device_map": options.get("device_map"),
            "dtype": options.get("dtype", options.get("torch_dtype")),
            "revision": options.get("revision"),
            "trust_remote_code": options.get("trust_remote_code", False),
        }
        return {**about, **_describe(self.hung.model)} if "hung" in self.__dict__ else about

    @cached_property
    def hung(self) -> Hung:
        """The model on the beam, loaded."""
        try:
            if self._task not in TASKS:
                raise ValueError(f"hf_task {self._task!r} is none of {', '.join(TASKS)}")
            model: Any = load_huggingface(self._path, task=TASKS[self._task], **_loading(**self._options))
            found = model.network.config.num_labels
            if self._num_labels not in {None, found}:
                # A head of another size would be a new one, whose answers are random.
                raise ValueError(f"it was trained for {found} labels, not {self._num_labels}")
        except MissingExtra as error:
            raise ImportError(str(error)) from error
        except Exception as error:
            raise ValueError(f"Failed to load HuggingFace model '{self._path}': {error}") from error
        kind = TASKS[self._task]
        answers: dict[str, Any] = {
            "classify": partial(classified, label_map=self._label_map),
            "seq2seq": summarized,
            "embed": embedded,
        }
        return Hung(
            self,
            model,
            lambda: self.metadata,
            prompt=partial(read_text, summarizing=kind == "seq2seq"),
            params=partial(self._params, generates=kind in {"seq2seq", "causal"}),
            answer=answers.get(kind, written),
            identity=lambda: {**model.identity(), "generation": self._generation, "labels": self._label_map},
        )

    def predict(self, inputs: list[Item], batch_size: int = 8, **kwargs: Any) -> list[Item]:
        """One answer an input, in their order."""
        return self.hung.run(inputs, batch_size=batch_size, given=kwargs)

    def __call__(self, inputs: list[Item], **kwargs: Any) -> list[Item]:
        """The same as `predict`."""
        return self.predict(inputs, **kwargs)

    def _params(self, given: Mapping[str, Any], *, generates: bool) -> Mapping[str, Any]:
        return {**translate(self._generation), **translate(given)} if generates else {}


def _loading(
    *,
    device: Any = -1,
    device_map: Any = None,
    torch_dtype: Any = None,
    dtype: Any = None,
    low_cpu_mem_usage: bool | None = None,
    model_kwargs: Mapping[str, Any] | None = None,
    tokenizer_kwargs: Mapping[str, Any] | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    cache_dir: str | None = None,
) -> dict[str, Any]:
    """The options of loading, as the engine calls them."""
    # Where weights are placed by a map, a device beside it would be an error inside transformers.
    placed = {"device_map": device_map} if device_map is not None else {"device": _device(device)}
    more = {} if low_cpu_mem_usage is None else {"low_cpu_mem_usage": low_cpu_mem_usage}
    wanted = dtype if dtype is not None else torch_dtype
    return {
        **placed,
        "dtype": "auto" if wanted is None else str(wanted).removeprefix("torch."),
        "revision": revision,
        "trust_remote_code": trust_remote_code,
        "cache_dir": cache_dir,
        "model_kwargs": {**more, **(model_kwargs or {})},
        "tokenizer_kwargs": tokenizer_kwargs,
    }


def _device(device: Any) -> str | None:
    if isinstance(device, int):
        return "cpu" if device < 0 else f"cuda:{device}"
    return None if device is None else str(device)


def _describe(model: Any) -> Item:
    """What the loaded network says of itself."""
    config = model.network.config
    text = config.get_text_config()
    weights = list(model.network.parameters())
    found = {name: getattr(text, name, None) for name in _NETWORK}
    return {
        **found,
        "model_type_name": config.model_type,
        "id2label": getattr(config, "id2label", None),
        "label2id": getattr(config, "label2id", None),
        "device": str(model.network.device),
        "dtype": str(model.network.dtype).removeprefix("torch."),
        "num_parameters": sum(weight.numel() for weight in weights),
        "memory_bytes": sum(weight.numel() * weight.element_size() for weight in weights),
    }
