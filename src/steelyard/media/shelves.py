"""Waveforms in a folder, so that the next run need not decode them.

    3f2a….wave      {"frames": 720000, "crc": 2774411, "remark": ""}, a line end, and the samples as float32

An entry is written whole or not at all; one that is damaged is as good as none. The folder is held to a size:
what was not used for longest goes first.
"""

from __future__ import annotations

import os
import threading
import zlib
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from steelyard.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FORMAT = 1
_SUFFIX = ".wave"
_LONGEST_HEAD = 4096
# A folder that is full is cleared to a little less, so that not every entry clears it anew.
_CLEARED = 0.9


class Shelf:
    """A folder of waveforms by name; `broken` says why nothing more is kept, once something could not be."""

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        self.folder, self.most_bytes = folder, most_bytes
        self.broken = ""
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._bytes = sum(size for _, size, _ in self._entries())
        except OSError as error:
            raise UsageError(
                f"decoded sounds cannot be kept in {folder}: {error.strerror or error}"
            ) from error

    def name(self, *known: Any) -> str:
        """What an entry is called of which so much is known."""
        text = repr((_FORMAT, *known)).encode("utf-8", "surrogateescape")
        return blake2b(text, digest_size=20).hexdigest() + _SUFFIX

    def find(self, name: str) -> tuple[NDArray[np.float32], str] | None:
        """A waveform and what is odd about it; None where there is none, or a damaged one."""
        import numpy as np

        path = self.folder / name
        try:
            with path.open("rb") as file:
                head = msgspec.json.decode(file.readline(_LONGEST_HEAD), type=dict[str, Any])
                wave = np.fromfile(file, "<f4")
            if len(wave) != head["frames"] or zlib.crc32(wave.data) != head["crc"]:
                return None
            # Used: what was not for longest goes first.
            os.utime(path)
            return wave.astype(np.float32, copy=False), str(head["remark"])
        except (OSError, KeyError, ValueError, msgspec.MsgspecError):
            return None

    def keep(self, name: str, wave: NDArray[np.float32], remark: str) -> None:
        """Keep a waveform; where that cannot be, nothing is lost but time."""
        if self.broken or wave.nbytes > self.most_bytes:
            return
        little = wave.astype("<f4", copy=False)
        head = msgspec.json.encode({"frames": len(wave), "crc": zlib.crc32(little.data), "remark": remark})
        temporary = self.folder / f"{name}.{os.getpid()}-{threading.get_ident()}.new"
        try:
            with temporary.open("wb") as file:
                file.write(head + b"\n")
                file.write(little.data)
            temporary.replace(self.folder / name)
        except OSError as error:
            self.broken = f"decoded sounds cannot be kept in {self.folder}: {error.strerror or error}"
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            return
        with self._lock:
            self._bytes += wave.nbytes
            if self._bytes > self.most_bytes:
                self._clear()

    def _clear(self) -> None:
        """Remove what was not used for longest; others may be about it too."""
        entries = sorted(self._entries())
        self._bytes = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if self._bytes <= _CLEARED * self.most_bytes:
                break
            with suppress(OSError):
                path.unlink(missing_ok=True)
            self._bytes -= size

    def _entries(self) -> list[tuple[float, int, Path]]:
        """When each entry was used, how large it is, where it lies; what is half written too."""
        found = []
        for path in self.folder.glob(f"*{_SUFFIX}*"):
            with suppress(OSError):
                stat = path.stat()
                found.append((stat.st_mtime, stat.st_size, path))
        return found
