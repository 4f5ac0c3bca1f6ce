"""The music reward network: opened from a checkpoint of the official layout, in float32.

network = load_network("cmi-rm/model.safetensors")
heard = network.hear(torch.zeros(1, 720000))             frames of chunks of equal length
text, lyrics = network.read(["a cheerful pop song", ""])
network.score(list(heard), [Prompted(text, lyrics)])     alignment and musicality of each piece
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from torch import Tensor, nn

from steelyard.errors import ModelError
from steelyard.models.music.configuration import Design, Mulan, find_config, read_design, read_mulan, read_muq
from steelyard.models.music.ear import Ear
from steelyard.models.music.judging import Judge, Prompted, Sane
from steelyard.models.music.layers import Transformer
from steelyard.models.music.mel import RATE, SHORTEST
from steelyard.models.music.places import Place, find_folder
from steelyard.models.music.reading import Reader, count_positions, load_tokenizer, make_model
from steelyard.models.music.weights import Weights, fill, lacks

__all__ = ["SHORTEST", "Prompted", "RewardNetwork", "load_network"]

# How the modules here are called in checkpoints.
_NAMES = (
    ("judge.", ""),
    ("audio_module.front.", "audio_module.model.model.conv."),
    ("audio_module.conformer.", "audio_module.model.model.conformer."),
)
# Where LoRA adapts the text encoder, the layers behind it are as many, whatever its folder says.
_LAYERS_BEHIND_LORA = 12


class RewardNetwork(nn.Module):  # type: ignore[misc]
    """Hears, reads and scores; whatever stands beside it in a batch, a piece has the score it has alone."""

    rate = RATE

    def __init__(self, ear: Ear, reader: Reader | None, judge: Judge | Sane) -> None:
        super().__init__()
        self.audio_module, self.text_module, self.judge = ear, reader, judge
        self.files: tuple[Path, ...] = ()
        self.remarks: tuple[str, ...] = ()

    @property
    def device(self) -> Any:
        """Where it computes."""
        return self.audio_module.proj.weight.device

    def hear(self, chunks: Tensor) -> Tensor:
        """The frames (chunks, T, dim) of chunks of equal length (chunks, S)."""
        with torch.inference_mode(), exact_convolutions(self.device):
            return self.audio_module(chunks.to(self.device))

    def read(self, texts: Sequence[str]) -> list[Tensor]:
        """The rows (tokens, dim) of each text; none where the network reads nothing."""
        with torch.inference_mode():
            if self.text_module is None:
                return [
                    torch.zeros(0, self.audio_module.proj.out_features, device=self.device) for _ in texts
                ]
            found: list[Tensor] = self.text_module(texts)
            return found

    def score(self, heard: Sequence[Tensor], prompts: Sequence[Prompted]) -> Tensor:
        """Alignment and musicality of each piece (pieces, 2)."""
        with torch.inference_mode():
            if not heard:
                return torch.zeros(0, 2, device=self.device)
            return self.judge(heard, prompts)


@contextmanager
def exact_convolutions(device: Any) -> Iterator[None]:
    """Have a graphics card round no more than float32 does, unless it computes in less anyway."""
    if device.type != "cuda" or torch.is_autocast_enabled("cuda"):
        yield
        return
    rounding = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = rounding


def load_network(
    checkpoint: str | Path, *, config: str | Path | None = None, heads_only: bool = False
) -> RewardNetwork:
    """The network of a checkpoint: `model.safetensors`, or the folder it lies in.

    With `heads_only` the encoders are those of the folders, whatever the checkpoint has of them.
    """
    file = find_checkpoint(checkpoint)
    told = find_config(file, config=None if config is None else Path(config).expanduser())
    design = read_design(told)
    near = [told.absolute().parent, told.absolute().parent.parent]
    mulan_place = find_folder(design.mulan, near=near, role="the encoders")
    mulan = read_mulan(mulan_place.folder)
    if mulan.dim != design.dim:
        raise ModelError(
            f"dim of {told} is {design.dim}, that of {mulan_place.folder}'s encoders {mulan.dim}"
        )
    near += [mulan_place.folder.absolute(), mulan_place.folder.absolute().parent]
    muq_place = find_folder(mulan.audio, near=near, role="the audio encoder")
    text_place = None if design.sane else _find_text(design, mulan, near)
    places = (mulan_place, muq_place, text_place)
    weights = _gather(file, *places, design=design, heads_only=heads_only, fetch=False)
    with init_empty_weights(include_buffers=False):
        ear = Ear(read_muq(muq_place.folder), mulan)
        reader = None if text_place is None else _make_reader(text_place, design, mulan, weights)
        network = RewardNetwork(ear, reader, Sane(design) if design.sane else Judge(design))
    if lacks(network, weights, name_in_checkpoint):
        weights = _gather(file, *places, design=design, heads_only=heads_only, fetch=True)
    used = fill(network, weights, name_in_checkpoint)
    network.eval().requires_grad_(False)
    ear.front.fold()
    described = [one for place in places if place is not None for one in place.descriptions()]
    network.files = tuple(dict.fromkeys([told, *described, *used]))
    network.remarks = (*design.remarks, *weights.remarks)
    return network


def find_checkpoint(path: str | Path) -> Path:
    """The file of a checkpoint: safetensors, named by itself or by its folder."""
    path = Path(path).expanduser()
    file = path / "model.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise ModelError(f"there is no checkpoint {file}")
    if file.suffix != ".safetensors":
        raise ModelError(
            f"{file} is no safetensors file",
            hint="files that unpack objects may run code: convert it to model.safetensors",
        )
    return file


def name_in_checkpoint(name: str) -> str:
    """How checkpoints call a tensor of the network."""
    for own, official in _NAMES:
        if name.startswith(own):
            return official + name[len(own) :]
    return name


def _find_text(design: Design, mulan: Mulan, near: Sequence[Path]) -> Place:
    if design.t5 is not None:
        return find_folder(design.t5.path, near=near, role="the text encoder")
    if "qwen" in mulan.text.lower():
        raise ModelError(f"the text encoder {mulan.text} cannot be built", hint="XLM-RoBERTa and T5 can")
    return find_folder(mulan.text, near=near, role="the text encoder")


def _make_reader(place: Place, design: Design, mulan: Mulan, weights: Weights) -> Reader:
    model = make_model(place, "xlm-roberta" if design.t5 is None else "t5")
    tokenizer = load_tokenizer(place)
    if design.t5 is not None:
        projected = model.config.hidden_size != design.dim
        return Reader(
            model,
            tokenizer,
            dim=design.dim,
            limit=design.t5.max_length,
            projected=projected,
            transformer=None,
        )
    limit = min(mulan.max_length, count_positions(model) or mulan.max_length)
    depth = mulan.text_depth if design.lora is None else replace(mulan.text_depth, depth=_LAYERS_BEHIND_LORA)
    projected = mulan.text_dim not in {None, design.dim} or "text_module.proj.weight" in weights
    transformer = Transformer(design.dim, depth)
    return Reader(model, tokenizer, dim=design.dim, limit=limit, projected=projected, transformer=transformer)


def _gather(
    checkpoint: Path,
    mulan: Place,
    muq: Place,
    text: Place | None,
    *,
    design: Design,
    heads_only: bool,
    fetch: bool,
) -> Weights:
    """The weights of all files, those of the checkpoint before those of the folders."""
    weights = Weights(lora=design.lora)
    weights.add(muq.weights(fetch=fetch), _name_of_muq)
    if text is not None:
        weights.add(text.weights(fetch=fetch), _name_of_text)
    weights.add(mulan.weights(fetch=fetch), partial(_name_of_mulan, design=design))
    weights.add([checkpoint], _name_of_head if heads_only else str)
    return weights


def _name_of_head(key: str) -> str | None:
    return None if key.startswith(("audio_module.", "text_module.")) else key


def _name_of_muq(key: str) -> str | None:
    return f"audio_module.model.{key}" if key.startswith("model.") else None


def _name_of_text(key: str) -> str:
    return f"text_module.model.{key.removeprefix('roberta.')}"


def _name_of_mulan(key: str, *, design: Design) -> str | None:
    whole, part, rest = (*key.split(".", 2), "", "")[:3]
    if whole != "mulan" or part not in {"audio", "text"}:
        return None
    # Of another text encoder nothing is in this file, and the layers behind an adapted one were made anew.
    renewed = design.lora is not None and rest.startswith("transformer.")
    return None if part == "text" and (design.t5 is not None or renewed) else f"{part}_module.{rest}"
