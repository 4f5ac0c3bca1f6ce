"""ANLS and relaxed accuracy, against their definitions; error rates of transcripts, worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.metrics.documents import RelaxedMatch, anls, relaxed
from steelyard.metrics.overlap import cer, wer
from steelyard.types import Response, Sample

SHORT = st.text(alphabet="abA B\n1", max_size=8)


def ask(metric: Any, target: Any, text: str) -> Any:
    return metric(Sample("1", "", target=target), Response(text=text))


def edits(one: str, other: str) -> int:
    """The edit distance in a table, as it is taught."""
    row = list(range(len(other) + 1))
    for i, char in enumerate(one, 1):
        last, row[0] = row[0], i
        for j, there in enumerate(other, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (char != there))
    return row[-1]


@pytest.mark.parametrize(
    ("target", "text", "score"),
    [
        ("Paris", "paris ", 1.0),
        ("coca  cola", "Coca\nCola", 1.0),
        ("theory", "theory.", 1 - 1 / 7),
        ("abcd", "abxx", 0.0),  # half of it is away: the definition wants less
        ("abcd", "abcx", 0.75),
        (["Rome", "Paris"], "Pariss", 1 - 1 / 6),
        (1250, "1250", 1.0),
        ("", "", 1.0),
        ("", "x", 0.0),
        ("x", "", 0.0),
        (None, "x", None),
        ([], "x", None),
    ],
)
def test_anls(target: Any, text: str, score: float | None) -> None:
    assert ask(anls, target, text) == (None if score is None else pytest.approx(score))


@given(st.lists(SHORT, min_size=1, max_size=3), SHORT)
def test_anls_is_its_definition(targets: list[str], text: str) -> None:
    answer, best = " ".join(text.lower().split()), 0.0
    for target in targets:
        wanted = " ".join(target.lower().split())
        longer = max(len(answer), len(wanted))
        away = edits(answer, wanted) / longer if longer else 0.0
        best = max(best, 1 - away if away < 0.5 else 0.0)
    assert ask(anls, targets, text) == pytest.approx(best)


@given(SHORT, SHORT)
def test_anls_is_a_share_symmetric_and_whole_for_the_same(one: str, other: str) -> None:
    score = ask(anls, one, other)
    assert score == 0 or 0.5 < score <= 1
    assert score == ask(anls, other, one)
    assert ask(anls, one, one) == 1


@pytest.mark.parametrize(
    ("target", "text", "right"),
    [
        ("100", "105", True),
        ("100", "95", True),
        ("100", "105.1", False),
        ("1", "1.05", True),
        ("-20", "-21", True),
        ("-20", "20", False),
        ("0", "0.0", True),
        ("0", "0.01", False),
        (3.14, "3.1", True),
        ("1,250", "1250", True),
        ("$1,250.00", "1.2 thousand", True),
        ("25%", "25", True),
        ("25", "25%", True),
        ("0.25", "25%", True),
        ("25%", "0.25", True),
        ("0.25", "25", False),
        ("2019", "2010", True),  # as the definition has it
        ("Yes", "yes.", True),
        ("Light blue", " light  BLUE", True),
        ("yes", "no", False),
        ("12", "twelve", False),
        ("12", "12 of them", False),
        (["Rome", "12"], "12.5", True),
        ("007", "7", True),
        (None, "1", None),
    ],
)
def test_relaxed(target: Any, text: str, right: bool | None) -> None:
    assert ask(relaxed, target, text) is right


def test_relaxed_with_another_tolerance() -> None:
    assert ask(RelaxedMatch(tolerance=0.2), "100", "119") is True
    assert ask(RelaxedMatch(tolerance=0), "100", "100.5") is False


@given(st.integers(1, 10**6), st.floats(0.5, 1.5))
def test_relaxed_is_five_percent(target: int, times: float) -> None:
    answer = round(target * times, 2)
    away = abs(answer - target) / target
    if abs(away - 0.05) > 1e-6:
        assert ask(relaxed, str(target), f"{answer:,.2f}") is (away <= 0.05)


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_texts_are_compared(target: str, text: str) -> None:
    assert ask(relaxed, target, text) in (True, False)
    assert ask(relaxed, target, target) is True
    assert 0 <= ask(anls, target, text) <= 1


def test_error_rates_of_transcripts_as_worked_out_by_hand() -> None:
    # kitten -> sitting: 3 edits of 6; "the cat sat" -> "the hat sat down": a word changed, one put in.
    assert cer.combine([ask(cer, "kitten", "sitting")]) == 3 / 6
    assert wer.combine([ask(wer, "the cat sat", "the hat sat down")]) == 2 / 3
    # Over pages, edits and lengths are summed: (3 + 0) / (6 + 2).
    assert cer.combine([ask(cer, "kitten", "sitting"), ask(cer, "ab", "ab")]) == 3 / 8


def test_an_empty_page_has_no_length_but_what_is_invented_on_it_counts() -> None:
    assert wer.combine([ask(wer, "", "two words"), ask(wer, "a b c d", "a b c d")]) == 2 / 4
    assert cer.combine([ask(cer, "", "abc"), ask(cer, "abcdef", "abcdef")]) == 3 / 6
    assert cer.combine([ask(cer, "", "")]) is None
    assert cer.combine([ask(cer, "abc", "")]) == 1
