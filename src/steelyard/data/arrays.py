"""A JSON array in a file as its items, one by one, however long it is.

    list(split_array(file))      of '[{"a": 1}, {"a": [2, 3]}]': [b'{"a": 1}', b'{"a": [2, 3]}']

Only where an item ends is looked for; whether it is JSON whoever decodes it finds out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

from steelyard.data.rows import excerpt

_BLOCK = 1 << 18
# A text, with its last quote unless it goes on in the next block; or what nests and what parts.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*("?)|[\[\]{},]', re.S)
_OPENING, _CLOSING = (b"[", b"{"), (b"]", b"}")


def split_array(file: IO[bytes]) -> Iterator[bytes]:
    """The items of the array; a ValueError where there is none, or it is cut off."""
    text = file.read(_BLOCK).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        return
    if not text.startswith(b"["):
        raise ValueError(f"it begins with {excerpt(text[:80])}")
    begin = place = depth = 1
    items = 0
    while depth:
        end, place, depth = _find_end(text, place, depth)
        if end is None:
            # What does not end yet is kept: the more of it there is, the more is read at a time.
            more = file.read(max(_BLOCK, len(text) - begin))
            if not more:
                raise ValueError(f"it is cut off, in its item {items}")
            text, place, begin = text[begin:] + more, place - begin, 0
            continue
        item, begin = text[begin:end].strip(), place
        if item:
            yield item
        elif items or depth:
            raise ValueError(f"its item {items} is empty")
        items += 1
    if rest := (text[begin:] + file.read(_BLOCK)).strip():
        raise ValueError(f"behind it stands {excerpt(rest[:80])}")


def _find_end(text: bytes, place: int, depth: int) -> tuple[int | None, int, int]:
    """Where the item ends that is read at a place, if it does; where to go on, and how deep."""
    for found in _TOKEN.finditer(text, place):
        token = found[0]
        if token.startswith(b'"'):
            if not found[1]:
                return None, found.start(), depth
        elif token in _OPENING:
            depth += 1
        elif token in _CLOSING:
            depth -= 1
        place = found.end()
        if depth == 0 or (depth == 1 and token == b","):
            return found.start(), place, depth
    return None, place, depth
