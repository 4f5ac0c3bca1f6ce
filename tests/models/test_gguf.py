"""GGUF files through llama.cpp, held against the embedded engine on the same weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from steelyard.errors import MissingExtra, ModelError
from steelyard.models.embedded import DEFAULT, Embedded
from steelyard.models.gguf import Gguf
from steelyard.plugins import resolve
from steelyard.types import Message, Request


def test_without_llama_cpp_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"steelyard\[gguf\]"):
        Gguf(tmp_path / "model.gguf")


def test_it_is_a_built_in_model() -> None:
    assert resolve("models", "gguf") is Gguf


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("llama_cpp")
    pytest.importorskip("gguf")
    from gguf_files import write_gguf

    return write_gguf(DEFAULT, tmp_path_factory.mktemp("gguf") / "default.gguf")


QUESTIONS = [
    "Question: Tom has 3 pens. He buys 4 more. How many pens does Tom have now?\nAnswer:",
    "Question: What is 12 + 7?\nAnswer:",
    "Question: A cup costs $4. Anna buys 3 cups. How much does Anna pay?\nAnswer:",
]


@pytest.mark.real
def test_it_answers_as_the_embedded_engine(file: Path) -> None:
    ours, theirs = Embedded(max_tokens=64), Gguf(file, max_tokens=64, threads=1)
    assert theirs.chat and theirs.positions == ours.positions
    turns: list[Message] = [{"role": "user", "content": QUESTIONS[0]}]
    asked = [Request("0", text) for text in QUESTIONS]
    asked += [Request("1", turns), Request("2", QUESTIONS[0], params={"stop": ["####"]})]
    asked += [Request("3", QUESTIONS[2], params={"max_tokens": 3})]
    for mine, other in zip(ours.batch(asked), theirs.batch(asked)):
        assert other.error is None
        assert (other.text, other.raw) == (mine.text, mine.raw)
        assert other.tokens is not None and mine.tokens is not None
        assert other.tokens.input == mine.tokens.input
    theirs.close()


@pytest.mark.real
def test_choices_are_as_likely(file: Path) -> None:
    ours, theirs = Embedded(), Gguf(file, threads=1)
    asked = [
        Request("0", text, choices=[" 19", " 7", " Tom has", " He pays 12 dollars"]) for text in QUESTIONS
    ]
    for mine, other in zip(ours.batch(asked), theirs.batch(asked)):
        # llama.cpp keeps keys and values in half precision.
        assert other.scores == pytest.approx(mine.scores, rel=1e-2, abs=2e-2)
        assert other.raw == mine.raw
    theirs.close()


@pytest.mark.real
def test_sampling_follows_the_seed(file: Path) -> None:
    model = Gguf(file, threads=1)
    params = {"temperature": 1.5, "max_tokens": 24, "seed": 5}

    def said(**changes: object) -> str:
        return model.batch([Request("0", "The", params={**params, **changes})])[0].text

    first = said()
    said(seed=6)
    assert said() == first
    assert len({said(seed=seed) for seed in range(8)}) > 1
    model.close()


@pytest.mark.real
def test_what_is_wrong_is_said(file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"cannot load .*broken\.gguf"):
        Gguf(broken)
    with pytest.raises(ModelError, match="no GGUF file"):
        Gguf(tmp_path / "nowhere.gguf")
    model = Gguf(file, threads=1, positions=32)
    long, short = model.batch([Request("0", QUESTIONS[0] * 4), Request("1", "", params={"max_tokens": 2})])
    assert long.error is not None and "32 positions" in long.error
    assert short.error is None
    identity = model.identity()
    assert identity != Gguf(file, threads=1, chat=False, positions=32).identity()
    json.dumps(identity)
    model.close()
