"""Prompts that hold instructions which an answer can be seen to follow.

ifeval    25 kinds of instructions: words, lengths, forms, languages
"""

from __future__ import annotations

from typing import Any

from steelyard.metrics.instructions.following import ifeval as prompts_followed
from steelyard.metrics.instructions.following import instructions_loose, instructions_strict
from steelyard.tasks.base import Task


def ifeval(*, data: Any, name: str = "ifeval", **options: Any) -> Task:
    """IFEval: the share of prompts, and of instructions, that answers follow, strictly and loosely."""
    preset = {
        "metrics": (prompts_followed, instructions_strict, instructions_loose),
        "params": {"max_tokens": 1280},
    }
    return Task(name=name, data=data, **{**preset, **options})
