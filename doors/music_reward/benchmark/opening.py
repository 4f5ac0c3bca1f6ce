"""The model of a benchmark: the built-in one, or a class of one's own with what it takes."""

from __future__ import annotations

import importlib.util
import inspect
import warnings
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steelyard.cli.screen import printable, tell
from steelyard.errors import ModelError, SteelyardError, UsageError, describe
from steelyard.models.base import Model
from steelyard.models.references import open_model
from steelyard.models.scorers import open_scorer
from steelyard.plugins import is_reference, resolve

_CUDA = "cuda:0"
# Flags that only built-in models know, as they are when nobody gives them.
_BUILT_IN = {"model": "cmi_rm", "reward_model_backend": "final", "workers": None}
_ADAPTER = ("RewardModelAdapterConfig", "RewardModelAdapter")


def open_benchmarked(options: Namespace) -> Model:
    """The model that the flags name; what is to be said of it is told."""
    init, score = options.model_init_kwargs_json, options.model_score_kwargs_json
    with warnings.catch_warnings():
        # What they say is told below.
        warnings.filterwarnings("ignore", message="there is no cuda")
        try:
            model = (_open_own if options.model_class_path else _open_built_in)(options, init, score)
        except SteelyardError:
            raise
        except (Exception, SystemExit) as error:
            said = f"{name_checkpoint(options)[0]} could not be made: {describe(error)}"
            raise ModelError(said, hint="--debug shows where") from error
    for remark in model.remarks:
        tell(printable(f"warning: {remark}"))
    return model


def name_checkpoint(options: Namespace) -> tuple[str, str]:
    """What results call the model and its checkpoint."""
    model = (options.model_class_path or options.model).rpartition(":")[2]
    if not options.checkpoint:
        return model, ""
    checkpoint = Path(options.checkpoint).absolute()
    # They are all called so; the folder tells them apart.
    usual = checkpoint.stem == "model" or checkpoint.is_dir()
    folder = checkpoint if checkpoint.is_dir() else checkpoint.parent
    return model, folder.name if usual else checkpoint.stem


def _open_built_in(options: Namespace, init: Mapping[str, Any], score: Mapping[str, Any]) -> Model:
    checkpoint = init.get("checkpoint", options.checkpoint)
    if checkpoint is None:
        raise UsageError("no checkpoint is named", hint="-c DIR/model.safetensors")
    named = {"config": None, "device": options.device or "auto", "mode": options.reward_model_backend}
    named.update({name: init[name] for name in named if name in init})
    asked = {"max_dur": options.max_dur, "batch_size": options.batch_size, "workers": options.workers}
    own = {name: value for name, value in init.items() if name not in ("checkpoint", *named)}
    heads = {"heads_only": True} if options.model == "cmi_rm_head" else {}
    # By their names, so that a file of one's own in the place of ours is found.
    configure, adapt = (resolve("models", f"core.model_interface:{name}") for name in _ADAPTER)
    config = configure(checkpoint, **named, init_kwargs={**asked, **heads, **own, **score})
    model: Model = adapt(config).model
    return model


def _open_own(options: Namespace, init: Mapping[str, Any], score: Mapping[str, Any]) -> Model:
    ref = options.model_class_path
    if not is_reference(ref):
        hint = "custom_models.sample_model:CMIRewardModelBaseline is one"
        raise UsageError(f"--model_class_path {ref} names no class", hint=hint)
    found = resolve("models", ref)
    device, remarks = _pick_device(init.get("device", options.device))
    checkpoint = {} if options.checkpoint is None else {"checkpoint": options.checkpoint}
    given = {**checkpoint, **init, "device": device}
    if inspect.isroutine(found):
        raise UsageError(f"--model_class_path {ref} is a function and no class")
    if not inspect.isclass(found) or issubclass(found, Model):
        model = open_model(found, **init)
    else:
        asked = {"max_dur": options.max_dur, "batch_size": options.batch_size, "score_kwargs": score}
        model = open_scorer(found, given, asked=asked)
    unused = [f"--{name}" for name, usual in _BUILT_IN.items() if getattr(options, name) != usual]
    if unused:
        remarks = (*remarks, f"for built-in models only, and not for {model.name}: {', '.join(unused)}")
    model.remarks = (*model.remarks, *remarks)
    return model


def _pick_device(wanted: str | None) -> tuple[str, tuple[str, ...]]:
    """The device that a class is given: the CPU where CUDA is meant and there is none."""
    if wanted is not None and not wanted.startswith("cuda"):
        return wanted, ()
    if importlib.util.find_spec("torch") is None:
        return wanted or "cpu", ()
    # It needs torch, which a class of one's own may do without.
    from steelyard.models.music.lanes import choose_device

    device, remarks = choose_device(wanted or "auto")
    return _CUDA if wanted is None and device.type == "cuda" else str(device), remarks
