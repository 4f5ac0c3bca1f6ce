"""Sounds as they are heard: samples that come block by block, channels averaged, at any rate.

    hear(recording, 24000, first=0, count=None)

What opens an encoded sound stands in `soundfiles` and `containers`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from steelyard.errors import DataError
from steelyard.media.resampling import inputs_of, resample_blocks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LOWEST_RATE, HIGHEST_RATE = 1000, 1_000_000
"""Sample rates that are taken for ones; a header with another is damaged."""

BLOCK = 1 << 16
"""How many samples of a channel are decoded at a time."""


class Recording(ABC):
    """A sound that is open. `frames` is how many samples of each channel it has, where that is known.

    `promised` is how many its header speaks of; `remark` says, once it was read, that fewer were there.
    """

    def __init__(self, name: str, rate: int, *, frames: int | None = None) -> None:
        if not LOWEST_RATE <= rate <= HIGHEST_RATE:
            hint = f"from {LOWEST_RATE:,} to {HIGHEST_RATE:,}"
            raise DataError(f"{name} has {rate:,} samples a second, as it says", hint=hint)
        self.name, self.rate, self.frames = name, rate, frames
        self.promised = frames
        self.remark = ""

    @abstractmethod
    def blocks(self, first: int, count: int | None) -> Iterator[NDArray[np.float32]]:
        """`count` samples from `first` on, or all, channels averaged; each block is an array of its own."""

    def length(self) -> int | None:
        """How many samples of each channel it has, where that can be told without decoding."""
        return self.frames

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Let go of what it was read with."""

    def note_end(self, frames: int) -> None:
        """Note that there are no more than so many samples."""
        if self.promised is not None and frames < self.promised:
            there, promised = frames / self.rate, self.promised / self.rate
            self.remark = f"cut off: {there:.2f} of {promised:.2f} s are there"

    def damage(self, place: int, said: str) -> DataError:
        """The error that nothing can be decoded from a place on."""
        return DataError(f"{self.name} is damaged at {place / self.rate:.2f} s: {said}")


class Samples(Recording):
    """A sound that a program holds in memory."""

    def __init__(self, array: NDArray[Any], name: str, rate: int) -> None:
        self._channels = array
        super().__init__(name, rate, frames=array.shape[-1])

    def blocks(self, first: int, count: int | None) -> Iterator[NDArray[np.float32]]:
        """All that is wanted in one."""
        end = None if count is None else first + count
        part = self._channels[:, first:end]
        if part.shape[-1]:
            yield average(to_float(part))


def average(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean over the first axis, as an array of its own."""
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):
        if len(channels) == 1:
            return np.array(channels[0])
        total: NDArray[np.float32] = channels[0] + channels[1]
        for channel in channels[2:]:
            total += channel
        total /= len(channels)
    return total


def to_float(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Samples of any type as float32, whole numbers as the part of full scale that they are."""
    import numpy as np

    kind, bits = samples.dtype.kind, 8 * samples.dtype.itemsize
    if kind == "f":
        with np.errstate(over="ignore"):
            return cast("NDArray[np.float32]", samples.astype(np.float32, copy=False))
    if kind == "u":
        samples = samples.astype(np.float64) - 2.0 ** (bits - 1)
    # Whole numbers of more than 24 bits are no float32: divided first, rounded once.
    return (samples / 2.0 ** (bits - 1)).astype(np.float32)


def hear(recording: Recording, rate: int, *, first: int = 0, count: int | None = None) -> NDArray[np.float32]:
    """What is heard at a rate: `count` samples of it from its `first` on, fewer where it ends before."""
    import numpy as np

    if count is not None and count <= 0:
        return np.zeros(0, np.float32)
    begin, end = inputs_of(recording.rate, rate, first, count)
    blocks = _checked(recording, begin, None if end is None else end - begin)
    made = list(resample_blocks(blocks, recording.rate, rate, first=first, count=count))
    return made[0] if len(made) == 1 else np.concatenate([np.zeros(0, np.float32), *made])


def _checked(recording: Recording, begin: int, count: int | None) -> Iterator[NDArray[np.float32]]:
    """The blocks of a recording, each sample of which is a number."""
    import numpy as np

    place = begin
    for block in recording.blocks(begin, count):
        with np.errstate(over="ignore", invalid="ignore"):
            total = float(block.sum())
        if not np.isfinite(total) and not (good := np.isfinite(block)).all():
            bad = int(np.argmin(good))
            what = "NaN" if np.isnan(block[bad]) else "an infinite sample"
            raise DataError(f"{recording.name} has {what} at {(place + bad) / recording.rate:.2f} s")
        place += len(block)
        yield block
    if not place:
        raise DataError(f"{recording.name} has no samples", hint="was it written to its end?")
