"""The bytes of one HTTP/1.1 answer, taken as they come.

    reading = Reading()
    reading.feed(block, clock())           until reading.whole
    reading.answer()

Whatever is no whole answer is a BrokenAnswer: half an answer is never taken for one.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from steelyard.wire.packing import MOST_BODY, BrokenAnswer, Packing, too_large

__all__ = ["Answer", "BrokenAnswer", "Reading"]

_MOST_HEAD = 1 << 18
_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,12})[ \t]*(?:;[^\r\n]*)?\r\n")


class Answer(NamedTuple):
    """What a service answered; the names of the headers are in lower case.

    `stamps` says when each piece of the body was in, and where in it the piece ended; `done` when
    all was. `sent` is when the question went out, after so many seconds of `connecting`, and
    `first_byte` when anything came of the answer; `taken_by` says who took the times of what came.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    stamps: Sequence[tuple[float, int]] = ()
    done: float = 0.0
    sent: float = 0.0
    connecting: float = 0.0
    first_byte: float | None = None
    taken_by: str | None = None

    def when(self, ends: Sequence[int]) -> list[float]:
        """When what ends at these places of the body was in; nothing where nobody knows."""
        if not ends or not self.stamps:
            return []
        places = [place for _, place in self.stamps]
        return [self.stamps[min(bisect_left(places, end), len(places) - 1)][0] for end in ends]


class Reading:
    """One answer on its way."""

    __slots__ = (
        "_ahead", "_feed", "_left", "_packing", "_pieces", "_size", "_tunnel",
        "begun", "connecting", "done", "excess", "first_byte", "headers", "keeps", "opened", "sent", "stamps",
        "status", "taken_by", "whole",
    )  # fmt: skip

    def __init__(self, *, tunnel: bool = False) -> None:
        """With `tunnel` a good answer has no body: what follows it is somebody else's."""
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.begun = self.opened = self.whole = False
        self.keeps = False
        self.excess = b""
        self.sent = self.connecting = self.done = 0.0
        self.first_byte: float | None = None
        self.taken_by: str | None = None
        self.stamps: list[tuple[float, int]] = []
        self._tunnel = tunnel
        self._ahead = b""
        self._left = 0
        self._pieces: list[bytes] = []
        self._size = 0
        self._packing: Packing | None = None
        self._feed = self._feed_head

    def feed(self, block: bytes, at: float) -> None:
        """Take the bytes that came then."""
        if self.whole:
            self.excess += block
            return
        if not self.begun:
            self.begun, self.first_byte = True, at
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
        if self._packing is not None:
            self._unpack(self._packing)
        return Answer(
            self.status, self.headers, b"".join(self._pieces), self.stamps, self.done,
            self.sent, self.connecting, self.first_byte, self.taken_by,
        )  # fmt: skip

    def answer_so_far(self) -> Answer:
        """What is known of an answer that did not become whole: its times."""
        return Answer(
            self.status,
            self.headers,
            b"",
            (),
            0.0,
            self.sent,
            self.connecting,
            self.first_byte,
            self.taken_by,
        )

    def take(self) -> bytes:
        """The body, as far as it came since it was last taken."""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        if self._packing is not None:
            taken = self._packing.unpack(taken)
            if self.whole:
                self._packing.end()
        return taken

    def _unpack(self, packing: Packing) -> None:
        """Unpack what was not taken, only when all is in: many at a time would be large together."""
        packed, pieces, stamps, begin, size = b"".join(self._pieces), [], [], 0, 0
        for at, end in self.stamps:
            pieces.append(packing.unpack(packed[begin:end]))
            begin, size = end, size + len(pieces[-1])
            stamps.append((at, size))
        packing.end()
        self._pieces, self.stamps = pieces, stamps

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
        headers: dict[str, str] = {}
        for line in rest.split("\r\n")[:-1]:
            name, colon, value = line.partition(":")
            if not colon or not name:
                raise BrokenAnswer(f"this is not a header: {line[:80]!r}")
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        self.status, self.headers = int(status), headers
        return version

    def _begin_body(self, rest: bytes, at: float) -> None:
        status, headers, self.opened = self.status, self.headers, True
        if status in (204, 304) or (self._tunnel and 200 <= status < 300):
            self._finish(rest, at)
            return
        if (encoding := headers.get("content-encoding", "identity").lower()) != "identity":
            self._packing = Packing(encoding)
        if "chunked" in headers.get("transfer-encoding", "").lower():
            self._feed = self._feed_chunks
        elif (length := headers.get("content-length")) is not None:
            # Some proxies say the same length twice.
            length = length.partition(",")[0]
            if not (length.isascii() and length.isdecimal()):
                raise BrokenAnswer(f"this is not a length: {length[:80]!r}")
            if len(length) > len(str(MOST_BODY)) or int(length) > MOST_BODY:
                raise too_large()
            self._left = int(length)
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
        self._size = size = self._size + len(piece)
        if size > MOST_BODY:
            raise too_large()
        self._pieces.append(piece)
        if self.stamps and self.stamps[-1][0] == at:
            # What came together may be many small chunks.
            self.stamps.pop()
        self.stamps.append((at, size))

    def _finish(self, excess: bytes, at: float) -> None:
        self.excess = excess
        self.whole, self.done = True, at
