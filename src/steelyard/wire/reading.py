"""The bytes of one HTTP/1.1 answer, taken as they come.

    reading = Reading()
    reading.feed(block, clock())           until reading.whole
    reading.answer()

Whatever is no whole answer is a BrokenAnswer: half an answer is never taken for one.
"""

from __future__ import annotations

import re
import zlib
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

_MOST_HEAD = 1 << 18
_MOST_BODY = 1 << 28
_HEADER = re.compile(r"([^:\r\n]+):([^\r\n]*)\r\n")
_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,12})[ \t]*(?:;[^\r\n]*)?\r\n")


class BrokenAnswer(ConnectionError):
    """The bytes that came are not a whole HTTP answer."""


class Answer(NamedTuple):
    """What a service answered; the names of the headers are in lower case.

    `stamps` says when each piece of the body was in, and where in it the piece ended; `done` when
    all was.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    stamps: Sequence[tuple[float, int]] = ()
    done: float = 0.0

    def when(self, ends: Sequence[int]) -> list[float]:
        """When what ends at these places of the body was in; nothing where nobody knows."""
        if not ends or not self.stamps:
            return []
        places = [place for _, place in self.stamps]
        return [self.stamps[min(bisect_left(places, end), len(places) - 1)][0] for end in ends]


class Reading:
    """One answer on its way."""

    __slots__ = (
        "_ahead", "_feed", "_left", "_pieces", "_size", "_tunnel", "_unpack",
        "begun", "done", "excess", "headers", "keeps", "opened", "stamps", "status", "whole",
    )  # fmt: skip

    def __init__(self, *, tunnel: bool = False) -> None:
        """With `tunnel` a good answer has no body: what follows it is somebody else's."""
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.begun = self.opened = self.whole = False
        self.keeps = False
        self.excess = b""
        self.done = 0.0
        self.stamps: list[tuple[float, int]] = []
        self._tunnel = tunnel
        self._ahead = b""
        self._left = 0
        self._pieces: list[bytes] = []
        self._size = 0
        self._unpack: Callable[[bytes], bytes] | None = None
        self._feed = self._feed_head

    def feed(self, block: bytes, at: float) -> None:
        """Take the bytes that came then."""
        if self.whole:
            self.excess += block
            return
        self.begun = True
        self._feed(block, at)

    def end(self, at: float) -> None:
        """The connection has ended."""
        if self._feed == self._feed_rest:
            self._finish(b"", at)
        elif not self.opened:
            raise BrokenAnswer("the connection was closed within the head of an answer")
        elif self._feed == self._feed_exactly:
            raise BrokenAnswer(
                f"the connection was closed after {self._size} of {self._size + self._left} bytes"
            )
        else:
            raise BrokenAnswer(f"the connection was closed after {self._size} bytes of an answer in chunks")

    def answer(self) -> Answer:
        """The answer, which is whole."""
        return Answer(self.status, self.headers, self.take(), self.stamps, self.done)

    def take(self) -> bytes:
        """The body, as far as it came since it was last taken."""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken

    def _feed_head(self, block: bytes, at: float) -> None:
        ahead = self._ahead + block if self._ahead else block
        while (end := ahead.find(b"\r\n\r\n") + 4) > 3:
            version = self._read_head(ahead[: end - 2].decode("latin-1"))
            ahead = ahead[end:]
            if self.status < 100 or self.status >= 200:
                self._ahead = b""
                wishes = self.headers.get("connection", "").lower()
                self.keeps = "close" not in wishes if version == "HTTP/1.1" else "keep-alive" in wishes
                self._begin_body(ahead, at)
                return
        if len(ahead) > _MOST_HEAD:
            raise BrokenAnswer(f"a head of more than {_MOST_HEAD} bytes")
        self._ahead = ahead

    def _read_head(self, text: str) -> str:
        first, _, rest = text.partition("\r\n")
        version, status = first[:8], first[9:12]
        if not version.startswith("HTTP/1.") or not (status.isascii() and status.isdigit()):
            raise BrokenAnswer(f"this is not HTTP/1.1: {first[:80]!r}")
        pairs = _HEADER.findall(rest)
        if len(pairs) != rest.count("\r\n"):
            odd = next(line for line in rest.split("\r\n") if ":" not in line or line.startswith(":"))
            raise BrokenAnswer(f"this is not a header: {odd[:80]!r}")
        headers = {name.strip().lower(): value.strip() for name, value in pairs}
        if len(headers) < len(pairs):
            several: dict[str, list[str]] = {}
            for name, value in pairs:
                several.setdefault(name.strip().lower(), []).append(value.strip())
            headers = {name: ", ".join(values) for name, values in several.items()}
        self.status, self.headers = int(status), headers
        return version

    def _begin_body(self, rest: bytes, at: float) -> None:
        status, headers, self.opened = self.status, self.headers, True
        if status in (204, 304) or (self._tunnel and 200 <= status < 300):
            self._finish(rest, at)
            return
        if "content-encoding" in headers:
            self._unpack = _unpacker(headers["content-encoding"].lower())
        if "chunked" in headers.get("transfer-encoding", "").lower():
            self._feed = self._feed_chunks
        elif (length := headers.get("content-length")) is not None:
            # Some proxies say the same length twice.
            length = length.partition(",")[0]
            if not (length.isascii() and length.isdecimal()):
                raise BrokenAnswer(f"this is not a length: {length[:80]!r}")
            self._left = int(length)
            self._check_size(self._left)
            self._feed = self._feed_exactly
            if not self._left:
                self._finish(rest, at)
                return
        else:
            self._feed = self._feed_rest
            self.keeps = False
        if rest:
            self._feed(rest, at)

    def _feed_exactly(self, block: bytes, at: float) -> None:
        left = self._left
        if len(block) < left:
            self._left = left - len(block)
            self._grow(block, at)
            return
        excess = b""
        if len(block) > left:
            block, excess = block[:left], block[left:]
        self._left = 0
        self._grow(block, at)
        self._finish(excess, at)

    def _feed_rest(self, block: bytes, at: float) -> None:
        self._grow(block, at)

    def _feed_chunks(self, block: bytes, at: float) -> None:
        """`_left` is what is missing of a chunk with the line end after it; at 2 only that is."""
        ahead, place = self._ahead + block if self._ahead else block, 0
        while True:
            left = self._left
            if left > 2:
                piece = ahead[place : place + left - 2]
                if piece:
                    place += len(piece)
                    self._left = left = left - len(piece)
                    self._grow(piece, at)
                if left > 2:
                    break
            if left:
                if len(ahead) < place + 2:
                    break
                if ahead[place : place + 2] != b"\r\n":
                    raise BrokenAnswer("a chunk is longer than its length")
                place += 2
                self._left = 0
            found = _SIZE.match(ahead, place)
            if found is None:
                if ahead.find(b"\r\n", place) >= 0 or len(ahead) - place > _MOST_HEAD:
                    raise BrokenAnswer(
                        f"this is not the length of a chunk: {bytes(ahead[place : place + 80])!r}"
                    )
                break
            place = found.end()
            size = int(found[1], 16)
            if size == 0:
                self._ahead = b""
                self._feed = self._feed_trailer
                self._feed_trailer(ahead[place:], at)
                return
            self._left = size + 2
        self._ahead = ahead[place:]

    def _feed_trailer(self, block: bytes, at: float) -> None:
        ahead = self._ahead + block
        # An empty line ends it, which may be the first.
        end = 2 if ahead.startswith(b"\r\n") else ahead.find(b"\r\n\r\n") + 4
        if end > 3 or end == 2:
            self._finish(ahead[end:], at)
        elif len(ahead) > _MOST_HEAD:
            raise BrokenAnswer(f"a trailer of more than {_MOST_HEAD} bytes")
        else:
            self._ahead = ahead

    def _grow(self, piece: bytes, at: float) -> None:
        if self._unpack is not None:
            piece = self._unpack(piece)
        self._size += len(piece)
        self._check_size(self._size)
        self._pieces.append(piece)
        self.stamps.append((at, self._size))

    def _check_size(self, size: int) -> None:
        if size > _MOST_BODY:
            raise BrokenAnswer(f"an answer of more than {_MOST_BODY >> 20} MB")

    def _finish(self, excess: bytes, at: float) -> None:
        if self._unpack is not None and self.stamps:
            self._pieces.append(self._unpack(b""))
        self.excess = excess
        self.whole, self.done = True, at


def _unpacker(encoding: str) -> Callable[[bytes], bytes] | None:
    """What unpacks a body piece by piece; nothing more to come is an empty piece."""
    if encoding == "identity":
        return None
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise BrokenAnswer(f"the answer is packed as {encoding!r}, which was not asked for")
    inflate, held, begun = zlib.decompressobj(wbits=47), b"", False

    def unpack(piece: bytes) -> bytes:
        nonlocal inflate, held, begun
        if not piece:
            if not inflate.eof:
                raise BrokenAnswer(f"the answer is not whole {encoding}")
            return b""
        if not begun:
            # How it begins says which of its forms this is.
            held = piece = held + piece
            if len(held) < 2:
                return b""
        try:
            unpacked = inflate.decompress(piece, _MOST_BODY)
        except zlib.error as error:
            if begun or encoding != "deflate":
                raise BrokenAnswer(f"the answer is not {encoding}: {error}") from error
            # Some services send deflate without its zlib frame.
            inflate, begun, held = zlib.decompressobj(wbits=-15), True, b""
            return unpack(piece)
        begun, held = True, b""
        if inflate.unconsumed_tail:
            raise BrokenAnswer(f"an answer of more than {_MOST_BODY >> 20} MB")
        return unpacked

    return unpack
