"""The text in which servers count: what is in the form is read, what is not costs only its line."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.wire.expositions import Series, read_exposition

LINES = {
    "up 1": Series("up", {}, 1.0),
    "  up\t4.5  ": Series("up", {}, 4.5),
    "up{} 2": Series("up", {}, 2.0),
    'a:b_total{c="d"} 3 1774000000000': Series("a:b_total", {"c": "d"}, 3.0),
    'a { c = "d" , e = "f" , } 3e2': Series("a", {"c": "d", "e": "f"}, 300.0),
    'a{c="d"} 3 1774000000.5 # {trace="x y"} 0.5 1774000000': Series("a", {"c": "d"}, 3.0),
    'a{c="}{,= #"} +Inf': Series("a", {"c": "}{,= #"}, math.inf),
    r'a{c="say \"no\"\n\\"} -1.': Series("a", {"c": 'say "no"\n\\'}, -1.0),
    '{"näme.with dots","o k"="1"} .5': Series("näme.with dots", {"o k": "1"}, 0.5),
}
ODD = [
    "", "#", "# TYPE a counter", "a", "a1", "a 1 2 3", "a{b=c} 1", 'a{b="c" 1', 'a{b="c"x="y"} 1', "a{,} 1",
    "{} 1", 'a{b="c"} 0x1', 'a{b="c"} 1_0', "}{ 1", "a one", "1 1", 'a{"b"} 1', "a b 1", "\x00", "a\u2028 1",
]  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_read(line: str) -> None:
    assert list(read_exposition(line)) == [LINES[line]]


@pytest.mark.parametrize("line", ODD)
def test_an_odd_line_costs_only_itself(line: str) -> None:
    assert list(read_exposition(f"before 1\n{line}\nafter 2\n")) == [
        Series("before", {}, 1.0),
        Series("after", {}, 2.0),
    ]


def test_not_a_number_is_a_value() -> None:
    (series,) = read_exposition(b"a NaN")
    assert math.isnan(series.value)


NAMES = st.from_regex(r"[A-Za-z_:][A-Za-z0-9_:]{0,8}", fullmatch=True)
LABELS = st.dictionaries(
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True), st.text(max_size=12), max_size=3
)
NUMBERS = st.floats(allow_nan=False)


def written(series: Series) -> str:
    """A series as a server writes it."""
    escapes = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
    labels = ",".join(f'{name}="{text.translate(escapes)}"' for name, text in series.labels.items())
    return f"{series.name}{{{labels}}} {series.value!r}"


@given(st.lists(st.builds(Series, NAMES, LABELS, NUMBERS), max_size=6))
def test_what_is_written_is_read(told: list[Series]) -> None:
    assert list(read_exposition("\n".join(map(written, told)))) == told


@given(st.text(), st.binary())
def test_nothing_breaks_it(text: str, data: bytes) -> None:
    for given_text in (text, data):
        for series in read_exposition(given_text):
            assert series.name and isinstance(series.value, float)
