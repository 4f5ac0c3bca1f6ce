"""Bytes of a file as if it were not compressed: gzip, bzip2, xz or zstandard."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import IO, Any

from steelyard.errors import need

SUFFIXES = (".gz", ".bz2", ".xz", ".zst")

# Small, because very repetitive data becomes a thousand times as long.
_BLOCK = 1 << 14
_BUFFER = 1 << 17


def decompress(file: IO[bytes], suffix: str) -> io.BufferedReader:
    """Read through `file`, which is compressed as the suffix says; damage is an OSError."""
    new_frame, error = _decoder(suffix)
    return io.BufferedReader(_Frames(file, new_frame, error), _BUFFER)


def _decoder(suffix: str) -> tuple[Callable[[], Any], type[Exception]]:
    """What decompresses one frame, and what it raises."""
    if suffix == ".gz":
        return lambda: zlib.decompressobj(wbits=31), zlib.error
    if suffix == ".bz2":
        import bz2

        return bz2.BZ2Decompressor, OSError
    if suffix == ".xz":
        import lzma

        return lzma.LZMADecompressor, lzma.LZMAError
    need("zstandard", extra="zstd")
    import zstandard

    # As large as `zstd --long=31` writes.
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 31)
    return decompressor.decompressobj, zstandard.ZstdError


class _Frames(io.RawIOBase):
    """Compressed frames one after the other; a torn last one is an error, not an early end."""

    def __init__(self, file: IO[bytes], new_frame: Callable[[], Any], error: type[Exception]) -> None:
        self._file = file
        self._new_frame = new_frame
        self._error = error
        self._frame: Any = None
        self._rest = b""
        self._out = memoryview(b"")

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as one block goes."""
        while not self._out:
            block = self._rest or self._file.read(_BLOCK)
            if not block:
                if self._frame is not None:
                    raise OSError("the compressed data ends too early")
                return 0
            self._out = memoryview(self._decompress(block))
        size = min(len(buffer), len(self._out))
        buffer[:size] = self._out[:size]
        self._out = self._out[size:]
        return size

    def _decompress(self, block: bytes) -> bytes:
        self._rest = b""
        if self._frame is None:
            # Zeros may pad what stands between frames.
            block = block.lstrip(b"\0")
            if not block:
                return b""
            self._frame = self._new_frame()
        try:
            out: bytes = self._frame.decompress(block)
        except self._error as error:
            raise OSError(f"the compressed data is damaged: {error}") from error
        if self._frame.eof:
            self._rest = self._frame.unused_data
            self._frame = None
        return out
