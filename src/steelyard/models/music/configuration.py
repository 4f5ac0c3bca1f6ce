"""What a reward checkpoint and its encoders say about themselves.

config.yaml beside the checkpoint → Design     the network that joins things, and the name of a MuLan folder
MuLan folder, config.json         → Mulan      the encoders' outer layers, and the names of their folders
MuQ folder, config.json           → Muq        the audio encoder
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steelyard.errors import ModelError
from steelyard.models.music.sections import Section, read_file

# Each kind of downsampler, by all names that checkpoints have for it.
_KINDS = {
    "none": "none",
    **dict.fromkeys(("mean", "meanpool"), "mean"),
    **dict.fromkeys(("b1", "baseline1", "meanpool+mlp", "mean+mlp"), "mean+mlp"),
    **dict.fromkeys(("conv", "baseline2simple", "b2s"), "conv"),
    **dict.fromkeys(("conv*2", "baseline2", "b2"), "conv*2"),
    **dict.fromkeys(("b3", "baseline3", "gluconv*2+pw"), "gluconv*2+pw"),
}
_OPTIONS = {"kind", "factor", "kernel_size", "use_layernorm", "stage", "mlp_ratio", "pre_mlp", "dropout"}


@dataclass(frozen=True, slots=True)
class Downsample:
    """One way to have fewer rows."""

    kind: str = "none"
    factor: int = 1
    kernel_size: int = 5
    use_layernorm: bool = True
    stage: int = 1
    mlp_ratio: float = 2.0
    pre_mlp: bool = False

    @property
    def least(self) -> int:
        """How many rows become one; of fewer none is left."""
        if self.kind == "none":
            return 1
        return self.factor**self.stage if self.kind == "conv" else self.factor


@dataclass(frozen=True, slots=True)
class Depth:
    """The size of a transformer."""

    depth: int
    heads: int = 8
    dim_head: int = 64
    ff_mult: float = 4.0


@dataclass(frozen=True, slots=True)
class Tower:
    """A text tower that is not the MuLan one."""

    path: str
    max_length: int


@dataclass(frozen=True, slots=True)
class Design:
    """A reward network."""

    sane: bool
    mulan: str
    dim: int
    text_only: bool
    cross: bool
    mlp_dim: int
    outputs: int
    prompt: Depth
    joint: Depth
    t5: Tower | None
    lora: Mapping[str, Any] | None
    # eval, ref, text, lyrics; none where nothing is said of downsampling.
    downsample: Mapping[str, Downsample] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mulan:
    """The two encoders behind a reward network."""

    audio: str
    text: str
    # The width of the text encoder, where it is said; another one than dim is projected.
    text_dim: int | None
    dim: int
    audio_depth: Depth
    text_depth: Depth
    max_length: int


@dataclass(frozen=True, slots=True)
class Muq:
    """The audio encoder."""

    label_rate: int
    hop: int
    channels: int
    dim: int
    depth: int
    mean: float
    deviation: float
    conformer: Mapping[str, Any]


def find_config(checkpoint: Path, *, config: Path | None = None) -> Path:
    """The configuration of a checkpoint: the one that is named, else beside it or one folder above."""
    if config is not None:
        if not config.is_file():
            raise ModelError(f"there is no configuration {config}")
        return config
    folder = checkpoint.absolute().parent
    for place in (folder, folder.parent):
        if (place / "config.yaml").is_file():
            return place / "config.yaml"
    raise ModelError(
        f"{checkpoint} has no config.yaml beside it, nor one folder above", hint="config= names another place"
    )


def read_design(file: Path) -> Design:
    """The reward network that a config.yaml describes."""
    whole = read_file(file)
    top = whole.section("model") if isinstance(whole.told.get("model"), Mapping) else whole
    remarks = []
    if top.section("load_config").told.get("checkpoint_path"):
        remarks.append(
            f"load_config.checkpoint_path of {file} is not followed: weights are read from safetensors"
        )
    size = {"heads": top.whole("heads", 8), "dim_head": top.whole("dim_head", 64)}
    mult = top.number("ff_mult", 4, positive=True)
    lora = top.section("text_lora_config")
    mode = top.text("mode", "concat_text_late", among=("concat_text_late", "concat_text_early", "text_only"))
    return Design(
        sane=top.text("name", "reward", among=("reward", "sanity")) == "sanity",
        mulan=top.text("model_name", "OpenMuQ/MuQ-MuLan-large"),
        dim=top.whole("dim", 768),
        text_only=mode == "text_only",
        cross=top.text("attention_mode", "SA", among=("SA", "CA")) == "CA",
        mlp_dim=top.whole("mlp_dim", 512),
        outputs=top.whole("output_dim", 2, least=2),
        prompt=Depth(top.whole("prompt_tf_depth", 1, least=0), **size, ff_mult=mult),
        joint=Depth(top.whole("joint_tf_depth", 4, least=0), **size, ff_mult=mult),
        t5=_read_tower(top),
        lora=lora.told if lora.flag("use_lora", False) else None,
        downsample=_read_downsample(top.section("downsample"), remarks),
        remarks=tuple(remarks),
    )


def _read_tower(top: Section) -> Tower | None:
    told = top.told.get("text_encoder")
    if told is None or isinstance(told, str):
        return None
    tower = top.section("text_encoder")
    tower.text("name", among=("t5",))
    return Tower(tower.text("model_name"), tower.whole("max_seq_len", 512))


def _read_downsample(section: Section, remarks: list[str]) -> dict[str, Downsample]:
    configs = section.section("configs")
    if not configs.told:
        return {}
    found = {}
    for name in configs.told:
        entry = configs.section(name)
        found[name] = Downsample(
            kind=_KINDS[entry.text("kind", among=tuple(_KINDS))],
            factor=entry.whole("factor", 1),
            kernel_size=entry.whole("kernel_size", 5),
            use_layernorm=entry.flag("use_layernorm", True),
            stage=entry.whole("stage", 1),
            mlp_ratio=entry.number("mlp_ratio", 2, positive=True),
            pre_mlp=entry.flag("pre_mlp", False),
        )
        if found[name].kernel_size % 2 == 0:
            raise entry.error("kernel_size", found[name].kernel_size, "an odd number")
        if unknown := sorted(set(entry.told) - _OPTIONS):
            remarks.append(
                f"{entry.place}{', '.join(unknown)} of {section.file} is not known and changes nothing"
            )
    names = tuple(found)
    heard = section.text("eval", "none", among=names)
    text = section.text("text", "none", among=names)
    ref = section.text("ref", heard, among=names)
    return {"eval": found[heard], "ref": found[ref], "text": found[text], "lyrics": found[text]}


def read_mulan(folder: Path) -> Mulan:
    """The encoders that a MuLan folder describes."""
    top = read_file(folder / "config.json")
    audio, text = top.section("audio_model", required=True), top.section("text_model", required=True)
    outer, read = top.section("audio_transformer"), top.section("text_transformer")
    return Mulan(
        audio=audio.text("name"),
        text=text.text("name"),
        text_dim=None if text.told.get("model_dim") is None else text.whole("model_dim"),
        dim=outer.whole("dim", 768),
        audio_depth=_read_depth(outer),
        text_depth=_read_depth(read),
        max_length=min(read.whole("max_seq_len", 256), 512),
    )


def _read_depth(section: Section) -> Depth:
    return Depth(
        section.whole("tf_depth", 12, least=0),
        section.whole("heads", 8),
        section.whole("dim_head", 64),
        section.number("ff_mult", 4, positive=True),
    )


def read_muq(folder: Path) -> Muq:
    """The audio encoder that a MuQ folder describes."""
    top = read_file(folder / "config.json")
    label_rate = top.whole("label_rate", 25)
    if label_rate not in {25, 50}:
        raise top.error("label_rate", label_rate, "25 or 50")
    stat = top.section("stat", required=True)
    return Muq(
        label_rate=label_rate,
        hop=top.whole("hop_length", 240),
        channels=top.whole("conv_dim", 512),
        dim=top.whole("encoder_dim", 1024),
        depth=top.whole("encoder_depth", 12, least=0),
        mean=stat.number("melspec_2048_mean"),
        deviation=stat.number("melspec_2048_std", positive=True),
        conformer=top.section("w2v2_config", required=True).told,
    )
