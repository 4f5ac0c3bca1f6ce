"""Server-sent events, as services stream their answers: `read_events(body)`, `EventReader().feed(block)`.

data: {"choices": [{"delta": {"content": "Hel"}}]}
                                                        an empty line ends an event
: keepalive                                             a comment
data: [DONE]
"""

from __future__ import annotations

import re

_LINE = re.compile(rb"([^\r\n]*)(?:\r\n|\r|\n)")
_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":")
_MARK = b"\xef\xbb\xbf"
# As much of a body as says what it is.
_HEAD = 256


def are_events(body: bytes) -> bool:
    """Whether a body is a stream of events."""
    return body[:_HEAD].removeprefix(_MARK).lstrip().startswith(_STARTS)


def read_events(body: bytes) -> list[tuple[bytes, int]]:
    """The data of each event, and where in the body it ends; what is cut off at the end is none."""
    return EventReader().read(body)


class EventReader:
    """The events in a stream whose bytes come in blocks that may end anywhere."""

    def __init__(self) -> None:
        self._seen = 0
        self._rest = b""
        self._data: list[bytes] = []
        self._begun = self._returned = False

    def feed(self, block: bytes) -> list[bytes]:
        """The data of each event that ends in this block."""
        return [data for data, _ in self.read(block)]

    def read(self, block: bytes) -> list[tuple[bytes, int]]:
        """The data of each event that ends in this block, and where in the stream it ends."""
        if not self._begun:
            block = self._begin(block)
        if self._returned and block:
            # The other half of the end of a line that was taken for whole: nobody knows whether more comes.
            self._returned = False
            if block.startswith(b"\n"):
                self._seen += 1
                block = block[1:]
        text = self._rest + block if self._rest else block
        found, end = [], 0
        for line in _LINE.finditer(text):
            said, end = line[1], line.end()
            if not said:
                if any(self._data):
                    found.append((b"\n".join(self._data), self._seen + end))
                self._data = []
            elif said.startswith(b"data:"):
                self._data.append(said[6:] if said[5:6] == b" " else said[5:])
            elif said == b"data":
                self._data.append(b"")
        self._seen += end
        self._rest = text[end:]
        self._returned = bool(end) and end == len(text) and text.endswith(b"\r")
        return found

    def _begin(self, block: bytes) -> bytes:
        """The first bytes without the mark that may stand before them; nothing while it may still come."""
        text = self._rest + block
        if len(text) < len(_MARK) and _MARK.startswith(text):
            self._rest = text
            return b""
        self._begun, self._rest = True, b""
        if text.startswith(_MARK):
            self._seen = len(_MARK)
        return text.removeprefix(_MARK)
