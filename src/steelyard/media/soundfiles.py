"""Encoded sounds: libsndfile reads WAV, FLAC, Ogg, MP3, AIFF, AU, CAF; what it does not is for `containers`.

with opened(file, "song.flac") as recording: …
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

from steelyard.errors import DataError, SteelyardError, describe, need
from steelyard.media.containers import is_container, open_container
from steelyard.media.kinds import describe_bytes
from steelyard.media.mpeg import uncounted
from steelyard.media.recordings import BLOCK, Recording, average

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_HEAD = 64
_READABLE = "WAV, FLAC, Ogg, MP3, AIFF, AU and CAF are, others with steelyard[m4a]"
# How the files begin that libsndfile is given: what it takes for a sound besides may be anything.
_BEGINNINGS = (b"fLaC", b"OggS", b"FORM", b".snd", b"dns.", b"caff", b"RIFX", b"RF64", b"riff", b"ID3")
# Where a FLAC ends too early an error comes for all that was asked: little is asked of it at once then.
_SMALL_BLOCK = 4096
# A packed sound is sought in after each read, which costs what decoding some thousand samples costs.
_PACKED_BLOCK = BLOCK << 3
_PACKED = ("FLAC", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III", "VORBIS", "OPUS")
_SIZES = re.compile(r"^\s*(?:data|SSND|Data Size|riff)\s*: (\d+) \(should be (\d+)\)", re.M)
_LARGEST_PAGE = 65_307
# A page has 255 packets at most, and one of Vorbis 4096 samples.
_MOST_IN_PAGE = 255 * 4096
# Who writes into a pipe does not know the size, and writes the largest or none.
_UNKNOWN_SIZE = 0x7FFF_F000


@contextmanager
def opened(file: IO[bytes], name: str) -> Iterator[Recording]:
    """The sound in a file, its header read."""
    try:
        head = file.read(_HEAD)
        file.seek(0)
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror or error}") from error
    if not head:
        raise DataError(f"{name} is empty", hint="was it written to its end?")
    recording = _open(file, head, name)
    try:
        yield recording
    except MemoryError as error:
        raise DataError(f"{name} does not fit into memory") from error
    finally:
        recording.close()


def _open(file: IO[bytes], head: bytes, name: str) -> Recording:
    """What decodes a file that begins so."""
    refused: DataError | None = None
    if is_sound_bytes(head):
        try:
            return _Decoded(file, head, name)
        except DataError as error:
            refused = error
    if is_container(head):
        try:
            return open_container(file, name)
        except SteelyardError:
            if refused is None:
                raise
    raise refused or DataError(
        f"{name} is not a sound that can be read: it is {describe_bytes(head)}", hint=_READABLE
    )


def is_sound_bytes(head: bytes) -> bool:
    """Whether a file that begins so is a sound that libsndfile reads."""
    if head.startswith(_BEGINNINGS) or (head[:4] == b"RIFF" and head[8:12] == b"WAVE"):
        return True
    return _may_be_mp3(head)


def _may_be_mp3(head: bytes) -> bool:
    # What is told of the song, or the first frame: eleven bits are set, and the layer is one.
    frame = len(head) > 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06 != 0
    return frame or head.startswith(b"ID3")


class _Decoded(Recording):
    """A sound that libsndfile reads."""

    def __init__(self, file: IO[bytes], head: bytes, name: str) -> None:
        need("soundfile", extra="audio")
        import soundfile

        self._failure = soundfile.SoundFileError
        self._file = file
        self._uncounted = uncounted(file) if _may_be_mp3(head) else None
        # Looked for before libsndfile reads the same file, which does not expect that somebody moves in it.
        lacks_end = head.startswith(b"OggS") and _lacks_last_page(file)
        try:
            self._sound = soundfile.SoundFile(self._source(), closefd=False)
        except (soundfile.SoundFileError, TypeError, RuntimeError) as error:
            raise DataError(f"{name} is damaged or cut off: {_said(error)}") from error
        try:
            super().__init__(name, self._sound.samplerate, frames=self._sound.frames)
        except DataError:
            self._sound.close()
            raise
        if self._uncounted is not None:
            self.promised = None
            self.frames = None
        self._read_notes(self._sound.extra_info, lacks_end)

    def _source(self) -> Any:
        """What libsndfile reads: the file itself where it is one."""
        self._file.seek(0)
        if self._uncounted is not None:
            return self._uncounted
        try:
            descriptor = self._file.fileno()
        except (OSError, io.UnsupportedOperation):
            return _Steady(self._file)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor

    def length(self) -> int | None:
        """How many samples it has."""
        return self.frames if self._uncounted is None else self._uncounted.frames()

    def _read_notes(self, notes: str, lacks_end: bool) -> None:
        """What it says of itself, where it cannot all be there."""
        frames = self._sound.frames
        for found in _SIZES.finditer(notes):
            promised, there = int(found[1]), int(found[2])
            if there < promised < _UNKNOWN_SIZE and there:
                self.promised = max(self.promised or 0, frames * promised // there)
        if lacks_end:
            self.remark = "cut off: it lacks its end"

    def blocks(self, first: int, count: int | None) -> Iterator[NDArray[np.float32]]:
        """`count` samples from `first` on, or all."""
        import numpy as np

        left = self._sound.frames - first if count is None else min(count, self._sound.frames - first)
        if left <= 0:
            return
        channels = self._sound.channels
        packed = not {self._sound.format, self._sound.subtype}.isdisjoint(_PACKED)
        size = max(1, min(_PACKED_BLOCK if packed else BLOCK, (BLOCK << 5) // channels))
        place = self._seek(first)
        while place < first:
            over = np.empty((min(size, first - place), channels), np.float32)
            filled = self._fill(over, place)
            place += filled
            if filled < len(over):
                self.note_end(place)
                return
        while left:
            block = np.empty((min(size, left), channels), np.float32)
            filled = self._fill(block, place)
            if filled:
                yield average(block[:filled].T)
            place += filled
            left -= filled
            if filled < len(block):
                self.note_end(place)
                return
        # Also where more was asked for than there is.
        if count is None or place >= self._sound.frames:
            self.note_end(place)

    def _fill(self, block: NDArray[np.float32], place: int) -> int:
        """Read into a block; how much of it there was."""
        if "FLAC" not in (self._sound.format, self._sound.subtype):
            return self._fill_by(len(block), block, place)
        try:
            return len(self._sound.read(out=block))
        except (self._failure, RuntimeError):
            self._go_back(place)
            return self._fill_by(_SMALL_BLOCK, block, place)

    def _go_back(self, place: int) -> None:
        """Open the sound once more and decode it up to a place: of what is damaged no place can be sought."""
        import numpy as np
        import soundfile

        self._sound.close()
        try:
            self._sound = soundfile.SoundFile(self._source(), closefd=False)
            while (at := self._sound.tell()) < place:
                skipped = np.empty((min(_SMALL_BLOCK, place - at), self._sound.channels), np.float32)
                if not len(self._sound.read(out=skipped)):
                    break
        except (self._failure, TypeError, RuntimeError) as error:
            raise self.damage(place, _said(error)) from error

    def _fill_by(self, step: int, block: NDArray[np.float32], place: int) -> int:
        """Read into a block, so much at a time; how much of it there was."""
        filled = 0
        while filled < len(block):
            try:
                got = len(self._sound.read(out=block[filled : filled + step]))
            except (self._failure, RuntimeError) as error:
                if not self._is_at_end() or not place + filled:
                    raise self.damage(place + filled, _said(error)) from error
                return filled
            if not got:
                break
            filled += got
        return filled

    def _seek(self, first: int) -> int:
        """Go to a sample, or somewhere before it; where it stands."""
        if self._sound.subtype == "VORBIS":
            # In the last page libsndfile finds another sample.
            first = min(first, max(0, self._sound.frames - _MOST_IN_PAGE))
        if not self._sound.seekable():
            return 0
        try:
            return int(self._sound.seek(first)) if first else 0
        except (self._failure, RuntimeError) as error:
            raise self.damage(first, _said(error)) from error

    def _is_at_end(self) -> bool:
        """Whether all of the file was read."""
        try:
            descriptor = self._file.fileno()
        except (OSError, io.UnsupportedOperation):
            return not self._file.read(1)
        return os.lseek(descriptor, 0, os.SEEK_CUR) >= os.fstat(descriptor).st_size

    def close(self) -> None:
        """Close the decoder; the file is whoever opened it's to close."""
        self._sound.close()


class _Steady:
    """A file in memory for libsndfile, which may want to go to before its beginning."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.tell, self.read = file.tell, file.read

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go somewhere; stay where that is nowhere."""
        with suppress(ValueError, OSError, OverflowError):
            return self._file.seek(offset, whence)
        return self._file.tell()

    def write(self, content: bytes) -> int:
        """Nothing is written."""
        return 0


def _lacks_last_page(file: IO[bytes]) -> bool:
    """Whether an Ogg file does not end with a whole page that says it is the last."""
    file.seek(max(0, file.seek(0, io.SEEK_END) - _LARGEST_PAGE))
    tail = file.read()
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < 27 or not page[5] & 4 or len(page) < 27 + page[26]:
        return True
    return len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]])


def _said(error: Exception) -> str:
    """What the library says is wrong."""
    text = str(getattr(error, "error_string", "") or describe(error))
    if "not a regular file" in text:
        # Of an MP3 in which no frame is found.
        return "nothing in it can be decoded"
    return text.strip().removeprefix("Error :").strip().rstrip(".") or describe(error)
