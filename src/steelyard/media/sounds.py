"""Sounds from anywhere: nothing of one is read until somebody listens to it.

    as_sound("songs/7.flac").load(24000)                   one waveform at 24 kHz, channels averaged
    as_sound("songs/7.flac").load(24000, seconds=30)       its first 30 s, and no more of it is read
    read_sound("greeting.wav")                             {"data": "UklGR…", "format": "wav"}, for services

How a file becomes samples stands in `soundfiles`, how these become another rate's in `resampling`.
"""

from __future__ import annotations

import base64
import io
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from math import isfinite
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from steelyard.errors import DataError, UsageError
from steelyard.masking import mask_url
from steelyard.media.digests import hash_file
from steelyard.media.kinds import describe_bytes
from steelyard.media.locations import (
    LONGEST_PATH,
    decode_base64,
    decode_data_url,
    open_file,
    path_of_url,
    scheme,
)
from steelyard.media.pixels import hash_array
from steelyard.media.recordings import HIGHEST_RATE, LOWEST_RATE, Recording, Samples, hear
from steelyard.media.soundfiles import opened

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BYTES = (bytes, bytearray, memoryview)
# Where sounds stand in rows of data sets and in parts of messages, the likeliest first.
_FIELDS = ("bytes", "path", "audio", "input_audio", "audio_url", "data", "url", "file", "source")
# An array with more channels than this and fewer samples has its channels last.
_MOST_CHANNELS = 64
_KEPT_SECONDS = 120
_HIGHEST_FLAC_RATE = 655_350

_FORMATS = (
    (b"ID3", "mp3"),
    (b"\xff\xfb", "mp3"),
    (b"\xff\xf3", "mp3"),
    (b"\xff\xf2", "mp3"),
    (b"OggS", "ogg"),
    (b"fLaC", "flac"),
    (b"\x1aE\xdf\xa3", "webm"),
)


class Sound:
    """A sound somewhere: a file, encoded bytes, or samples in memory.

    `source` is a path, a file: or data: URL, bytes, an array or tensor of numpy or torch ([S] or [C, S]), or
    an object with "array" and "sampling_rate" or with "bytes" or "path", as data sets have it. A relative
    path is relative to `home`. Samples in memory are at `rate`, or where that is not given at whatever rate
    they are asked for. Many threads may listen to a Sound at once. `remark` says what is odd about it, once
    it was listened to: that it ends before its header says.
    """

    __slots__ = ("__weakref__", "_given", "_reference", "_source", "name", "rate", "remark")

    def __init__(self, source: Any, *, rate: int | None = None, home: Path | None = None) -> None:
        self._given: str | None = None
        self._reference: dict[str, Any] | None = None
        self.rate, self.remark = rate, ""
        if isinstance(source, Mapping):
            source = self._unwrap(source)
        if isinstance(source, Sound):
            self._given, source, self.rate = source._given, source._source, rate or source.rate
        self._source: Any = source
        if isinstance(source, (str, PathLike)):
            if self._given is None:
                self._locate(source, home or Path())
        elif isinstance(source, _BYTES):
            self._source = bytes(source)
        elif not is_samples(source):
            hint = "a path, bytes, an array or a tensor of samples is one"
            raise DataError(f"something of the type {type(source).__name__} is no sound", hint=hint)
        self.name = self._name()
        if self.rate is not None and not LOWEST_RATE <= self.rate <= HIGHEST_RATE:
            hint = f"a whole number from {LOWEST_RATE:,} to {HIGHEST_RATE:,}"
            raise DataError(f"{self.name} has {self.rate!r} samples a second", hint=hint)

    def _unwrap(self, value: Mapping[str, Any]) -> Any:
        """What holds the sound in an object of a data set, a message, or a stored run."""
        if value.get("array") is not None:
            self.rate = value.get("sampling_rate") or self.rate
            array = value["array"]
            return _array(array) if isinstance(array, (list, tuple)) else array
        for field in _FIELDS:
            found = value.get(field)
            if found is None:
                continue
            if isinstance(found, Mapping):
                return self._unwrap(found)
            if isinstance(found, str) and field in ("bytes", "data"):
                return decode_base64(found)
            return found
        hint = "bytes, path, or array and sampling_rate hold one"
        keys = ", ".join(map(str, value)) or "nothing"
        raise DataError(f"there is no sound in an object with {keys}", hint=hint)

    def _locate(self, source: str | PathLike[str], home: Path) -> None:
        text = os.fspath(source)
        kind = scheme(text) if isinstance(source, str) else ""
        if kind == "data":
            self._source = decode_data_url(text)
            return
        if kind == "file":
            text = str(path_of_url(text))
        elif kind:
            hint = "download it into a file"
            raise DataError(f"the sound {mask_url(text)} is on another machine", hint=hint)
        elif not text.strip() or len(text) > LONGEST_PATH:
            raise DataError(f"a text of {len(text):,} characters names no sound")
        self._given, self._source = text, home / Path(text).expanduser()

    def _name(self) -> str:
        if self._given is not None:
            return self._given
        if isinstance(self._source, bytes):
            return f"sound of {len(self._source):,} bytes"
        return f"sound {'x'.join(map(str, self._source.shape))} in memory"

    def __repr__(self) -> str:
        return f"<Sound {self.name if len(self.name) <= 100 else self.name[:99] + '…'}>"

    @property
    def path(self) -> Path | None:
        """The file that it lies in, if it lies in one."""
        return self._source if isinstance(self._source, Path) else None

    @property
    def array(self) -> Any:
        """The array or tensor that it was made of; None where it is encoded."""
        return None if isinstance(self._source, (Path, bytes)) else self._source

    def load(self, rate: int, *, seconds: float | None = None, start: float = 0.0) -> NDArray[np.float32]:
        """Its samples at a rate, channels averaged: `seconds` of it from `start` on, fewer where it ends.

        Raises a DataError that names it and what is wrong with it.
        """
        if not LOWEST_RATE <= rate <= HIGHEST_RATE:
            raise UsageError(f"a rate of {rate!r}", hint=f"from {LOWEST_RATE:,} to {HIGHEST_RATE:,}")
        for what, value in (("seconds", seconds), ("start", start)):
            if value is not None and not (value >= 0 and isfinite(value)):
                raise UsageError(f"{what} is {value!r}", hint="a number, 0 or more")
        count = None if seconds is None else int(seconds * rate)
        with self._opened(rate) as recording:
            wave = hear(recording, rate, first=round(start * rate), count=count)
            self.remark = recording.remark
        return wave

    def seconds(self) -> float | None:
        """How long it is by its header, for which nothing is decoded; None where that is not said."""
        with self._opened(self.rate) as recording:
            length = recording.length()
            return None if length is None else length / recording.rate

    def read(self) -> bytes:
        """The encoded file; of samples in memory a WAV with 16 bits."""
        if isinstance(self._source, bytes):
            return self._source
        if isinstance(self._source, Path):
            with open_file(self._source, self.name, kind="sound") as file:
                try:
                    return file.read()
                except OSError as error:
                    raise DataError(f"{self.name} cannot be read: {error.strerror or error}") from error
        if self.rate is None:
            raise DataError(f"{self.name} has no rate", hint="Sound(array, rate=…)")
        return write_wave(self.load(self.rate), self.rate)

    def reference(self) -> dict[str, Any]:
        """What is stored of it: its path as it was given, and a digest of its content."""
        if self._reference is None:
            reference: dict[str, Any] = {}
            if self._given is not None:
                reference["audio"] = self._given
            digest = self._digest()
            if digest is not None:
                reference["digest"] = digest
            self._reference = reference
        return dict(self._reference)

    def _digest(self) -> str | None:
        try:
            if isinstance(self._source, Path):
                return hash_file(self._source)
            if isinstance(self._source, bytes):
                return hash_file(io.BytesIO(self._source))
            return f"{hash_array(self._source)}at{self.rate or 0}"
        except Exception:  # noqa: BLE001 - whoever listens to it is told what is wrong with it
            return None

    @contextmanager
    def _opened(self, rate: int | None) -> Iterator[Recording]:
        if isinstance(self._source, Path):
            file: IO[bytes] = open_file(self._source, self.name, kind="sound")
        elif isinstance(self._source, bytes):
            file = io.BytesIO(self._source)
        else:
            # A length is asked for, and nobody knows the rate: then there is none.
            known = self.rate or rate
            array = _channels(self._source, self.name)
            yield _Unknown(array, self.name) if known is None else Samples(array, self.name, known)
            return
        with file, opened(file, self.name) as recording:
            yield recording


class _Unknown(Samples):
    """Samples of which nobody says how many are a second."""

    def __init__(self, array: NDArray[Any], name: str) -> None:
        super().__init__(array, name, LOWEST_RATE)
        self.frames = None


def as_sound(value: Any, *, home: Path | None = None) -> Sound:
    """The Sound that anything is which holds one; raises a DataError for anything else."""
    if isinstance(value, Sound):
        return value
    if getattr(value, "kind", None) == "audio":
        return as_sound(value.data, home=home)
    if hasattr(value, "get_all_samples"):
        # What the library torchcodec decodes files with, and `datasets` gives for a column of sounds.
        samples = value.get_all_samples()
        return Sound(samples.data, rate=int(samples.sample_rate))
    return Sound(value, home=home)


def as_sounds(value: Any, *, home: Path | None = None, remote: bool = False) -> list[Sound]:
    """The Sounds of one or several: a list of any of them. None is fetched from elsewhere."""
    if value is None:
        return []
    if getattr(getattr(value, "dtype", None), "kind", "") == "O":
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [sound for item in value for sound in as_sounds(item, home=home)]
    return [as_sound(value, home=home)]


def is_samples(value: Any) -> bool:
    """Whether this is an array or tensor of any library."""
    if not (hasattr(value, "shape") and hasattr(value, "dtype") and hasattr(value, "__array__")):
        return False
    return isinstance(value.shape, tuple) and len(value.shape) >= 1


def write_wave(wave: NDArray[np.float32], rate: int) -> bytes:
    """A waveform as a WAV file with 16 bits and one channel."""
    import numpy as np

    body: bytes = np.clip(np.rint(wave * 32768.0), -32768, 32767).astype("<i2").tobytes()
    layout = struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16)
    head = b"RIFF" + struct.pack("<I", 36 + len(body)) + b"WAVEfmt " + layout
    return head + b"data" + struct.pack("<I", len(body)) + body


def encode_sound(sound: Sound) -> tuple[bytes, str]:
    """A sound as a file that anybody plays, and the suffix of its name; of samples the first minutes."""
    if sound.array is None:
        content = sound.read()
        return content, f".{find_format(content)}"
    if sound.rate is None:
        raise DataError(f"{sound.name} has no rate", hint="Sound(array, rate=…)")
    wave = sound.load(sound.rate, seconds=_KEPT_SECONDS)
    if find_spec("soundfile") is None or sound.rate > _HIGHEST_FLAC_RATE:
        return write_wave(wave, sound.rate), ".wav"
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, wave, sound.rate, format="FLAC", subtype="PCM_16")
    return file.getvalue(), ".flac"


def read_sound(sound: Any) -> dict[str, str]:
    """A Sound, a file, its bytes, or a part of a message, as base64 with the name of its format."""
    if isinstance(sound, Mapping):
        inner = sound.get("input_audio", sound)
        if isinstance(inner, Mapping) and isinstance(inner.get("data"), str):
            return {"data": inner["data"], "format": str(inner.get("format") or "wav")}
    content = as_sound(sound).read()
    return {"data": base64.b64encode(content).decode(), "format": find_format(content)}


def find_format(content: bytes) -> str:
    """What a service calls the format of an encoded sound."""
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        return "wav"
    if content[4:8] == b"ftyp":
        return "m4a"
    for beginning, name in _FORMATS:
        if content.startswith(beginning):
            return name
    raise DataError(f"no sound in a known format: {describe_bytes(content[:64])}", hint="wav, mp3, flac, ogg")


def _array(value: Any) -> NDArray[Any]:
    """An array or tensor of any library as one of numpy."""
    import numpy as np

    if hasattr(value, "detach"):
        value = value.detach().cpu()
        # numpy does not know bfloat16.
        value = (value.float() if value.is_floating_point() else value).numpy()
    return np.asarray(value)


def _channels(value: Any, name: str) -> NDArray[Any]:
    """Samples in memory as [channels, samples]."""
    array = _array(value)
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.dtype.kind not in "iuf":
        raise DataError(f"{name}: values of the type {array.dtype} are no samples")
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2:
        raise DataError(
            f"{name}: {array.shape} is no shape of a sound", hint="(samples,) or (channels, samples)"
        )
    if array.shape[0] > _MOST_CHANNELS >= array.shape[1] > 0:
        array = array.T
    if not array.size:
        raise DataError(f"{name} has no samples")
    return array
