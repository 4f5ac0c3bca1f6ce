"""Sounds that libsndfile does not read (M4A, AAC, MP4, WebM, WMA): PyAV reads them, else a program ffmpeg."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from steelyard.errors import DataError, MissingExtra, describe
from steelyard.media.recordings import BLOCK, Recording, average, to_float

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# ISO (M4A, MP4, 3GP, MOV) says what it is behind the length of its first box.
_BEGINNINGS = (
    *(b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"OggS", b"ID3", b"ADIF", b"#!AMR", b"FLV"),
    *(b"wvpk", b"MAC ", b"TTA1", b"\x0b\x77", b"\x7f\xfe\x80\x01", b"DSD "),
)
# What is read as nothing else: among all formats that FFmpeg knows are lists of what is to be fetched.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,asf,ogg,mp3,aac,flac,ac3,eac3,amr,amrnb,amrwb,avi,flv,"
    "wv,ape,tta,dts,dsf,adif"
)
_LONGEST_COMPLAINT = 1 << 16


def is_container(head: bytes) -> bool:
    """Whether a file that begins so may hold a sound for PyAV or ffmpeg."""
    adts = len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0
    video = head[:4] == b"RIFF" and head[8:12] == b"AVI "
    return head.startswith(_BEGINNINGS) or head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide") or adts or video


def open_container(file: IO[bytes], name: str) -> Recording:
    """The first sound of a container."""
    if find_spec("av") is not None:
        return _Streamed(file, name)
    program = shutil.which("ffmpeg")
    if program is None:
        raise MissingExtra("av, which reads what libsndfile does not,", "m4a")
    return _Piped(program, file, name)


class _Streamed(Recording):
    """A sound that PyAV reads, once."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        import av

        self._failure: Any = (av.error.FFmpegError, ValueError, OSError)
        self._broken = ""
        try:
            allowed = {"format_whitelist": _FORMATS, "protocol_whitelist": "file,pipe"}
            self._container = av.open(file, metadata_errors="ignore", options=allowed)
        except self._failure as error:
            raise DataError(f"{name} is damaged or cut off: {_said(error)}") from error
        try:
            if not self._container.streams.audio:
                raise DataError(f"there is no sound in {name}", hint="it has other streams only")
            self._stream = self._container.streams.audio[0]
            self._frames = self._read()
            # The header does not say all: of some formats the rate is known once one frame is decoded.
            self._head: Any = next(self._frames, None)
            if self._head is None:
                said = f" that can be decoded: {self._broken}" if self._broken else ""
                raise DataError(f"{name} has no samples{said}", hint="was it written to its end?")
            super().__init__(name, int(self._head.sample_rate))
        except BaseException:
            self._container.close()
            raise
        self.frames = self.promised = self._length()

    def _length(self) -> int | None:
        """How many samples the header speaks of."""
        length = None
        if self._stream.duration and self._stream.time_base:
            length = self._stream.duration * self._stream.time_base
        elif self._container.duration:
            length = Fraction(self._container.duration, 1_000_000)
        return None if length is None else round(length * self.rate)

    def blocks(self, first: int, count: int | None) -> Iterator[NDArray[np.float32]]:
        """`count` samples from `first` on, or all; what stands before is decoded too.

        Behind a jump some decoders make other noise than where they have heard all before.
        """
        import numpy as np

        place, held, waiting = 0, 0, []
        end = None if count is None else first + count
        for samples in self._decoded():
            part = samples[max(0, first - place) : None if end is None else max(0, end - place)]
            place += len(samples)
            if len(part):
                waiting.append(part)
                held += len(part)
            if held >= BLOCK:
                yield np.concatenate(waiting)
                held, waiting = 0, []
            if end is not None and place >= end:
                break
        else:
            self._note_length(place)
        if waiting:
            yield np.concatenate(waiting)

    def _note_length(self, place: int) -> None:
        # Lengths are told in coarse units, and with what an encoder put before and behind.
        if self.promised is not None and place < self.promised - self.rate // 2:
            self.note_end(place)
        elif self._broken:
            self.remark = "cut off: its last part cannot be decoded"

    def _decoded(self) -> Iterator[NDArray[np.float32]]:
        """The frames from the beginning on."""
        place = 0
        for frame in chain([self._head], self._frames):
            if frame.sample_rate != self.rate:
                raise self.damage(place, f"{frame.sample_rate} samples a second after {self.rate}")
            samples = frame.to_ndarray()
            if not frame.format.is_planar:
                samples = samples.reshape(-1, len(frame.layout.channels)).T
            yield average(to_float(samples))
            place += samples.shape[-1]

    def _read(self) -> Iterator[Any]:
        """The frames as they come."""
        packets, place = self._container.demux(self._stream), 0
        while True:
            try:
                packet = next(packets, None)
                frames = [] if packet is None else packet.decode()
            except self._failure as error:
                # At the end of a file that is cut off: only if more comes is something in it damaged.
                self._broken = _said(error)
                continue
            if packet is None:
                return
            if frames and self._broken and place:
                raise self.damage(place, self._broken)
            for frame in frames:
                place += frame.samples
                yield frame

    def close(self) -> None:
        """Close the container; the file is whoever opened it's to close."""
        self._container.close()


class _Piped(Recording):
    """A sound that a program ffmpeg reads, and writes as AU into a pipe."""

    def __init__(self, program: str, file: IO[bytes], name: str) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the rest
        path = getattr(file, "name", None)
        self._copy: Any = None
        if not isinstance(path, str):
            self._copy = _copy(file)
            path = self._copy.name
        command = [program, "-nostdin", "-v", "error", "-protocol_whitelist", "file,pipe"]
        command += ["-format_whitelist", _FORMATS, "-i", f"file:{Path(path).absolute()}", "-map", "0:a:0"]
        command += ["-c:a", "pcm_f32be", "-f", "au", "pipe:1"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._said)
        self._out = cast("IO[bytes]", self._process.stdout)
        try:
            rate = self._read_header(name)
            super().__init__(name, rate)
        except BaseException:
            self.close()
            raise

    def _read_header(self, name: str) -> int:
        head = self._out.read(24)
        if len(head) < 24 or head[:4] != b".snd":
            raise DataError(f"{name} cannot be read by ffmpeg: {self._complaint() or 'it said nothing'}")
        offset, _, _, rate, self._channels = struct.unpack(">5I", head[4:])
        self._out.read(offset - 24)
        return int(rate)

    def blocks(self, first: int, count: int | None) -> Iterator[NDArray[np.float32]]:
        """`count` samples from `first` on, or all; what stands before is read over."""
        import numpy as np

        size = 4 * self._channels
        place, end = 0, None if count is None else first + count
        while end is None or place < end:
            content = self._out.read(BLOCK * size)
            samples = np.frombuffer(content[: len(content) // size * size], ">f4").reshape(-1, self._channels)
            part = samples[max(0, first - place) : None if end is None else max(0, end - place)]
            place += len(samples)
            if len(part):
                yield average(part.T.astype(np.float32))
            if len(content) < BLOCK * size:
                said = self._complaint()
                self.remark = f"ffmpeg says: {said}" if said else ""
                return

    def _complaint(self) -> str:
        """What the program said last, once it has ended."""
        self._process.wait()
        self._said.seek(0)
        lines = self._said.read(_LONGEST_COMPLAINT).decode(errors="replace").strip().splitlines()
        # Before it stands in brackets which part of the program says it.
        return re.sub(r"^(\[[^\]]*\]\s*)+", "", lines[-1])[:200] if lines else ""

    def close(self) -> None:
        """End the program."""
        self._process.kill()
        self._out.close()
        self._process.wait()
        self._said.close()
        if self._copy is not None:
            self._copy.close()


def _copy(file: IO[bytes]) -> Any:
    """A file of what lies in memory: of most containers the end has to be read first."""
    copy = tempfile.NamedTemporaryFile()  # noqa: SIM115 - closed by whoever reads it
    shutil.copyfileobj(file, copy)
    copy.flush()
    return copy


def _said(error: Exception) -> str:
    return str(getattr(error, "strerror", "") or describe(error))
