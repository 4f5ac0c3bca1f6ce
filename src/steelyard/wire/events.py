"""Server-sent events, as services stream their answers: `read_events(body)`.

data: {"choices": [{"delta": {"content": "Hel"}}]}
                                                        an empty line ends an event
: keepalive                                             a comment
data: [DONE]
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_LINE = re.compile(rb"([^\r\n]*)(?:\r\n|\r|\n)")
_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":")


def are_events(body: bytes) -> bool:
    """Whether a body is a stream of events."""
    return body.lstrip().startswith(_STARTS)


def read_events(body: bytes) -> Iterator[tuple[bytes, int]]:
    """The data of each event, and where in the body it ends; what is cut off at the end is none."""
    data: list[bytes] = []
    for line in _LINE.finditer(body):
        text = line[1]
        if not text:
            if data:
                yield b"\n".join(data), line.end()
            data = []
        elif text.startswith(b"data:"):
            data.append(text[5:].removeprefix(b" "))
