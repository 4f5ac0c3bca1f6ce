"""Server-sent events, as services stream their answers: `read_events(body)`, `EventReader().feed(block)`.

data: {"choices": [{"delta": {"content": "Hel"}}]}
                                                        an empty line ends an event
: keepalive                                             a comment
data: [DONE]
"""

from __future__ import annotations

_ENDS = (b"\n", b"\r\n", b"\r")
_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":")
_MARK = b"\xef\xbb\xbf"
# As much of a body as says what it is.
_HEAD = 256


def are_events(body: bytes | bytearray) -> bool:
    """Whether a body is a stream of events."""
    return body[:_HEAD].removeprefix(_MARK).lstrip().startswith(_STARTS)


def read_events(body: bytes) -> list[tuple[bytes, int]]:
    """The data of each event, and where in the body it ends; what is cut off at the end is none."""
    return EventReader().read(body)


class EventReader:
    """The events in a stream whose bytes come in blocks that may end anywhere."""

    def __init__(self) -> None:
        self._seen = 0
        self._rest: list[bytes] = []
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
        if b"\n" not in block and b"\r" not in block:
            # Put together once, when the line ends, however long it is.
            self._rest.append(block)
            return []
        text = b"".join([*self._rest, block]) if self._rest else block
        if not self._data and (found := self._read_plain(text)) is not None:
            return found
        lines = text.splitlines(keepends=True)
        self._rest = [] if lines[-1].endswith(_ENDS) else [lines.pop()]
        self._returned = block.endswith(b"\r")
        found, data, end = [], self._data, self._seen
        for line in lines:
            end += len(line)
            if line.startswith(b"data:"):
                data.append(line[6 if line[5:6] == b" " else 5 :].rstrip(b"\r\n"))
            elif line in _ENDS:
                if any(data):
                    # The first byte of an end of two is enough, wherever the block was cut.
                    found.append((b"\n".join(data), end - len(line) + 1))
                data.clear()
            elif line.rstrip(b"\r\n") == b"data":
                data.append(b"")
        self._seen = end
        return found

    def _read_plain(self, text: bytes) -> list[tuple[bytes, int]] | None:
        """The same, many at a time, where each event is one line of data, as nearly all services write."""
        events = text.split(b"\n\n")
        rest = events.pop()
        if b"\r" in text or b"\n" in rest or text.count(b"\n") != 2 * len(events):
            return None
        found, end = [], self._seen
        for event in events:
            end += len(event) + 2
            if event[:6] != b"data: ":
                return None
            if len(event) > 6:
                found.append((event[6:], end))
        self._rest, self._seen = [rest] if rest else [], end
        return found

    def _begin(self, block: bytes) -> bytes:
        """The first bytes without the mark that may stand before them; nothing while it may still come."""
        text = b"".join([*self._rest, block])
        if len(text) < len(_MARK) and _MARK.startswith(text):
            self._rest = [text]
            return b""
        self._begun, self._rest = True, []
        if text.startswith(_MARK):
            self._seen = len(_MARK)
        return text.removeprefix(_MARK)
