"""What a server counts of itself, in the text that Prometheus reads.

    >>> told = read_exposition('# TYPE waiting gauge\\nwaiting{model="m"} 3\\nodd line\\n')
    >>> list(told)
    [Series(name='waiting', labels={'model': 'm'}, value=3.0)]

The text form 0.0.4 and OpenMetrics are read alike; a line that is neither costs only itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_NAME = r"[A-Za-z_:][A-Za-z0-9_:]*"
# A name, or (for names with other letters) nothing before the braces; a value; a time; an exemplar.
_LINE = re.compile(
    rf'\s*({_NAME})?\s*(?:\{{((?:[^"{{}}]|{_QUOTED})*)\}})?\s*(\S+)(?:\s+[-+.\deE]+)?\s*(?:#.*)?', re.A
)
_LABEL = re.compile(rf"\s*({_NAME}|{_QUOTED})\s*(?:=\s*({_QUOTED})\s*)?(?:,|$)", re.A)
_NUMBER = re.compile(
    r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|inf(?:inity)?|nan)", re.A | re.I
)
_ESCAPED = re.compile(r"\\(.)", re.S)


class Series(NamedTuple):
    """One number of a server, by its name and labels."""

    name: str
    labels: Mapping[str, str]
    value: float


def read_exposition(text: str | bytes) -> Iterator[Series]:
    """All numbers of an exposition, in its order."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    for line in text.split("\n"):
        if line and not line.startswith("#") and (series := _read_line(line)) is not None:
            yield series


def _read_line(line: str) -> Series | None:
    found = _LINE.fullmatch(line)
    if found is None or not _NUMBER.fullmatch(found[3]):
        return None
    name = found[1]
    labels: dict[str, str] = {}
    if found[2] is not None:
        told = _read_labels(found[2])
        if told is None:
            return None
        labels, quoted = told
        if name and quoted:
            return None
        name = name or quoted
    elif name is None or found.start(3) == found.end(1):
        # Without braces something must stand between a name and its value.
        return None
    return Series(name, labels, float(found[3])) if name else None


def _read_labels(text: str) -> tuple[dict[str, str], str] | None:
    """The labels between braces, and the name of the series where it stands among them."""
    labels: dict[str, str] = {}
    name, at = "", 0
    end = len(text.rstrip())
    while at < end:
        label = _LABEL.match(text, at)
        if label is None:
            return None
        if label[2] is not None:
            labels[_plain(label[1])] = _plain(label[2])
        elif label[1].startswith('"') and not name:
            name = _plain(label[1])
        else:
            return None
        at = label.end()
    return labels, name


def _plain(text: str) -> str:
    if not text.startswith('"'):
        return text
    return _ESCAPED.sub(lambda escape: "\n" if escape[1] == "n" else escape[1], text[1:-1])
