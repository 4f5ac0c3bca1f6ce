"""Prompts with pictures: places for them in templates, in texts of data sets, in messages."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pictures

from steelyard import Data, Part, Request, Sample, Task, evaluate, open_task
from steelyard.errors import DataError, RunMismatch
from steelyard.media.images import Image
from steelyard.metrics.text import exact
from steelyard.tasks.choice import choice_task
from steelyard.tasks.prompts import compose, compose_turns, fill

ONE, TWO = Image("one.png"), Image("two.png")


def sample(asked: Any = "What is it?", *, images: Any = (ONE, TWO), **meta: Any) -> Sample:
    return Sample("7", asked, target="a cat", meta={"images": images, **meta})


def shape(parts: Any) -> list[Any]:
    """Parts as texts and pictures, for reading."""
    return [part.data for part in parts]


@pytest.mark.parametrize(
    ("template", "parts"),
    [
        ("{input}", [ONE, TWO, "What is it?"]),
        ("{images}\n{input}", [ONE, TWO, "\nWhat is it?"]),
        ("Look at {image}. {input}", ["Look at ", ONE, TWO, ". What is it?"]),
        ("A: {image 1}\nB: {image2}\n{input}", ["A: ", ONE, "\nB: ", TWO, "\nWhat is it?"]),
        ("{image 2} {image_1}{input}", [TWO, ONE, "What is it?"]),
        ("{image 2}{input}", [TWO, "What is it?"]),
        ("{input}{{image 1}}", [ONE, TWO, "What is it?{image 1}"]),
        ("{images}", [ONE, TWO]),
        ("{input} ({id})", [ONE, TWO, "What is it? (7)"]),
    ],
)
def test_places_in_a_template(template: str, parts: list[Any]) -> None:
    assert shape(compose(template, sample())) == parts


@pytest.mark.parametrize(
    ("asked", "parts"),
    [
        ("<image> and <image>: alike?", [ONE, " and ", TWO, ": alike?"]),
        ("Is <image 2> like <image 1>?", ["Is ", TWO, " like ", ONE, "?"]),
        ("Is <image 2> red?", [ONE, "Is ", TWO, " red?"]),
        ("Is <image 1> <image_1>?", [TWO, "Is ", ONE, ONE, "?"]),
        ("One <image> of two", [ONE, TWO, "One <image> of two"]),
        ("<image><image><image>", [ONE, TWO, "<image><image><image>"]),
        ("Is <image 3> red, <image 0>?", [ONE, TWO, "Is <image 3> red, <image 0>?"]),
    ],
)
def test_marks_in_the_samples_own_text(asked: str, parts: list[Any]) -> None:
    assert shape(compose("{input}", sample(asked))) == parts
    # Where the template says where the pictures are, the marks are words.
    assert shape(compose("{images}{input}", sample(asked))) == [ONE, TWO, asked]


def test_marks_in_the_template_are_words() -> None:
    assert shape(compose("<image> {input}", sample("x", images=(ONE,)))) == [ONE, "<image> x"]


def test_options_may_be_pictures() -> None:
    asked = Sample("1", "Which is red?", "B", ("<image 1>", "<image 2>"), {"images": (ONE, TWO)})
    prompt: Any = choice_task(data=[]).prompt(asked, chat=False)
    assert shape(prompt[0]["content"]) == [
        "Question: Which is red?\nA. ", ONE, "\nB. ", TWO, "\nAnswer:"
    ]  # fmt: skip


@pytest.mark.parametrize("chat", [True, False])
def test_options_behind_pictures_are_the_same_for_every_model(chat: bool) -> None:
    asked = Sample("1", "Which is red?", "B", ("sky", "rose"), {"images": (ONE,)})
    assert choice_task(data=[], by="likelihood").request(asked, chat=chat).choices == ("sky", "rose")


def test_columns_of_text_keep_their_names() -> None:
    assert fill("{image}", Sample("1", "x", meta={"image": "a word"})) == "a word"
    assert compose("{images}", Sample("1", "x", meta={"images": ["a", "word"]})) == "['a', 'word']"
    parts = compose("{image 1} {image}", sample(**{"image 1": "first", "image": "word"}))
    assert shape(parts) == [ONE, TWO, "first word"]


@pytest.mark.parametrize("place", ["{images}", "{image}"])
def test_where_a_row_has_no_picture_nothing_is_shown(place: str) -> None:
    assert compose(place + "What?{input}", sample("!", images=())) == "What?!"
    assert compose(place + "What?", sample(images="a cat", image="a cat")) == "a catWhat?"


def test_missing_pictures_are_named() -> None:
    with pytest.raises(DataError, match=r"no image 3.*it has 2"):
        compose("{image 3}", sample())
    with pytest.raises(DataError, match="no field 'images'"):
        compose("{images}", Sample("1", "x"))
    with pytest.raises(DataError, match="no field 'nothing'"):
        compose("{nothing}", sample())


def test_pictures_of_samples_that_were_made_by_hand(tmp_path: Path) -> None:
    picture = Pictures.new("RGB", (4, 4))
    for given_ in (["a.png"], "a.png", picture, [tmp_path / "a.png"], (picture, picture)):
        parts = compose("{input}", sample(images=given_))
        assert all(isinstance(part.data, Image) for part in parts[:-1])
        assert shape(parts)[-1] == "What is it?"


def test_a_prompt_with_pictures_is_turns_for_every_model() -> None:
    task = Task(name="t", data=[], metrics=[exact], system="Be short.")
    prompt: Any = task.prompt(sample(), chat=False)
    assert prompt == task.prompt(sample(), chat=True)
    assert [turn["role"] for turn in prompt] == ["system", "user"]
    assert prompt[0]["content"] == "Be short."
    assert prompt[1]["content"] == [Part("image", ONE), Part("image", TWO), Part("text", "What is it?")]


def test_a_prompt_without_pictures_is_what_it_was() -> None:
    task = Task(name="t", data=[], metrics=[exact], template="Q: {input}", system="Be short.")
    for meta in ({}, {"images": ()}, {"images": []}, {"images": None}):
        plain = Sample("1", "<image> x", meta=meta)
        assert task.prompt(plain, chat=False) == "Be short.\n\nQ: <image> x"
        assert task.prompt(plain, chat=True) == [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Q: <image> x"},
        ]


def test_worked_examples_have_their_pictures(tmp_path: Path) -> None:
    for name, colour in (("a", "red"), ("b", "blue"), ("same", "red")):
        Pictures.new("RGB", (4, 4), colour).save(tmp_path / f"{name}.png")
    images = {name: Image(tmp_path / f"{name}.png") for name in ("a", "b", "same")}
    shots = [Sample(name, "Which colour?", target=name, meta={"images": (images[name],)}) for name in "ab"]
    task = Task(name="t", data=[], metrics=[exact], shots=shots)
    # The same words about another picture are another question; about the same picture they tell the answer.
    prompt: Any = task.prompt(Sample("1", "Which colour?", meta={"images": (images["same"],)}), chat=False)
    assert [turn["role"] for turn in prompt] == ["user", "assistant", "user"]
    assert shape(prompt[0]["content"]) == [images["b"], "Which colour?"]
    assert prompt[1]["content"] == "b"
    assert shape(prompt[2]["content"]) == [images["same"], "Which colour?"]
    # A question in text alone becomes turns beside examples with pictures.
    prompt = task.prompt(Sample("1", "And now?"), chat=False)
    assert prompt[-1] == {"role": "user", "content": "And now?"}
    digests = [shot[2] for shot in task.identity()["shots"]]
    assert len(set(digests)) == 2


def turns(content: Any) -> list[Any]:
    return [{"role": "system", "content": "Look."}, {"role": "user", "content": content}]


def test_messages_in_the_forms_of_services() -> None:
    content = [
        {"type": "text", "text": "Compare "},
        {"type": "image_url", "image_url": {"url": "one.png"}},
        {"type": "image", "image": TWO},
        Part("image", "one.png"),
        Part("text", "!"),
        "?",
        {"type": "input_audio", "input_audio": {}},
    ]
    body: Any = compose_turns(turns(content), Sample("1", turns(content)))
    assert list(body) == ["messages"]  # for there is a part that only services know
    made = body["messages"]
    assert made[0] == {"role": "system", "content": "Look."}
    parts = made[1]["content"]
    assert [part.kind for part in parts[:-1]] == ["text", "image", "image", "image", "text", "text"]
    assert [part.data.name for part in parts[1:4]] == ["one.png", "two.png", "one.png"]
    assert parts[-1] == {"type": "input_audio", "input_audio": {}}
    assert isinstance(compose_turns(turns(content[:-1]), Sample("1", "")), list)


def test_messages_with_pictures_beside_them() -> None:
    def made(content: Any, images: Any = (ONE, TWO)) -> list[Any]:
        found: Any = compose_turns(turns(content), Sample("1", "", meta={"images": images}))
        return shape(found[1]["content"])

    assert made("What?") == [ONE, TWO, "What?"]
    assert made("<image>What?<image>") == [ONE, "What?", TWO]
    assert made([{"type": "text", "text": "A "}, {"type": "image"}, {"type": "image"}]) == ["A ", ONE, TWO]
    assert made([{"type": "image"}, {"type": "text", "text": "What?"}]) == [TWO, ONE, "What?"]
    with pytest.raises(DataError, match="does not have"):
        made([{"type": "image"}, {"type": "image"}, {"type": "image"}])
    with pytest.raises(DataError, match="no turn of a user"):
        compose_turns([{"role": "system", "content": "x"}], Sample("1", "", meta={"images": (ONE,)}))


def test_how_closely_a_service_is_to_look_is_kept() -> None:
    url = {"url": "a.png", "detail": "low"}
    turns = [{"role": "user", "content": [{"type": "image_url", "image_url": url}]}]
    (turn,) = Task(name="x", data=[], metrics=[exact]).prompt(Sample("1", turns), chat=True)
    (part,) = turn["content"]  # type: ignore[index]
    assert (part.data.name, part.data.detail) == ("a.png", "low")
    assert part.data.reference() == {"image": "a.png", "detail": "low"}


def test_messages_of_text_go_through_as_they_are() -> None:
    given_ = [*turns("hi"), {"role": "assistant", "content": "", "tool_calls": []}]
    assert Task(name="t", data=[], metrics=[exact]).prompt(Sample("1", given_), chat=True) is given_
    assert compose_turns(given_, Sample("1", given_)) is given_


@given(st.text(alphabet="<image 12>{}x", max_size=40), st.integers(0, 3))
def test_no_picture_is_lost_and_no_text_either(asked: str, count: int) -> None:
    images = tuple(Image(f"{n}.png") for n in range(count))
    made = compose("{input}", Sample("1", asked, meta={"images": images}))
    if not count:
        assert made == asked
        return
    shown = [part.data for part in made if part.kind == "image"]
    assert set(shown) == set(images)
    texts = [part.data for part in made if part.kind == "text"]
    assert all(text.strip() and text in asked for text in texts)


def test_results_are_shown_apart_by_columns_that_make_no_difference_to_a_run() -> None:
    rows = [{"input": "a", "target": "b"}]
    task = open_task("questions", data=rows, by="doc_type, question_type")
    assert task.by == ("doc_type", "question_type")
    assert task.identity() == open_task("questions", data=rows).identity()
    choice = open_task("choice", data=[{"input": "a", "choices": ["b"], "target": 0}], by="likelihood")
    assert choice.by == ()
    assert choice.identity()["by"] == "likelihood"


def test_parts_that_only_services_know_do_not_end_a_run(tmp_path: Path) -> None:
    Pictures.new("RGB", (4, 4)).save(tmp_path / "a.png")
    video = {"type": "video_url", "video_url": {"url": "https://host/a.mp4"}}
    shown = {"type": "image_url", "image_url": {"url": "a.png"}}
    rows = [{"messages": [{"role": "user", "content": content}]} for content in ([video, shown], "words")]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = Task(name="t", data=Data(tmp_path / "rows.jsonl"), metrics=[exact])
    run = evaluate(lambda prompt: type(prompt).__name__, task, chat=True, out=tmp_path / "run")
    assert [record.response.text for record in run.records()] == ["dict", "list"]
    first = next(run.records())
    assert first.request.prompt["messages"][0]["content"][0] == video  # type: ignore[call-overload,index]


def test_a_turn_that_calls_a_tool_does_not_end_a_run(tmp_path: Path) -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function"}]}
    task = Task(name="t", data=[Sample("1", [{"role": "user", "content": "Time?"}, call])], metrics=[exact])
    run = evaluate(lambda prompt: type(prompt).__name__, task, chat=True, out=tmp_path / "run")
    (record,) = run.records()
    assert record.response.text == "dict"
    assert record.request.prompt["messages"][1] == call  # type: ignore[call-overload,index]


class Looking(Task):
    """A task that asks about pictures in any form, those of the sample and one more."""

    def request(self, sample: Sample, *, chat: bool) -> Request:
        content = [Part("image", one) for one in (*sample.meta["images"], "nowhere.xyz://a", 7)]
        return Request(sample.id, [{"role": "user", "content": [*content, Part("text", sample.input)]}])


def test_pictures_of_ones_own_task_are_stored_as_references(tmp_path: Path) -> None:
    pixels = np.arange(90, dtype="uint8").reshape(5, 6, 3)
    picture, file = Pictures.fromarray(pixels), io.BytesIO()
    picture.save(file, "PNG")
    task = Looking(
        name="x",
        data=[Sample("1", "?", meta={"images": [file.getvalue(), picture, pixels]})],
        metrics=[exact],
    )

    def look(request: Any) -> str:
        *parts, _ = request.prompt[0]["content"]
        assert [type(part.data) for part in parts] == [Image, Image, Image, str, int]
        return "".join("=" if part.data.open() == picture else "!" for part in parts[:3])

    run = evaluate(look, task, out=tmp_path / "run")
    (record,) = evaluate(look, task, out=tmp_path / "run", resume=True).records()
    assert record.response.error is None
    assert record.response.text == "==="
    assert all(set(one) == {"digest"} for one in record.sample.meta["images"])
    assert run.log.stat().st_size < 2000
    changed = [Sample("1", "?", meta={"images": [file.getvalue(), picture, pixels[::-1]]})]
    with pytest.raises(RunMismatch, match="sample '1'"):
        evaluate(look, replace(task, data=changed), out=tmp_path / "run", resume=True)


def test_a_run_with_pictures_can_be_resumed_and_read(tmp_path: Path) -> None:
    Pictures.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "rows.jsonl").write_text('{"question": "Which?", "image": "a.png", "answer": "black"}\n')
    task = open_task("vqa", data=tmp_path / "rows.jsonl")

    def look(request: Any) -> str:
        assert [part.kind for part in request.prompt[0]["content"]] == ["image", "text"]
        return "black" if request.prompt[0]["content"][0].data.open().getpixel((0, 0)) == (0, 0, 0) else "?"

    run = evaluate(look, task, out=tmp_path / "run")
    again = evaluate(look, task, out=tmp_path / "run", resume=True)
    (record,) = again.records()
    assert record.response.text == "black"
    assert record.request.prompt[0]["content"][0].data["digest"]  # type: ignore[index,union-attr,call-overload]
    assert {result["metric"]: result["value"] for result in run.about["results"]}["anls"] == 1
