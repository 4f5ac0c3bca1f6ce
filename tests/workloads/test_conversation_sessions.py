"""Conversations and tasks as sessions of turns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_tokenizers import make_byte_level, write_folder

from steelyard.errors import SteelyardError
from steelyard.metrics.text import exact
from steelyard.models.references import open_model
from steelyard.tasks.base import Task
from steelyard.types import Sample
from steelyard.workloads.references import open_workload
from steelyard.workloads.tokens import open_tokenizer

CHAT = [
    {"from": "system", "value": "Be brief."},
    {"from": "human", "value": "Hi"},
    {"from": "gpt", "value": "Hello there, time and people."},
    {"from": "human", "value": "Who are you?"},
    {"from": "gpt", "value": "A program."},
    {"from": "human", "value": "Bye"},
]


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    path = tmp_path / "chats.json"
    begun = [{"from": "gpt", "value": "Welcome."}, {"from": "human", "value": "Thanks"}]
    path.write_text(json.dumps([{"id": "a", "conversations": CHAT}, {"id": "b", "conversations": begun}]))
    return path


def test_a_turn_for_all_that_the_user_says(chats: Path) -> None:
    one, two = open_workload(chats)
    system, user = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}
    assert [turn.prompt for turn in one.turns] == [[system, user], "Who are you?", "Bye"]
    assert [turn.target for turn in one.turns] == ["Hello there, time and people.", "A program.", None]
    assert [turn.max_tokens for turn in one.turns] == [5, 2, None]
    # Who spoke first without being asked stands before the first question.
    assert two.turns[0].prompt == [
        {"role": "assistant", "content": "Welcome."},
        {"role": "user", "content": "Thanks"},
    ]
    assert "counted in words" in open_workload(chats).remarks[0]


def test_recorded_answers_may_stand_before_each_turn(chats: Path) -> None:
    one, _ = open_workload(
        "sharegpt", data=chats, history="recorded", output="uniform:3:4", think="uniform:1:2"
    )
    roles = [[turn["role"] for turn in asked.prompt] for asked in one.turns]
    assert roles == [
        ["system", "user"],
        ["system", "user", "assistant", "user"],
        ["system", "user", "assistant", "user", "assistant", "user"],
    ]
    assert one.turns[2].prompt[4]["content"] == "A program."
    assert {turn.max_tokens for turn in one.turns} <= {3, 4}
    assert one.turns[0].think == 0 and all(1 <= turn.think <= 2 for turn in one.turns[1:])


def test_recorded_answers_are_counted_by_the_tokenizer(chats: Path, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny", make_byte_level())
    one, _ = open_workload("sharegpt", data=chats, tokenizer=folder, turns=2)
    tokenizer = open_tokenizer(folder)
    assert [turn.max_tokens for turn in one.turns] == [
        len(tokenizer.encode(str(turn.target))) for turn in one.turns
    ]
    assert len(one.turns) == 2


def test_questions_of_two_turns(tmp_path: Path) -> None:
    path = tmp_path / "question.jsonl"
    row = {"question_id": 81, "category": "writing", "turns": ["Write a poem.", "Now rewrite it."]}
    path.write_text(json.dumps(row) + "\n")
    (session,) = open_workload(path, think=3)
    assert session.id == "81"
    assert [(turn.prompt, turn.max_tokens, turn.think) for turn in session.turns] == [
        ("Write a poem.", 1024, 0.0),
        ("Now rewrite it.", 1024, 3.0),
    ]


@pytest.mark.parametrize(
    ("options", "error"), [({"history": "none"}, "history=none"), ({"turns": 0}, "turns is 0")]
)
def test_what_cannot_be_asked_of_conversations(chats: Path, options: dict[str, object], error: str) -> None:
    with pytest.raises(SteelyardError, match=error):
        open_workload("sharegpt", data=chats, **options)


def test_any_task_is_a_workload() -> None:
    task = Task(
        name="capitals",
        data=[Sample("1", "France", "Paris"), Sample("2", "Peru", "Lima")],
        metrics=[exact],
        template="What is the capital of {input}?",
        params={"max_tokens": 9, "temperature": 0},
    )
    one, two = open_workload(task)
    assert (one.id, one.turns[0].prompt, one.turns[0].target) == (
        "1",
        "What is the capital of France?",
        "Paris",
    )
    assert (two.turns[0].max_tokens, two.turns[0].params) == (9, {"temperature": 0})
    (longer, *_) = open_workload(task, output=50)
    assert longer.turns[0].max_tokens == 50
    chat = next(iter(open_workload("arithmetic", model=open_model("embedded"), shots=1)))
    assert [turn["role"] for turn in chat.turns[0].prompt] == ["user", "assistant", "user"]
    with pytest.raises(SteelyardError, match="compares likelihoods"):
        next(iter(open_workload("choice", by="likelihood")))
