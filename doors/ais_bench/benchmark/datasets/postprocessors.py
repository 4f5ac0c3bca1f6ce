"""How configurations take the answer out of a text: functions from text to text.

>>> gsm8k_postprocess("So it costs $1,234 in all. It was 9:30.")
'1234'
"""

from __future__ import annotations

import re
from typing import Any

from steelyard.metrics.extraction import LETTERS, find_box, find_letter, find_number, find_text
from steelyard.types import Sample


def gsm8k_postprocess(text: str, **_: Any) -> str:
    """The number that is the answer."""
    return _said(find_number(text.split("Question:", maxsplit=1)[0]).value)


def gsm8k_dataset_postprocess(text: str, **_: Any) -> str:
    """The number behind ####, without commas."""
    return _said(find_number(text).value)


def math_postprocess(text: str, **_: Any) -> str:
    """What the last \\boxed{…} holds, else the number that is the answer."""
    boxed = find_box(text).value
    return _said(find_number(text).value if boxed is None else boxed)


def first_option_postprocess(text: str, options: str = "ABCD", **_: Any) -> str:
    """The letter of the option that is chosen."""
    found = find_letter(text, Sample("", "", choices=[""] * len(options))).value
    # Options that are not A, B, C … are theirs by place.
    return options[LETTERS.index(str(found))] if found is not None else ""


def first_capital_postprocess(text: str, **_: Any) -> str:
    """The first capital letter."""
    return next((char for char in extract_non_reasoning_content(text) if char.isupper()), "")


def last_capital_postprocess(text: str, **_: Any) -> str:
    """The last capital letter."""
    return next((char for char in reversed(extract_non_reasoning_content(text)) if char.isupper()), "")


def general_postprocess(text: str, **_: Any) -> str:
    """The first line or sentence, without punctuation and articles."""
    first = re.split(r"[\n.,]", extract_non_reasoning_content(text), maxsplit=1)[0]
    return " ".join(re.sub(r"\b(?:a|an|the)\b|[^\w\s]", " ", first, flags=re.I).split())


def extract_non_reasoning_content(text: str, **_: Any) -> str:
    """The text without reasoning."""
    return _said(find_text(text).value)


def _said(value: Any) -> str:
    return "" if value is None else str(value)


math_postprocess_v2 = math_postprocess
first_number_postprocess = gsm8k_postprocess
