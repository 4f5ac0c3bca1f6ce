"""Which parts of a sound are heard, and how they are cut for the network.

final       the first max_dur seconds, in chunks of 30 s, whose frames are joined
standard    stretches of max_dur seconds, one every dur_step, each scored by itself
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from threading import Lock
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from steelyard.media.digests import identify
from steelyard.media.sounds import Sound
from steelyard.models.music.mel import RATE, SHORTEST

CHUNK = 30 * RATE
# A last stretch that is shorter tells nothing of its own.
_LEAST_SECONDS = 1.0


class Stretch(NamedTuple):
    """A part of a sound: from `start` on so many seconds, or to its end; `mark` tells it from all others."""

    sound: Sound
    start: float
    seconds: float | None
    mark: Hashable


def find_stretches(sound: Sound, *, seconds: float | None, step: float | None = None) -> list[Stretch]:
    """The stretches of a sound: its beginning, or with `step` one every so many seconds to its end."""
    content = _identify(sound)
    starts = [0.0]
    if step is not None and seconds is not None:
        end = sound.seconds()
        if end is None:
            end = len(sound.load(RATE)) / RATE
        while starts[-1] + seconds < end and end - len(starts) * step >= _LEAST_SECONDS:
            starts.append(len(starts) * step)
    return [Stretch(sound, start, seconds, (content, start, seconds)) for start in starts]


def _identify(sound: Sound) -> Hashable:
    """What a sound is known by, as long as its file is not written anew."""
    if sound.path is None:
        return str(sound.reference().get("digest", id(sound))), sound.rate
    try:
        return identify(sound.path)
    except OSError:
        return str(sound.path)


def cut(samples: Tensor) -> list[Tensor]:
    """The chunks of a stretch that can be heard; a sound too short for that is made longer by silence."""
    if len(samples) < SHORTEST:
        return [functional.pad(samples, (0, SHORTEST - len(samples)))]
    return [chunk for chunk in samples.split(CHUNK) if len(chunk) >= SHORTEST]


def is_too_little(stretch: Stretch, samples: Tensor) -> bool:
    """Whether a file ended so soon that a later stretch of it tells nothing."""
    return stretch.start > 0 and len(samples) < _LEAST_SECONDS * RATE


class Kept:
    """What was computed last: tensors by what they were computed of, up to so many bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most, self._bytes = most_bytes, 0
        self._tensors: OrderedDict[Hashable, Tensor] = OrderedDict()
        self._lock = Lock()

    def get(self, mark: Hashable) -> Tensor | None:
        """The tensor that was kept, if it still is."""
        with self._lock:
            if mark in self._tensors:
                self._tensors.move_to_end(mark)
            return self._tensors.get(mark)

    def put(self, mark: Hashable, tensor: Tensor) -> None:
        """Keep a tensor, and let go of those not asked for the longest."""
        with self._lock:
            if mark not in self._tensors:
                self._bytes += tensor.nbytes
                self._tensors[mark] = tensor
            while self._bytes > self._most:
                _, last = self._tensors.popitem(last=False)
                self._bytes -= last.nbytes

    def clear(self) -> None:
        """Let go of all."""
        with self._lock:
            self._tensors.clear()
            self._bytes = 0


def group_by_length(chunks: Sequence[Tensor], *, most: int) -> list[list[int]]:
    """The places of chunks of equal length, at most so many together."""
    places: dict[int, list[int]] = {}
    for place, chunk in enumerate(chunks):
        places.setdefault(len(chunk), []).append(place)
    return [same[begin : begin + most] for same in places.values() for begin in range(0, len(same), most)]


def join(frames: Sequence[Tensor]) -> Tensor:
    """The frames of a stretch, chunk after chunk."""
    return frames[0] if len(frames) == 1 else torch.cat(list(frames))
