"""clinical_correctness: normalised equality, or one in the other word for word."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.metrics.clinical import clinical_correctness
from steelyard.plugins import resolve
from steelyard.types import Response, Sample


def score(target: Any, text: str) -> Any:
    return clinical_correctness(Sample(id="1", input="", target=target), Response(text=text))


@pytest.mark.parametrize(
    ("target", "text", "right"),
    [
        ("Myocardial infarction", "myocardial infarction.", True),
        ("acute myocardial infarction", "Myocardial infarction", True),
        ("asthma", "The patient has ASTHMA, most likely.", True),
        ("type-2 diabetes", "Type 2 Diabetes", True),
        ("infarction", "fraction", False),
        ("no fever", "fever", True),
        ("pneumonia", "", False),
        ("pneumonia", "...", False),
        ("heart failure", "failure of the heart", False),
        (["flu", "influenza"], "It is influenza", True),
        (["flu", "influenza"], "a cold", False),
        (7, "7", True),
        (None, "anything", None),
        ("", "anything", None),
    ],
)
def test_cases(target: Any, text: str, right: bool | None) -> None:
    assert score(target, text) is right


@given(st.lists(st.sampled_from("ab c d".split()), min_size=1), st.sampled_from([" ", ", ", "\n", " - "]))
def test_spacing_case_and_marks_do_not_matter(words: list[str], between: str) -> None:
    assert score(" ".join(words), between.join(words).upper() + ".") is True


def test_it_is_found_by_name() -> None:
    assert resolve("metrics", "clinical_correctness") is clinical_correctness
