"""Exams: known sets of questions with given options, of many subjects or of one.

    mmlu, ceval, cmmlu             a folder of CSV files by subject, or the hub's form: one file of all
    arc_easy, arc_challenge        science questions of three to five options
    mcq                            a file of one's own: question, A, B, …, answer

They are picked by letter or by likelihood, as `choice` has it. Worked examples (`--shots 5`) are the
first of the same subject in the split that the set has for them, and results are shown apart by subject.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from steelyard.tasks.choice import LIKELIHOOD, Choice, choice_task

_ENGLISH = {
    "shown": "Question about {topic}. Answer with the right option's letter.\n\n{input}\n{options}\nAnswer:",
    "hidden": "Question about {topic}.\n\n{input}\nAnswer:",
}
_CHINESE = {
    "shown": "以下是关于{topic}的单项选择题，请直接给出正确选项的字母。\n\n题目：{input}\n{options}\n答案：",
    "hidden": "以下是关于{topic}的题目。\n\n题目：{input}\n答案：",
}


def mmlu(*, data: Any, name: str = "mmlu", **options: Any) -> Choice:
    """MMLU: questions of 57 subjects with four options."""
    return _by_subject(data, name, _ENGLISH, options)


def ceval(*, data: Any, name: str = "ceval", **options: Any) -> Choice:
    """C-Eval: Chinese questions of 52 subjects; those of its test have no published answers."""
    return _by_subject(data, name, _CHINESE, options)


def cmmlu(*, data: Any, name: str = "cmmlu", **options: Any) -> Choice:
    """CMMLU: Chinese questions of 67 subjects."""
    return _by_subject(data, name, _CHINESE, options)


def arc_easy(*, data: Any, name: str = "arc_easy", **options: Any) -> Choice:
    """The easier science questions of ARC."""
    return choice_task(data=data, name=name, **options)


def arc_challenge(*, data: Any, name: str = "arc_challenge", **options: Any) -> Choice:
    """The harder science questions of ARC."""
    return choice_task(data=data, name=name, **options)


def mcq(*, data: Any, name: str = "mcq", **options: Any) -> Choice:
    """Questions of one's own with given options."""
    return choice_task(data=data, name=name, **options)


def _by_subject(data: Any, name: str, templates: Mapping[str, str], options: Mapping[str, Any]) -> Choice:
    template = templates["hidden" if options.get("by") == LIKELIHOOD else "shown"]
    # In choice_task `by` is the way in which an option is picked.
    task = choice_task(data=data, name=name, **{"template": template, "shots_by": "subject", **options})
    return replace(task, by=("subject",))
