"""Sounds on their way into a network: decoded ahead of it, on threads of their own, and heard once.

On the CPU a thread decodes a sound and has the network hear it too, alone, so that all cores are at work;
for another device threads decode, and chunks of equal length from all sounds of a batch are heard together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from threading import Lock
from typing import Any, Union

import torch
from torch import Tensor

from steelyard.errors import SteelyardError, describe
from steelyard.media.waves import Waves
from steelyard.models.base import clock
from steelyard.models.music.lanes import begin_lanes
from steelyard.models.music.listening import Kept, Stretch, cut, group_by_length, is_too_little, join

Heard = Union[Tensor, str, None]
"""The frames of a stretch (frames, width), what is wrong with it, or None where there is nothing to hear."""


class Ears:
    """Hears stretches of sounds with a network's `hear`, each `alone` or many together; the last are kept."""

    def __init__(
        self,
        hear: Callable[[Tensor], Tensor],
        *,
        device: torch.device,
        alone: bool,
        casting: Callable[[], AbstractContextManager[Any]],
        waves: Waves,
        kept: Kept,
        workers: int,
        share: int,
        together: int,
    ) -> None:
        self._hear, self._device, self._casting = hear, device, casting
        self._waves, self._kept, self._together = waves, kept, together
        self._lanes = begin_lanes(workers, share=share)
        self._alone = alone
        # Those of the batch under way and of the next one.
        self._begun: deque[dict[Hashable, Future[Heard]]] = deque(maxlen=2)
        self._lock = Lock()
        self.remarks: dict[Hashable, str] = {}
        """What is odd about some of the stretches."""
        self.spent = {"network": 0.0} if self._alone else {"waiting": 0.0, "network": 0.0}

    def begin(self, stretches: Mapping[Hashable, Stretch]) -> None:
        """Begin with what the next batch will ask for."""
        wanted = {mark: one for mark, one in stretches.items() if self._kept.get(mark) is None}
        begun = {mark: self._start(mark, stretch) for mark, stretch in wanted.items()}
        with self._lock:
            self._begun.append(begun)

    def hear(self, stretches: Mapping[Hashable, Stretch]) -> dict[Hashable, Heard]:
        """The frames of each stretch."""
        heard: dict[Hashable, Heard] = {mark: self._kept.get(mark) for mark in stretches}
        begun = {mark: self._start(mark, stretches[mark]) for mark, kept in heard.items() if kept is None}
        since = clock()
        done = {mark: self._finish(mark, future) for mark, future in begun.items()}
        if self._alone:
            heard.update(done)
        else:
            self.spend("waiting", since)
            heard.update(self._hear_together(done))
        for mark in begun:
            frames = heard[mark]
            if isinstance(frames, Tensor):
                self._kept.put(mark, frames)
        return heard

    def spend(self, what: str, since: float) -> None:
        """Note the time since then."""
        with self._lock:
            self.spent[what] += clock() - since

    def close(self) -> None:
        """End the threads, and let go of all that is kept."""
        self._lanes.shutdown(wait=False, cancel_futures=True)
        self._begun.clear()
        self._kept.clear()

    def _start(self, mark: Hashable, stretch: Stretch) -> Future[Heard]:
        with self._lock:
            for begun in self._begun:
                if mark in begun:
                    return begun[mark]
        return self._lanes.submit(self._work, stretch)

    def _finish(self, mark: Hashable, future: Future[Heard]) -> Heard:
        try:
            return future.result()
        except Exception:
            # It is tried again where fewer are asked for at once.
            with self._lock:
                for begun in self._begun:
                    begun.pop(mark, None)
            raise

    def _work(self, stretch: Stretch) -> Heard:
        """What a thread does for a stretch: on the CPU all that is to be done."""
        samples = self._decode(stretch)
        if not self._alone or not isinstance(samples, Tensor):
            return samples
        since = clock()
        with torch.inference_mode():
            frames = join([self._hear(chunk[None])[0] for chunk in cut(samples)])
        self.spend("network", since)
        return frames

    def _decode(self, stretch: Stretch) -> Heard:
        sound = stretch.sound
        try:
            samples = torch.from_numpy(self._waves.load(sound, seconds=stretch.seconds, start=stretch.start))
        except SteelyardError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - foreign decoders; the piece fails, not the run
            return f"{sound.name}: {describe(error)}"
        if sound.remark:
            self.remarks[stretch.mark] = sound.remark
        return None if is_too_little(stretch, samples) else samples

    def _hear_together(self, decoded: Mapping[Hashable, Heard]) -> dict[Hashable, Heard]:
        """Hear all chunks of a batch, those of equal length together."""
        heard = dict(decoded)
        chunks = [
            (mark, chunk) for mark, one in decoded.items() if isinstance(one, Tensor) for chunk in cut(one)
        ]
        frames: list[Tensor | None] = [None] * len(chunks)
        since = clock()
        with torch.inference_mode(), self._casting():
            for places in group_by_length([chunk for _, chunk in chunks], most=self._together):
                batch = torch.stack([chunks[place][1] for place in places]).to(self._device)
                for place, one in zip(places, self._hear(batch).float()):
                    frames[place] = one
        self.spend("network", since)
        parts: dict[Hashable, list[Tensor]] = {}
        for (mark, _), one in zip(chunks, frames):
            if one is not None:
                parts.setdefault(mark, []).append(one)
        return {**heard, **{mark: join(some) for mark, some in parts.items()}}


def collect(stretches: Sequence[Stretch]) -> dict[Hashable, Stretch]:
    """Stretches by their marks, equal ones once."""
    return {stretch.mark: stretch for stretch in stretches}
