"""Sounds in what is asked: in templates, at marks, in turns of a chat, over the wire."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chat_service import chatting
from steelyard import Data, Part, Sample, Sound, Task, evaluate
from steelyard.errors import DataError
from steelyard.media.images import Image
from steelyard.media.sounds import write_wave
from steelyard.metrics.text import exact
from steelyard.models.functions import FunctionModel
from steelyard.models.services import open_openai
from steelyard.tasks.prompts import compose, compose_turns
from steelyard.types import Message

ONE, TWO = Sound("one.wav"), Sound("two.wav")
FACE = Image("face.png")


def shape(content: Any) -> Any:
    return content if isinstance(content, str) else [part.data for part in content]


def sample(text: str = "Who?", audios: Any = (ONE, TWO), **meta: Any) -> Sample:
    return Sample("1", text, meta={"audios": audios, **meta})


@pytest.mark.parametrize(
    ("template", "text", "expected"),
    [
        ("{input}", "Who?", [ONE, TWO, "Who?"]),
        ("{input} {audio 2}", "Who?", ["Who? ", TWO]),
        ("Listen: {audios}", "", ["Listen: ", ONE, TWO]),
        ("{audio_1}{input}{audio 2}", "or", [ONE, "or", TWO]),
        ("{input}", "<audio>Who?<audio>", [ONE, "Who?", TWO]),
        ("{input}", "<audio 2> or <audio 1>?", [TWO, " or ", ONE, "?"]),
        ("{input}", "<audio> alone", [ONE, TWO, "<audio> alone"]),
    ],
)
def test_templates_and_marks(template: str, text: str, expected: list[Any]) -> None:
    assert shape(compose(template, sample(text))) == expected


def test_pictures_and_sounds_in_one_question() -> None:
    both = sample("<audio>Whose voice?<image>", (ONE,), images=(FACE,))
    assert shape(compose("{input}", both)) == [ONE, "Whose voice?", FACE]
    assert shape(compose("{input}", sample("Who?", (ONE,), images=(FACE,)))) == [FACE, ONE, "Who?"]
    # A template that says where the sounds stand says nothing of the pictures.
    assert shape(compose("{audio}{input}", sample("Who?", (ONE,), images=(FACE,)))) == [FACE, ONE, "Who?"]


def test_without_sounds_it_is_a_text() -> None:
    assert compose("{input}", sample(audios=())) == "Who?"
    assert compose("{audio}{input}", sample(audios=())) == "Who?"
    assert compose("{audio}: {input}", Sample("1", "Who?", meta={"audio": "loud"})) == "loud: Who?"
    with pytest.raises(DataError, match="no audio 3"):
        compose("{audio 3}", sample())


def test_turns_of_a_chat() -> None:
    turns = [
        {"role": "system", "content": "Listen."},
        {
            "role": "user",
            "content": [
                {"type": "audio", "audio": "three.wav"},
                {"type": "audio"},
                {"type": "text", "text": "Which?"},
            ],
        },
    ]
    made: Any = compose_turns(turns, sample())
    # One more has no place: it comes first.
    kinds = [part.kind for part in made[1]["content"]]
    assert kinds == ["audio", "audio", "audio", "text"]
    assert [part.data.name for part in made[1]["content"][:3]] == ["two.wav", "three.wav", "one.wav"]
    with pytest.raises(DataError, match="a sound that the sample does not have"):
        compose_turns(turns, Sample("1", turns))
    with pytest.raises(DataError, match="has sounds, but no turn of a user"):
        compose_turns(turns[:1], sample())


def test_a_model_is_given_them(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(write_wave(np.zeros(800, np.float32), 8000))
    row = {"question": "How long?", "answer": "0.1", "audio": "a.wav"}
    (tmp_path / "data.jsonl").write_text(json.dumps(row))
    seen: list[Any] = []

    def listen(messages: list[Message]) -> str:
        seen.append(messages)
        part: Any = messages[-1]["content"][0]
        return str(part.data.seconds())

    model = FunctionModel(listen)
    run = evaluate(
        model, Task(name="t", data=Data(tmp_path / "data.jsonl"), metrics=[exact]), out=tmp_path / "run"
    )
    (record,) = run.records()
    assert (record.response.text, record.scores) == ("0.1", {"exact": True})
    stored: Any = record.request.prompt
    assert stored[0]["content"][0].data["audio"] == "a.wav"
    assert isinstance(seen[0][0]["content"][0], Part)


def test_services_are_sent_the_file(tmp_path: Path) -> None:
    content = write_wave(np.zeros(800, np.float32), 8000)
    (tmp_path / "a.wav").write_bytes(content)
    row = {"question": "How long?", "answer": "x", "audio": "a.wav"}
    (tmp_path / "data.jsonl").write_text(json.dumps(row))
    with chatting() as service:
        model = open_openai(service.url, model="m")
        evaluate(
            model, Task(name="t", data=Data(tmp_path / "data.jsonl"), metrics=[exact]), out=tmp_path / "run"
        )
        model.close()
    (asked,) = service.asked
    sound = asked.json["messages"][0]["content"][0]
    assert sound["type"] == "input_audio"
    assert base64.b64decode(sound["input_audio"]["data"]) == content
