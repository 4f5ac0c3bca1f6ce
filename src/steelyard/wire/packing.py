"""Bodies that come packed: `Packing("gzip").unpack(piece)`, piece by piece.

gzip, its members one behind the other, and deflate with its zlib frame or without. What unpacks to more than
is borne is refused before there is memory for it.
"""

from __future__ import annotations

import zlib

MOST_BODY = 1 << 28
"""The most bytes of an answer's body, unpacked."""


class BrokenAnswer(ConnectionError):
    """The bytes that came are not a whole HTTP answer."""


class RefusedAnswer(BrokenAnswer):
    """An answer that would not be taken a second time either: too large, or packed in an unknown way."""


def too_large() -> RefusedAnswer:
    """What is said of a body that has more bytes than are borne."""
    return RefusedAnswer(f"an answer of more than {MOST_BODY >> 20} MB")


class Packing:
    """One packed body."""

    def __init__(self, encoding: str) -> None:
        if encoding not in {"gzip", "x-gzip", "deflate"}:
            raise RefusedAnswer(f"the answer is packed as {encoding!r}, which was not asked for")
        self._encoding = encoding
        self._inflate = zlib.decompressobj(wbits=47)
        self._held = b""
        self._fed = self._begun = False
        self._size = 0

    def unpack(self, piece: bytes) -> bytes:
        """What a piece of the body holds."""
        self._fed = self._fed or bool(piece)
        if not self._begun:
            # How it begins says which of its forms this is.
            piece, self._held = self._held + piece, b""
            if len(piece) < 2:
                self._held = piece
                return b""
        found = self._inflated(piece)
        while self._inflate.eof and self._encoding != "deflate" and self._inflate.unused_data.strip(b"\0"):
            rest, self._inflate = self._inflate.unused_data, zlib.decompressobj(wbits=31)
            found += self._inflated(rest)
        return found

    def end(self) -> None:
        """There is no more of it; a BrokenAnswer where it is not whole."""
        if self._fed and not self._inflate.eof:
            raise BrokenAnswer(f"the answer is not whole {self._encoding}")

    def _inflated(self, piece: bytes) -> bytes:
        try:
            found = self._inflate.decompress(piece, MOST_BODY + 1 - self._size)
        except zlib.error as error:
            if self._begun or self._encoding != "deflate":
                raise BrokenAnswer(f"the answer is not {self._encoding}: {error}") from error
            # Some services send deflate without its zlib frame.
            self._begun, self._inflate = True, zlib.decompressobj(wbits=-15)
            return self._inflated(piece)
        self._begun = True
        self._size += len(found)
        if self._size > MOST_BODY:
            raise too_large()
        return found
