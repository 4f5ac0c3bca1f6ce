"""Decoded sounds, kept: each is decoded once, however often and by however many threads it is asked for.

    waves = Waves(24000, folder="~/.cache/waves")
    waves.load(sound, seconds=120)

Those that were asked for last are held in memory, within a limit; a folder keeps more of them, and from one
run to the next. Several processes may share one.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from steelyard.media.digests import identify
from steelyard.media.shelves import Shelf
from steelyard.media.sounds import Sound

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_BYTES = 256 << 20


class Waves:
    """The waveforms of sounds at one rate. They are shared: whoever changes one takes a copy.

    `most_bytes` is what may be held in memory, `folder` is where more is kept, `folder_bytes` at most.
    What it did stands in `decoded`, `found`, `decoded_seconds` (of sound) and `decoding` (of time, of all
    threads together).
    """

    def __init__(
        self,
        rate: int,
        *,
        most_bytes: int = _MOST_BYTES,
        folder: str | Path | None = None,
        folder_bytes: int = 10 << 30,
    ) -> None:
        self.rate, self.most_bytes = rate, most_bytes
        self._shelf = Shelf(Path(folder).expanduser(), most_bytes=folder_bytes) if folder else None
        self._kept: OrderedDict[tuple[Any, ...], tuple[NDArray[np.float32], str]] = OrderedDict()
        self._coming: dict[tuple[Any, ...], Future[tuple[NDArray[np.float32], str]]] = {}
        self._lock = threading.Lock()
        self.held_bytes = 0
        self.decoded = self.found = 0
        self.decoded_seconds = self.decoding = 0.0

    def load(self, sound: Sound, *, seconds: float | None = None, start: float = 0.0) -> NDArray[np.float32]:
        """What `Sound.load` gives at this rate."""
        known = _identify(sound)
        if known is None:
            return self._decode(sound, seconds, start)[0]
        key = (known, seconds, start)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                self.found += 1
                wave, sound.remark = self._kept[key]
                return wave
            coming = self._coming.get(key)
            if coming is None:
                mine = self._coming[key] = Future()
            else:
                self.found += 1
        if coming is not None:
            wave, sound.remark = coming.result()
            return wave
        try:
            made = self._find(sound, known, seconds, start)
        except BaseException as error:
            with self._lock:
                del self._coming[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._coming[key]
            self._keep(key, made)
        mine.set_result(made)
        return made[0]

    def clear(self) -> None:
        """Let go of what is held in memory."""
        with self._lock:
            self._kept.clear()
            self.held_bytes = 0

    def _keep(self, key: tuple[Any, ...], made: tuple[NDArray[np.float32], str]) -> None:
        if made[0].nbytes > self.most_bytes:
            return
        self._kept[key] = made
        self.held_bytes += made[0].nbytes
        while self.held_bytes > self.most_bytes:
            _, (oldest, _) = self._kept.popitem(last=False)
            self.held_bytes -= oldest.nbytes

    def _find(
        self, sound: Sound, known: tuple[object, ...], seconds: float | None, start: float
    ) -> tuple[NDArray[np.float32], str]:
        """The waveform from the folder, else decoded."""
        digest = sound.reference().get("digest")
        if self._shelf is None or digest is None:
            return self._decode(sound, seconds, start)
        # The digest of a large file does not see all of it: its size and when it was changed count too.
        name = self._shelf.name(digest, *known[-2:], self.rate, seconds, start)
        found = self._shelf.find(name)
        if found is not None:
            with self._lock:
                self.found += 1
            sound.remark = found[1]
            return found
        made = self._decode(sound, seconds, start)
        self._shelf.keep(name, *made)
        return made

    def _decode(self, sound: Sound, seconds: float | None, start: float) -> tuple[NDArray[np.float32], str]:
        began = perf_counter()
        try:
            wave = sound.load(self.rate, seconds=seconds, start=start)
        finally:
            with self._lock:
                self.decoding += perf_counter() - began
        with self._lock:
            self.decoded += 1
            self.decoded_seconds += len(wave) / self.rate
        return wave, sound.remark


def _identify(sound: Sound) -> tuple[object, ...] | None:
    """What tells a sound from all others, without decoding it; None where nothing does."""
    if sound.path is not None:
        try:
            return identify(sound.path)
        except OSError:
            return None
    digest = sound.reference().get("digest")
    return None if digest is None else (digest, sound.rate)
