"""Problems whose answers are checked: GSM8K, MATH and its likes, HumanEval, IFEval, questions of one's own.

{"question": "Ann has …", "answer": "… 3 + 4 = 7\\n#### 7"}                     gsm8k/test.jsonl
{"problem": "…", "solution": "… $\\boxed{2}$", "type": "Algebra"}              MATH/test/algebra/1.json
{"task_id": "HumanEval/0", "prompt": "def …", "entry_point": "…", "test": "…"}  HumanEval.jsonl.gz
{"key": 1000, "prompt": "…", "instruction_id_list": [ … ], "kwargs": [ … ]}     ifeval.jsonl
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from steelyard.data.layouts.base import Fields, Layout, Place
from steelyard.data.rows import BadRow
from steelyard.types import Sample

_BOX = re.compile(r"\\(?:boxed|fbox)\b")
_NOTE = re.compile(r"<<[^<>\n]*>>")


def make_gsm8k(row: Fields, place: Place) -> Sample:
    """A word problem; what its solution says to a calculator is left out of it."""
    question, answer = row.text("question", "problem"), row.need("answer", "solution", "target")
    if isinstance(answer, str) and not any(map(str.isdigit, answer)):
        raise BadRow("an answer with a number", answer)
    target = _NOTE.sub("", answer) if isinstance(answer, str) else answer
    return Sample(place.id(row.find("id")), question, target, None, dict(row))


def make_math(row: Fields, place: Place) -> Sample:
    """A problem with its answer, or with a solution that holds it in its last box."""
    problem = row.text("problem", "question", "origin_prompt", "prompt", "input")
    answer = row.find("answer", "final_answer", "gold_answer", "expected_answer", "target")
    if answer is None:
        # In the set as published the answer stands in the last box of the solution.
        answer = row.text("solution")
        if not _BOX.search(answer) and len(answer.split()) > 1:
            raise BadRow("an answer, or a solution with \\boxed{…}", answer)
    if isinstance(answer, (list, tuple)) and len(answer) == 1:
        answer = answer[0]
    if isinstance(answer, bool) or not isinstance(answer, (str, int, float)):
        raise BadRow("one answer, a text or a number", answer)
    subject = row.find("subject", "type", "category")
    meta = {**row, **({} if subject is None else {"subject": subject})}
    given = row.find("id", "unique_id", "problem_id", "problem_idx")
    return Sample(place.id(given), problem, str(answer), None, meta)


def make_humaneval(row: Fields, place: Place) -> Sample:
    """A function to be written; `test` and `entry_point` say how it is tried."""
    for column in ("test", "entry_point"):
        row.text(column)
    prompt = row.text("prompt")
    return Sample(place.id(row.find("task_id")), prompt, row.find("canonical_solution"), None, dict(row))


def make_ifeval(row: Fields, place: Place) -> Sample:
    """A prompt with the instructions that its answer is to follow."""
    names, given = row.need("instruction_id_list"), row.find("kwargs") or []
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise BadRow("a list of names as instruction_id_list", names)
    fits = isinstance(given, (list, tuple)) and len(given) in (0, len(names))
    if not fits or not all(one is None or isinstance(one, Mapping) for one in given):
        raise BadRow(f"{len(names)} mappings as kwargs", given)
    # Tables have a column for each option of any instruction, most of them empty.
    options = [{k: v for k, v in (one or {}).items() if v is not None} for one in given] or [
        {} for _ in names
    ]
    meta = {**row, "instruction_id_list": list(names), "kwargs": options}
    return Sample(place.id(row.find("key", "id")), row.text("prompt"), None, None, meta)


def make_question(row: Fields, place: Place) -> Sample:
    """A question with a short answer, or several that are acceptable."""
    asked: Any = row.need("question", "input", "problem", "query", "prompt")
    if not isinstance(asked, (str, list, Mapping)):
        raise BadRow("a text, messages or a mapping as question", asked)
    target = row.find("answer", "answers", "target", "output", "label", "reference")
    return Sample(place.id(row.find("id")), asked, target, None, dict(row))


# Beside it lie the same problems with guiding questions in their answers, and what models answered.
GSM8K = Layout("gsm8k", make_gsm8k, others=("socratic", "example"))
MATH = Layout("math", make_math, words=("all",), alone=True)
AIME = Layout("aime", make_math, alone=True)
HUMANEVAL = Layout("humaneval", make_humaneval, words=("humaneval",))
IFEVAL = Layout("ifeval", make_ifeval, others=("response", "responses"))
QA = Layout("qa", make_question)
