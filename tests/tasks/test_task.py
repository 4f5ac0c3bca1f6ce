"""Tasks: templates, choices three ways, what makes a request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard import Request, Response, Sample, Task, answer, open_task
from steelyard.errors import DataError, UnknownName, UsageError
from steelyard.metrics.text import exact
from steelyard.tasks.base import take_out
from steelyard.tasks.choice import choice_task
from steelyard.tasks.labels import classification
from steelyard.tasks.prompts import fill

SAMPLE = Sample(
    "7", "Which is red?", target="B", choices=("sky", "rose"), meta={"topic": "colours", "in part": "x"}
)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{input}", "Which is red?"),
        ("Q: {input} ({topic})", "Q: Which is red? (colours)"),
        ("{{input}} {input}", "{input} Which is red?"),
        ("{options}", "A. sky\nB. rose"),
        ("{in part}|{id}|{target}", "x|7|B"),
        ("no field { here }", "no field { here }"),
        ("$\\frac{1}{2}$ }}", "$\\frac{1}{2}$ }"),
    ],
)
def test_templates(template: str, text: str) -> None:
    if "{1}" in template:
        with pytest.raises(DataError, match="written twice"):
            fill(template, SAMPLE)
    else:
        assert fill(template, SAMPLE) == text


@given(st.text(), st.text())
def test_what_is_filled_in_is_never_read_as_a_template(text: str, before: str) -> None:
    before = before.replace("{", "").replace("}", "")
    assert fill(before + "{input}", Sample("1", text)) == before + text


def test_a_missing_field_is_named_with_those_that_are_there() -> None:
    with pytest.raises(DataError, match=r"no field 'answer'.*input, target, options, id, topic"):
        fill("{answer}", SAMPLE)


def test_messages_go_through_as_they_are() -> None:
    turns = [{"role": "user", "content": "hi"}]
    task = Task(name="t", data=[], metrics=[exact])
    assert task.request(Sample("1", turns), chat=False).prompt == turns


def test_by_letter() -> None:
    request = choice_task(data=[]).request(SAMPLE, chat=False)
    assert request.prompt == "Question: Which is red?\nA. sky\nB. rose\nAnswer:"
    assert request.choices is None


@pytest.mark.parametrize(
    ("by", "chat", "choices"),
    [
        ("letter-likelihood", False, (" A", " B")),
        ("letter-likelihood", True, ("A", "B")),
        ("likelihood", False, (" sky", " rose")),
        ("likelihood", True, ("sky", "rose")),
    ],
)
def test_by_likelihood(by: str, chat: bool, choices: tuple[str, ...]) -> None:
    request = choice_task(data=[], by=by).request(SAMPLE, chat=chat)
    assert request.choices == choices
    assert ("A. sky" in str(request.prompt)) == (by == "letter-likelihood")


@pytest.mark.parametrize(("by", "reply"), [("letter", " B"), ("likelihood", " rose")])
@pytest.mark.parametrize("target", ["B", "rose", 1])
def test_worked_examples_answer_in_the_same_way(by: str, reply: str, target: Any) -> None:
    shot = Sample("s", "Which?", target=target, choices=("sky", "rose"))
    assert choice_task(data=[], by=by).answer(shot) == reply


@pytest.mark.parametrize("target", ["E", "tulip", 7, -1, True])
def test_a_target_that_is_no_option_is_an_error(target: Any) -> None:
    with pytest.raises(DataError, match="no option"):
        choice_task(data=[]).answer(Sample("s", "?", target=target, choices=("sky", "rose")))


def test_samples_without_choices_are_named() -> None:
    with pytest.raises(DataError, match="sample '9' has no choices"):
        choice_task(data=[]).request(Sample("9", "?"), chat=False)


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(UsageError, match="by=letter"):
        choice_task(data=[], by="guess")


def test_labels_with_braces_stay_as_they_are() -> None:
    task = classification(data=[], labels="a, {b}")
    assert task.question(Sample("1", "text")) == "text\nLabel (one of: a, {b}):"


def test_extraction_leaves_failures_alone() -> None:
    task = open_task("arithmetic", data=[{"input": "x", "target": "5"}])
    failed = Response(error="gone")
    assert take_out(task.extract, SAMPLE, failed) == (failed, None)
    seen, rule = take_out(task.extract, SAMPLE, Response(text="so #### 5"))
    assert (seen.text, rule) == ("5", "####")


def test_open_task_puts_the_given_in_the_place_of_its_own() -> None:
    rows = [{"input": "a", "target": "b"}]
    task = open_task(
        "arithmetic",
        data=rows,
        metrics=["exact"],
        extract="none",
        params={"max_tokens": 3},
        template="{input}?",
    )
    assert task.metrics == (exact,)
    assert task.extract is None
    assert task.params["max_tokens"] == 3
    assert task.params["stop"]
    assert task.template == "{input}?"


def test_open_task_from_parts_alone() -> None:
    task = open_task(data=[{"input": "a", "target": "b"}], metrics=["exact"])
    assert [s.input for s in task.data] == ["a"]
    with pytest.raises(UsageError, match="no metric"):
        open_task(data=[{"input": "a"}])
    with pytest.raises(UsageError, match="nothing to ask"):
        open_task(metrics=["exact"])


def test_wrong_names_and_options_show_the_near_ones() -> None:
    with pytest.raises(UnknownName, match="arithmetic"):
        open_task("arithmetics")
    with pytest.raises(UnknownName, match="exact"):
        open_task(data=[{"input": "a"}], metrics=["exakt"])
    with pytest.raises(UsageError, match="needs data"):
        open_task("summaries")
    with pytest.raises(UsageError, match="the task arithmetic has no option 'tempalte'"):
        open_task("arithmetic", data=[{"input": "a"}], tempalte="x")


def test_shots_are_chosen_by_seed_and_need_a_source() -> None:
    pool = [{"input": str(n), "target": str(n)} for n in range(20)]
    rows = [{"input": "a", "target": "b"}]

    def chosen(seed: int) -> list[Any]:
        task = open_task("questions", data=rows, shots=3, shot_data=pool, seed=seed)
        return [shot.input for shot in task.shots]

    assert chosen(1) == chosen(1)
    assert any(chosen(1) != chosen(seed) for seed in range(2, 6))
    with pytest.raises(UsageError, match="worked examples"):
        open_task("summaries", data=rows, shots=2)


def test_a_worked_example_does_not_tell_the_answer() -> None:
    rows = [{"input": f"question {n}", "target": f"answer {n}"} for n in range(4)]
    task = open_task("questions", data=rows, shots=3, shot_data=rows)
    for sample in task.data:
        assert str(sample.target) not in str(task.prompt(sample, chat=False))


def test_a_task_can_be_asked_by_hand() -> None:
    task = open_task("questions", data=[{"input": "a", "target": "b"}])
    requests = [task.request(sample, chat=False) for sample in task.data]

    def reply(request: Request) -> str:
        return str(request.prompt)

    from steelyard import open_model

    assert answer(open_model(reply), requests)[0].text == "Question: a\nAnswer:"


def test_a_task_whose_function_fails_is_told(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text("def make():\n    raise KeyError(1)\n")
    with pytest.raises(UsageError, match=r"cannot be made: KeyError.*line \d+"):
        open_task(f"{file}:make")
