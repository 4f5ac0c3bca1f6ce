"""Mathematics: answers in \\boxed, compared by what they mean.

gsm8k     word problems, answered with a number
math      MATH and its exports (MATH-500): formulas of seven subjects and five levels
aime      competition problems, answered with a whole number
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from steelyard.metrics.extraction import find_number
from steelyard.metrics.extraction.formulas import find_formula
from steelyard.metrics.mathematics import formula
from steelyard.metrics.numbers import number
from steelyard.tasks.base import Task
from steelyard.types import Sample

_BOXED = "{input}\n\nReason step by step, and put the final answer in \\boxed{{}}."


@dataclass(frozen=True, kw_only=True)
class Problems(Task):
    """A task whose worked examples answer with their solutions, the answer in a box."""

    def answer(self, sample: Sample) -> str:
        """The solution, or the answer in a box."""
        solution, target = sample.meta.get("solution"), str(sample.target)
        if "\\boxed" in target:
            return f" {target}"
        boxed = f"\\boxed{{{target}}}"
        if not isinstance(solution, str):
            return f" {boxed}"
        return f" {solution}" if "\\boxed" in solution else f" {solution}\nThe final answer is {boxed}."


def gsm8k(*, data: Any, name: str = "gsm8k", **options: Any) -> Task:
    """GSM8K: word problems solved step by step; with --shots 4 after four that are solved so."""
    preset = {
        "metrics": (number,),
        "template": "Question: {input}\nLet's think step by step\nAnswer:",
        "extract": find_number,
        "params": {"max_tokens": 512, "stop": ["\nQuestion:"]},
    }
    return Task(name=name, data=data, **{**preset, **options})


def math(*, data: Any, name: str = "math", **options: Any) -> Problems:
    """MATH and its exports: a formula in a box, right if it means the same as the target."""
    preset = {
        "metrics": (formula,),
        "template": _BOXED,
        "extract": find_formula,
        "params": {"max_tokens": 2048},
        "by": ("subject", "level"),
    }
    return Problems(name=name, data=data, **{**preset, **options})


def aime(*, data: Any, name: str = "aime", **options: Any) -> Problems:
    """AIME: competition problems with a whole number in a box."""
    preset = {
        "metrics": (formula,),
        "template": _BOXED,
        "extract": find_formula,
        "params": {"max_tokens": 8192},
    }
    return Problems(name=name, data=data, **{**preset, **options})
