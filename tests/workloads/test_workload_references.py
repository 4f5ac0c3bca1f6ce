"""What can be named as a workload, and what any of them can be given beside."""

from __future__ import annotations

import io
import json
import struct
import sys
import wave
import zlib
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pictures

from chat_service import completion
from faulty_service import reply, serving
from steelyard.engine import answer
from steelyard.errors import MissingExtra, SteelyardError
from steelyard.models.references import open_model
from steelyard.plugins import names
from steelyard.types import Part, Request
from steelyard.workloads.base import Session, Turn, take_share
from steelyard.workloads.references import open_workload

OWN = """
from itertools import count
from steelyard.workloads.base import Session, Turn

class Greetings:
    name = "greetings"

    def __init__(self, *, word="Hello"):
        self.word = word

    def identity(self):
        return {"workload": self.name, "word": self.word}

    def __iter__(self):
        for n in count():
            yield Session(str(n), [Turn(f"{self.word} {n}", max_tokens=4)])

def told(*, times=2):
    for n in range(times):
        yield f"prompt {n}"

LIST = ["a", Turn("b", max_tokens=3), [Turn("c"), Turn("d")]]
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    (tmp_path / "own.py").write_text(OWN)
    return str(tmp_path / "own.py")


def test_every_built_in_workload_is_told() -> None:
    known = dict(names("workloads"))
    assert {"synthetic", "prefixes", "sharegpt", "mtbench", "mooncake", "burstgpt", "custom", "task"} == set(
        known
    )


def test_workloads_of_ones_own(own: str) -> None:
    greetings = open_workload(f"{own}:Greetings", word="Good day", adapters="x")
    assert [one.turns[0].prompt for one in islice(greetings, 2)] == ["Good day 0", "Good day 1"]
    assert [one.id for one in islice(take_share(greetings, 3, 2), 2)] == ["3", "5"]
    assert greetings.identity()["word"] == "Good day"
    told = open_workload(f"{own}:told", times=3)
    for _ in range(2):
        assert [one.turns[0].prompt for one in told] == ["prompt 0", "prompt 1", "prompt 2"]
    assert told.identity() != open_workload(f"{own}:told").identity()
    listed = list(open_workload(f"{own}:LIST"))
    assert [[turn.prompt for turn in one.turns] for one in listed] == [["a"], ["b"], ["c", "d"]]
    with pytest.raises(SteelyardError, match=r"no option 'wrod' .it has word"):
        open_workload(f"{own}:Greetings", wrod="x")


def test_things_that_are_workloads_already() -> None:
    given = [Session("a", [Turn("x")]), Request("b", "y", params={"max_tokens": 3, "seed": 1}), "z"]
    one, two, three = open_workload(given)
    assert one is given[0]
    assert (two.id, two.turns[0].max_tokens, two.turns[0].params) == ("b", 3, {"seed": 1})
    assert (three.id, three.turns[0].prompt) == ("2", "z")
    workload = open_workload(given)
    assert open_workload(workload) is workload
    turns = [{"role": "user", "content": "Hi"}]
    assert next(iter(open_workload([turns]))).turns[0].prompt == turns
    for wrong in (5, [3], [[]]):
        with pytest.raises(SteelyardError, match=r"no workload|no session"):
            list(open_workload(wrong))


@pytest.mark.parametrize(
    ("ref", "error"),
    [
        ("syntetic", r"there is no workload 'syntetic' .did you mean synthetic"),
        ("nowhere.jsonl", "there is no file nowhere.jsonl"),
        ("./nowhere.py:Thing", "there is no file"),
    ],
)
def test_names_that_mean_nothing(ref: str, error: str) -> None:
    with pytest.raises(SteelyardError, match=error):
        open_workload(ref)


def asked(**options: Any) -> list[Session]:
    return list(open_workload("synthetic", input=3, output=8, limit=60, **options))


def test_answers_that_end_at_their_length() -> None:
    (turn,) = asked(exact_output=True, params={"temperature": 0})[0].turns
    assert turn.params == {"temperature": 0, "ignore_eos": True, "min_tokens": 8}
    assert asked(exact_output=False)[0].turns[0].params == {}
    with pytest.raises(SteelyardError, match=r"does not say how long its answers are .output=128"):
        list(open_workload(["x"], exact_output=True))


def test_adapters_in_turn_by_weight_and_by_other_names() -> None:
    models = [one.turns[0].params.get("model") for one in asked(adapters="a,,b")]
    assert models[:4] == ["a", None, "b", "a"]
    counted = Counter(one.meta["adapter"] for one in asked(adapters="a,b,c", adapter_weights="1,0,3"))
    assert counted["b"] == 0 and counted["c"] > counted["a"] > 0
    counted = Counter(one.meta["adapter"] for one in asked(adapters="a,b,c", adapter_weights="zipf:2"))
    assert counted["a"] > counted["b"] + counted["c"]
    assert set(Counter(one.meta["adapter"] for one in asked(adapters="a,b", adapter_weights="uniform"))) == {
        "a",
        "b",
    }
    assert asked(adapters="a", adapter_key="adapter_id")[0].turns[0].params == {"adapter_id": "a"}
    lora = {"lora": [{"id": 0, "scale": 1.0}]}
    assert asked(adapters=[lora])[0].turns[0].params == lora
    (session, *_) = open_workload("synthetic", turns=3, limit=1, adapters="a,b")
    assert {turn.params["model"] for turn in session.turns} == {"a"}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"adapters": ""}, "adapters=''"),
        ({"adapters": [5]}, "an adapter is 5"),
        ({"adapters": "a,b", "adapter_weights": "1"}, "adapter_weights=1"),
        ({"adapters": "a,b", "adapter_weights": "often,never"}, "adapter_weights=often"),
        ({"adapters": "a,b", "adapter_weights": "0,0"}, "adapter_weights=0,0"),
        ({"adapter_key": "x"}, "adapters=None"),
        ({"images": 0}, "images is 0"),
        ({"images": "./nowhere"}, "there is no file|holds no pictures"),
        ({"images": 1, "image_size": "wide"}, "image_size=wide"),
        ({"images": 1, "image_size": "99999x99999"}, "image_size=99999x99999"),
        ({"audio": 1, "audio_seconds": 0}, "audio_seconds"),
        ({"params": "hot"}, "params='hot'"),
        ({"think": "long"}, "form of think"),
    ],
)
def test_additions_that_cannot_be(options: dict[str, Any], error: str) -> None:
    with pytest.raises(SteelyardError, match=error):
        asked(**options)


def test_an_adapter_is_asked_by_its_name() -> None:
    with serving(reply(completion("Hi"))) as service:
        model = open_model(f"http://127.0.0.1:{service.port}/v1", wire="openai", model="base")
        for session in islice(open_workload(["x"] * 3, adapters="math,,poems"), 3):
            turn = session.turns[0]
            (said,) = answer(model, [Request(session.id, turn.prompt, params=turn.params)])
            assert said.error is None
        model.close()
        assert [one.json["model"] for one in service.asked] == ["math", "base", "poems"]


def pictures(session: Session) -> list[bytes]:
    (turn,) = session.turns
    (said,) = turn.prompt  # type: ignore[misc]
    assert said["content"][-1].kind == "text"  # type: ignore[index]
    return [part.data for part in said["content"][:-1]]  # type: ignore[index]


def test_made_pictures_are_pictures_and_each_another() -> None:
    sessions = asked(images=2, image_size="64x48,33x21")
    assert sessions == asked(images=2, image_size="64x48,33x21")
    found = [one for session in sessions for one in pictures(session)]
    assert len(found) == 120
    opened = [Pictures.open(io.BytesIO(one)).convert("RGB") for one in found]
    assert {one.size for one in opened} == {(64, 48), (33, 21)}
    assert len({one.tobytes() for one in opened}) == 120
    assert sessions[0].turns[0].tokens_in is None
    # About as many bytes as a photograph of that size has.
    (large,) = pictures(next(iter(open_workload("synthetic", images=1))))
    assert 60_000 < len(large) < 250_000 and zlib.crc32(b"IEND") == struct.unpack(">I", large[-4:])[0]


def test_pictures_need_a_library_and_that_is_said_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtra, match="PIL"):
        open_workload("synthetic", images=1, tokenizer="none")


def test_made_sounds_are_sounds_and_each_another() -> None:
    sessions = asked(audio=1, audio_seconds="uniform:0.1:0.3")
    found = [one for session in sessions for one in pictures(session)]
    assert len(set(found)) == 60
    for one in found:
        with wave.open(io.BytesIO(one)) as sound:
            assert (sound.getframerate(), sound.getsampwidth()) == (16_000, 2)
            assert 0.099 <= sound.getnframes() / 16_000 <= 0.301


def test_pictures_of_a_folder_go_as_a_service_takes_them(tmp_path: Path) -> None:
    for name in ("a.png", "b.jpg"):
        Pictures.new("RGB", (8, 8), "red").save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    sessions = asked(images=str(tmp_path), image_count=3, audio=1, audio_seconds=0.1)
    parts: list[Part] = sessions[0].turns[0].prompt[0]["content"]  # type: ignore[index,assignment]
    assert [part.kind for part in parts] == ["audio", "image", "image", "image", "text"]
    chosen = [part.data.name for one in sessions for part in one.turns[0].prompt[0]["content"][1:4]]  # type: ignore
    assert set(chosen) == {"a.png", "b.jpg"}
    with serving(reply(completion("Seen"))) as service:
        model = open_model(f"http://127.0.0.1:{service.port}/v1", wire="openai", model="m")
        (said,) = answer(model, [Request("1", sessions[0].turns[0].prompt)])
        assert said.text == "Seen"
        model.close()
        kinds = [part["type"] for part in service.asked[0].json["messages"][0]["content"]]
    assert kinds == ["input_audio", "image_url", "image_url", "image_url", "text"]


def test_pictures_stand_before_what_the_user_says_in_a_chat() -> None:
    turns = [{"role": "system", "content": "See."}, {"role": "user", "content": "What is this?"}]
    (session,) = open_workload([turns], images=1, image_size="8x8")
    system, user = session.turns[0].prompt  # type: ignore[misc]
    assert system == turns[0]
    assert [part.kind for part in user["content"]] == ["image", "text"]  # type: ignore[index]
    with pytest.raises(SteelyardError, match="go with texts and chats"):
        list(open_workload([{"prompt_token_ids": [1]}], images=1))


def test_a_file_is_known_by_its_columns(tmp_path: Path) -> None:
    rows = {
        "mooncake": {"timestamp": 1, "input_length": 3, "output_length": 2},
        "sharegpt": {"conversations": [{"from": "human", "value": "Hi"}]},
        "mtbench": {"question_id": 1, "turns": ["a", "b"]},
        "custom": {"prompt": "Hi", "timestamp": 4},
    }
    for kind, row in rows.items():
        path = tmp_path / f"{kind}.jsonl"
        path.write_text(json.dumps(row) + "\n")
        named = list(open_workload(kind, data=path))
        assert list(open_workload(path)) == named
        assert list(open_workload(str(path))) == named
