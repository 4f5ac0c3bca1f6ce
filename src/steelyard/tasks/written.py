"""Tasks answered in free text: word problems, questions, summaries, labels.

Each is a Task with the right words, extraction and metrics; anything of it can be overridden.
"""

from __future__ import annotations

from typing import Any

from steelyard.metrics.extraction import find_number, find_text
from steelyard.metrics.numbers import number
from steelyard.metrics.overlap import rouge_l, token_f1
from steelyard.metrics.text import exact_words
from steelyard.tasks.base import Task


def arithmetic(*, data: Any, name: str = "arithmetic", **options: Any) -> Task:
    """Word problems in the GSM8K format: a question, and an answer that ends in "#### 18"."""
    preset = {
        "metrics": (number,),
        "template": "Question: {input}\nAnswer:",
        "extract": find_number,
        "params": {"max_tokens": 256, "stop": ["\nQuestion:", "\n\nQuestion"]},
    }
    return Task(name=name, data=data, **{**preset, **options})


def questions(*, data: Any, name: str = "questions", **options: Any) -> Task:
    """Questions with short answers: exact match and the F1 of words."""
    preset = {
        "metrics": (exact_words, token_f1),
        "template": "Question: {input}\nAnswer:",
        "extract": find_text,
        "params": {"max_tokens": 64, "stop": ["\n"]},
    }
    return Task(name=name, data=data, **{**preset, **options})


def qa(*, data: Any, name: str = "qa", **options: Any) -> Task:
    """Questions of one's own with short answers, in the columns that such files usually have."""
    return questions(data=data, name=name, **options)


def summaries(*, data: Any, name: str = "summaries", **options: Any) -> Task:
    """Texts with a reference summary: ROUGE-L."""
    preset = {
        "metrics": (rouge_l,),
        "template": "{input}\n\nSummary:",
        "extract": find_text,
        "params": {"max_tokens": 256},
    }
    return Task(name=name, data=data, **{**preset, **options})
