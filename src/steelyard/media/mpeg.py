"""MP3 files that do not say how long they are: a frame that does is put before their first.

libsndfile believes the first frame where it holds a count, else guesses by the size of what comes first, and
reads no further than that.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO, NamedTuple

# Kilobits a second of layer III by their number, of MPEG 1 and of MPEG 2.
_BITRATES = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_NEAR = 1 << 16
_MANY = 0x7FFF_FFFF // 1152
# What says how long a file is stands behind what the first frame says of its channels.
_COUNTS = (b"Xing", b"Info", b"VBRI")


class _Frame(NamedTuple):
    """A frame of layer III by its header."""

    rate: int
    samples: int
    size: int
    count_at: int


def uncounted(file: IO[bytes]) -> Uncounted | None:
    """A file with a count before it, where it is an MP3 that has none; else None."""
    start = _first(file)
    if start is None:
        return None
    file.seek(start)
    head = file.read(256)
    if any(mark in head for mark in _COUNTS):
        return None
    frame = _parse(head)
    if frame is None or frame.size < frame.count_at + 12:
        return None
    return Uncounted(file, start, head[:4], frame)


class Uncounted:
    """An MP3 behind a frame that speaks of more than it can hold: what ends is read to its end."""

    def __init__(self, file: IO[bytes], start: int, header: bytes, frame: _Frame) -> None:
        self._file, self._start, self._frame = file, start, frame
        count = b"Xing" + (1).to_bytes(4, "big") + _MANY.to_bytes(4, "big")
        # Without the sum that some frames carry, which would not be true.
        self._counted = (header[:1] + bytes([header[1] | 1]) + header[2:]).ljust(
            frame.count_at, b"\0"
        ) + count
        self._counted = self._counted.ljust(frame.size, b"\0")
        self._size = file.seek(0, io.SEEK_END) - start + len(self._counted)
        self._place = 0

    def frames(self) -> int:
        """How many samples it has by the headers of its frames, each of which is looked at."""
        samples = 0
        for frame in _frames(self._file, self._start):
            samples += frame.samples
        return samples

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go somewhere."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def tell(self) -> int:
        """Where it stands."""
        return self._place

    def read(self, size: int = -1) -> bytes:
        """The bytes from here on."""
        size = self._size if size < 0 else size
        content = self._counted[self._place : self._place + size]
        if len(content) < size:
            self._file.seek(self._start + self._place + len(content) - len(self._counted))
            content += self._file.read(size - len(content))
        self._place += len(content)
        return content

    def write(self, content: bytes) -> int:
        """Nothing is written."""
        return 0


def _first(file: IO[bytes]) -> int | None:
    """Where the first frame begins, behind what is told of a song; None where none is near."""
    start = 0
    while True:
        file.seek(start)
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3":
            break
        # Seven bits a byte.
        start += 10 + sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(reversed(head[6:10])))
    file.seek(start)
    near = file.read(_NEAR)
    if near.startswith((b"fLaC", b"OggS", b"RIFF")):
        return None
    place = near.find(b"\xff")
    while place >= 0:
        frame = _parse(near[place : place + 4])
        if frame is not None and _parse(near[place + frame.size : place + frame.size + 4]) is not None:
            return start + place
        place = near.find(b"\xff", place + 1)
    return None


def _frames(file: IO[bytes], start: int) -> Iterator[_Frame]:
    """The frames from one on, until something is none."""
    file.seek(start)
    content, place = file.read(_NEAR), 0
    while True:
        if place + 4 > len(content):
            more = file.read(_NEAR)
            if not more:
                return
            content, place = content[place:] + more, 0
            continue
        frame = _parse(content[place : place + 4])
        if frame is None:
            return
        yield frame
        if place + frame.size > len(content):
            file.seek(place + frame.size - len(content), io.SEEK_CUR)
            content, place = b"", 0
        else:
            place += frame.size


def _parse(header: bytes) -> _Frame | None:
    """A frame of layer III; None where four bytes are the header of none."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    version, bitrate, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or bitrate in (0, 15) or rate == 3:
        return None
    first = version == 3
    hertz = _RATES[version][rate]
    padding = header[2] >> 1 & 1
    mono = header[3] >> 6 == 3
    size = (144 if first else 72) * 1000 * _BITRATES[0 if first else 1][bitrate] // hertz + padding
    side = (17 if mono else 32) if first else (9 if mono else 17)
    return _Frame(hertz, 1152 if first else 576, size, 4 + side)
