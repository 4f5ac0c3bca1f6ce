"""Prompts have exactly as many tokens as were asked for, whatever the tokenizer."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_tokenizers import MADE, TEMPLATE, make_byte_level, write_folder
from tokenizers import Tokenizer, models, pre_tokenizers

from steelyard.errors import UsageError
from steelyard.models.references import open_model
from steelyard.workloads.references import open_workload
from steelyard.workloads.tokens import FileTokenizer, find_tokenizer, open_tokenizer
from steelyard.workloads.tokens import Tokenizer as Counting
from steelyard.workloads.writing import Writer, count_words, find_writer


@cache
def counted(kind: str) -> tuple[Counting, Writer]:
    tokenizer = FileTokenizer(MADE[kind](), name=kind, identity=kind, template=None)
    return tokenizer, find_writer(tokenizer)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tokens") / "tiny"
    return write_folder(made, make_byte_level(), chat_template=TEMPLATE, bos_token="<s>", eos_token="</s>")


@pytest.mark.parametrize("kind", MADE)
@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 700), min_size=1, max_size=4), seed=st.integers(0, 2**32))
def test_a_text_has_as_many_tokens_as_its_parts(kind: str, lengths: list[int], seed: int) -> None:
    tokenizer, writer = counted(kind)
    source = random.Random(seed)
    text, total = "", 0
    for place, length in enumerate(lengths):
        text += writer.write(length, source, begins=place == 0)
        total += length
        assert len(tokenizer.encode(text)) == total


@pytest.mark.parametrize("kind", MADE)
def test_texts_differ_and_their_tokens_are_those_that_are_told(kind: str) -> None:
    tokenizer, writer = counted(kind)
    assert len(set(writer.bodies)) >= 8
    chosen = random.Random(3).randbytes(300)
    assert list(tokenizer.encode(writer.spell(chosen))) == writer.number(chosen)
    assert writer.spell(b"") == "" and writer.number(b"") == []
    assert len({writer.write(12, random.Random(seed)) for seed in range(50)}) == 50


def test_words_are_taken_from_the_vocabulary_where_the_usual_ones_are_missing() -> None:
    _, writer = counted("byte level")
    assert len(set(writer.bodies)) > 128
    # What goes over a space with some other word is not among them.
    assert " the" not in counted("superwords")[1].bodies


def test_a_tokenizer_without_any_is_told() -> None:
    made = Tokenizer(models.WordLevel(vocab={"<unk>": 0, "Wort": 1}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(UsageError, match=r"no texts of exact length .* odd.*tokenizer=none"):
        find_writer(FileTokenizer(made, name="odd", identity="odd", template=None))


def test_what_a_template_adds_is_told_apart_or_counted_in(folder: Path) -> None:
    tokenizer = open_tokenizer(folder)
    apart = open_workload("synthetic", tokenizer=folder, input=40, limit=20)
    around = apart.identity()["around"]
    assert around == (tokenizer.count_chat("x") or 0) - 1 > 4
    assert f"{around} tokens" in apart.remarks[0]
    exact = open_workload("synthetic", tokenizer=folder, input="uniform:20:60", limit=20, template="count")
    for session in exact:
        (turn,) = session.turns
        assert tokenizer.count_chat(str(turn.prompt)) == turn.tokens_in
        assert 20 <= (turn.tokens_in or 0) <= 60
    shared = open_workload(
        "prefixes", tokenizer=folder, input=9, prefix=25, groups=3, hit_rate=0.5, template="count", limit=40
    )
    assert {tokenizer.count_chat(str(session.turns[0].prompt)) for session in shared} == {34}
    with pytest.raises(UsageError, match="stand around each prompt"):
        open_workload("synthetic", tokenizer=folder, input=3, template="count")
    with pytest.raises(UsageError, match="template=chat"):
        open_workload("synthetic", tokenizer=folder, template="chat")


def test_prompts_may_be_tokens(folder: Path) -> None:
    assert open_workload("synthetic", input=9, tokenizer=folder).remarks
    assert not open_workload("synthetic", input=9, tokenizer=folder, form="tokens").remarks
    tokenizer = open_tokenizer(folder / "tokenizer.json")
    as_text = open_workload("synthetic", tokenizer=folder, input=30, limit=5)
    as_tokens = open_workload("synthetic", tokenizer=folder, input=30, limit=5, form="tokens")
    for one, other in zip(as_text, as_tokens):
        (asked,) = other.turns
        assert asked.prompt == {"prompt_token_ids": list(tokenizer.encode(str(one.turns[0].prompt)))}
        assert asked.tokens_in == 30
    with pytest.raises(UsageError, match="form=tokens needs a tokenizer"):
        open_workload("synthetic", form="tokens")


@pytest.mark.parametrize(
    ("wire", "taken"),
    [("openai", False), ("tgi", False), ("mindie", False), ("openai-completions", True), ("kserve", True)],
)
def test_prompts_in_tokens_are_refused_where_they_cannot_be_written(
    folder: Path, wire: str, taken: bool
) -> None:
    # Nobody listens there: nothing is sent.
    model = open_model(
        "http://127.0.0.1:9", wire=wire, **({} if wire in ("tgi", "mindie") else {"model": "m"})
    )
    asked = {"tokenizer": folder, "form": "tokens", "model": model}
    if taken:
        assert next(iter(open_workload("synthetic", **asked))).turns
        return
    with pytest.raises(UsageError, match=r"form=tokens: .* takes no prompts in tokens") as told:
        open_workload("synthetic", **asked)
    assert "wire=openai-completions" in (told.value.hint or "")


def test_a_model_here_is_its_own_tokenizer() -> None:
    model = open_model("embedded")
    tokenizer = find_tokenizer(model)
    assert tokenizer is not None
    workload = open_workload(model=model, input="lognormal:60:40:5:300", limit=30, template="count")
    for session in workload:
        # A model here would take a text as it is.
        text, special = model.render(session.turns[0].prompt)  # type: ignore[attr-defined]
        assert len(model.tokens(text, special=special)) == session.turns[0].tokens_in  # type: ignore[attr-defined]


def test_without_a_tokenizer_words_are_counted_and_that_is_said() -> None:
    workload = open_workload("synthetic", input=17, limit=3)
    assert "words" in workload.remarks[0] and workload.identity()["tokenizer"] == "words"
    for session in workload:
        assert len(str(session.turns[0].prompt).split()) == 17
        assert session.turns[0].tokens_in is None
    assert not count_words().exact
    with pytest.raises(UsageError, match="template=count needs a tokenizer"):
        open_workload("synthetic", template="count")


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("./nowhere", "there is no tokenizer ./nowhere"),
        ("nowhere/tokenizer.json", "there is no tokenizer"),
    ],
)
def test_a_tokenizer_that_is_not_there(given: str, error: str) -> None:
    with pytest.raises(UsageError, match=error):
        open_tokenizer(given)


def test_a_broken_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UsageError, match="cannot be read"):
        open_tokenizer(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"has no tokenizer\.json"):
        open_tokenizer(tmp_path / "empty")
