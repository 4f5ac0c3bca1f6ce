"""Server-sent events, read as the standard says, however their bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.wire.events import EventReader, are_events, read_events

lines = st.one_of(
    st.sampled_from(
        [b"", b": keepalive", b"event: x", b"id: 7", b"retry: 5", b"data", b"data:", b"nonsense"]
    ),
    st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])).map(
        lambda text: b"data: " + text.encode()
    ),
    st.text("é€𝄞: ").map(lambda text: b"data:" + text.encode()),
)
ends = st.sampled_from([b"\n", b"\r", b"\r\n"])


def reference(said: list[bytes]) -> list[bytes]:
    """The data of the events in whole lines, by the letter of the standard."""
    found, buffer = [], b""
    for line in said:
        name, _, value = line.partition(b":")
        if not line:
            if buffer.strip(b"\n"):
                found.append(buffer[:-1])
            buffer = b""
        elif name == b"data":
            buffer += value.removeprefix(b" ") + b"\n"
    return found


@given(st.lists(st.tuples(lines, ends), max_size=12), st.booleans(), st.data())
def test_events_are_those_of_the_standard(
    said: list[tuple[bytes, bytes]], mark: bool, data: st.DataObject
) -> None:
    # An empty line that ends with \n behind one that ends with \r would be one end of a line.
    pairs = pairwise(said)
    if any(before[1] == b"\r" and after[0] == b"" and after[1] == b"\n" for before, after in pairs):
        return
    body = b"\xef\xbb\xbf" * mark + b"".join(line + end for line, end in said)
    expected = reference([line for line, _ in said])
    assert [found for found, _ in read_events(body)] == [found for found in expected if found.strip(b"\n")]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    reader = EventReader()
    found = [one for a, b in zip([0, *cuts], [*cuts, len(body)]) for one in reader.read(body[a:b])]
    assert found == read_events(body)
    # An end is where the event is whole.
    for place, (_, end) in enumerate(found):
        assert len(read_events(body[:end])) == place + 1


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_an_event_is_told_with_the_first_byte_that_ends_it(end: bytes) -> None:
    reader = EventReader()
    told = [reader.feed(bytes([byte])) for byte in b"data: 1" + end + end + b"data: 2" + end + end]
    assert [one for one in told if one] == [[b"1"], [b"2"]]
    first = next(place for place, one in enumerate(told) if one)
    assert first == 7 + len(end) + len(end) - 1 - (end == b"\r\n")


def test_a_long_line_that_does_not_end_is_not_gone_over_again_and_again() -> None:
    # Whoever did that would be busy for hours.
    reader = EventReader()
    assert reader.feed(b"data: " + b"x" * 2_000_000) == []
    for _ in range(2000):
        assert reader.feed(b"y" * 1000) == []
    assert [len(data) for data in reader.feed(b"\n\n")] == [4_000_000]


def test_several_lines_of_data_are_one_event() -> None:
    assert EventReader().feed(b"data: {\ndata: }\n\n") == [b"{\n}"]
    assert EventReader().feed(b"data: cut off\n") == []


@pytest.mark.parametrize(
    ("body", "are"),
    [
        (b"data: 1\n\n", True),
        (b"\n\n: hm\n\n", True),
        (b"\xef\xbb\xbfevent: a\n", True),
        (b'{"data": 1}', False),
        (b"", False),
        (b"<html>", False),
    ],
)
def test_whether_a_body_is_events(body: bytes, are: bool) -> None:
    assert are_events(body) is are
