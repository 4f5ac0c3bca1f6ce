"""Checkpoints in folders or on the hub: config, tokenizer, weights, adapters; what is wrong is named."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import constants, snapshot_download
from safetensors import SafetensorError, safe_open
from transformers.models.auto import modeling_auto as auto
from transformers.quantizers.auto import AutoQuantizationConfig

from steelyard.errors import ModelError, UnknownName, UsageError, describe, need
from steelyard.models.folders import fingerprint

# What loads the networks of a task, and the architectures that were made for it.
TASKS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "causal": ("AutoModelForCausalLM", auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES),
    "seq2seq": ("AutoModelForSeq2SeqLM", auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES),
    "classify": ("AutoModelForSequenceClassification", auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES),
    "reward": ("AutoModelForSequenceClassification", auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES),
    "mask": ("AutoModelForMaskedLM", auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES),
    "embed": ("AutoModel", auto.MODEL_MAPPING_NAMES),
    "vision": ("AutoModelForImageTextToText", auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES),
}
_ADAPTER = "adapter_config.json"
_SMALL_FILES = ("*.json", "*.jinja", "*.model", "*.py", "*.tiktoken", "*.txt", "adapter_model.*")
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?")
_TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
)
# Parts of a network that a task never asks; any other that the weights lack would be noise.
_UNUSED = {"embed": ("pooler.",)}


@dataclass(frozen=True, slots=True)
class Source:
    """A checkpoint's folder: one's own, or (with the commit) a copy of what the hub has."""

    path: str
    folder: Path
    commit: str | None = None
    cache_dir: str | None = None
    trust_remote_code: bool = False

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit("/", 1)[-1] if self.commit else self.folder.resolve().name

    @property
    def where(self) -> dict[str, Any]:
        """Where transformers is to look, as its arguments."""
        return {
            "pretrained_model_name_or_path": str(self.folder),
            "trust_remote_code": self.trust_remote_code,
        }

    def fingerprint(self) -> str:
        """What tells these weights from any others: of the hub the commit, else the folder's contents."""
        return self.commit or fingerprint(self.folder)

    def has(self, *names: str) -> bool:
        """Whether it has one of these files."""
        return any((self.folder / name).is_file() for name in names)


def find_source(
    path: str,
    *,
    revision: str | None = None,
    cache_dir: str | None = None,
    trust_remote_code: bool = False,
) -> Source:
    """A folder, or a name on the hub: copied to `cache_dir`, and found there again without a network."""
    folder, commit = Path(path).expanduser(), None
    if not folder.is_dir():
        if not _HUB_NAME.fullmatch(path):
            raise ModelError(f"there is no folder {path}")
        folder = _fetch(path, revision=revision, cache_dir=cache_dir)
        commit = folder.name
    return Source(path, folder, commit, cache_dir, trust_remote_code)


def _fetch(name: str, *, revision: str | None, cache_dir: str | None) -> Path:
    """The copy of a checkpoint on the hub: its small files, and its weights in one format."""

    def copy(*patterns: str) -> Path:
        return Path(
            snapshot_download(
                name,
                revision=revision,
                cache_dir=cache_dir,
                allow_patterns=list(patterns),
                ignore_patterns="*/*",
            )
        )

    try:
        folder = copy(*_SMALL_FILES, "*.safetensors")
        return folder if any(folder.glob("*.safetensors")) else copy("*.bin")
    except Exception as error:
        place = cache_dir or constants.HF_HUB_CACHE
        raise ModelError(
            f"{name} is neither on the hub nor in {place}: {describe(error)}",
            hint="is the name right, is there a network? cache_dir= names the folder of an earlier download",
        ) from error


def beside(source: Source, path: str) -> Source:
    """Another checkpoint, looked for in the same places."""
    return find_source(path, cache_dir=source.cache_dir, trust_remote_code=source.trust_remote_code)


def find_base(source: Source) -> Source | None:
    """The checkpoint that this one is only an adapter of, if it is one."""
    if source.has("config.json") or not source.has(_ADAPTER):
        return None
    with explained(source, _ADAPTER):
        base = json.loads((source.folder / _ADAPTER).read_text()).get("base_model_name_or_path")
    if not base:
        raise ModelError(f"{source.path} does not say which model the adapter stands on")
    return beside(source, str(base))


def read_config(source: Source) -> Any:
    """What kind of network it is."""
    if not source.has("config.json"):
        raise ModelError(f"{source.path} has no config.json", hint="a folder as save_pretrained writes it?")
    with explained(source, "config.json"):
        return transformers.AutoConfig.from_pretrained(**source.where)


def find_task(source: Source, config: Any, *, wanted: str | None) -> str:
    """The task that is wanted, else the one that the network was made for."""
    if wanted is not None:
        if wanted not in TASKS:
            raise UnknownName("task of Hugging Face models", wanted, TASKS)
        return wanted
    names = config.architectures or []
    # Networks with a tower of their own for pictures or sounds are of the class of a text model at times.
    senses = [part for part in ("vision_config", "audio_config") if getattr(config, part, None) is not None]
    foreign = getattr(config, "auto_map", None) or {}
    for task, (loader, known) in TASKS.items():
        classes = {
            name for entry in known.values() for name in ([entry] if isinstance(entry, str) else entry)
        }
        fits = senses[:1] == ["vision_config"] if task == "vision" else not senses
        if fits and (loader in foreign or classes.intersection(names)):
            return "reward" if task == "classify" and gives_numbers(config) else task
    raise ModelError(
        f"{source.path} is no model of text, nor of text and images: "
        f"its architecture is {', '.join(names) or 'not said'}",
        hint=f"task={'|'.join(TASKS)} if it is one after all",
    )


def gives_numbers(config: Any) -> bool:
    """Whether a classifier was trained to give numbers, as a reward model is, and not labels."""
    return len(config.id2label) == 1 or config.problem_type == "regression"


def read_head(adapter: Source) -> tuple[str, int] | None:
    """The head of a classifier that an adapter brings along: its name, and how many numbers it gives."""
    with explained(adapter, _ADAPTER):
        settings = json.loads((adapter.folder / _ADAPTER).read_text("utf-8"))
    file = adapter.folder / "adapter_model.safetensors"
    if settings.get("task_type") != "SEQ_CLS" or not file.is_file():
        return None
    with explained(adapter, "adapter"), safe_open(file, framework="pt") as weights:
        for name in dict.fromkeys([*(settings.get("modules_to_save") or ()), "score", "classifier"]):
            keys = [key for key in weights.keys() if f".{name}." in key and key.endswith(".weight")]  # noqa: SIM118
            if keys:
                return name, min(int(weights.get_slice(key).get_shape()[0]) for key in keys)
    return None


def has_tokenizer(source: Source) -> bool:
    """Whether there is a tokenizer beside the weights; an adapter may bring its own."""
    return source.has(*_TOKENIZERS)


def read_tokenizer(source: Source, options: Mapping[str, Any]) -> Any:
    """The tokenizer beside the weights."""
    if not has_tokenizer(source):
        raise ModelError(f"{source.path} has no tokenizer", hint="tokenizer.json belongs beside config.json")
    with explained(source, "tokenizer"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(**source.where, **options)
    if not knows_words(tokenizer):
        raise ModelError(
            f"the tokenizer of {source.path} knows no words", hint="tokenizer.json belongs beside config.json"
        )
    return tokenizer


def knows_words(tokenizer: Any) -> bool:
    """Whether a tokenizer has words: where their file is missing one is made that has only marks."""
    # Besides these some have a sign for a space.
    return len(tokenizer) > len(tokenizer.all_special_tokens) + 1


def read_network(
    source: Source,
    config: Any,
    *,
    task: str,
    place: Any,
    options: Mapping[str, Any],
    to_come: str | None = None,
) -> Any:
    """The network with its weights, none of them missing, where it is to be (None: where options say).

    The part `to_come` is of an adapter that follows.
    """
    loader = getattr(transformers, TASKS[task][0])
    wanted = dict(options)
    # Numbers that are no plain ones cannot be moved afterwards.
    quantised = wanted["quantization_config"] is not None or hasattr(config, "quantization_config")
    if quantised and place is not None:
        wanted["device_map"] = {"": place}
    with explained(source, "weights"):
        network, found = loader.from_pretrained(
            **source.where, config=config, output_loading_info=True, **wanted
        )
    unused = (*_UNUSED.get(task, ()), *([] if to_come is None else [f"{to_come}."]))
    missing = sorted(key for key in found["missing_keys"] if not key.startswith(unused))
    if missing:
        names = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        raise ModelError(
            f"the weights of {source.path} lack {names}: for {task} it would answer at random",
            hint="another task=, or a checkpoint that was trained for this one",
        )
    return network if quantised or place is None else network.to(place)


def add_adapter(network: Any, adapter: Source) -> Any:
    """A LoRA adapter on top of its base, merged into the weights where they are plain numbers."""
    need("peft", extra="hf")
    from peft import PeftModel

    with explained(adapter, "adapter"):
        adapted = PeftModel.from_pretrained(network, str(adapter.folder))
        if adapted.active_peft_config.is_prompt_learning:
            raise ModelError(f"{adapter.path} is not a LoRA adapter", hint="prompt tuning is not supported")
        if getattr(network, "is_quantized", False):
            # The adapter's layers are inside those of the base.
            return adapted.get_base_model()
        return adapted.merge_and_unload()


def pick_device(wanted: str | None) -> Any:
    """The device asked for, if there is one; else the best there is."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if wanted is None:
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise UsageError(
            f"there is no kind of device {wanted!r}", hint="device=cpu, cuda, cuda:1, mps"
        ) from error
    if device.type == "cuda" and (not cuda or (device.index or 0) >= torch.cuda.device_count()):
        raise ModelError(f"there is no device {wanted} here", hint="device=cpu")
    if device.type == "mps" and not mps:
        raise ModelError(f"there is no device {wanted} here", hint="device=cpu")
    return device


def read_dtype(name: str) -> Any:
    """A precision by its name; auto is the one the weights were saved in."""
    dtype = "auto" if name == "auto" else getattr(torch, name, None)
    if dtype != "auto" and not isinstance(dtype, torch.dtype):
        raise UsageError(f"there is no dtype {name!r}", hint="dtype=auto, float32, float16, bfloat16")
    return dtype


def read_quantization(options: Mapping[str, Any] | None) -> Any:
    """Options of quantisation as transformers' config for their method."""
    if not options:
        return None
    try:
        return AutoQuantizationConfig.from_dict(dict(options))
    except (ImportError, TypeError, ValueError) as error:
        raise ModelError(f"quantization={dict(options)} will not do: {error}") from error


def read_versions(*, adapter: bool) -> dict[str, str]:
    """The libraries whose version may change an answer."""
    libraries = ["torch", "transformers", "tokenizers", *(["peft"] if adapter else [])]
    return {library: metadata.version(library) for library in libraries}


def _mend(error: Exception) -> str:
    if "trust_remote_code" in str(error):
        return "trust_remote_code=true runs code that comes with the model"
    return ""


@contextmanager
def explained(source: Source, part: str) -> Iterator[None]:
    """Say which part of which checkpoint could not be read, and how to mend it."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(_what_failed(source, part, error), hint=_mend(error)) from error


def _what_failed(source: Source, part: str, error: Exception) -> str:
    broken = [file for file in sorted(source.folder.glob("*.safetensors")) if not _opens(file)]
    if broken and isinstance(error, (SafetensorError, OSError, RuntimeError, ValueError)):
        return f"{broken[0]} is broken: {describe(error)}"
    return f"{part} of {source.path} cannot be read: {describe(error)}"


def _opens(file: Path) -> bool:
    try:
        with safe_open(file, framework="pt"):
            return True
    except SafetensorError:
        return False
