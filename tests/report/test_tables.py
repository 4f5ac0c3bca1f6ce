"""Tables as text, Markdown and CSV."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.report.tables import Figure, Table, columns_of, decimals_of

TABLE = Table(
    ("name", "score", "n"),
    [
        ["exact", Figure(0.81234, 3), 1200],
        ["a|b <i>", Figure(None, 3), None],
        ["日本", Figure(-0.00001, 2), 3],
    ],
)


def test_text_is_aligned_whatever_the_script() -> None:
    assert TABLE.text().splitlines() == [
        "name     score      n",
        "exact    0.812  1,200",
        "a|b <i>      –      –",
        "日本      0.00      3",
    ]


def test_a_narrow_terminal_does_without_what_can_be_spared() -> None:
    rows = [["a stage with a name as long as that", 10, Figure(0.5, 1), Figure(123.25, 2), 7]]
    table = Table(("stage", "n", "min", "median", "max"), rows, spare=("max", "missing", "min", "n"))
    assert table.text().splitlines()[0].split() == ["stage", "n", "min", "median", "max"]
    assert "no room" not in table.text(width=200)
    # The name is cut before numbers go.
    assert "no room" not in table.text(width=46) and "a stage with" in table.text(width=46)
    for width, gone in (
        (44, "(no room for max)"),
        (38, "(no room for max, min)"),
        (20, "(no room for max, min, n)"),
    ):
        *lines, note = table.text(width=width).splitlines()
        assert note == gone and "123.25" in lines[1] and max(map(columns_of, lines)) <= width


def test_markdown_cells_stay_cells() -> None:
    lines = TABLE.markdown().splitlines()
    assert lines[1] == "| --- | --: | --: |"
    assert lines[3] == "| a\\|b &lt;i&gt; | – | – |"


def test_what_a_spreadsheet_would_run_is_text() -> None:
    texts = [
        "=cmd|' /C calc'!A0",
        '=HYPERLINK("http://x")',
        "@SUM(1)",
        "+1-2(3)",
        "\t=A(1)",
        "=3",
        "-",
        "-0.5",
        "a=b(1)",
    ]
    found = [row[0] for row in csv.reader(io.StringIO(Table(["name"], [[text] for text in texts]).csv()))]
    assert found == ["name", *(f"'{text}" for text in texts[:5]), *texts[5:]]


def test_csv_has_numbers_in_full() -> None:
    rows = list(csv.reader(io.StringIO(TABLE.csv())))
    assert rows[1] == ["exact", "0.81234", "1200"]
    assert rows[2] == ["a|b <i>", "", ""]


@pytest.mark.parametrize(
    ("value", "stderr", "shown"),
    [
        (0.42345, 0.011, "0.423"),
        (34.2345, 1.2, "34.2"),
        (0.5, None, "0.500"),
        (0.123456, 0.00001, "0.1235"),
        (1234.5, 150.0, "1,234"),
        (None, 0.1, "–"),
        (3e-9, 1e-9, "<0.0001"),
    ],
)
def test_as_many_digits_as_the_error_leaves(value: float | None, stderr: float | None, shown: str) -> None:
    assert str(Figure(value, decimals_of(value, stderr))) == shown


@given(st.lists(st.tuples(st.text(), st.integers()), min_size=1), st.integers(24, 200))
def test_any_text_keeps_the_lines_and_the_width(rows: list[tuple[str, int]], width: int) -> None:
    rows = [(text, number % 1000) for text, number in rows]
    lines = Table(("name", "n"), rows).text(width=width).split("\n")
    assert len(lines) == len(rows) + 1
    assert all(columns_of(line) <= width for line in lines)
    assert all(char.isprintable() for line in lines for char in line)
