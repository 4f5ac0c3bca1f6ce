"""The published music reward model, as its checkpoints lay it out: the alignment and musicality of pieces.

model = MusicReward("cmi-rm/model.safetensors", device="cuda:0")
model.score([Piece(Sound("song.mp3"), text="a cheerful pop song")])      [{"alignment": …, "musicality": …}]

`final` hears the first max_dur seconds at once; `standard` scores stretches of max_dur seconds, one every
dur_step, and takes the mean.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from steelyard.errors import SteelyardError, UsageError
from steelyard.media.sounds import Sound
from steelyard.media.waves import Waves
from steelyard.models.base import clock
from steelyard.models.checkpoints import read_versions
from steelyard.models.folders import fingerprint
from steelyard.models.music.ahead import Ears, Heard, collect
from steelyard.models.music.lanes import begin_lanes, choose_device, count_cores, count_workers
from steelyard.models.music.lengths import group_alike
from steelyard.models.music.listening import Kept, Stretch, find_stretches
from steelyard.models.music.mel import RATE
from steelyard.models.music.network import Prompted, find_checkpoint, load_network
from steelyard.models.rewards import Piece, RewardModel, Scored, look_at
from steelyard.types import Request

MODES = ("final", "standard")
# Prompts and references come again and again, and a sound of one pair in others.
_MOST_KEPT_BYTES = 2**28
# Waveforms are looked at once, for their frames are kept.
_MOST_WAVE_BYTES = 2**25
# Seconds of sound in a batch, decoded and not heard yet: 200 MB, and as much again for the next one.
_BATCH_SECONDS = 2**11
# Frames and tokens that are judged together: more take more memory, and hardly less time.
_ROWS_AT_ONCE = 2**13

_UNSEEN = "too short for this network: its scores are those of any other sound as short"


class Plan(NamedTuple):
    """What of a piece is heard."""

    stretches: Sequence[Stretch]
    reference: Stretch | None


class MusicReward(RewardModel):
    """Scores how well pieces of music go with their prompts, and how musical they are."""

    metered = True

    def __init__(
        self,
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
    ) -> None:
        _check(mode=mode, max_dur=max_dur, dur_step=dur_step)
        if batch_size < 1:
            raise UsageError(f"batch_size={batch_size}", hint="it must be more than 0")
        self.checkpoint = find_checkpoint(checkpoint)
        told = None if config is None else Path(config).expanduser()
        self.device, self.remarks = choose_device(device)
        self.network = load_network(self.checkpoint, config=told, heads_only=heads_only).to(self.device)
        self.remarks += tuple(self.network.remarks)
        self.mode, self.heads_only = mode, heads_only
        self.listen(max_dur=max_dur, dur_step=dur_step)
        on_cpu = self.device.type == "cpu"
        self.bf16 = not on_cpu and (self.device.type == "cuda" if bf16 is None else bf16)
        self.batch_size, self.batch_tokens = batch_size, None if on_cpu else _BATCH_SECONDS
        workers = count_workers(workers)
        share = max(1, count_cores() // workers)
        self._kept = Kept(_MOST_KEPT_BYTES)
        self._waves = Waves(RATE, most_bytes=_MOST_WAVE_BYTES, folder=wave_cache)
        self._ears = Ears(
            self.network.hear,
            device=self.device,
            alone=on_cpu,
            casting=self._casting,
            waves=self._waves,
            kept=self._kept,
            workers=workers,
            share=share,
            together=2 * batch_size,
        )
        # A thread whose torch is set to share the cores, which those of others are not.
        self._judge = begin_lanes(1, share=share)

    @property
    def name(self) -> str:
        """The folder of its checkpoint."""
        return self.checkpoint.absolute().parent.name

    def identity(self) -> Mapping[str, Any]:
        """Its weights, configuration and how it listens, and what computes the scores."""
        cls = type(self)
        return {
            "class": f"{cls.__module__}.{cls.__qualname__}",
            # Wherever they lie.
            "files": [[file.name, fingerprint(file)] for file in self.network.files],
            "mode": self.mode,
            "max_dur": self.max_dur,
            "dur_step": self.dur_step,
            "device": self.device.type,
            "dtype": "bfloat16" if self.bf16 else "float32",
            "versions": read_versions(adapter=False),
            **({"heads_only": True} if self.heads_only else {}),
        }

    def listen(self, *, max_dur: float | None, dur_step: float | None = None) -> None:
        """Hear so many seconds of each piece that comes, or a stretch of so many every `dur_step`."""
        _check(mode=self.mode, max_dur=max_dur, dur_step=dur_step)
        self.max_dur, self.dur_step = max_dur, dur_step
        self.most_seconds = max_dur if dur_step is None else None

    def length(self, request: Request) -> int:
        """Seconds of sound, where those of a whole batch wait decoded."""
        if self.device.type == "cpu":
            return 0
        sides = [side for side in look_at(request) if isinstance(side, Piece)]
        sounds = [sound for side in sides for sound in (side.audio, side.ref_audio) if sound is not None]
        return round(sum(map(self._last, sounds)))

    def prepare(self, requests: Sequence[Request]) -> None:
        """Begin to decode what the next batch needs; on the CPU, to hear it too."""
        sides = [side for request in requests for side in look_at(request) if isinstance(side, Piece)]
        plans = [self._plan(piece) for piece in sides]
        self._ears.begin(collect(_stretches(plans)))

    def score(self, pieces: Sequence[Piece]) -> list[Scored]:
        """The scores of several pieces, each as if it were alone."""
        plans = [self._plan(piece) for piece in pieces]
        stretches = _stretches(plans)
        heard = self._ears.hear(collect(stretches))
        for stretch in stretches:
            # It may have been another Sound of the same file that was listened to.
            stretch.sound.remark = self._ears.remarks.get(stretch.mark, "")
        found = [_find(plan, heard) for plan in plans]
        good = [(piece, one) for piece, one in zip(pieces, found) if not isinstance(one, str)]
        for piece, one in good:
            if max(map(len, one.frames)) < self.network.judge.least:
                piece.audio.remark = "; ".join(filter(None, [piece.audio.remark, _UNSEEN]))
        if self.device.type == "cpu":
            scores = self._judge.submit(self._judge_all, good).result()
        else:
            scores = self._judge_all(good)
        rows = iter(scores)
        return [one if isinstance(one, str) else next(rows) for one in found]

    def spent(self) -> Mapping[str, float]:
        """What was heard, and the seconds decoding, waiting for sounds and in the network, of all threads."""
        waves = self._waves
        decoded = {"decoded_seconds": waves.decoded_seconds, "decoding": waves.decoding}
        return {**super().spent(), **decoded, **self._ears.spent}

    def free(self) -> None:
        """Let go of what was heard and read, and give cached memory of the device back."""
        self._kept.clear()
        self._waves.clear()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def close(self) -> None:
        """End the threads, and let go of what is kept."""
        super().close()
        self._ears.close()
        self._judge.shutdown(wait=False)

    def _casting(self) -> AbstractContextManager[Any]:
        casting: AbstractContextManager[Any] = torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.bf16
        )
        return casting

    def _last(self, sound: Sound) -> float:
        """How many seconds of a sound are heard, as far as its header tells."""
        seconds = None
        # Whatever is wrong with it is told where it is decoded.
        with suppress(SteelyardError):
            seconds = sound.seconds()
        most = self.most_seconds
        return most or 0.0 if seconds is None else min(seconds, most or seconds)

    def _plan(self, piece: Piece) -> Plan | str:
        try:
            stretches = find_stretches(piece.audio, seconds=self.max_dur, step=self.dur_step)
        except SteelyardError as error:
            return str(error)
        if piece.ref_audio is None:
            return Plan(stretches, None)
        return Plan(stretches, find_stretches(piece.ref_audio, seconds=self.max_dur)[0])

    def _judge_all(self, pieces: Sequence[tuple[Piece, _Found]]) -> list[Scored]:
        """The scores of pieces that were heard."""
        since = clock()
        try:
            with torch.inference_mode(), self._casting():
                words = self._read([text for piece, _ in pieces for text in (piece.text, piece.lyrics)])
                asked = [
                    (place, frames, Prompted(words[piece.text], words[piece.lyrics], found.reference))
                    for place, (piece, found) in enumerate(pieces)
                    for frames in found.frames
                ]
                rows: dict[int, list[Tensor]] = {}
                lengths = [len(frames) + prompted.rows for _, frames, prompted in asked]
                for places in group_alike(lengths, most=_ROWS_AT_ONCE):
                    some = [asked[place] for place in places]
                    given = self.network.score([frames for _, frames, _ in some], [one[2] for one in some])
                    for (place, _, _), row in zip(some, given.float().cpu()):
                        rows.setdefault(place, []).append(row)
            means = [torch.stack(rows[place]).mean(0).tolist() for place in range(len(pieces))]
        finally:
            self._ears.spend("network", since)
        return [dict(zip(("alignment", "musicality"), mean)) for mean in means]

    def _read(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """What the network makes of texts, each read once."""
        words = {text: self._kept.get(("text", text)) for text in texts}
        unread = [text for text, kept in words.items() if kept is None]
        if unread:
            for text, read in zip(unread, self.network.read(unread)):
                words[text] = read.float()
                self._kept.put(("text", text), words[text])
        return words


class _Found(NamedTuple):
    """The frames that a piece is scored by."""

    frames: Sequence[Tensor]
    reference: Tensor | None


def _stretches(plans: Sequence[Plan | str]) -> list[Stretch]:
    whole = [plan for plan in plans if isinstance(plan, Plan)]
    references = [plan.reference for plan in whole if plan.reference is not None]
    return [stretch for plan in whole for stretch in plan.stretches] + references


def _find(plan: Plan | str, heard: Mapping[Hashable, Heard]) -> _Found | str:
    """What was heard of a piece, or why it cannot be scored."""
    if isinstance(plan, str):
        return plan
    given = [heard[stretch.mark] for stretch in plan.stretches]
    reference = None if plan.reference is None else heard[plan.reference.mark]
    failed = next((one for one in given if isinstance(one, str)), None)
    if failed is not None:
        return failed
    if isinstance(reference, str):
        return f"its reference: {reference}"
    frames = [one for one in given if isinstance(one, Tensor)]
    return _Found(frames, reference)


def _check(*, mode: str, max_dur: float | None, dur_step: float | None) -> None:
    if mode not in MODES:
        raise UsageError(f"there is no mode {mode!r}", hint="mode=" + " or ".join(MODES))
    for name, value in (("max_dur", max_dur), ("dur_step", dur_step)):
        if value is not None and not (isinstance(value, (int, float)) and 0 < value < math.inf):
            raise UsageError(f"{name}={value!r}", hint="it must be a number of seconds, more than 0")
    if dur_step is not None and (mode != "standard" or max_dur is None):
        raise UsageError(f"dur_step={dur_step} is for stretches", hint="mode=standard with a max_dur")
