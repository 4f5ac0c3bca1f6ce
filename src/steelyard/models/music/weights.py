"""Weights of several files under the names of one network; what comes later wins.

weights = Weights()
weights.add(files_of_an_encoder, rename)
weights.add([checkpoint], str)
fill(network, weights, rename)               every tensor that is needed, or an error that names it
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from steelyard.errors import ModelError, describe

# What a network counts for itself, and tables that it makes for itself where no file has them.
_UNNEEDED = ("num_batches_tracked", "position_ids", "inv_freq")
# One tensor under two names, of which a file may have kept one.
_TIED = {
    "text_module.model.shared.weight": "text_module.model.encoder.embed_tokens.weight",
    "text_module.model.encoder.embed_tokens.weight": "text_module.model.shared.weight",
}
_PEFT = "base_model.model."
_LAYER = re.compile(r"(.*?(?:layers?|block|joint_transformer))\.(\d+)\.")
# What PEFT takes where nothing is said.
_ALPHA = 8

Stored = tuple[Path, str]


class Weights:
    """Which file holds which tensor; none is read before a network is filled."""

    def __init__(self, *, lora: Mapping[str, Any] | None = None) -> None:
        self.remarks: list[str] = []
        self._found: dict[str, Stored] = {}
        # Of adapted tensors the two halves of what is added to them.
        self._adapted: dict[str, dict[str, Stored]] = defaultdict(dict)
        self._lora = lora

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    @property
    def files(self) -> list[Path]:
        """All files that were added and hold something."""
        halves = [place for parts in self._adapted.values() for place in parts.values()]
        return list(dict.fromkeys(file for file, _ in [*self._found.values(), *halves]))

    def add(self, files: Iterable[Path], rename: Callable[[str], str | None]) -> None:
        """Files, with what the network calls their tensors (None: nothing of the network's)."""
        for file in files:
            for key in _list_tensors(file):
                name = rename(key)
                if name is not None and self._lora is not None:
                    name = self._unwrap(name, (file, key))
                if name is not None:
                    self._found[name] = (file, key)

    def read(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Tensors in float32, with adapters merged into what they adapt."""
        tensors = _read({name: self._found[name] for name in names})
        for name, parts in self._adapted.items():
            if name in tensors:
                tensors[name] = tensors[name] + self._change(name, parts)
        return tensors

    def files_of(self, names: Iterable[str]) -> list[Path]:
        """The files that these tensors are taken from."""
        places = [self._found[name] for name in names]
        places += [place for name in names for place in self._adapted.get(name, {}).values()]
        return list(dict.fromkeys(file for file, _ in places))

    def _unwrap(self, name: str, place: Stored) -> str | None:
        """The plain name of a tensor of an adapted tower; an adapter's own are put aside."""
        if ".original_module." in name:
            return None
        name = name.replace(_PEFT, "", 1).replace(".base_layer.", ".")
        before, found, behind = name.partition(".modules_to_save.")
        if found:
            return f"{before}.{behind.partition('.')[2]}"
        for part in ("lora_A", "lora_B"):
            before, found, _ = name.partition(f".{part}.")
            if found:
                self._adapted[f"{before}.weight"][part] = place
                return None
        if ".lora_" in name:
            raise ModelError(f"{place[1]} of {place[0]} is no plain LoRA: it cannot be merged")
        return name

    def _change(self, name: str, parts: Mapping[str, Stored]) -> Tensor:
        if len(parts) < 2:
            raise ModelError(
                f"of the adapter of {name} one half is missing: there is only {next(iter(parts))}"
            )
        halves = _read(parts)
        told, rank = self._lora or {}, halves["lora_A"].shape[0]
        alpha = told.get("lora_alpha") or told.get("alpha")
        if alpha is None:
            alpha = _ALPHA
            remark = f"text_lora_config has no lora_alpha: {_ALPHA} is taken, as PEFT does"
            self.remarks += [remark] if remark not in self.remarks else []
        return (halves["lora_B"] @ halves["lora_A"]) * (
            float(alpha) / (math.sqrt(rank) if told.get("use_rslora") else rank)
        )


def lacks(network: nn.Module, weights: Weights, rename: Callable[[str], str]) -> list[str]:
    """The tensors that a network needs and no file has."""
    return sorted(
        told
        for told, source in _find_sources(network, weights, rename).values()
        if source not in weights and not told.endswith(_UNNEEDED)
    )


def _find_sources(
    network: nn.Module, weights: Weights, rename: Callable[[str], str]
) -> dict[str, tuple[str, str]]:
    """Of each tensor how checkpoints call it, and the one that it is taken from."""
    found = {}
    for name in network.state_dict():
        told = rename(name)
        twin = _TIED.get(told, told)
        found[name] = (told, told if told in weights or twin not in weights else twin)
    return found


def fill(network: nn.Module, weights: Weights, rename: Callable[[str], str]) -> list[Path]:
    """Give a network its tensors, none missing or of another shape; returns the files that they are from."""
    missing = lacks(network, weights, rename)
    if missing:
        shown = ", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")
        read = ", ".join(map(str, weights.files)) or "no weights at all"
        raise ModelError(
            f"{shown} can be found nowhere: scores would be random (read: {read})",
            hint="are the encoders' folders whole (model.safetensors)? is config.yaml the checkpoint's own?",
        )
    sources = _find_sources(network, weights, rename)
    found = {name: source for name, (_, source) in sources.items() if source in weights}
    tensors = weights.read(dict.fromkeys(found.values()))
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    for name, told in found.items():
        if tuple(tensors[told].shape) != wanted[name]:
            file = weights.files_of([told])[0]
            raise ModelError(
                f"{told} of {file} is {tuple(tensors[told].shape)}, by its configuration {wanted[name]}",
                hint="does the configuration belong to these weights?",
            )
    network.load_state_dict({name: tensors[told] for name, told in found.items()}, strict=False, assign=True)
    weights.remarks += _find_surplus(weights, {told for told, _ in sources.values()})
    return weights.files_of(found.values())


def _find_surplus(weights: Weights, wanted: set[str]) -> list[str]:
    """Remarks on transformers of which files hold more layers than the configuration has."""
    depths: dict[str, int] = defaultdict(int)
    for name in wanted:
        if match := _LAYER.match(name):
            depths[match[1]] = max(depths[match[1]], int(match[2]) + 1)
    more = {
        match[1]
        for name in weights
        if (match := _LAYER.match(name)) and 0 < depths.get(match[1], 0) <= int(match[2])
    }
    return [
        f"the weights have more than the {depths[name]} of {name} that are configured"
        for name in sorted(more)
    ]


def _list_tensors(file: Path) -> list[str]:
    try:
        with safe_open(file, framework="pt") as opened:
            return list(opened.keys())
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{file} is broken: {describe(error)}") from error


def _read(places: Mapping[str, Stored]) -> dict[str, Tensor]:
    by_file: dict[Path, list[tuple[str, str]]] = defaultdict(list)
    for name, (file, key) in places.items():
        by_file[file].append((name, key))
    tensors: dict[str, Tensor] = {}
    for file, wanted in by_file.items():
        with safe_open(file, framework="pt") as opened:
            for name, key in wanted:
                tensors[name] = opened.get_tensor(key).float()
    return tensors
