"""The program that an answer is: chats and completions, whole functions and bodies."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.metrics.extraction.programs import find_program
from steelyard.types import Sample

PROMPT = '''from typing import List


def mean_of(numbers: List[float]) -> float:
    """ Mean of numbers
    >>> mean_of([1.0, 3.0])
    2.0
    """
'''
HELPED = '''import math


def double(x):
    return 2 * x


def quadruple(x):
    """Four times x, by double."""
'''
MEAN = Sample("HumanEval/4", PROMPT, meta={"entry_point": "mean_of"})
TWICE = Sample("HumanEval/38", HELPED, meta={"entry_point": "quadruple"})
WHOLE = "def mean_of(numbers):\n    return sum(numbers) / len(numbers)\n"
FENCED = f"```python\n{WHOLE}```"

ANSWERS = [
    ("    return sum(numbers) / len(numbers)\n", "completion"),
    ("\n    return sum(numbers) / len(numbers)", "completion"),
    ("    return sum(numbers) / len(numbers)\n\n\ndef test():\n    raise SystemExit\n", "completion"),
    ("    return sum(numbers) / len(numbers)\n\nprint(mean_of([]))\n", "completion"),
    ("    return sum(numbers) / len(numbers)\n\nThis adds them up.", "completion"),
    ("return sum(numbers) / len(numbers)", "completion"),
    ("total = sum(numbers)\n    return total / len(numbers)", "completion"),
    ("total = sum(numbers)\nreturn total / len(numbers)", "completion"),
    (" total = sum(numbers)\n    return total / len(numbers)", "completion"),
    ("if not numbers:\n    return 0\nreturn sum(numbers) / len(numbers)", "completion"),
    ("\ttotal = sum(numbers)\n\treturn total / len(numbers)\n", "completion"),
    (WHOLE, "function"),
    (PROMPT + "    return sum(numbers) / len(numbers)\n", "function"),
    (f"Here is the function:\n\n{WHOLE}\nIt adds the numbers, and divides.", "function"),
    (FENCED, "fenced: function"),
    (f"Sure!\n\n{FENCED}\n\nIt works so:\n\n```python\nprint(mean_of([1, 2]))\n```", "fenced: function"),
    (f"1:\n```python\ndef mean_of(numbers):\n    return 0\n```\nBetter:\n{FENCED}", "fenced: function"),
    (f"```\n{WHOLE}```", "fenced: function"),
    (f"```python\n{WHOLE}", "fenced: function"),
    (f"```py\r\n{WHOLE}```".replace("\n", "\r\n"), "fenced: function"),
    ("1. So:\n" + textwrap.indent(FENCED, "   "), "fenced: function"),
    ("```python\n    return sum(numbers) / len(numbers)\n```", "fenced: body"),
    ("```python\nreturn sum(numbers) / len(numbers)\n```", "fenced: body"),
    (f"<think>```python\ndef mean_of(numbers):\n    return 1\n```</think>\n{FENCED}", "fenced: function"),
    (f"It was opened before.</think>{FENCED}", "fenced: function"),
    (f"Run it:\n```bash\npython mean.py\n```\n{FENCED}", "fenced: function"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "rule"), ANSWERS)
def test_the_program_gives_the_mean(answer: str, rule: str) -> None:
    found = find_program(answer, MEAN)
    assert found.rule == rule
    # These few are ours: what others wrote is run in a sandbox.
    scope: dict[str, object] = {}
    exec(str(found.value), scope)
    assert scope["mean_of"]([1.0, 3.0]) == 2.0  # type: ignore[operator]


@pytest.mark.parametrize(
    "answer",
    ["    return double(double(x))\n", "```python\ndef quadruple(x):\n    return double(double(x))\n```"],
)
def test_what_the_prompt_has_before_the_function_stands_before_it(answer: str) -> None:
    scope: dict[str, object] = {}
    exec(str(find_program(answer, TWICE).value), scope)
    assert scope["quadruple"](2) == 8  # type: ignore[operator]


@pytest.mark.parametrize("answer", ["", "  \n", "<think>```python\nx\n```</think>"])
def test_no_answer_is_no_program(answer: str) -> None:
    found = find_program(answer, MEAN)
    assert (found.value, found.rule) == (None, "nothing")


def test_code_that_cannot_be_read_stays_as_it_is() -> None:
    broken = "def mean_of(numbers):\n    return sum(numbers /\n"
    assert "return sum(numbers /" in str(find_program(broken, MEAN).value)
    assert "(" * 3000 in str(find_program(f"def mean_of(numbers):\n    return {'(' * 3000}", MEAN).value)


@given(st.text(max_size=200))
def test_any_text_is_survived(text: str) -> None:
    for given_text in (text, f"```python\n{text}\n```", f"def mean_of(x):\n{text}"):
        found = find_program(given_text, MEAN)
        assert (found.value is None) == (found.rule == "nothing")
