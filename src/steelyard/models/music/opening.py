"""Where a music reward model is opened, and what it needs is looked for first.

load_music_reward("cmi-rm/model.safetensors", device="cuda:0", mode="standard", max_dur=30, dur_step=15)
"""

from __future__ import annotations

from pathlib import Path

from steelyard.errors import need
from steelyard.models.rewards import RewardModel

_NEEDED = ("torch", "transformers", "safetensors", "accelerate", "soundfile")


def load_music_reward(
    checkpoint: str | Path,
    *,
    config: str | Path | None = None,
    device: str = "auto",
    mode: str = "final",
    max_dur: float | None = 120,
    dur_step: float | None = None,
    batch_size: int = 8,
    workers: int | None = None,
    bf16: bool | None = None,
    wave_cache: str | Path | None = None,
    heads_only: bool = False,
) -> RewardModel:
    """Open a checkpoint of the official layout: `model.safetensors`, or the folder it lies in.

    `workers` threads decode, and on the CPU hear, a sound each at a time. `bf16` is how CUDA devices
    compute unless told otherwise; the CPU computes in float32. Decoded sounds are kept in the folder
    `wave_cache`, where one is named. With `heads_only` the encoders are taken from the folders that the
    configuration names, whatever the checkpoint has of them.
    """
    for library in _NEEDED:
        need(library, extra="music")
    from steelyard.models.music.reward import MusicReward

    return MusicReward(
        checkpoint,
        config=config,
        device=device,
        mode=mode,
        max_dur=max_dur,
        dur_step=dur_step,
        batch_size=batch_size,
        workers=workers,
        bf16=bf16,
        wave_cache=wave_cache,
        heads_only=heads_only,
    )


def is_reward_checkpoint(path: Path) -> bool:
    """Whether a file is a checkpoint of this kind by its name, or a folder holds one."""
    if not path.is_dir():
        return path.suffix == ".safetensors"
    described = any((folder / "config.yaml").is_file() for folder in (path, path.absolute().parent))
    return described and (path / "model.safetensors").is_file() and not (path / "config.json").is_file()
