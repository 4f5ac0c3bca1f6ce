"""Hugging Face models, from a folder or the hub: which kind it is, its weights, an adapter on top.

load_huggingface("Qwen/Qwen2.5-0.5B-Instruct", cache_dir="weights")
load_huggingface("./my-bert", task="classify", label_map={"LABEL_1": "spam"})
load_huggingface("./my-reward-model", join="Q: {prompt} A: {answer}")    # else chat or pair, as it can
load_huggingface("./my-classifier", task="reward", score="helpful")       # or {"helpful": 0.7, "short": 0.3}
load_huggingface("./my-lora")                        # its base first, then the adapter
load_huggingface("./Qwen2-VL-2B-Instruct", max_pixels=1_000_000)
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steelyard.errors import UsageError, need
from steelyard.models.base import LocalModel
from steelyard.models.credentials import is_secret

if TYPE_CHECKING:
    from steelyard.models.checkpoints import Source
    from steelyard.models.pretrained import Loaded


def load_huggingface(
    path: str | Path,
    *,
    task: str | None = None,
    dtype: str = "auto",
    device: str | None = None,
    device_map: Any = None,
    adapter: str | None = None,
    tokenizer: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    cache_dir: str | None = None,
    quantization: Mapping[str, Any] | None = None,
    model_kwargs: Mapping[str, Any] | None = None,
    tokenizer_kwargs: Mapping[str, Any] | None = None,
    chat: bool | None = None,
    batch_size: int | None = None,
    batch_tokens: int | None = None,
    max_tokens: int = 256,
    params: Mapping[str, Any] | None = None,
    label_map: Mapping[Any, str] | None = None,
    join: str | None = None,
    score: Any = None,
    truncate: bool | str | None = None,
    attn: str | None = None,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
    max_images: int | None = None,
    processor_kwargs: Mapping[str, Any] | None = None,
) -> LocalModel:
    """Load a model for causal, seq2seq, classify, reward, mask, embed or vision, as it was made for."""
    need("torch", extra="hf")
    need("transformers", extra="hf")
    from steelyard.models import checkpoints, pretrained

    given = checkpoints.find_source(
        str(path), revision=revision, cache_dir=cache_dir, trust_remote_code=trust_remote_code
    )
    base, on_top = _base_and_adapter(given, adapter)
    config, task, to_come = _find_kind(base, on_top, task)
    words = _find_words(base, on_top, tokenizer)
    limits = {"min_pixels": min_pixels, "max_pixels": max_pixels, "max_images": max_images}
    kwargs = {"tokenizer_kwargs": tokenizer_kwargs, "processor_kwargs": processor_kwargs}
    reader, seeing = _read_words(words, base, config, task=task, limits=limits, **kwargs)
    options: dict[str, Any] = {"attn_implementation": attn, "device_map": device_map}
    options["dtype"] = checkpoints.read_dtype(dtype)
    options["quantization_config"] = checkpoints.read_quantization(quantization)
    where = {"place": checkpoints.pick_device(device) if device_map is None else None, "to_come": to_come}
    options.update(model_kwargs or {})
    network = checkpoints.read_network(base, config, task=task, options=options, **where)
    if on_top is not None:
        network = checkpoints.add_adapter(network, on_top)
    told = {"model_kwargs": model_kwargs, "tokenizer_kwargs": tokenizer_kwargs, **(kwargs if seeing else {})}
    told.update({} if tokenizer is None else {"tokenizer": {"weights": words.fingerprint()}})
    identity = _identify(network, base, on_top, task=task, quantization=quantization, kwargs=told)
    loaded = pretrained.Loaded(given.name, network.eval(), reader, identity=identity)
    options = {"chat": chat, "batch_size": batch_size, "batch_tokens": batch_tokens, **seeing}
    answers = {"max_tokens": max_tokens, **(params or {})}
    rewards = {"join": join, "score": score, "truncate": truncate}
    return _wrap(task, loaded, params=answers, label_map=label_map, rewards=rewards, options=options)


def _find_kind(base: Source, on_top: Source | None, wanted: str | None) -> tuple[Any, str, str | None]:
    """What kind of network it is, the task, and the part of it that an adapter brings along."""
    from steelyard.models import checkpoints

    config = checkpoints.read_config(base)
    head = None if on_top is None else checkpoints.read_head(on_top)
    if head is None:
        return config, checkpoints.find_task(base, config, wanted=wanted), None
    config.num_labels = head[1]
    task = wanted or ("reward" if checkpoints.gives_numbers(config) else "classify")
    return config, checkpoints.find_task(base, config, wanted=task), head[0]


def _find_words(base: Source, on_top: Source | None, tokenizer: str | None) -> Source:
    """Where the tokenizer is: in a place of its own, beside the adapter, or beside the weights."""
    from steelyard.models.checkpoints import beside, has_tokenizer

    if tokenizer is not None:
        return beside(base, tokenizer)
    return on_top if on_top is not None and has_tokenizer(on_top) else base


def _read_words(
    words: Source,
    base: Source,
    config: Any,
    *,
    task: str,
    limits: Mapping[str, int | None],
    tokenizer_kwargs: Mapping[str, Any] | None,
    processor_kwargs: Mapping[str, Any] | None,
) -> tuple[Any, dict[str, Any]]:
    """The tokenizer; and of a vision-language model the processor that it is a part of, with its limits."""
    from steelyard.models.checkpoints import read_tokenizer

    if task != "vision":
        for name, value in [*limits.items(), ("processor_kwargs", processor_kwargs)]:
            if value is not None:
                raise UsageError(f"{name}= is for vision-language models, this is {task}")
        return read_tokenizer(words, tokenizer_kwargs or {}), {}
    from steelyard.models.processors import read_processor

    options = {**(tokenizer_kwargs or {}), **(processor_kwargs or {})}
    processor = read_processor(base, config, options=options)
    # One of its own: a tokenizer is set up anew by each use of it, and two threads are at work.
    return copy.deepcopy(processor.tokenizer), {"processor": processor, **limits}


def _wrap(
    task: str,
    loaded: Loaded,
    *,
    params: Mapping[str, Any],
    label_map: Mapping[Any, str] | None,
    rewards: Mapping[str, Any],
    options: Mapping[str, Any],
) -> LocalModel:
    """The network as the kind of model that its task makes it."""
    from steelyard.models.causal import CausalModel
    from steelyard.models.encoders import Classifier, Embedder, MaskedModel
    from steelyard.models.seq2seq import Seq2SeqModel

    if label_map and task != "classify":
        raise UsageError(f"label_map= is for classify, this is {task}")
    if task != "reward" and (odd := [name for name, value in rewards.items() if value is not None]):
        raise UsageError(f"{odd[0]}= is for reward, this is {task}", hint="task=reward")
    if task == "reward":
        from steelyard.models.text_rewards import RewardClassifier

        return RewardClassifier(loaded, **rewards, **options)
    if task == "classify":
        return Classifier(loaded, label_map=label_map, **options)
    if task == "mask":
        return MaskedModel(loaded, **options)
    if task == "embed":
        return Embedder(loaded, **options)
    if task == "vision":
        from steelyard.models.vision import VisionModel

        return VisionModel(loaded, params=params, **options)
    return (CausalModel if task == "causal" else Seq2SeqModel)(loaded, params=params, **options)


def _identify(
    network: Any,
    base: Source,
    on_top: Source | None,
    *,
    task: str,
    quantization: Mapping[str, Any] | None,
    kwargs: Mapping[str, Mapping[str, Any] | None],
) -> dict[str, Any]:
    """What tells the network from any other, whatever it was asked to be."""
    from steelyard.models.checkpoints import read_versions

    return {
        "weights": base.fingerprint(),
        "adapter": on_top.fingerprint() if on_top else None,
        "task": task,
        "dtype": str(network.dtype).removeprefix("torch."),
        "device": network.device.type,
        "attn": network.config._attn_implementation,
        "versions": read_versions(adapter=on_top is not None),
        "quantization": dict(quantization) if quantization else None,
        **{name: _shown(value) for name, value in kwargs.items()},
    }


def _shown(options: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (options or {}).items() if not is_secret(name)}


def _base_and_adapter(given: Source, adapter: str | None) -> tuple[Source, Source | None]:
    """The checkpoint with the whole weights, and the adapter on top: a path may be either."""
    from steelyard.models.checkpoints import beside, find_base

    if adapter is not None:
        return given, beside(given, adapter)
    base = find_base(given)
    return (given, None) if base is None else (base, given)
