"""Questions with given options: MMLU, C-Eval, CMMLU, ARC, and files of one's own.

    "What is 2 + 2?",3,4,5,6,B                                     mmlu/test/arithmetic_test.csv, no header
    {"question": "…", "choices": ["3", "4"], "answer": 1}          the hub's form of it
    id,question,A,B,C,D,answer                                     ceval/val/law_val.csv
    {"question": {"stem": "…", "choices": [{"text": "3", "label": "A"}, …]}, "answerKey": "B"}   arc

The target is the place of the right option, counted from 0: the text of one option may be the letter
of another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

import msgspec

from steelyard.data.layouts.base import Fields, Layout, Place
from steelyard.data.layouts.subjects import CEVAL_NAMES, CMMLU_NAMES
from steelyard.data.rows import BadRow
from steelyard.types import Sample

_QUESTION = ("question", "input", "problem", "query", "prompt", "sentence", "stem")
_ANSWER = ("answer", "answerKey", "target", "label", "gold", "answer_index", "answer_idx", "correct_answer")


def make_choice(row: Fields, place: Place, *, topics: Mapping[str, str] | None = None) -> Sample:
    """A question with its options, in any of the forms in which such sets have them."""
    asked = row.need(*_QUESTION)
    question = Fields(asked) if isinstance(asked, Mapping) else Fields({"stem": asked})
    text = question.text("stem", "text", "question")
    labels, options = options_of(question if isinstance(asked, Mapping) else row)
    subject = str(row.find("subject", "subject_name", "category") or place.subject)
    meta = {**row, "question": text}
    if subject or topics:
        meta |= {"subject": subject, "topic": (topics or {}).get(subject) or subject.replace("_", " ")}
    given = place.id(row.find("id", "question_id"))
    return Sample(given, text, place_of(row.find(*_ANSWER), labels, options), options, meta)


def options_of(row: Fields) -> tuple[Sequence[str], Sequence[str]]:
    """The labels of the options and the options, from one column that holds them or one for each."""
    held: Any = row.find("choices", "options", "endings")
    if held is None:
        labels, texts = _lettered(row)
    else:
        labels, texts = _listed(held)
    if len(texts) < 2:
        raise BadRow("choices, or columns A, B, …", list(row) if held is None else held)
    labels = list(labels or ascii_uppercase[: len(texts)])
    if len(labels) != len(texts) or any(text is None for text in texts):
        raise BadRow(f"a text for each of the options {', '.join(labels)}", texts)
    return labels, [str(text) for text in texts]


def place_of(answer: Any, labels: Sequence[str], options: Sequence[str]) -> int | None:
    """The place of the option that an answer names by label, text or number from 0; None without one."""
    if answer is None:
        return None
    if isinstance(answer, float) and answer.is_integer():
        answer = int(answer)
    text = str(answer).strip()
    if text in labels:
        return list(labels).index(text)
    upper = text.strip("(). ").upper()
    if upper in labels:
        return list(labels).index(upper)
    if text in options:
        return list(options).index(text)
    if text.isdecimal() and int(text) < len(options):
        return int(text)
    raise BadRow(f"an answer that is one of {', '.join(labels)}", answer)


def _lettered(row: Fields) -> tuple[Sequence[str], Sequence[Any]]:
    """The columns A, B, … up to the last that is filled."""
    columns = {str(column).upper() for column in row}
    texts: list[Any] = []
    for letter in ascii_uppercase:
        # Some name them option_a, or A with what is in it.
        names = letter, f"OPTION_{letter}", f"OPTION{letter}"
        if columns.isdisjoint(names):
            break
        texts.append(row.find(*names))
    while texts and texts[-1] is None:
        texts.pop()
    return (), texts


def _listed(held: Any) -> tuple[Sequence[str], Sequence[Any]]:
    """The labels and texts of options that one column holds."""
    if isinstance(held, str):
        try:
            held = msgspec.json.decode(held)
        except msgspec.DecodeError as error:
            raise BadRow("options as a JSON list", held) from error
    if isinstance(held, Mapping):
        if "text" in held and "label" in held:
            return [str(label) for label in held["label"]], list(held["text"])
        return [str(label) for label in held], list(held.values())
    if not isinstance(held, (list, tuple)):
        raise BadRow("a list of options", held)
    if held and all(isinstance(one, Mapping) and "text" in one for one in held):
        labels = [str(one["label"]) for one in held if "label" in one]
        return (labels if len(labels) == len(held) else ()), [one["text"] for one in held]
    return (), held


def _make_mmlu(row: Fields, place: Place) -> Sample:
    return make_choice(row, place, topics={"": "general knowledge"})


def _make_ceval(row: Fields, place: Place) -> Sample:
    return make_choice(row, place, topics=CEVAL_NAMES)


def _make_cmmlu(row: Fields, place: Place) -> Sample:
    return make_choice(row, place, topics=CMMLU_NAMES)


_COLUMNS = ("question", "a", "b", "c", "d", "answer")
MMLU = Layout(
    "mmlu",
    _make_mmlu,
    asked=("test", "val"),
    shown=("dev", "train"),
    headless=_COLUMNS,
    # The hub has all subjects together beside each alone.
    words=("all",),
    by_subject=True,
)
# The answers to its test are not published.
CEVAL = Layout("ceval", _make_ceval, asked=("val", "test"), shown=("dev",), by_subject=True)
CMMLU = Layout("cmmlu", _make_cmmlu, asked=("test",), shown=("dev",), by_subject=True)
ARC_EASY = Layout("arc_easy", make_choice, shown=("train", "val", "dev"), words=("easy",))
ARC_CHALLENGE = Layout("arc_challenge", make_choice, shown=("train", "val", "dev"), words=("challenge",))
MCQ = Layout("mcq", make_choice)
