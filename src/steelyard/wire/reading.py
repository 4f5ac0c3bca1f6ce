"""The bytes of one HTTP/1.1 answer, taken as they come.

    reading = Reading()
    reading.feed(block, clock())           until reading.whole
    reading.answer()

Whatever is no whole answer is a BrokenAnswer: half an answer is never taken for one.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import accumulate
from random import random
from typing import NamedTuple

from steelyard.errors import DataError
from steelyard.wire.packing import MOST_BODY, BrokenAnswer, Packing, too_large

__all__ = ["Answer", "BrokenAnswer", "Reading", "Take"]

_MOST_HEAD = 1 << 18
_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,12})[ \t]*(?:;[^\r\n]*)?\r\n")
# So much is taken apart at a time, on average: enough for many events, little where many answers are
# under way. Answers that come in step shall not all be taken apart in the same moment.
_SLICE = 1 << 13
_ZERO = ord("0")
# What the last chunk is between the ends of lines, where no trailer follows it.
_LAST = [b"0", b"", b""]
_WITH_END = (2).__add__


class Answer(NamedTuple):
    """What a service answered; the names of the headers are in lower case.

    `times` says when each piece of the body was in, and `places` where in it the piece ended; `done`
    when all was. `sent` is when the question went out, after so many seconds of `connecting`, and
    `first_byte` when anything came of the answer; `taken_by` says who took the times of what came.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    times: Sequence[float] = ()
    places: Sequence[int] = ()
    done: float = 0.0
    sent: float = 0.0
    connecting: float = 0.0
    first_byte: float | None = None
    taken_by: str | None = None

    def when(self, ends: Sequence[int]) -> list[float]:
        """When what ends at these places of the body was in; nothing where nobody knows."""
        if not ends or not self.times:
            return []
        times, places, last = self.times, self.places, len(self.places) - 1
        return [times[min(bisect_left(places, end), last)] for end in ends]


Take = Callable[[bytes, Sequence[float], Sequence[int], str], None]
"""Takes what follows of a body: when its blocks were in, where in the body they end; its content type."""


class Reading:
    """One answer on its way."""

    __slots__ = (
        "_ahead", "_blocks", "_ends", "_give", "_left", "_packing", "_pending", "_phase", "_pieces", "_size",
        "_slice", "_tunnel", "_unpacked", "begun", "connecting", "done", "excess", "first_byte", "headers",
        "keeps", "opened", "places", "sent", "status", "taken_by", "times", "whole",
    )  # fmt: skip

    def __init__(self, *, tunnel: bool = False, give: Take | None = None) -> None:
        """With `tunnel` a good answer has no body: what follows it is somebody else's.

        The body of a good answer is given away piece by piece, where there is somebody to `give` it to.
        """
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.begun = self.opened = self.whole = False
        self.keeps = False
        self.excess = b""
        self.sent = self.connecting = self.done = 0.0
        self.first_byte: float | None = None
        self.taken_by: str | None = None
        self.times = array("d")
        self.places = array("I")
        self._tunnel, self._give = tunnel, give
        self._ahead = b""
        self._left = 0
        # What came in chunks and was not taken apart yet, and where in it each block ends.
        self._blocks: list[bytes] = []
        self._ends: list[int] = []
        self._pending = 0
        self._slice = int(_SLICE * (0.5 + random()))
        self._pieces: list[bytes] = []
        self._size = self._unpacked = 0
        self._packing: Packing | None = None
        self._phase: Callable[[Reading, bytes, float], None] = Reading._feed_head

    def is_timed(self, hurried: bool) -> bool:
        """Whether each event is to have its own time; where one is hurried, the first ones are."""
        return self._give is not None and not (hurried and (self._size or self._blocks))

    def feed(self, block: bytes, at: float) -> None:
        """Take the bytes that came then."""
        self._phase(self, block, at)

    def end(self, at: float) -> None:
        """The connection has ended."""
        if self._blocks:
            self._unchunk()
        if self.whole:
            return
        if self._phase is Reading._feed_rest:
            self._finish(b"", at)
        elif not self.opened:
            raise BrokenAnswer("the connection was closed within the head of an answer")
        elif self._phase is Reading._feed_exactly:
            raise BrokenAnswer(
                f"the connection was closed after {self._size} of {self._size + self._left} bytes"
            )
        else:
            raise BrokenAnswer(f"the connection was closed after {self._size} bytes of an answer in chunks")

    def answer(self) -> Answer:
        """The answer, which is whole; its body is empty where somebody else took it."""
        if self._packing is not None and self._pieces:
            self._unpack(self._packing)
            self._packing.end()
        return Answer(
            self.status, self.headers, b"".join(self._pieces), self.times, self.places, self.done,
            self.sent, self.connecting, self.first_byte, self.taken_by,
        )  # fmt: skip

    def answer_so_far(self) -> Answer:
        """What is known of an answer that did not become whole: its times; what came is given away."""
        if not self.whole:
            with suppress(DataError, ConnectionError):
                if self._blocks:
                    self._unchunk()
                else:
                    self._hand_over()
        return Answer(
            self.status, self.headers, b"", (), (), 0.0,
            self.sent, self.connecting, self.first_byte, self.taken_by,
        )  # fmt: skip

    def take(self) -> bytes:
        """The body, as far as it came since it was last taken."""
        if self._blocks:
            self._unchunk()
        taken = b"".join(self._pieces)
        self._pieces.clear()
        if self._packing is not None:
            taken = self._packing.unpack(taken)
            if self.whole:
                self._packing.end()
        return taken

    def _hand_over(self) -> None:
        """Give what came so far to who takes it."""
        if self._give is None or not 200 <= self.status < 300:
            return
        if self._packing is not None:
            self._unpack(self._packing)
            if self.whole:
                self._packing.end()
        body, self._pieces = b"".join(self._pieces), []
        times, self.times = self.times, array("d")
        places, self.places = self.places, array("I")
        if body:
            self._give(body, times, places, self.headers.get("content-type", ""))

    def _unpack(self, packing: Packing) -> None:
        """Unpack what was not taken, only when all is in: many at a time would be large together."""
        packed, pieces, begin = b"".join(self._pieces), [], self._size - sum(map(len, self._pieces))
        places, start = array("I"), begin
        for end in self.places:
            pieces.append(packing.unpack(packed[begin - start : end - start]))
            begin = end
            self._unpacked += len(pieces[-1])
            places.append(self._unpacked)
        self._pieces, self.places = pieces, places

    def _feed_head(self, block: bytes, at: float) -> None:
        if not self.begun:
            self.begun, self.first_byte = True, at
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
            self._phase = Reading._feed_chunks
        elif (length := headers.get("content-length")) is not None:
            # Some proxies say the same length twice.
            length = length.partition(",")[0]
            if not (length.isascii() and length.isdecimal()):
                raise BrokenAnswer(f"this is not a length: {length[:80]!r}")
            if len(length) > len(str(MOST_BODY)) or int(length) > MOST_BODY:
                raise too_large()
            self._left = int(length)
            self._phase = Reading._feed_exactly
            if not self._left:
                self._finish(rest, at)
                return
        else:
            self._phase = Reading._feed_rest
            self.keeps = False
        if rest:
            self.feed(rest, at)

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
        """Put a block by, unless there may be the end of the answer in it."""
        self.times.append(at)
        self._blocks.append(block)
        self._pending = pending = self._pending + len(block)
        self._ends.append(pending)
        if (
            pending > self._slice
            or self._ahead
            or not self._size
            or block[0] == _ZERO
            or b"\n0" in block
            or block.endswith(b"\r\n\r\n")
        ):
            self._unchunk()

    def _unchunk(self) -> None:
        """Take the chunks apart that came since it was last done."""
        ahead, shift = b"".join([self._ahead, *self._blocks]), len(self._ahead)
        if not self._left and not shift and self._unchunk_plain(ahead):
            return
        ends, self._blocks, self._ends, self._pending = self._ends, [], [], 0
        # What is missing of a chunk with the line end after it; at 2 only that is.
        place, left, size, seen = 0, self._left, self._size, 0
        pieces, places, length = self._pieces, self.places, len(ahead)
        while True:
            if left > 2:
                stop = min(place + left - 2, length)
                pieces.append(ahead[place:stop])
                while seen < len(ends) and ends[seen] + shift <= stop:
                    # A block may end before the chunk begins.
                    places.append(size + max(0, ends[seen] + shift - place))
                    seen += 1
                size += stop - place
                left -= stop - place
                place = stop
            if left and (left > 2 or length < place + 2):
                break
            if left and ahead[place : place + 2] != b"\r\n":
                raise BrokenAnswer("a chunk is longer than its length")
            found = _SIZE.match(ahead, place + left)
            if found is None:
                place, left = place + left, 0
                _check_begin(ahead, place)
                break
            place, left = found.end(), int(found[1], 16) + 2
            if left == 2:
                self._phase, left = Reading._feed_trailer, 0
                break
        places.extend([size] * (len(ends) - seen))
        self._left, self._size, self._ahead = left, size, ahead[place:]
        if size > MOST_BODY:
            raise too_large()
        if self._phase is Reading._feed_trailer:
            rest, self._ahead = self._ahead, b""
            self._feed_trailer(rest, self.times[-1])
        else:
            self._hand_over()

    def _unchunk_plain(self, ahead: bytes) -> bool:
        """The same, many at a time, where whole chunks came in whole blocks; whether they did."""
        parts = ahead.split(b"\r\n")
        last = parts[-3:] == _LAST
        if last:
            del parts[-3:-1]
        sizes, pieces = parts[:-1:2], parts[1::2]
        lengths = list(map(len, pieces))
        try:
            if parts[-1] or lengths != [int(size, 16) for size in sizes] or 0 in lengths:
                return False
        except ValueError:
            return False
        grown = list(accumulate(lengths, initial=self._size))
        found = dict(zip(list(accumulate(map(_WITH_END, map(len, parts))))[1::2], grown[1:]))
        if last:
            found[len(ahead)] = grown[-1]
        try:
            self.places.extend([found[end] for end in self._ends])
        except KeyError:
            return False
        self._pieces += pieces
        self._size = grown[-1]
        self._blocks, self._ends, self._pending = [], [], 0
        if self._size > MOST_BODY:
            raise too_large()
        if last:
            self._finish(b"", self.times[-1])
        else:
            self._hand_over()
        return True

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
        self.times.append(at)
        self.places.append(size)
        self._pending += len(piece)
        if self._pending > self._slice:
            self._pending = 0
            self._hand_over()

    def _feed_excess(self, block: bytes, at: float) -> None:
        self.excess += block

    def _finish(self, excess: bytes, at: float) -> None:
        self.excess = excess
        self.whole, self.done = True, at
        self._phase = Reading._feed_excess
        self._hand_over()


def _check_begin(ahead: bytes, place: int) -> None:
    """Refuse what cannot become the length of a chunk."""
    if ahead.find(b"\r\n", place) >= 0 or len(ahead) - place > _MOST_HEAD:
        raise BrokenAnswer(f"this is not the length of a chunk: {bytes(ahead[place : place + 80])!r}")
