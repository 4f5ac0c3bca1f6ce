"""Which answers people prefer: rows of reward benchmarks, of texts and of music.

    {"prompt": "2 + 2?", "chosen": "4", "rejected": "5", "subset": "math-prm"}        RewardBench and others
    {"prompt": "2 + 2?", "chosen": ["4"], "rejected": ["5", "3", "22"]}               RewardBench 2
    {"chosen": "\\n\\nHuman: Hi\\n\\nAssistant: Hello.", "rejected": …}               whole conversations
    {"chosen": [{"role": "user", …}, …], "rejected": [{"role": "user", …}, …]}        the same in turns
    {"prompt": …, "response_a": "4", "response_b": "5", "winner": "model_a"}          pairs with a label

The question is the sample's input, the answers are its choices, and the target says which of them are
right. Of whole conversations the question is what they have in common. Rows of music stand in `music`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.data.layouts.base import Fields, Layout, Place
from steelyard.data.layouts.music import is_music, make_music
from steelyard.data.rows import BadRow
from steelyard.types import Sample

SECTIONS: Mapping[str, str] = {
    subset: section
    for section, subsets in (
        ("Chat", "alpacaeval-easy alpacaeval-length alpacaeval-hard mt-bench-easy mt-bench-med"),
        (
            "Chat Hard",
            "mt-bench-hard llmbar-natural llmbar-adver-neighbor llmbar-adver-GPTInst "
            "llmbar-adver-GPTOut llmbar-adver-manual",
        ),
        (
            "Safety",
            "refusals-dangerous refusals-offensive xstest-should-refuse xstest-should-respond donotanswer",
        ),
        ("Reasoning", "math-prm hep-cpp hep-go hep-java hep-js hep-python hep-rust"),
    )
    for subset in subsets.split()
}
"""The sections of RewardBench that its subsets are of."""

_PROMPTS = ("prompt", "question", "instruction", "input", "query")
_PAIRS = (
    ("response_a", "response_b"),
    ("answer_a", "answer_b"),
    ("completion_a", "completion_b"),
    ("conversation_a", "conversation_b"),
    ("response_1", "response_2"),
    ("output_1", "output_2"),
    ("response1", "response2"),
    ("response_0", "response_1"),
)
_LABELS = ("preference", "label", "winner")
_ALIKE = ("both", "neither")
_MARK = re.compile(r"\s*\n\n(Human|Assistant):[ \t]*")
_SPEAKERS = {"Human": "user", "Assistant": "assistant"}

Turns = list[dict[str, Any]]


def make_preference(row: Fields, place: Place) -> Sample:
    """A question with answers of which some are preferred, or a piece of music that was judged."""
    if is_music(row):
        return make_music(row, place)
    if row.column("chosen") is not None or row.column("rejected") is not None:
        right, wrong = _several(row, "chosen"), _several(row, "rejected")
        target: Any = 0 if len(right) == 1 else list(range(len(right)))
        return _make(row, place, [*right, *wrong], target)
    for columns in _PAIRS:
        if all(column in row for column in columns):
            return _make(row, place, [_answer(row, column) for column in columns], _winner(row, columns))
    raise BadRow("chosen and rejected answers, a pair with a label, or a piece of music", list(row))


def _make(row: Fields, place: Place, given: Sequence[Any], target: Any) -> Sample:
    question, answers = _separate(row, [_read(one) for one in given])
    if len(answers) < 2:
        raise BadRow("at least two answers", answers)
    taken = {column for pair in (("chosen", "rejected"), *_PAIRS) for column in pair}
    meta = {column: value for column, value in row.items() if column not in taken}
    subset = row.find("subset")
    if subset in SECTIONS:
        meta["section"] = SECTIONS[subset]
    if (asked := row.find("prompt_id", "prompt id")) is not None:
        # Several pairs of answers to one question are no independent evidence.
        meta["group"] = str(asked)
    return Sample(place.id(row.find("id")), question, target, answers, meta)


def _several(row: Fields, column: str) -> list[Any]:
    """The answers of a column: one, as a text or as the turns of a conversation, or a list of such."""
    given = _answer(row, column)
    if isinstance(given, (list, tuple)) and not (given and isinstance(given[0], Mapping)):
        return list(given)
    return [given]


def _answer(row: Fields, column: str) -> Any:
    """What stands in a column of answers, of which one may say nothing."""
    return "" if row.get(column) == "" else row.need(column)


def _winner(row: Fields, columns: Sequence[str]) -> Any:
    """Which of a pair is preferred: both where they are alike; a label that says nothing known as it is."""
    given = row.find(*_LABELS)
    if isinstance(given, (list, tuple, Mapping)):
        raise BadRow(f"a label as {row.column(*_LABELS)!r}", given)
    label = str(given).strip().casefold()
    for place, column in enumerate(columns):
        end = re.sub(r"^[a-z]+_?", "", column) if column[-1].isdigit() else column[-1]
        if label in (column.casefold(), end, f"model_{end}"):
            return place
    if label in _ALIKE or label.startswith("tie"):
        return [0, 1]
    return None if given is None else {"preference": str(given)}


def _read(given: Any) -> str | Turns:
    """A text, or the turns that it holds."""
    if isinstance(given, (list, tuple)) and given and all(isinstance(turn, Mapping) for turn in given):
        turns = [{"role": turn.get("role"), "content": turn.get("content")} for turn in given]
        if all(isinstance(turn["role"], str) and isinstance(turn["content"], str) for turn in turns):
            return turns
        raise BadRow("turns with role and content", given)
    if not isinstance(given, str):
        raise BadRow("an answer as a text or as turns", given)
    parts = _MARK.split("\n\n" + given.lstrip()) if "Assistant:" in given else [given]
    if len(parts) < 3 or parts[0].strip():
        return given
    return [
        {"role": _SPEAKERS[speaker], "content": said.strip()}
        for speaker, said in zip(parts[1::2], parts[2::2])
    ]


def _separate(row: Fields, read: Sequence[str | Turns]) -> tuple[str | Turns, list[str]]:
    """The question, and the answers to it."""
    asked = row.find(*_PROMPTS)
    if all(isinstance(one, str) for one in read):
        return _question(asked), [str(one) for one in read]
    turns = [one if isinstance(one, list) else [{"role": "assistant", "content": one}] for one in read]
    # At least its last turn is an answer's own, even where another answer says the same.
    longest = min(map(len, turns)) - 1
    common = next((n for n in range(longest) if any(one[n] != turns[0][n] for one in turns)), longest)
    # An answer begins with a turn of who answers.
    while common and turns[0][common - 1]["role"] == "assistant":
        common -= 1
    question: str | Turns = turns[0][:common] or _question(asked)
    if not question:
        raise BadRow("a question: a column prompt, or turns that all answers have in common", list(row))
    return question, [_say(one[common:]) for one in turns]


def _question(asked: Any) -> str | Turns:
    read = "" if asked is None else _read(asked)
    # Where an answer is to begin nothing is said yet.
    unsaid = not isinstance(read, str) and read[-1]["role"] == "assistant" and not read[-1]["content"]
    return read[:-1] if unsaid else read


def _say(turns: Turns) -> str:
    """An answer; one that goes on over several turns with who speaks, as such data sets write them."""
    first, *rest = turns
    return "".join([first["content"], *(f"\n\n{_speaker(turn)}: {turn['content']}" for turn in rest)])


def _speaker(turn: Mapping[str, Any]) -> str:
    return next((word for word, role in _SPEAKERS.items() if role == turn["role"]), str(turn["role"]).title())


PREFERENCE = Layout("preference", make_preference)
