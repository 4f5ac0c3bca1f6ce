"""The music reward network a second time, in numpy, from its description alone: slow, plain, precise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors.numpy import load_file

from . import reading, sounds
from .downsamplers import downsampled
from .hearing import heard
from .layers import Array, below, crossed_transformer, head, linear, own_transformer

__all__ = ["Reference"]


def found(name: str, *bases: Path) -> Path:
    """A folder by its name, which counts from here or from one of some folders."""
    for path in (Path(name), *(base / name for base in bases)):
        if path.is_dir():
            return path
    raise FileNotFoundError(name)


def weights_in(folder: Path) -> dict[str, Any]:
    file = folder / "model.safetensors"
    return load_file(file) if file.is_file() else {}


class Reference:
    """A checkpoint in the official layout that scores one item at a time."""

    def __init__(self, checkpoint: Path, *, config: Path | None = None) -> None:
        beside = checkpoint.parent / "config.yaml"
        path = config or (beside if beside.is_file() else checkpoint.parents[1] / "config.yaml")
        stated = yaml.safe_load(path.read_text())
        self.checkpoint = checkpoint
        self.config: dict[str, Any] = stated.get("model", stated)
        self.bases = [path.parent, path.parents[1]]
        self.mulan_folder = found(self.config.get("model_name", "OpenMuQ/MuQ-MuLan-large"), *self.bases)
        self.mulan = json.loads((self.mulan_folder / "config.json").read_text())
        near = [self.mulan_folder.parent, *self.bases]
        self.muq_folder = found(self.mulan["audio_model"]["name"], *near)
        self.muq = json.loads((self.muq_folder / "config.json").read_text())
        tower = self.config.get("text_encoder")
        self.t5: Mapping[str, Any] | None = tower if isinstance(tower, Mapping) else None
        text_name = self.t5["model_name"] if self.t5 else self.mulan["text_model"]["name"]
        self.text_folder = found(text_name, *near)
        self.text_config = json.loads((self.text_folder / "config.json").read_text())
        self.heads: int = self.config.get("heads", 8)
        self.weights = {
            name: value.astype(np.float64) for source in self.sources() for name, value in source.items()
        }

    def sources(self) -> list[dict[str, Any]]:
        """All tensors under the checkpoint's names; those of a later source win."""
        muq = {f"audio_module.model.{name}": value for name, value in weights_in(self.muq_folder).items()}
        text = {
            f"text_module.model.{name.removeprefix('roberta.')}": value
            for name, value in weights_in(self.text_folder).items()
        }
        mulan = {
            f"{name.split('.')[1]}_module.{name.split('.', 2)[2]}": value
            for name, value in weights_in(self.mulan_folder).items()
            if name.startswith(("mulan.audio.", "mulan.text."))
        }
        return [muq, text, mulan, load_file(self.checkpoint)]

    @cached_property
    def audio_weights(self) -> dict[str, Array]:
        return below(self.weights, "audio_module")

    def hear(self, x: Array) -> list[Array]:
        """The frames of every chunk of a waveform."""
        heads = self.mulan.get("audio_transformer", {}).get("heads", 8)
        chunks = sounds.chunks_of(x)
        if not chunks:
            raise ValueError(f"{len(x)} samples are too few")
        return [heard(chunk, self.audio_weights, muq=self.muq, heads=heads) for chunk in chunks]

    @cached_property
    def text_weights(self) -> dict[str, Array]:
        weights = below(self.weights, "text_module")
        lora = self.config.get("text_lora_config") or {}
        if not lora.get("use_lora"):
            return weights
        inner = reading.with_adapters(below(weights, "model"), alpha=lora["lora_alpha"])
        outer = {name: value for name, value in weights.items() if not name.startswith("model.")}
        return outer | {f"model.{name}": value for name, value in inner.items()}

    def read(self, text: str) -> Array:
        """The rows of a text, as many as it has tokens."""
        settings = self.mulan.get("text_transformer", {})
        most = self.t5["max_seq_len"] if self.t5 else min(settings.get("max_seq_len", 256), 512)
        tokens = reading.tokens_of(text, self.text_folder, most=most)
        tower = reading.t5 if self.t5 else reading.roberta
        x = tower(tokens, below(self.text_weights, "model"), self.text_config)
        if "proj.weight" in self.text_weights:
            x = linear(x, below(self.text_weights, "proj"))
        if self.t5:
            return x
        return own_transformer(x, below(self.text_weights, "transformer"), heads=settings.get("heads", 8))

    def downsampling(self, part: str) -> dict[str, Any]:
        """The configuration of the eval, ref or text downsampler."""
        section = self.config.get("downsample") or {}
        configs = section.get("configs") or {}
        if not configs:
            return {"kind": "none"}
        name = section.get(part) or ("none" if part != "ref" else section.get("eval") or "none")
        if name not in configs:
            raise ValueError(f"no downsampler is called {name}")
        return dict(configs[name])

    def reduced(self, x: Array, part: str, module: str) -> Array:
        return downsampled(x, below(self.weights, f"{module}_downsampler"), self.downsampling(part))

    def reduced_chunks(self, chunks: list[Array], part: str) -> Array:
        """The frames of all chunks, downsampled as one sequence."""
        return self.reduced(np.concatenate(chunks), part, part)

    @property
    def uniform(self) -> bool:
        """The integer mask of a T5 tower wipes out all logits, unless a downsampler makes another mask."""
        return self.t5 is not None and self.downsampling("text")["kind"] == "none"

    def text_rows(self, text: str, module: str) -> Array:
        return self.reduced(self.read(text), "text", module)

    def prompt(self, text: str, lyrics: str, ref: list[Array] | None) -> Array:
        """Everything that asked for the piece, as rows that have looked at each other."""
        rows = [self.text_rows(text, "text")]
        if self.config.get("mode") != "text_only":
            rows.append(self.text_rows(lyrics, "lyrics"))
        if ref is not None:
            rows.append(self.reduced_chunks(ref, "ref"))
        weights = below(self.weights, "prompt_transformer")
        return own_transformer(np.concatenate(rows), weights, heads=self.heads, uniform=self.uniform)

    def judge(self, chunks: list[Array], text: str, lyrics: str, ref: list[Array] | None) -> Array:
        """Alignment and musicality of a piece that has been heard."""
        if self.config.get("name") == "sanity":
            z = own_transformer(np.concatenate(chunks), below(self.weights, "eval_transformer"), heads=8)
            return np.array([0.0, head(z, below(self.weights, "scorelayer"))[0]])
        prompt = self.prompt(text, lyrics, ref)
        eval_rows = self.reduced_chunks(chunks, "eval")
        joint = below(self.weights, "joint_transformer")
        if self.config.get("attention_mode", "SA") == "CA":
            z = crossed_transformer(eval_rows, prompt, joint, heads=self.heads)
        else:
            both = np.concatenate([prompt, eval_rows])
            z = own_transformer(both, joint, heads=self.heads, uniform=self.uniform)[len(prompt) :]
        return head(z, below(self.weights, "score_projector"))[:2]

    def score(
        self,
        audio: Path,
        text: str = "",
        lyrics: str = "",
        ref_audio: Path | None = None,
        *,
        max_dur: float | None = 120,
    ) -> Array:
        """Alignment and musicality of a file."""
        ref = None if ref_audio is None else self.hear(sounds.loaded(ref_audio, max_dur=max_dur))
        return self.judge(self.hear(sounds.loaded(audio, max_dur=max_dur)), text, lyrics, ref)
